"""Checks the documents, or writes those that are generated.

    python3 tools/docs [check | settings | PART…]

Parts are settings, api, rules, commands and book; without any, all are checked. FORESAIL_BIN names the aggregator.
"""

import sys

import api
import book
import commands
import rules
import settings
from common import Failures

PARTS = {"settings": settings, "api": api, "rules": rules, "commands": commands, "book": book}


def main(words):
    if words == ["settings"]:
        settings.write()
        api.write()
        return 0
    parts = [word for word in words if word != "check"] or list(PARTS)
    if unknown := [part for part in parts if part not in PARTS]:
        print(f"docs      there is no part {unknown[0]}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failures = Failures()
    for part in parts:
        before = len(failures.found)
        PARTS[part].check(failures)
        print(f"docs      {part}: {'ok' if len(failures.found) == before else 'FAILED'}", flush=True)
    for text in failures.found:
        print(f"docs      {text}", file=sys.stderr)
    return 1 if failures.found else 0


sys.exit(main(sys.argv[1:]))
