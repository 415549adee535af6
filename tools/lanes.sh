# shellcheck shell=bash
# Sourced by e2e.sh and e2e-kube.sh: runs LANES side by side and then ALONE, with `run NAME...` of the caller.
# What fails is added to `failed`; `finish LABEL` says it and ends.

failed=()

# A test in no list would never run: that is an error, not a shorter run. covered LABEL NAME...
covered() {
    local label=$1 name
    shift
    for name in "$@"; do
        case " ${LANES[*]} ${ALONE[*]} " in
        *" $name "*) ;;
        *) echo "$label tests/tests/$name.rs is in no list of $0; add it to LANES or ALONE" >&2; exit 1 ;;
        esac
    done
}

run_all() {
    local lane name pids=()
    logs=$(mktemp -d)
    trap 'rm -rf "$logs"' EXIT
    for lane in "${!LANES[@]}"; do
        # shellcheck disable=SC2086 # a lane is a list of names
        run ${LANES[$lane]} >"$logs/$lane" 2>&1 &
        pids+=($!)
    done
    # shellcheck disable=SC2064 # the processes of now
    trap "kill ${pids[*]} 2>/dev/null; exit 130" INT TERM
    for lane in "${!LANES[@]}"; do
        wait "${pids[$lane]}" || failed+=("${LANES[$lane]}")
        cat "$logs/$lane"
    done
    for name in "${ALONE[@]}"; do
        run "$name" || failed+=("$name")
    done
}

finish() {
    if [ ${#failed[@]} -gt 0 ]; then
        printf "$1 failed: %s\n" "${failed[@]}" >&2
        exit 1
    fi
}
