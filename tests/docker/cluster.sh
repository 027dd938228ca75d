#!/usr/bin/env bash
# docker-compose.yml from outside: three nodes behind haproxy, used while nodes are killed and come back. What was acknowledged
# must be there under the same UIDs whichever node answers. Says so and exits 77 where no Docker engine can be reached.
#   cluster.sh                  builds the image of the Dockerfile (long the first time)
#   cluster.sh --binary FILE    puts a built binary into the runtime image
#   cluster.sh --image NAME     takes an image as it is
# COMPOSE='docker compose' or COMPOSE=docker-compose chooses between the two.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/library.sh"

project=mailnode-test-$$
image=$project
ours=no
user=ann@example.net
# Seconds until mail flows again after a kill, on a machine that also compiles. How long it takes is measured elsewhere.
FAILOVER_SECONDS_MAX=60

# Everything published on ports that the system chooses, on a network of its own.
export MAIL_ADDRESS=127.0.0.1 SMTP_PORT='' SUBMISSION_PORT='' SUBMISSIONS_PORT='' IMAP_PORT='' IMAPS_PORT='' HTTP_PORT=''
export MAIL_NETWORK=${MAIL_NETWORK:-10.217.26}

if [ -z "${COMPOSE:-}" ]; then
  if docker compose version >/dev/null 2>&1; then COMPOSE='docker compose'; else COMPOSE=docker-compose; fi
fi
compose() { $COMPOSE --project-name "$project" --file "$root/docker-compose.yml" "$@"; }

clean_up() {
  local code=$?
  trap - EXIT
  if ((code != 0 && code != SKIPPED)); then compose logs --tail 40 >&2 || true; fi
  compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  if [ "$ours" = yes ]; then docker rmi "$image" >/dev/null 2>&1 || true; fi
  rm -r "$notes"
  stop_engine
  exit "$code"
}

container() { compose ps --quiet "$1"; }
up_and_healthy() { wait_until "$START_SECONDS_MAX" "$1 is healthy" is_healthy "$(container "$1")"; }
# port INSIDE: the port on this machine that leads there through the balancer.
port() { compose port haproxy "$1" | sed 's/.*://'; }
mail() { local verb=$1 tls=$2 inside=$3; shift 3; python3 "$here/mail.py" "$verb" "$tls" 127.0.0.1 "$(port "$inside")" "$user" "$@"; }
cli() { local node=$1; shift; compose exec -T "$node" mailnode "$@"; }

# Killing a node shows something only when the others hold all it holds.
can_lose_any_node() { wait_until "$START_SECONDS_MAX" "the cluster can lose a node" says_so; }
says_so() { [[ $(cli node2 status) == *'can lose any 1 node'* ]]; }

# send SUBJECT BYTES: sends until it is acknowledged, and notes what must be found from now on. A client does the same; when an
# attempt ended without an answer the message may be there twice, which `everything_is_there` allows.
send() {
  wait_until "$FAILOVER_SECONDS_MAX" "$1 is taken" try_send "$1" "$2"
  expected+=("$1 $(<"$digest")")
}
try_send() {
  mail send starttls 587 "$1" "$2" >"$digest" 2>"$notes/refusal" && return
  printf '%s is not taken yet: %s\n' "$1" "$(tail -n 1 "$notes/refusal")" >&9
  return 1
}

# Every acknowledged message with its bytes, and every line that was ever read still as it was.
everything_is_there() {
  local inbox message
  inbox=$(mail read implicit 993) || return
  for message in "${expected[@]}"; do grep -q " $message\$" <<<"$inbox" || return; done
  [ -z "$(comm -23 <(sort "$seen") <(sort <<<"$inbox"))" ] || fail "a message changed its UID or is gone: $inbox, before: $(<"$seen")"
  printf '%s\n' "$inbox" >"$seen"
}
check() { wait_until "$FAILOVER_SECONDS_MAX" "all mail is there" everything_is_there; }

need_engine
$COMPOSE version >/dev/null 2>&1 || fail "neither docker-compose nor docker compose is installed"
notes=$(mktemp -d)
digest=$notes/digest seen=$notes/seen expected=()
: >"$seen"
trap clean_up EXIT
trap 'exit 130' INT TERM
image_from_arguments "$@"
export MAIL_IMAGE=$image
need_base_image
compose build haproxy >/dev/null

step "three blank nodes and a balancer"
compose up -d --no-build
for service in node1 node2 node3 haproxy; do up_and_healthy "$service"; done
can_lose_any_node
cli node3 status
MAIL_PASSWORD=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
export MAIL_PASSWORD
cli node1 domain add example.net
printf '%s\n' "$MAIL_PASSWORD" | cli node2 account add "$user" --password-stdin

step "mail through the balancer"
send first 1000
send second 300000
for _ in 1 2 3; do check; done
cat "$seen"
compose logs --no-color >"$notes/logs"
grep -q "peer=" "$notes/logs" || fail "no node tells of a session"
if grep "peer=$MAIL_NETWORK.250" "$notes/logs"; then fail "a node takes the balancer for the client"; fi

step "the first node is killed"
compose kill node1
send third 1000
send fourth 300000
for _ in 1 2; do check; done
cli node2 status

step "it starts again"
compose start node1
up_and_healthy node1
can_lose_any_node
check

step "another node is killed, so that the one that was away is needed; then a new container takes its volume"
compose kill node3
send fifth 1000
check
compose rm --force node3 >/dev/null
compose up -d --no-build --no-deps node3
up_and_healthy node3
can_lose_any_node
send sixth 1000
for _ in 1 2 3; do check; done
cat "$seen"
cli node3 status

step "stop on request"
compose stop --timeout 30
for node in node1 node2 node3; do
  code=$(docker inspect --format '{{.State.ExitCode}}' "$(compose ps --all --quiet "$node" 2>/dev/null || container "$node")")
  [ "$code" = 0 ] || fail "$node: exit code $code after SIGTERM"
done

step "all start again"
compose start
for service in node1 node2 node3 haproxy; do up_and_healthy "$service"; done
check
send seventh 1000
check

step "passed: three nodes behind a balancer"
