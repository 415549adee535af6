#!/usr/bin/env bash
# docker-compose.yml: fills target/compose with what its images are made of, starts it, or tests it.
#
#     tools/compose.sh context            what the images are built from
#     tools/compose.sh up [OPTION...]     builds and starts; options are those of `docker compose up`
#     tools/compose.sh down
#     tools/compose.sh test               on a real engine, from nothing to nothing; starts one if there is none
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
CONTEXT=target/compose

fail() {
    echo "compose   $1" >&2
    exit 1
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose -p foresail "$@"
    elif command -v docker-compose >/dev/null; then
        docker-compose -p foresail "$@"
    else
        fail "there is no Docker Compose; install the plugin, or: apt-get install docker-compose"
    fi
}

context() {
    local foresail=${FORESAIL_BIN:-}
    if [ -z "$foresail" ]; then
        # The newest optimised build, as the end-to-end tests take it.
        # shellcheck disable=SC2012 # two names of our own
        foresail=$(ls -t target/release/foresail target/quick/foresail 2>/dev/null | head -1 || true)
    fi
    [ -x "$foresail" ] || fail "there is no aggregator; run: make build"
    [ -f target/wasm/foresail_filter.wasm ] || fail "there is no filter; run: make wasm"
    [ -x .tools/bin/envoy ] || fail "there is no Envoy; run: tools/setup.sh envoy"
    mkdir -p "$CONTEXT"
    cp compose/Dockerfile compose/*.py compose/prometheus.yml istio/prometheus/rules.yaml "$CONTEXT/"
    cp istio/images/aggregator.Dockerfile "$CONTEXT/"
    # As an image needs it, without what a debugger would.
    strip -o "$CONTEXT/foresail" "$foresail"
    strip -o "$CONTEXT/envoy" "$(readlink -f .tools/bin/envoy)" || cp -L .tools/bin/envoy "$CONTEXT/envoy"
    cp target/wasm/foresail_filter.wasm "$CONTEXT/filter.wasm"
    chmod a+rX,a+x "$CONTEXT/foresail" "$CONTEXT/envoy"
    python3 compose/make-config.py "$CONTEXT"
}

# The Engine's socket, and the group that may use it.
engine() {
    local socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
    export ENGINE_SOCKET=${socket#unix://}
    [ -S "$ENGINE_SOCKET" ] || fail "there is no engine at $ENGINE_SOCKET; start Docker"
    DOCKER_GID=$(stat -c %g "$ENGINE_SOCKET")
    export DOCKER_GID
}

case ${1:-} in
context) context ;;
up)
    shift
    context
    engine
    compose up --build "$@"
    ;;
down)
    engine
    compose down --volumes --remove-orphans
    ;;
test) exec python3 tests/compose/run.py ;;
*) fail "usage: tools/compose.sh context|up|down|test" ;;
esac
