#!/usr/bin/env bash
# What grows with the mail: one node and three on this machine, filled step by step, with rates and CPU per message, memory,
# disk, start time, large commands of one account with what a neighbour of its shard notices, and a node that joins.
#   bench/growth.sh [DIR]     DIR (default a temporary one) should lie on the disk to measure
# Appends JSON lines to DIR/growth-1.jsonl and DIR/growth-3.jsonl and prints bench/growth.py of them: docs/performance.md says
# what each figure is. Settings, all from the environment:
#   NODES="1 3"       clusters to measure, one after the other
#   TOTAL, LARGE      messages at the end (2000000), and of them in one folder of one account (500000)
#   STEPS             messages held at which everything is measured (default: doubling to TOTAL, and 1100000)
#   BESIDE            steps at which every run alternates with an empty cluster of the same binary (default: from 1100000)
#   MESSAGES, RUNS    messages of one measurement (6000), and how often it is repeated (3)
#   COMMAND_MESSAGES  messages that the large commands copy, move, expunge and delete (100000)
#   OLD, PAIRS        an older binary, compared on empty clusters in so many alternating pairs (5)
#   PAIR_MESSAGES     messages of one measurement of such a pair (default: twice MESSAGES)
#   OLD_STEPS         steps at which the older binary is measured too, filled like the other (default: none)
#   PARTS             "pairs curve large start join", or some of them
#   BIN, MAILNODE_BINARY, KEEP=1 (data), BASE_OFFSET (ports), USERS, WARM, REST (seconds), SETTLE, PATIENCE
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-$(mktemp -d)}
total=${TOTAL:-2000000} large=${LARGE:-500000} messages=${MESSAGES:-6000} runs=${RUNS:-3}
command_messages=${COMMAND_MESSAGES:-100000} pairs=${PAIRS:-5} users=${USERS:-50} warm=${WARM:-5000}
rest=${REST:-60} settle=${SETTLE:-300} patience=${PATIENCE:-7200} base_offset=${BASE_OFFSET:-12200}
parts=${PARTS:-pairs curve large start join}
pair_messages=${PAIR_MESSAGES:-$((2 * messages))} old=${OLD:-} old_steps=${OLD_STEPS:-}
if [ -z "${STEPS:-}" ]; then
  STEPS=$total
  for ((step = total / 2; step >= total / 16; step /= 2)); do STEPS="$step $STEPS"; done
  if [ "$total" -gt 1100000 ]; then STEPS="$STEPS 1100000"; fi
fi
steps=$(tr ' ' '\n' <<<"$STEPS" | sort -n | xargs)
beside=${BESIDE-$(for step in $steps; do if [ "$step" -ge 1100000 ]; then echo "$step"; fi; done | xargs)}
mkdir -p "$dir"
dir=$(realpath "$dir")

if [ -z "${BIN:-}" ]; then
  cargo build --release --locked -p node -p bench
  target=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  BIN=$target/release
fi
new=${MAILNODE_BINARY:-$BIN/mailnode} bench=$BIN/bench
# It is no setting of the nodes, which would warn of it.
unset MAILNODE_BINARY

declare -A pid=() data=() binary=() slots=()
job='' probe='' server=() out='' phase='' run=0 nodes=0
declare -A held=() filled=()

