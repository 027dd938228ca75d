#!/bin/sh
# Starts a node of docker-compose.yml. A token is good for one use and a short time, so none can stand in that file: a blank node
# leaves a request in the directory $INVITATIONS, which the nodes share, and the first node, the one without MAILNODE_JOIN,
# answers it with a fresh token once it is ready. A node that belongs to a cluster already just starts.
set -eu
invitations=${INVITATIONS:?the directory that the nodes share}
unset INVITATIONS
umask 077

# Answers requests as long as the container lives.
invite() {
  while sleep 1; do
    for request in "$invitations"/*.request; do
      [ -e "$request" ] || continue
      answer=${request%.request}.token
      if token=$(mailnode token create --json 2>/dev/null | sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p') && [ -n "$token" ]; then
        printf '%s\n' "$token" > "$answer.new"
        mv "$answer.new" "$answer"
        rm -f "$request"
      fi
    done
  done
}

# Sets MAILNODE_TOKEN. What is left of an earlier start may be used or expired: it is asked for anew.
be_invited() {
  mine=$invitations/$(hostname)
  rm -f "$mine.token"
  : > "$mine.request"
  echo "waiting for a token from the first node"
  until [ -s "$mine.token" ]; do sleep 1; done
  MAILNODE_TOKEN=$(cat "$mine.token")
  rm -f "$mine.token"
  export MAILNODE_TOKEN
}

if [ -z "${MAILNODE_JOIN:-}" ]; then
  invite &
elif [ ! -e "$MAILNODE_DATA/identity" ]; then
  be_invited
else
  unset MAILNODE_JOIN
fi
exec mailnode "$@"
