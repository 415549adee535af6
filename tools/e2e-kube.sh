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
LANES=(
    "kube_faults kube_docs"
    "kube_safety kube_leader"
    "kube_hpa kube_manifests kube_external_metrics kube_keda"
)
ALONE=(kube_scale)
# shellcheck source=tools/lanes.sh
. tools/lanes.sh

# Scenarios on one control plane wait more than they work.
threads() { case $1 in kube_safety) echo 16 ;; *) echo 1 ;; esac; }

names=()
for file in tests/tests/kube*.rs; do
    names+=("$(basename "$file" .rs)")
done
covered "e2e-kube " "${names[@]}"

run() { # NAME...
    local status=0 name
    for name in "$@"; do
        timeout "$FILE_SECONDS" cargo test "${OPTIONS[@]}" --test "$name" -- --nocapture \
            "--test-threads=$(threads "$name")" || status=1
    done
    return $status
}

cargo test "${OPTIONS[@]}" --no-run "${names[@]/#/--test=}" || exit 1
run_all
finish "e2e-kube "
