#!/usr/bin/env bash
# One node in a container, from outside: account by the CLI, mail in by submission and out by IMAP through published ports,
# SIGKILL, a new container on the same volume, the same mail. Says so and exits 77 where no Docker engine can be reached.
#   single.sh                  builds the image of the Dockerfile (long the first time)
#   single.sh --binary FILE    puts a built binary into the runtime image (under a minute)
#   single.sh --image NAME     takes an image as it is
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/library.sh"

name=mailnode-test-$$
image=$name
ours=no
user=ann@example.net

clean_up() {
  local code=$?
  trap - EXIT
  if ((code != 0 && code != SKIPPED)); then docker logs --tail 50 "$name" >&2 || true; fi
  docker rm --force --volumes "$name" >/dev/null 2>&1 || true
  docker volume rm --force "$name" >/dev/null 2>&1 || true
  if [ "$ours" = yes ]; then docker rmi "$image" >/dev/null 2>&1 || true; fi
  stop_engine
  exit "$code"
}

start_node() {
  docker run --detach --name "$name" --hostname mail.example.org --volume "$name:/var/lib/mailnode" \
    --publish 127.0.0.1::587 --publish 127.0.0.1::465 --publish 127.0.0.1::143 --publish 127.0.0.1::993 "$image" >/dev/null
  wait_until "$START_SECONDS_MAX" "the node is healthy" is_healthy "$name"
}

# port INSIDE: the port on this machine that leads there.
port() { docker port "$name" "$1/tcp" | sed -n '1s/.*://p'; }
mail() { local verb=$1 tls=$2 inside=$3; shift 3; python3 "$here/mail.py" "$verb" "$tls" 127.0.0.1 "$(port "$inside")" "$user" "$@"; }
cli() { docker exec --interactive "$name" mailnode "$@"; }

need_engine
trap clean_up EXIT
trap 'exit 130' INT TERM
image_from_arguments "$@"

step "first start on an empty volume"
start_node
MAIL_PASSWORD=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
export MAIL_PASSWORD
cli domain add example.net
printf '%s\n' "$MAIL_PASSWORD" | cli account add "$user" --password-stdin

step "a small message by STARTTLS, a large one by implicit TLS"
small=$(mail send starttls 587 small 1000)
large=$(mail send implicit 465 large 300000)
before=$(mail read implicit 993)
printf '%s\n' "$before"
grep -q "^1 small $small\$" <<<"$before" || fail "the small message did not come back as it was sent"
grep -q "^2 large $large\$" <<<"$before" || fail "the large message did not come back as it was sent"

step "SIGKILL, then another container on the same volume"
docker kill "$name" >/dev/null
docker rm --volumes "$name" >/dev/null
start_node
after=$(mail read starttls 143)
[ "$after" = "$before" ] || fail "other mail than before the kill: $after"
third=$(mail send starttls 587 third 1000)
mail read implicit 993 | grep "^3 third $third\$" || fail "the next message did not get the next UID"

step "stop on request"
docker stop --time 30 "$name" >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || fail "exit code $code after SIGTERM"

step "passed: one node in a container"
