#!/usr/bin/env bash
# Runs every test that needs a Kubernetes control plane, tests/tests/kube*.rs, one file at a time.
#
#     tools/e2e-kube.sh [CARGO TEST OPTION...]
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
OPTIONS=("$@" --package foresail-tests)
# A file that takes longer hangs; the whole has to end within half an hour.
FILE_SECONDS=600

# Scenarios on one control plane wait more than they work.
threads() { case $1 in kube_safety) echo 16 ;; *) echo 1 ;; esac; }

names=()
for file in tests/tests/kube*.rs; do
    names+=("$(basename "$file" .rs)")
done
cargo test "${OPTIONS[@]}" --no-run "${names[@]/#/--test=}" || exit 1

failed=()
for name in "${names[@]}"; do
    timeout "$FILE_SECONDS" cargo test "${OPTIONS[@]}" --test "$name" -- \
        "--test-threads=$(threads "$name")" ||
        failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
    printf 'e2e-kube  failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
