#!/usr/bin/env bash
# Compares mailnode with Debian's Postfix + Dovecot on this machine in one run, and prints ratios.
#   bench/run.sh [DIR]     DIR (default a temporary one) should lie on the disk to measure; MESSAGES, LARGE set sizes
# Needs root, and: apt-get install postfix dovecot-imapd dovecot-lmtpd
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-$(mktemp -d)}
messages=${MESSAGES:-3000} large=${LARGE:-100000}
offset=20000
mkdir -p "$dir"

cargo build --release --locked -p node -p bench
bin=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release

node_pid=
finish() {
  [ -z "$node_pid" ] || kill "$node_pid" 2>/dev/null || true
  bench/peer.sh stop "$dir/peer" 2>/dev/null || true
}
trap finish EXIT

start_mailnode() {
  "$bin/mailnode" --data "$dir/mailnode" --bind 127.0.0.1 --port-offset $offset --domain bench.test >"$dir/mailnode.log" 2>&1 &
  node_pid=$!
  until "$bin/mailnode" --data "$dir/mailnode" status >/dev/null 2>&1; do
    kill -0 $node_pid || { cat "$dir/mailnode.log"; exit 1; }
    read -rt 0.2 <> <(:) || true
  done
  for n in $(seq 0 49); do
    echo benchmark-secret | "$bin/mailnode" --data "$dir/mailnode" account add "u$n@bench.test" --password-stdin >/dev/null
  done
}

workloads() { # name, bench arguments
  local name=$1
  shift
  {
    "$bin/bench" "$@" smtp --messages "$messages"
    "$bin/bench" "$@" smtp --messages "$messages" --reuse
    "$bin/bench" "$@" append --messages "$((2 * messages))" --warm "$messages"
    "$bin/bench" "$@" idle-latency
    "$bin/bench" "$@" fill --messages "$large"
    "$bin/bench" "$@" mailbox
    "$bin/bench" "$@" stream
    "$bin/bench" "$@" idle-memory
  } | tee "$dir/$name.json"
}

bench/peer.sh start "$dir/peer" 50 >"$dir/peer.where"
read -r smtp_port imap_port postfix_pid dovecot_pid <"$dir/peer.where"
workloads peer --smtp "127.0.0.1:$smtp_port" --imap "127.0.0.1:$imap_port" --pid "$postfix_pid,$dovecot_pid"
bench/peer.sh stop "$dir/peer"

start_mailnode
workloads mailnode --smtp "127.0.0.1:$((25 + offset))" --imap "127.0.0.1:$((143 + offset))" --pid $node_pid

python3 bench/compare.py "$dir/peer.json" "$dir/mailnode.json"
