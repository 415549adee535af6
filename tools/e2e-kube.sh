#!/usr/bin/env bash
# Runs every test that needs a Kubernetes control plane, tests/tests/kube*.rs: side by side those that
# wait more than they work, then alone those that measure.
#
#     tools/e2e-kube.sh [CARGO TEST OPTION...]
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
OPTIONS=("$@" --package foresail-tests)
# A file that takes longer hangs; the whole has to end within half an hour.
FILE_SECONDS=600
LANES=("kube_safety kube_faults" "kube_leader kube_hpa" "kube_manifests kube_docs kube_external_metrics kube_keda")
ALONE=(kube_scale)

# Scenarios on one control plane wait more than they work.
threads() { case $1 in kube_safety) echo 16 ;; *) echo 1 ;; esac; }

# A test in neither list would never run: that is an error, not a shorter run.
names=()
for file in tests/tests/kube*.rs; do
    name=$(basename "$file" .rs)
    names+=("$name")
    case " ${LANES[*]} ${ALONE[*]} " in
    *" $name "*) ;;
    *) echo "e2e-kube  $file is in no list of tools/e2e-kube.sh; add it to LANES or ALONE" >&2; exit 1 ;;
    esac
done
cargo test "${OPTIONS[@]}" --no-run "${names[@]/#/--test=}" || exit 1

run() { # NAME...
    local status=0 name
    for name in "$@"; do
        timeout "$FILE_SECONDS" cargo test "${OPTIONS[@]}" --test "$name" -- --nocapture \
            "--test-threads=$(threads "$name")" || status=1
    done
    return $status
}

logs=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$logs"' INT TERM
trap 'rm -rf "$logs"' EXIT
for lane in "${!LANES[@]}"; do
    # shellcheck disable=SC2086 # a lane is a list of names
    run ${LANES[$lane]} >"$logs/$lane" 2>&1 &
    pids+=($!)
done
failed=()
for lane in "${!LANES[@]}"; do
    wait "${pids[$lane]}" || failed+=("${LANES[$lane]}")
    cat "$logs/$lane"
done
for name in "${ALONE[@]}"; do
    run "$name" || failed+=("$name")
done

if [ ${#failed[@]} -gt 0 ]; then
    printf 'e2e-kube  failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
