#!/usr/bin/env bash
# Three nodes on this machine against Debian's Postfix + Dovecot, one unreplicated server, in one run.
#   bench/cluster.sh [DIR]     DIR (default a temporary one) should lie on the disk to measure; MESSAGES, LARGE set sizes
# Then: what three idle nodes cost, and how long a blank third node takes to catch up LARGE messages, beside a copy of the
# same files. Needs root, and: apt-get install postfix dovecot-imapd dovecot-lmtpd
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-$(mktemp -d)}
messages=${MESSAGES:-3000} large=${LARGE:-100000}
mkdir -p "$dir"

cargo build --release --locked -p node -p bench
bin=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release
mailnode=${MAILNODE_BINARY:-$bin/mailnode}

declare -A pid
finish() {
  for one in "${pid[@]}"; do kill "$one" 2>/dev/null || true; done
  bench/peer.sh stop "$dir/peer" 2>/dev/null || true
}
trap finish EXIT

offset() { echo $((20000 + $1 * 1000)); }
pause() { read -rt "$1" <> <(:) || true; }

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
  for n in $(seq 1 "$2"); do all+=("127.0.0.1:$(($(offset "$n") + $1))"); done
  (IFS=,; echo "${all[*]}")
}

workloads() { # name, bench arguments
  local name=$1
  shift
  {
    "$bin/bench" "$@" smtp --messages "$messages"
    "$bin/bench" "$@" smtp --messages "$messages" --reuse
    "$bin/bench" "$@" append --messages "$messages"
    "$bin/bench" "$@" idle-latency
  } | tee "$dir/$name.json"
}

bench/peer.sh start "$dir/peer" 50 >"$dir/peer.where"
read -r smtp_port imap_port postfix_pid dovecot_pid <"$dir/peer.where"
workloads peer --smtp "127.0.0.1:$smtp_port" --imap "127.0.0.1:$imap_port" --pid "$postfix_pid,$dovecot_pid"
bench/peer.sh stop "$dir/peer"

start_node 1
for n in $(seq 0 49); do
  echo benchmark-secret | "$mailnode" --data "$dir/n1" account add "u$n@bench.test" --password-stdin >/dev/null
done
join_node 2
join_node 3
wait_whole 3
nodes=(--smtp "$(addresses 25 3)" --imap "$(addresses 143 3)" --pid "${pid[1]},${pid[2]},${pid[3]}")
"$bin/bench" "${nodes[@]}" rest | tee "$dir/rest.json"
workloads cluster "${nodes[@]}"
python3 bench/compare.py "$dir/peer.json" "$dir/cluster.json"

# A blank node in place of the third, while the others hold many messages.
"$mailnode" --data "$dir/n1" node remove n3
kill "${pid[3]}"
unset "pid[3]"
"$bin/bench" --smtp "$(addresses 25 2)" --imap "$(addresses 143 2)" fill --messages "$large" --size 1500
began=$(date +%s.%N)
join_node 4
wait_whole 3
ended=$(date +%s.%N)
cp -a "$dir/n1/bodies" "$dir/copy"
sync -f "$dir/copy"
python3 - "$began" "$ended" "$(date +%s.%N)" <<'P'
import sys
began, ended, copied = map(float, sys.argv[1:])
print(f"catch-up {ended - began:.1f} s, copy of the same files {copied - ended:.1f} s, ratio {(ended - began) / (copied - ended):.2f}")
P
