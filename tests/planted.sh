#!/bin/sh
# Shows that the simulation's checks can speak: builds it with faults that can be planted, then lets each one run over seeds
# until a check speaks, at most SEEDS of them (1000), and nothing planted over CONTROL of them (200). Prints the table of
# README.md; fails when a fault is not caught, or when something is found without one.
#
# The build has a target directory of its own, so that it and an ordinary build do not undo each other.
set -u
cd "$(dirname "$0")/.." || exit 2
export CARGO_TARGET_DIR="${PLANTED_TARGET_DIR:-target/planted}"
MAILNODE_FAULTS=1 cargo build --release -p tests --bin sim || exit 2
sim="$CARGO_TARGET_DIR/release/sim"
seeds="${SEEDS:-1000}"
control="${CONTROL:-200}"
failed=0

echo '| fault | seeds until it was caught | what spoke |'
echo '|---|---|---|'
for fault in $("$sim" --faults); do
    if told=$("$sim" --seeds "0..$seeds" --plant "$fault" 2>&1); then
        echo "| $fault | not within $seeds | |"
        failed=1
    else
        seed=$(echo "$told" | sed -n 's/^seed \([0-9]*\):.*/\1/p' | head -n 1)
        spoke=$(echo "$told" | sed -n 's/^seed [0-9]*: \([A-Za-z0-9 ]*\):.*/\1/p' | sort | uniq -c | sort -rn | awk '{ $1 = ""; print substr($0, 2) }' | paste -sd, | sed 's/,/, /g')
        echo "| $fault | $((seed + 1)) (seed $seed) | $spoke |"
    fi
done
if ! "$sim" --seeds "0..$control" >&2; then
    echo "something is found where nothing is planted" >&2
    failed=1
fi
exit "$failed"
