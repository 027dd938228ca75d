"""Prints every bar of a cluster with the figure that cluster.sh found in DIR, and whether it is met."""

import json
import os
import re
import sys

directory = sys.argv[1]


def rows(name):
    path = f"{directory}/{name}.json"
    if not os.path.exists(path):
        return {}
    with open(path) as lines:
        return {row["workload"]: row for row in map(json.loads, lines)}


def bar(what, figure, bound, unit, at_least=False):
    met = figure >= bound if at_least else figure < bound
    word = "at least" if at_least else "under"
    print(f"{'met   ' if met else 'MISSED'}  {what}: {figure:.2f}{unit} ({word} {bound:g}{unit})")


peer, ours = rows("peer"), rows("cluster")
for workload in ("smtp-new", "smtp-reused"):
    if workload in peer and workload in ours:
        ratio = ours[workload]["accepted_per_s"] / peer[workload]["accepted_per_s"]
        bar(f"{workload}, 4 KB, against Postfix + Dovecot", ratio, 1.5, " x", at_least=True)
if "idle-latency" in ours:
    bar("DATA-end on one node to EXISTS on another, p50", ours["idle-latency"]["p50_ms"], 25, " ms")
for figures in rows("idle").values():
    bar(f"idle, of one core per node over {figures['seconds']} s", figures["core_percent_each"], 3, " %")
    bar("idle, resident memory per node", figures["resident_mb_each"], 120, " MB")
for figures in rows("after").values():
    bar("idle again after a load, of one core per node", figures["core_percent_each"], 3, " %")
    bar("idle again after a load, resident memory per node", figures["resident_mb_each"], 120, " MB")
for figures in rows("catchup").values():
    bar("a blank third node, against copying the same files", figures["ratio"], 3, " x")
if os.path.exists(f"{directory}/failover.txt"):
    with open(f"{directory}/failover.txt") as text:
        found = re.findall(r"(\w+) again: median (\d+) ms, 90 % \d+ ms, worst (\d+) ms", text.read())
    for what, median, worst in found:
        bar(f"{what} after kill -9 of a leader, median", int(median) / 1000, 2, " s")
        bar(f"{what} after kill -9 of a leader, worst", int(worst) / 1000, 3, " s")
