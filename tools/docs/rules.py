"""istio/prometheus/rules.yaml: promtool checks and runs its tests, and every metric in it is one that is registered."""

import json
import re
import subprocess

import api
from common import ROOT, get, serving

RULES = ROOT / "istio/prometheus/rules.yaml"
TESTS = ROOT / "istio/prometheus/rules-test.yaml"


def check(failures):
    promtool = ROOT / ".tools/bin/promtool"
    if not promtool.exists():
        failures.add("there is no promtool; run: tools/setup.sh prometheus")
        return
    for words in (["check", "rules", str(RULES)], ["test", "rules", str(TESTS)]):
        said = subprocess.run([str(promtool), *words], cwd=TESTS.parent, capture_output=True, text=True)
        if said.returncode != 0:
            failures.add(f"promtool {' '.join(words)}: {said.stdout}{said.stderr}")
    with serving({"workloads": [api.WORKLOAD]}) as address:
        exposed = api.registered(get(f"{address}/metrics"))
    known = {name for names in exposed.values() for name in names}
    text = RULES.read_text()
    used = set(re.findall(r"\b(foresail_[a-z_0-9]+)(?![a-z_0-9:]*:)\b", re.sub(r"#.*", "", text)))
    for name in sorted(used - known):
        failures.add(f"{RULES.name}: {name} is not a metric of the aggregator")
    recorded = set(re.findall(r"record: (\S+)", text))
    for name in sorted(set(re.findall(r"\b(foresail:[a-z_0-9:]+)", text)) - recorded):
        failures.add(f"{RULES.name}: {name} is not recorded")
    if len(used) < 8:
        failures.add(f"{RULES.name}: only {sorted(used)} were found in it")
    board = json.loads((ROOT / "istio/chart/files/dashboard.json").read_text())
    if not board.get("panels"):
        failures.add("the Grafana dashboard has no panels")
