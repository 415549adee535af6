#!/usr/bin/env bash
# Runs the end-to-end tests: first side by side those that wait more than they work, then one at a
# time those that load the machine or compare times.
#
#     tools/e2e.sh [CARGO TEST OPTION...]
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
OPTIONS=("$@" --package foresail-tests)
LANES=("demo" "dashboard" "crash filter harness")
ALONE=(overview report conservation quantiles in_the_way)

# A test in neither list, and not one of tools/e2e-kube.sh, would never run: that is an error, not a shorter run.
for file in tests/tests/*.rs; do
    name=$(basename "$file" .rs)
    [[ $name != kube* ]] || continue
    case " ${LANES[*]} ${ALONE[*]} " in
    *" $name "*) ;;
    *) echo "e2e       $file is in no list of tools/e2e.sh; add it to LANES or ALONE" >&2; exit 1 ;;
    esac
done

cargo test "${OPTIONS[@]}" --no-run || exit 1
failed=()
run() { # NAME...
    local status=0 name
    for name in "$@"; do
        cargo test "${OPTIONS[@]}" --test "$name" -- --test-threads=1 || status=1
    done
    return $status
}

cargo test "${OPTIONS[@]}" --lib --bins || failed+=("unit tests of the harness and the demo")

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
pids=()
for lane in "${!LANES[@]}"; do
    # shellcheck disable=SC2086 # a lane is a list of names
    run ${LANES[$lane]} >"$logs/$lane" 2>&1 &
    pids+=($!)
done
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$logs"' INT TERM
for lane in "${!LANES[@]}"; do
    wait "${pids[$lane]}" || failed+=("${LANES[$lane]}")
    cat "$logs/$lane"
done

for name in "${ALONE[@]}"; do
    run "$name" || failed+=("$name")
done

if [ ${#failed[@]} -gt 0 ]; then
    printf 'e2e       failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
