"""docs/api.md and the OpenAPI description against the router and against real answers; docs/metrics.md against the metrics that
are registered."""

import json
import math
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.error

from common import ROOT, get, serving

OPENAPI = ROOT / "aggregator/assets/openapi.json"

METRICS = ROOT / "docs/metrics.md"
WORKLOAD = {
    "namespace": "shop", "name": "web", "max_replicas": 3, "target_rps_per_replica": 30,
    "objective": {"latency": "250ms"}, "actuator": "none",
}


def routes():
    """Every path that the router has, with nested ones in full."""
    source = (ROOT / "aggregator/src/api.rs").read_text()
    body = source[source.index("pub fn router("):source.index("/// Why a request has no other answer")]
    nested, top = body.split("    Router::new()\n        .route(\"/\"", 1)
    prefix = re.search(r'\.nest\("([^"]+)"', body)[1]
    inner = re.findall(r'\.route\("([^"]+)"', nested)
    outer = ["/"] + re.findall(r'\.route\("([^"]+)"', top)
    return {prefix + ("" if path == "/" else path) for path in inner} | set(outer)


def check(failures):
    page = (ROOT / "docs/api.md").read_text()
    written = set(re.findall(r"^#+ `(?:GET|POST) ([^`?]+)", page, re.M))
    failures.equal("docs/api.md", written, routes())
    described = json.loads(OPENAPI.read_text())["paths"]
    failures.equal("openapi.json", set(described), {path.replace("{*", "{") for path in routes()})
    with tempfile.TemporaryDirectory(prefix="foresail-docs-") as directory:
        workload = {**WORKLOAD, "decision_interval": "1s", "forecast": {"step": "1s", "history": history(directory)}}
        with serving({"workloads": [workload]}) as address:
            check_fields(failures, page, address)
            check_metrics(failures, get(f"{address}/metrics"))
            check_answers(failures, described, address)


def history(directory):
    """Some minutes of recorded load up to now, so that there is a forecast."""
    path, now = pathlib.Path(directory, "history.csv"), int(time.time())
    rows = (f"{at},{60 + 20 * math.sin(at / 40)}" for at in range(now - 600, now))
    path.write_text("timestamp,rps\n" + "\n".join(rows) + "\n")
    return str(path)


def check_answers(failures, described, address):
    """Every JSON answer is what the description says, field by field."""
    judge = ROOT / ".tools/bin/openapi-python"
    if not judge.exists():
        failures.add("the OpenAPI description cannot be checked; run: tools/setup.sh openapi")
        return
    time.sleep(3)  # Until something is decided.
    answers = {}
    for path, item in described.items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" in content:
            answers[path] = json.loads(get(address + path.replace("{namespace}", "shop").replace("{name}", "web")))
    if not answers["/v1/workloads/{namespace}/{name}/decisions"]["decisions"]:
        failures.add("openapi.json: no decision came to compare with it")
    words = [str(judge), str(ROOT / "tools/docs/openapi.py")]
    done = subprocess.run(words, input=json.dumps(answers), capture_output=True, text=True)
    for line in done.stdout.splitlines():
        failures.add(f"openapi.json: {line}")
    if done.returncode != 0:
        failures.add(f"openapi.json: {done.stderr.strip().splitlines()[-1]}")


def check_fields(failures, page, address):
    """Each field that an answer has is named in its section, and each that a section's table names is in the answer."""
    for section in re.split(r"^#+ (?=`GET /v1/workloads)", page, flags=re.M)[1:]:
        path = re.match(r"`GET ([^`?]+)", section)[1].replace("{namespace}", "shop").replace("{name}", "web")
        try:
            answer = json.loads(get(address + path))
        except urllib.error.HTTPError as error:
            failures.add(f"docs/api.md: {path} answers {error.code}")
            continue
        fields = set(answer)
        if path == "/v1/workloads":
            fields = set(answer["workloads"][0])
        for field in sorted(fields):
            if f"`{field}`" not in section:
                failures.add(f"docs/api.md: {path} answers `{field}`, which its section does not name")


def registered(text):
    """The families of an exposition, as they are queried."""
    names = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        names[name] = {"counter": [f"{name}_total"], "histogram": [f"{name}_bucket", f"{name}_sum", f"{name}_count"]}.get(kind, [name])
    return names


PREAMBLE = """# Metrics

What `/metrics` has, in the OpenMetrics format. This page is written by `python3 tools/docs settings` from what a running
aggregator answers, and a test fails when it is out of date.

Those of a workload carry `namespace` and `workload`, those of outcomes a `result`, `guard`, `stream`, `from` or `answer`, latencies a
`quantile`. A gauge whose value is not known is left out: not known is not zero.
"""


def metrics_page(text):
    """The page for an exposition."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    rows = ["| metric | type | what |", "|---|---|---|"]
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        shown = f"{name}_total" if kind == "counter" else name
        rows.append(f"| `{shown}` | {kind} | {helps[name]} |")
    return PREAMBLE + "\n" + "\n".join(rows) + "\n"


def write():
    with serving({"workloads": [WORKLOAD]}) as address:
        METRICS.write_text(metrics_page(get(f"{address}/metrics")))


def check_metrics(failures, text):
    if not METRICS.exists() or METRICS.read_text() != metrics_page(text):
        failures.add("docs/metrics.md is out of date; run: python3 tools/docs settings")
