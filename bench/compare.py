"""Prints the figures of two runs side by side, and their ratio: above 1 mailnode is the better one."""

import json
import sys

LOWER_IS_BETTER = ("_ms", "_kb", "kb_per_connection", "_s", "cpu_ms_per_message")


def load(path):
    with open(path) as lines:
        return {row.pop("workload"): row for row in map(json.loads, lines)}


peer, ours = load(sys.argv[1]), load(sys.argv[2])
print(f"{'figure':<44}{'Postfix+Dovecot':>16}{'mailnode':>12}{'ratio':>9}")
for workload, figures in ours.items():
    for name, value in figures.items():
        other = peer.get(workload, {}).get(name)
        if isinstance(value, str) or other is None or name in ("messages", "size", "sessions", "connections"):
            continue
        lower = name.endswith(LOWER_IS_BETTER) and not name.endswith("_per_s")
        over, under = (other, value) if lower else (value, other)
        ratio = f"{over / under:9.2f}" if under else "        -"
        print(f"{workload + ' ' + name:<44}{other:>16.2f}{value:>12.2f}{ratio}")
