#!/usr/bin/env bash
# Three nodes on this machine against Debian's Postfix + Dovecot, one unreplicated server, in one run, and every bar of a
# cluster: throughput, DATA-end on one node to EXISTS on another, idle cost, catching up, failover.
#   bench/cluster.sh [DIR]     DIR (default a temporary one) should lie on the disk to measure
# MESSAGES, LARGE, IDLE (seconds) and KILLS set sizes; PARTS chooses among "throughput idle catchup failover".
# Needs root, and: apt-get install postfix dovecot-imapd dovecot-lmtpd
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-$(mktemp -d)}
messages=${MESSAGES:-3000} large=${LARGE:-100000} idle=${IDLE:-60} kills=${KILLS:-50}
parts=${PARTS:-throughput idle catchup failover}
mkdir -p "$dir"
dir=$(realpath "$dir")

if [ -z "${BIN:-}" ]; then
  cargo build --release --locked -p node -p bench -p tests --bins
  target=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  BIN=$target/release
fi
mailnode=${MAILNODE_BINARY:-$BIN/mailnode} bench=$BIN/bench
# It is no setting of the nodes, which would warn of it.
unset MAILNODE_BINARY

declare -A pid
serving=
finish() {
  [ -z "$serving" ] || kill "$serving" 2>/dev/null || true
  for one in "${pid[@]}"; do kill "$one" 2>/dev/null || true; done
  bench/peer.sh stop "$dir/peer" 2>/dev/null || true
}
trap finish EXIT

wants() { [[ " $parts " == *" $1 "* ]]; }
offset() { echo $((20000 + $1 * 1000)); }
pause() { read -rt "$1" <> <(:) || true; }
now() { date +%s.%N; }

start_node() { # number, more flags
  local n=$1
  shift
  "$mailnode" --data "$dir/n$n" --name "n$n" --bind 127.0.0.1 --port-offset "$(offset "$n")" --domain bench.test "$@" \
    >"$dir/n$n.log" 2>&1 &
  pid[$n]=$!
  until "$mailnode" --data "$dir/n$n" status >/dev/null 2>&1; do
    kill -0 "${pid[$n]}" || { cat "$dir/n$n.log"; exit 1; }
    pause 0.2
  done
}

join_node() {
  local token
  token=$("$mailnode" --data "$dir/n1" token create --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["token"])')
  start_node "$1" --join "127.0.0.1:$(($(offset 1) + 7025))" --token "$token"
}

# Every group has a leader and so many voters that lack nothing.
wait_whole() {
  until "$mailnode" --data "$dir/n1" status --json | python3 -c '
import json, sys
shards, nodes = json.load(sys.stdin)["shards"], int(sys.argv[1])
level = lambda shard: sum(replica["voter"] and replica["lag"] == 0 for replica in shard["replicas"])
sys.exit(not all(shard["leader"] and level(shard) >= nodes for shard in shards))' "$1"; do pause 0.1; done
}

addresses() { # standard port, nodes
  local all=() n
  for n in "${@:2}"; do all+=("127.0.0.1:$(($(offset "$n") + $1))"); done
  (IFS=,; echo "${all[*]}")
}

workloads() { # name, bench arguments
  local name=$1
  shift
  {
    "$bench" "$@" smtp --messages "$messages"
    "$bench" "$@" smtp --messages "$messages" --reuse
    "$bench" "$@" append --messages "$messages"
    "$bench" "$@" idle-latency
  } | tee "$dir/$name.json"
}

if wants throughput; then
  bench/peer.sh start "$dir/peer" 50 >"$dir/peer.where"
  read -r smtp_port imap_port postfix_pid dovecot_pid <"$dir/peer.where"
  workloads peer --smtp "127.0.0.1:$smtp_port" --imap "127.0.0.1:$imap_port" --pid "$postfix_pid,$dovecot_pid"
  bench/peer.sh stop "$dir/peer"
fi

if wants throughput || wants idle || wants catchup; then
  start_node 1
  for n in $(seq 0 49); do
    echo benchmark-secret | "$mailnode" --data "$dir/n1" account add "u$n@bench.test" --password-stdin >/dev/null
  done
  join_node 2
  join_node 3
  wait_whole 3
  nodes=(--smtp "$(addresses 25 1 2 3)" --imap "$(addresses 143 1 2 3)" --pid "${pid[1]},${pid[2]},${pid[3]}")
fi

if wants idle; then
  "$bench" "${nodes[@]}" rest --seconds "$idle" | tee "$dir/idle.json"
fi

if wants throughput; then
  workloads cluster "${nodes[@]}"
  python3 bench/compare.py "$dir/peer.json" "$dir/cluster.json"
  # What an operator sees: buffers have filled, and an idle node gives their memory back.
  pause 30
  "$bench" "${nodes[@]}" rest --seconds 10 | tee "$dir/after.json"
fi

# A blank node in place of the third, while the others hold many messages and go on serving.
if wants catchup; then
  "$mailnode" --data "$dir/n1" node remove n3 >/dev/null
  kill "${pid[3]}"
  wait "${pid[3]}" || true
  unset "pid[3]"
  wait_whole 2
  two=(--smtp "$(addresses 25 1 2)" --imap "$(addresses 143 1 2)")
  "$bench" "${two[@]}" fill --messages "$large" --size 1500
  # The same probe before and meanwhile says what catching up costs those who are served.
  "$bench" "${two[@]}" idle-latency --messages 100 >"$dir/before.json"
  touch "$dir/serving"
  : >"$dir/refused"
  while [ -e "$dir/serving" ]; do
    pause 0.5
    "$bench" "${two[@]}" idle-latency --messages 20 2>>"$dir/refused.txt" || echo >>"$dir/refused"
  done >"$dir/meanwhile.json" &
  serving=$!
  began=$(now)
  join_node 4
  wait_whole 3
  ended=$(now)
  rm "$dir/serving"
  wait "$serving"
  serving=
  mkdir "$dir/copy"
  sync -f "$dir/copy"
  copying=$(now)
  cp -a "$dir/n1/bodies" "$dir/n1/mail" "$dir/copy"
  sync -f "$dir/copy"
  python3 - "$began" "$ended" "$copying" "$(now)" "$dir" <<'P' | tee "$dir/catchup.json"
import json, sys
began, ended, copying, copied = map(float, sys.argv[1:5])
figures = lambda name: [json.loads(line) for line in open(f"{sys.argv[5]}/{name}.json")]
worst = max(row["max_ms"] for row in figures("meanwhile"))
middle = sorted(row["p50_ms"] for row in figures("meanwhile"))
print(json.dumps({"workload": "catch-up", "seconds": ended - began, "copy_seconds": copied - copying,
    "ratio": (ended - began) / (copied - copying), "exists_p50_ms_before": figures("before")[0]["p50_ms"],
    "exists_p50_ms_meanwhile": middle[len(middle) // 2], "exists_max_ms_meanwhile": worst,
    "probes": len(middle), "probes_refused": sum(1 for _ in open(f"{sys.argv[5]}/refused"))}))
P
fi

for n in "${!pid[@]}"; do
  kill "${pid[$n]}"
  wait "${pid[$n]}" || true
  unset "pid[$n]"
done

if wants failover; then
  MAILNODE_BINARY=$mailnode "$BIN/failover" "$kills" | tee "$dir/failover.txt"
fi
python3 bench/bars.py "$dir"
