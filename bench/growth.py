"""Prints what growth.sh found in DIR as Markdown: a table per cluster, the large commands, and every bar with its verdict."""

import json
import os
import sys

RATES = [
    ("smtp-new", "accepted_per_s", "SMTP, new connections"),
    ("smtp-reused", "accepted_per_s", "SMTP, kept connections"),
    ("append", "appended_per_s", "APPEND"),
]
MAILBOX = [
    ("fetch_flags", "FETCH FLAGS"),
    ("fetch_envelope", "FETCH ENVELOPE"),
    ("search_subject", "SEARCH SUBJECT"),
    ("store", "STORE"),
]
RATE_BAR, CPU_BAR, OLD_BAR = 0.9, 1.15, 0.97
JUDGED_FROM = 1_100_000
START_BAR_S, MEMORY_BAR_MB, DELIVERY_BAR_MS = 5, 200, 100
PROBES = [
    ("delivery_ms", "deliveries"),
    ("delivery_after_ms", "deliveries after"),
    ("store_ms", "STORE"),
    ("noop_ms", "NOOP"),
]

verdicts = []


def verdict(what, met, figure):
    verdicts.append(f"- **{'met' if met else 'MISSED'}** {what}: {figure}")


def median(values):
    return sorted(values)[len(values) // 2] if values else None


def pick(rows, **wanted):
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def middle(rows, figure, **wanted):
    return median([row[figure] for row in pick(rows, **wanted)])


def table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(line) + " |")
    print()


def number(value, digits=2):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def ratio(value, base):
    return None if not value or not base else value / base


def with_ratio(value, base):
    against = ratio(value, base)
    return number(value) + ("" if against is None else f" ({against:.2f})")


def steps_of(rows, cluster):
    found = {row["phase"] for row in pick(rows, cluster=cluster, workload="append")}
    return (["empty"] if "empty" in found else []) + sorted(step for step in found if isinstance(step, int))


def base_of(rows, cluster, step, workload, figure):
    """The empty cluster measured in turns with this step, or else this one when it was empty."""
    beside = middle(rows, figure, cluster=f"{cluster}-beside", phase=step, workload=workload)
    return beside or middle(rows, figure, cluster=cluster, phase="empty", workload=workload)


def rates(rows, cluster, nodes):
    lines = []
    for step in steps_of(rows, cluster):
        held = max(row["held"] for row in pick(rows, cluster=cluster, phase=step))
        line = [f"{held:,}"]
        for workload, rate, name in RATES:
            for figure, bar in ((rate, RATE_BAR), ("server_cpu_ms_per_message", CPU_BAR)):
                value = middle(rows, figure, cluster=cluster, phase=step, workload=workload)
                base = base_of(rows, cluster, step, workload, figure)
                line.append(with_ratio(value, base))
                last = step == steps_of(rows, cluster)[-1]
                if step == "empty" or not (last or step >= JUDGED_FROM) or not ratio(value, base):
                    continue
                against = ratio(value, base)
                met = against >= bar if figure == rate else against <= bar
                what = "rate" if figure == rate else "CPU per message"
                word = "at least" if figure == rate else "at most"
                verdict(f"{nodes} node(s), {cluster}, {step:,} messages, {name}, {what}", met,
                    f"{against:.2f} x of empty ({word} {bar} x)")
        lines.append(line)
    head = ["messages held"]
    for _, _, name in RATES:
        head += [f"{name}, per s", "CPU ms"]
    table(head, lines)


def mailbox(rows, cluster):
    lines = []
    for step in steps_of(rows, cluster):
        for row in pick(rows, cluster=cluster, phase=step, workload="mailbox"):
            line = [f"{row['held']:,}", f"{row['folder_messages']:,}", number(row["select_ms"])]
            for name, _ in MAILBOX:
                count = row["stored"] if name == "store" else row["folder_messages"]
                line += [number(row[f"{name}_ms"]), number(1000 * count / row[f"{name}_ms"]),
                    number(row[f"{name}_cpu_us_per_message"])]
            lines.append(line)
    head = ["messages held", "in the folder", "SELECT, ms"]
    for _, name in MAILBOX:
        head += [f"{name}, ms", "messages per s", "CPU µs per message"]
    table(head, lines)


def sizes(rows, cluster):
    lines = []
    for step in steps_of(rows, cluster):
        memory = pick(rows, cluster=cluster, phase=step, workload="memory")
        disk = pick(rows, cluster=cluster, phase=step, workload="disk")
        fill = pick(rows, cluster=cluster, phase=step, workload="fill")
        if not disk:
            continue
        lines.append([f"{disk[0]['held']:,}", number(memory[0]["resident_mb_max"] if memory else None),
            number(disk[0]["whole_mb"]), number(disk[0]["rows_mb"]), number(disk[0]["mail_mb"]),
            number(disk[0]["bodies_mb"]), f"{disk[0]['files']:,}", " / ".join(number(row["per_s"]) for row in fill) or "-"])
    table(["messages held", "memory before the measurement, MB", "disk of a node, MB", "rows", "mail", "bodies", "files",
        "filled per s"], lines)