finish() {
  local one
  trap - EXIT INT TERM
  for one in $job $probe "${pid[@]}"; do kill "$one" 2>/dev/null || true; done
  for one in $job $probe "${pid[@]}"; do
    for _ in $(seq 150); do
      kill -0 "$one" 2>/dev/null || break
      pause 0.1
    done
    kill -9 "$one" 2>/dev/null || true
  done
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wants() { [[ " $parts " == *" $1 "* ]]; }
among() { [[ " ${*:2} " == *" $1 "* ]]; }
pause() { read -rt "$1" <> <(:) || true; }
now() { date +%s.%N; }
say() { echo "$(date +%H:%M:%S) $*" >&2; }

# A command that a signal to this script can cut short: bash runs traps only between commands, and while it waits.
attend() {
  "$@" &
  job=$!
  local result=0
  wait "$job" || result=$?
  job=''
  return "$result"
}

# Adds what is known here to the JSON line in a file, and appends it to the results.
record() { # cluster, file, more fields as name=number ...
  python3 - "$2" "$out" cluster="$1" phase="$phase" run="$run" nodes="$nodes" held="${held[$1]}" \
    large="${filled[$1]}" "${@:3}" <<'P'
import json, sys
def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text
with open(sys.argv[1]) as lines:
    row = json.loads(lines.read())
fields = [(name, value(text)) for name, text in (field.split("=", 1) for field in sys.argv[3:])]
# What the caller adds after the six that are always there replaces what the file says.
row = dict(fields[:6]) | row | dict(fields[6:])
with open(sys.argv[2], "a") as results:
    print(json.dumps(row), file=results)
print(json.dumps(row))
P
}

figure() { # cluster, bench arguments
  attend "$bench" "${server[@]}" "${@:2}" >"$dir/line" || return
  record "$1" "$dir/line"
}

# Nodes, each in a slot that gives its ports.

offset() { echo $((base_offset + $1 * 1000)); }
admin() { "${binary[$1]}" --data "${data[$1]}" "${@:2}"; }

launch() { # slot, more flags
  local slot=$1
  "${binary[$slot]}" --data "${data[$slot]}" --name "${data[$slot]##*/}" --bind 127.0.0.1 --port-offset "$(offset "$slot")" \
    --domain bench.test "${@:2}" >>"${data[$slot]}.log" 2>&1 &
  pid[$slot]=$!
}

until_answers() { # slot
  until admin "$1" status >/dev/null 2>&1; do
    kill -0 "${pid[$1]}" 2>/dev/null || { tail -n 20 "${data[$1]}.log" >&2; exit 1; }
    pause 0.02
  done
}

start_node() { # cluster, slot, name, more flags
  mkdir -p "$dir/$1"
  data[$2]=$dir/$1/$3 binary[$2]=$new
  if [ "${1%%-*}" = old ]; then binary[$2]=$old; fi
  launch "$2" "${@:4}"
  until_answers "$2"
  slots[$1]="${slots[$1]:-} $2"
}

first_slot() { read -r first _ <<<"${slots[$1]}"; echo "$first"; }

join_node() { # cluster, slot, name
  local first token
  first=$(first_slot "$1")
  token=$(admin "$first" token create --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["token"])')
  start_node "$1" "$2" "$3" --join "127.0.0.1:$(($(offset "$first") + 7025))" --token "$token"
}

# Every group has a leader and so many voters, each with at most so many entries to receive.
wait_whole() { # cluster, voters, entries
  local first deadline=$((SECONDS + patience))
  first=$(first_slot "$1")
  until admin "$first" status --json | python3 -c '
import json, sys
shards, nodes, lag_max = json.load(sys.stdin)["shards"], int(sys.argv[1]), int(sys.argv[2])
# The lag of a replica that has not answered its leader yet is null.
level = lambda shard: sum(
    replica["voter"] and replica["lag"] is not None and replica["lag"] <= lag_max for replica in shard["replicas"])
sys.exit(not all(shard["leader"] and level(shard) >= nodes for shard in shards))' "$2" "$3"; do
    [ "$SECONDS" -lt "$deadline" ] || { say "$1 did not become whole"; exit 1; }
    pause 0.2
  done
}

start_cluster() { # cluster, first slot
  local name=$1 n
  say "starting $name with $nodes node(s)"
  rm -rf "${dir:?}/$name"
  slots[$name]='' held[$name]=0 filled[$name]=0
  start_node "$name" "$2" n1
  for ((n = 0; n < users; n++)); do
    echo benchmark-secret | admin "$2" account add "u$n@bench.test" --password-stdin >/dev/null
  done
  for ((n = 2; n <= nodes; n++)); do join_node "$name" "$(($2 + n - 1))" "n$n"; done
  wait_whole "$name" "$nodes" 0
  use "$name"
  # Some mail first: a server that was just started is no measure.
  fill "$name" "$warm" 0
}

# The arguments of bench for all nodes of a cluster.
use() {
  local slot smtp=() imap=() pids=()
  for slot in ${slots[$1]}; do
    smtp+=("127.0.0.1:$(($(offset "$slot") + 25))")
    imap+=("127.0.0.1:$(($(offset "$slot") + 143))")
    pids+=("${pid[$slot]}")
  done
  server=(--users "$users" --smtp "$(IFS=,; echo "${smtp[*]}")" --imap "$(IFS=,; echo "${imap[*]}")"
    --pid "$(IFS=,; echo "${pids[*]}")")
}

stop_node() { # slot
  kill "${pid[$1]}"
  wait "${pid[$1]}" || true
  unset "pid[$1]"
}

stop_cluster() {
  local slot
  for slot in ${slots[$1]}; do kill "${pid[$slot]}"; done
  for slot in ${slots[$1]}; do
    wait "${pid[$slot]}" || true
    unset "pid[$slot]"
  done
}

drop_cluster() {
  say "dropping $1"
  stop_cluster "$1"
  slots[$1]=''
  [ -n "${KEEP:-}" ] || attend rm -rf "${dir:?}/$1"
}

# Measurements.

fill() { # cluster, messages in the large folder, messages spread over the other users
  local name=$1
  if [ "$2" -gt 0 ]; then
    figure "$name" fill --messages "$2" --first "${held[$name]}"
    filled[$name]=$((filled[$name] + $2)) held[$name]=$((held[$name] + $2))
  fi
  if [ "$3" -gt 0 ]; then
    figure "$name" fill --messages "$3" --first "${held[$name]}" --folder Archive --user-from 1 --users $((users - 1)) \
      --connections 4
    held[$name]=$((held[$name] + $3))
  fi
}

# The large folder is filled first.
fill_to() { # cluster, messages to hold
  local missing=$(($2 - held[$1])) into
  if [ "$missing" -le 0 ]; then return; fi
  into=$((large - filled[$1]))
  if [ "$into" -gt "$missing" ]; then into=$missing; fi
  if [ "$into" -lt 0 ]; then into=0; fi
  say "filling $1 to $2"
  fill "$1" "$into" $((missing - into))
}

ticks() {
  local slot sum=0 fields
  for slot in ${slots[$1]}; do
    read -r -a fields < <(sed 's/.*) //' "/proc/${pid[$slot]}/stat")
    sum=$((sum + fields[11] + fields[12]))
  done
  echo "$sum"
}

# Background work, such as compaction, has ended: less than a tenth of a core per node in use.
until_idle() {
  local before began=$SECONDS
  while true; do
    before=$(ticks "$1")
    pause 2
    if [ $(($(ticks "$1") - before)) -lt $((20 * nodes)) ]; then break; fi
    if [ $((SECONDS - began)) -ge "$settle" ]; then say "$1 is not idle after $settle s"; break; fi
  done
  echo "{\"workload\": \"settle\", \"seconds\": $((SECONDS - began))}" >"$dir/line"
  record "$1" "$dir/line"
}

# Each workload on one cluster after the other, so that what else the machine does meets all alike.
rates() { # messages, clusters
  local one
  for one in "${@:2}"; do
    use "$one"
    figure "$one" smtp --messages "$1"
    held[$one]=$((held[$one] + $1))
  done
  for one in "${@:2}"; do
    use "$one"
    figure "$one" smtp --messages "$1" --reuse
    held[$one]=$((held[$one] + $1))
  done
  # Twice as many: an APPEND takes half as long.
  for one in "${@:2}"; do
    use "$one"
    figure "$one" append --messages $((2 * $1)) --warm 1000
    held[$one]=$((held[$one] + 2 * $1 + 1000))
  done
}

memory() { # cluster, seconds since the load ended
  local slot
  for slot in ${slots[$1]}; do
    awk '/^VmRSS|^RssAnon/ { print $1, $2 }' "/proc/${pid[$slot]}/status"
  done | awk -v after="$2" '
    /VmRSS/ { all = all comma $2 / 1024; if ($2 > most) most = $2; comma = ", " }
    /RssAnon/ { if ($2 > anon) anon = $2 }
    END { printf "{\"workload\": \"memory\", \"after_s\": %d, \"resident_mb_max\": %.1f, \"anonymous_mb_max\": %.1f, " \
      "\"resident_mb\": [%s]}\n", after, most / 1024, anon / 1024, all }' >"$dir/line"
  record "$1" "$dir/line"
}

disk() { # cluster
  local at=${data[$(first_slot "$1")]}
  attend find "$at" -printf '%P %k\n' >"$dir/files"
  awk '
    { parts[substr($1, 1, index($1 "/", "/") - 1)] += $2; whole += $2; files++ }
    END { printf "{\"workload\": \"disk\", \"files\": %d, \"whole_mb\": %.1f, \"rows_mb\": %.1f, \"mail_mb\": %.1f, " \
      "\"bodies_mb\": %.1f}\n", files, whole / 1024, parts["rows"] / 1024, parts["mail"] / 1024, parts["bodies"] / 1024 }' \
    "$dir/files" >"$dir/line"
  rm "$dir/files"
  record "$1" "$dir/line"
}

measure() { # cluster, phase, empty cluster beside or nothing
  phase=$2
  local empty=${3:-} order
  say "measuring $1 at ${held[$1]}"
  until_idle "$1"
  memory "$1" 0
  for ((run = 1; run <= runs; run++)); do
    order=("$1")
    if [ -n "$empty" ]; then
      order=("$1" "$empty")
      if ((run % 2 == 0)); then order=("$empty" "$1"); fi
    fi
    rates "$messages" "${order[@]}"
  done
  run=0
  use "$1"
  figure "$1" mailbox --runs "$runs"
}

memory_at_rest() { # cluster
  local waited=0 at
  memory "$1" 0
  for at in 10 30 "$rest"; do
    if [ "$at" -le "$waited" ] || [ "$at" -gt "$rest" ]; then continue; fi
    pause $((at - waited))
    waited=$at
    memory "$1" "$at"
  done
}

# A user of the same shard as user 0.
neighbour() {
  admin "$(first_slot "$1")" account list --json | python3 -c '
import json, sys
accounts = {row["address"]: row["shard"] for row in json.load(sys.stdin)}
shard = accounts["u0@bench.test"]
print(next(who for who, where in accounts.items() if where == shard and who.startswith("u") and who != "u0@bench.test"))'
}

large_commands() { # cluster
  local name=$1 who command
  phase=large
  use "$name"
  until_idle "$name"
  who=$(neighbour "$name")
  say "large commands of u0 beside $who of the same shard"
  figure "$name" probe --neighbour "$who" --seconds 10
  for command in store unstore copy move mark expunge copy-again delete; do
    figure "$name" large "$command" --messages "$command_messages" --neighbour "$who" --after 5 \
      || say "large $command failed"
    until_idle "$name"
  done
}

restart() { # cluster
  local name=$1 slot began stopped since answered ready
  phase=start
  for ((run = 1; run <= runs; run++)); do
    until_idle "$name"
    began=$(now)
    stop_cluster "$name"
    stopped=$(now)
    since=$(now)
    for slot in ${slots[$name]}; do launch "$slot"; done
    use "$name"
    "$bench" "${server[@]}" ready --since "$since" >"$dir/ready" &
    probe=$!
    for slot in ${slots[$name]}; do until_answers "$slot"; done
    answered=$(now)
    wait "$probe"
    probe=''
    ready=$(python3 -c 'import sys; print(*(float(a) - float(b) for a, b in zip(sys.argv[1::2], sys.argv[2::2])))' \
      "$stopped" "$began" "$answered" "$since")
    record "$name" "$dir/ready" workload=start stop_s="${ready% *}" status_s="${ready#* }"
    if [ "$nodes" -gt 1 ]; then wait_whole "$name" "$nodes" 0; fi
  done
  run=0
  memory "$name" 0
}

# A blank node joins: the second of one, or one in place of the last of several.
join() { # cluster, slot of the newcomer
  local name=$1 last who began
  phase='join'
  if [ "$nodes" -gt 1 ]; then
    last=${slots[$name]##* }
    admin "$(first_slot "$name")" node remove "n$nodes" >/dev/null
    stop_node "$last"
    slots[$name]=${slots[$name]% *}
    # Two million messages are four million files; the newcomer needs as many.
    [ -n "${KEEP:-}" ] || attend rm -rf "${data[$last]}"
    wait_whole "$name" $((nodes - 1)) 0
  fi
  until_idle "$name"
  use "$name"
  who=$(neighbour "$name")
  figure "$name" probe --neighbour "$who" --seconds 10
  say "a blank node joins $name"
  touch "$dir/joining"
  "$bench" "${server[@]}" probe --neighbour "$who" --while "$dir/joining" >"$dir/probe" &
  probe=$!
  pause 3
  began=$(now)
  join_node "$name" "$2" "n$((nodes + 1))"
  wait_whole "$name" $((nodes > 1 ? nodes : 2)) 1000
  began=$(python3 -c 'import sys; print(float(sys.argv[1]) - float(sys.argv[2]))' "$(now)" "$began")
  rm "$dir/joining"
  wait "$probe"
  probe=''
  record "$name" "$dir/probe" workload=join join_s="$began"
  say "joined in $began s"
}

compare_empty() {
  phase=pairs
  start_cluster old-pairs 1
  start_cluster new-pairs 5
  until_idle old-pairs
  until_idle new-pairs
  for ((run = 1; run <= pairs; run++)); do
    if ((run % 2)); then rates "$pair_messages" old-pairs new-pairs; else rates "$pair_messages" new-pairs old-pairs; fi
  done
  run=0
  drop_cluster old-pairs
  drop_cluster new-pairs
}

curve() { # cluster, steps
  local name=$1 step empty
  phase=empty
  start_cluster "$name" 1
  measure "$name" empty
  for step in $2; do
    phase=$step
    fill_to "$name" "$step"
    empty=
    if among "$step" "$beside"; then
      empty=$name-beside
      start_cluster "$empty" 5
    fi
    measure "$name" "$step" "$empty"
    if [ "$step" = "${2##* }" ]; then
      phase='rest-load'
      memory_at_rest "$name"
      phase=$step
    fi
    if [ -n "$empty" ]; then drop_cluster "$empty"; fi
    until_idle "$name"
    disk "$name"
  done
}

everything() {
  if [ -n "$old" ] && wants pairs; then compare_empty; fi
  if [ -n "$old" ] && [ -n "$old_steps" ]; then
    curve old "$old_steps"
    if wants large; then large_commands old; fi
    drop_cluster old
  fi
  if ! wants curve; then return; fi
  curve new "$steps"
  if wants large; then
    large_commands new
    phase='rest-large'
    memory_at_rest new
  fi
  if wants start; then restart new; fi
  if wants join; then join new 4; fi
  drop_cluster new
}

for nodes in ${NODES:-1 3}; do
  out=$dir/growth-$nodes.jsonl
  : >"$out"
  everything
done
python3 bench/growth.py "$dir" | tee "$dir/growth.md"
