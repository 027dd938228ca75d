# Shared by the scripts here, to be sourced: an engine, images, waiting for a condition. It leaves nothing behind but images.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# Exit code of a test that could not run here, as automake has it.
SKIPPED=77
# Seconds a node may take to be ready, on a machine that also compiles.
START_SECONDS_MAX=180
engine_pid=
# What failed is told even from within a command whose output nobody sees.
exec 9>&2

step() { printf '\n== %s\n' "$*"; }
fail() { printf '\nFAILED: %s\n' "$*" >&9; exit 1; }

# A Docker engine that answers. START_DOCKER=yes starts one for the time of the test where nobody runs one.
need_engine() {
  command -v python3 >/dev/null || fail "python3 is needed: it is the mail client of this test"
  if ! docker info >/dev/null 2>&1 && [ "${START_DOCKER:-no}" = yes ] && command -v dockerd >/dev/null; then
    start_engine || stop_engine
  fi
  docker info >/dev/null 2>&1 && return
  cat >&2 <<MESSAGE

************************************************************************
SKIPPED: ${0##*/} needs a Docker engine and can reach none.
Nothing of the container setup was tested. Start Docker, or as root with
dockerd installed: START_DOCKER=yes $0
************************************************************************
MESSAGE
  exit "$SKIPPED"
}

start_engine() {
  local log=${TMPDIR:-/tmp}/dockerd-$$.log
  dockerd >"$log" 2>&1 &
  engine_pid=$!
  local end=$((SECONDS + 60))
  until docker info >/dev/null 2>&1; do
    if ((SECONDS >= end)) || ! kill -0 "$engine_pid" 2>/dev/null; then
      printf 'The Docker engine did not start:\n' >&2
      tail -n 20 "$log" >&2
      return 1
    fi
    sleep 0.2
  done
}

stop_engine() {
  [ -n "$engine_pid" ] || return 0
  kill "$engine_pid" 2>/dev/null || true
  wait "$engine_pid" || true
  engine_pid=
}

# wait_until SECONDS WHAT COMMAND…: until the command succeeds.
wait_until() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "not in time: $what"
    sleep 0.2
  done
}

# A container that ends by itself will not become healthy by being started again and again.
is_healthy() {
  local state
  state=$(docker inspect --format '{{.State.Health.Status}} {{.RestartCount}}' "$1")
  ((${state#* } < 3)) || fail "$1 ended ${state#* } times by itself"
  [ "${state% *}" = healthy ]
}

# The Debian image that everything here starts from: present, pulled, or made of Debian's packages where no registry answers.
need_base_image() {
  docker image inspect debian:bookworm-slim >/dev/null 2>&1 && return
  docker pull --quiet debian:bookworm-slim && return
  command -v debootstrap >/dev/null || fail "debian:bookworm-slim cannot be pulled, and without debootstrap not be made"
  step "no registry answers: making debian:bookworm-slim with debootstrap"
  local tree
  tree=$(mktemp -d)
  debootstrap --variant=minbase bookworm "$tree" >"$tree.log" 2>&1 || fail "debootstrap: see $tree.log"
  rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
  tar -C "$tree" -c . | docker import --change 'CMD ["bash"]' - debian:bookworm-slim >/dev/null
  rm -rf "$tree" "$tree.log"
}

# image_of_binary BINARY TAG: the runtime stage of the Dockerfile with this binary in it.
image_of_binary() {
  local context
  need_base_image
  docker build --quiet --target runtime --tag mailnode-runtime "$root" >/dev/null
  context=$(mktemp -d)
  install -m 0755 "$1" "$context/mailnode"
  docker build --quiet --file "$here/Dockerfile.prebuilt" --tag "$2" "$context" >/dev/null || fail "no image of $1"
  rm -r "$context"
}

# Makes the image that $image names as the arguments say: `--binary FILE`, `--image NAME`, else the whole Dockerfile.
# $ours says afterwards whether it is the test's own, to be removed.
image_from_arguments() {
  case ${1-} in
    --binary) step "image with the binary $2"; image_of_binary "$2" "$image"; ours=yes ;;
    --image) image=$2 ;;
    '') step "image from the Dockerfile (10 to 20 minutes the first time)"; docker build --tag "$image" "$root"; ours=yes ;;
    *) printf 'usage: %s [--binary FILE | --image NAME]\n' "$0" >&2; exit 2 ;;
  esac
}