def large(rows, cluster, nodes):
    found = pick(rows, cluster=cluster, phase="large", workload="large")
    probes = pick(rows, cluster=cluster, phase="large", workload="probe")
    if not found:
        return
    lines = []
    for row in probes + found:
        command = row.get("command", "nothing (baseline)")
        line = [command, f"{row['messages']:,}" if "messages" in row else "-", number(row["seconds"]),
            number(row.get("server_cpu_us_per_message"))]
        for name, _ in PROBES:
            figures = row[name]
            line.append(f"{number(figures['p50'])} / {number(figures['p99'])} / {number(figures['max'])} ({figures['count']})")
        line += [number(row["delivery_from_due_p99_ms"]), str(row["refused"]), number(row["resident_mb_max"])]
        lines.append(line)
        if "messages" in row:
            worst = max(row["delivery_ms"]["p99"], row["delivery_after_ms"]["p99"])
            met = worst <= DELIVERY_BAR_MS and row["refused"] == 0 and row["succeeded"]
            verdict(f"{nodes} node(s), {cluster}, deliveries beside {command} of {row['messages']:,}", met,
                f"p99 {worst:.1f} ms (at most {DELIVERY_BAR_MS} ms; {row['delivery_from_due_p99_ms']:.1f} ms from when they "
                f"were due), {row['refused']} refused (0)"
                + ("" if row["succeeded"] else f", {row['status']}"))
    table(["command of another user of the shard", "messages", "s", "CPU µs per message"]
        + [f"{name}, p50 / p99 / max ms (count)" for _, name in PROBES]
        + ["deliveries from when they were due, p99 ms", "refused", "memory of all nodes at most, MB"], lines)
    for row in found + probes:
        if row.get("first_refusal"):
            print(f"First refusal beside {row.get('command', 'nothing')}: `{row['first_refusal']}`\n")


def rest(rows, cluster, nodes):
    lines = []
    for phase, what in (("rest-load", "filling and measuring"), ("rest-large", "the large commands")):
        found = pick(rows, cluster=cluster, phase=phase, workload="memory")
        for row in found:
            lines.append([what, str(row["after_s"]), number(row["resident_mb_max"]), number(row["anonymous_mb_max"])])
        if found:
            last = found[-1]
            verdict(f"{nodes} node(s), {cluster}, memory {last['after_s']} s after {what}", last["resident_mb_max"] < MEMORY_BAR_MB,
                f"{last['resident_mb_max']:.0f} MB (under {MEMORY_BAR_MB} MB)")
    if lines:
        table(["after", "s", "resident, MB", "of that anonymous"], lines)


def starts(rows, cluster, nodes):
    found = pick(rows, cluster=cluster, workload="start")
    if not found:
        return
    figures = ["stop_s", "status_s", "select_s", "deliver_s"]
    table(["run", "stop, s", "status answers, s", "first SELECT, s", "first delivery, s"],
        [[str(row["run"])] + [number(row[name]) for name in figures] for row in found])
    for name in figures[1:]:
        worst = max(row[name] for row in found)
        verdict(f"{nodes} node(s), {cluster}, start with {found[0]['held']:,} messages, {name}", worst <= START_BAR_S,
            f"worst {worst:.2f} s (at most {START_BAR_S} s)")


def joins(rows, cluster, nodes):
    for row in pick(rows, cluster=cluster, workload="join"):
        lines = []
        for one in pick(rows, cluster=cluster, phase="join", workload="probe") + [row]:
            lines.append(["a blank node joins" if one is row else "before"] + [number(one.get("join_s"))]
                + [f"{number(one[name]['p50'])} / {number(one[name]['p99'])} / {number(one[name]['max'])}"
                    for name, _ in PROBES if "after" not in name]
                + [number(one["delivery_from_due_p99_ms"]), str(one["refused"]), one["first_refusal"] or "-"])
        table(["", "s", "deliveries, p50 / p99 / max ms", "STORE", "NOOP", "from when they were due, p99 ms", "refused",
            "first refusal"], lines)


def pairs(rows, nodes):
    lines = []
    for workload, rate, name in RATES:
        for figure, unit in ((rate, "per s"), ("server_cpu_ms_per_message", "CPU ms")):
            ours = {row["run"]: row[figure] for row in pick(rows, cluster="new-pairs", workload=workload)}
            old = {row["run"]: row[figure] for row in pick(rows, cluster="old-pairs", workload=workload)}
            ratios = [ours[run] / old[run] for run in ours if old.get(run)]
            if not ratios:
                continue
            lines.append([f"{name}, {unit}", number(median(list(old.values()))), number(median(list(ours.values()))),
                f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"])
            if figure == rate:
                verdict(f"{nodes} node(s), empty, new against old binary, {name}", median(ratios) >= OLD_BAR,
                    f"median of {len(ratios)} pairs {median(ratios):.2f} x (at least {OLD_BAR} x)")
    if lines:
        print("#### Empty, older binary and this one in turns\n")
        table(["", "older", "this", "median ratio of a pair", "ratios"], lines)


for nodes in (1, 3):
    path = f"{sys.argv[1]}/growth-{nodes}.jsonl"
    if not os.path.exists(path):
        continue
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    print(f"### {nodes} node{'s' if nodes > 1 else ''}\n")
    pairs(rows, nodes)
    for cluster in ("old", "new"):
        if not steps_of(rows, cluster):
            continue
        print(f"#### {'Older binary' if cluster == 'old' else 'This binary'}\n")
        for part in (rates, large, rest, starts, joins):
            part(rows, cluster, nodes)
            if part is rates:
                mailbox(rows, cluster)
                sizes(rows, cluster)
if verdicts:
    print("### Bars\n")
    print("\n".join(verdicts))
