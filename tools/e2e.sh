#!/usr/bin/env bash
# Runs the end-to-end tests: first side by side those that wait more than they work, then one at a
# time those that load the machine or compare times.
#
#     tools/e2e.sh [CARGO TEST OPTION...]
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
OPTIONS=("$@" --package foresail-tests)
LANES=("demo" "dashboard" "crash filter harness identity other_meshes")
ALONE=(overview report conservation quantiles in_the_way)
# shellcheck source=tools/lanes.sh
. tools/lanes.sh

names=()
for file in tests/tests/*.rs; do
    name=$(basename "$file" .rs)
    # Those are tools/e2e-kube.sh's.
    [[ $name == kube* ]] || names+=("$name")
done
covered "e2e      " "${names[@]}"

run() { # NAME...
    local status=0 name
    for name in "$@"; do
        cargo test "${OPTIONS[@]}" --test "$name" -- --test-threads=1 || status=1
    done
    return $status
}

cargo test "${OPTIONS[@]}" --no-run || exit 1
cargo test "${OPTIONS[@]}" --lib --bins || failed+=("unit tests of the harness and the demo")
run_all
finish "e2e      "
