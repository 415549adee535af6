"""istio/prometheus/rules.yaml and the Grafana dashboard: promtool checks what is asked of Prometheus and runs the rules' tests, and every
metric in them is one that is registered."""

import json
import pathlib
import re
import subprocess
import tempfile

import api
from common import ROOT, get, serving

RULES = ROOT / "istio/prometheus/rules.yaml"
BOARD = ROOT / "istio/chart/files/dashboard.json"
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
    check_board(failures, promtool, known)


def check_board(failures, promtool, known):
    """Each panel asks something that Prometheus can read, of metrics that there are; and so do the variables."""
    board = json.loads(BOARD.read_text())
    asked = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    if len(asked) < 10:
        failures.add(f"{BOARD.name}: only {len(asked)} questions were found in its panels")
    variables = [("variables", one["query"]) for one in board["templating"]["list"]]
    for where, text in asked + variables:
        for name in sorted(set(re.findall(r"\bforesail_[a-z_0-9]+", text)) - known):
            failures.add(f"{BOARD.name}: {where} asks for {name}, which is not a metric of the aggregator")
    rules = [{"record": f"board:{at}", "expr": expr} for at, (_, expr) in enumerate(asked)]
    with tempfile.TemporaryDirectory(prefix="foresail-docs-") as directory:
        # Each JSON document is a YAML document.
        path = pathlib.Path(directory, "board.yaml")
        path.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
        said = subprocess.run([str(promtool), "check", "rules", str(path)], capture_output=True, text=True)
        if said.returncode != 0:
            failures.add(f"{BOARD.name}: {said.stdout}{said.stderr}")
