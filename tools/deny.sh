#!/usr/bin/env bash
# cargo-deny: bans, licences and sources always; advisories when their database can be had.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
tools/setup.sh deny
deny=.tools/bin/cargo-deny

"$deny" --log-level warn check --hide-inclusion-graph bans licenses sources
if timeout 60 "$deny" --log-level error fetch db >/dev/null 2>&1 </dev/null; then
    "$deny" --log-level warn check --hide-inclusion-graph advisories
else
    echo "advisories NOT CHECKED: their database could not be fetched; try: make check, online"
fi
