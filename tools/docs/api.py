"""docs/api.md against the router and against real answers; docs/metrics.md against the metrics that are registered."""

import json
import re
import urllib.error

from common import ROOT, get, serving

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
    with serving({"workloads": [WORKLOAD]}) as address:
        check_fields(failures, page, address)
        check_metrics(failures, get(f"{address}/metrics"))


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
