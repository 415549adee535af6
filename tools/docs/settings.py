"""docs/settings.md: every setting, written from the types that hold them and from the reader that checks them.

Which settings there are, which of them are required and what is valid is asked of the binary: a mapping with an unknown
setting is answered with those that are known, and a wrong value with what is right. What a setting is for is the doc
comment of its field.
"""

import json
import pathlib
import re
import subprocess
import tempfile

from common import ROOT, foresail

PAGE = ROOT / "docs" / "settings.md"
UNKNOWN = "no_such_setting"
WRONG = {UNKNOWN: 1}

# Where settings stand, the type that holds them, and its heading.
SECTIONS = [
    ((), "Config", "The file"),
    (("kubernetes",), "KubernetesConfig", "`kubernetes`"),
    (("kubernetes", "blast_radius"), "BlastRadius", "`kubernetes.blast_radius`"),
    (("external_metrics",), "ExternalMetricsConfig", "`external_metrics`"),
    (("external_metrics", "tls"), "CertificateFiles", "`external_metrics.tls`"),
    (("keda",), "KedaConfig", "`keda`"),
    (("keda", "tls"), "KedaTls", "`keda.tls`"),
    (("workloads", 0), "WorkloadConfig", "`workloads[]`"),
    (("workloads", 0, "objective"), "Objective", "`workloads[].objective`"),
    (("workloads", 0, "forecast"), "ForecastConfig", "`workloads[].forecast`"),
    (("workloads", 0, "staleness"), "StalenessConfig", "`workloads[].staleness`"),
    (("workloads", 0, "burst"), "BurstConfig", "`workloads[].burst`"),
    (("workloads", 0, "behavior"), "Behavior", "`workloads[].behavior`"),
    (("workloads", 0, "behavior", "scale_up"), "ScalingRules", "`workloads[].behavior.scale_up` and `scale_down`"),
    (("workloads", 0, "behavior", "scale_up", "policies", 0), "ScalingPolicy", "`policies[]` of these"),
    (("workloads", 0, "canary"), "TurnsConfig", "`workloads[].canary`"),
    (("workloads", 0, "promotion"), "PromotionConfig", "`workloads[].promotion`"),
    (("workloads", 0, "actuator", "webhook"), "WebhookConfig", "`workloads[].actuator.webhook`"),
    (("workloads", 0, "actuator", "kubernetes"), "TargetConfig", "`workloads[].actuator.kubernetes`"),
]

# Settings that no field of the same name holds.
SAID = {
    ("Config", "kubernetes"): "What to watch in a cluster. Default: nothing.",
    ("KubernetesConfig", "watch"): "Whether `MeshAutoscaler`s are obeyed. Default false.",
    ("ExternalMetricsConfig", "tls"): "What is shown to kube-apiserver. Required.",
    ("CertificateFiles", "service"): "`NAMESPACE/NAME` of the `APIService`'s Service, for a self-made certificate that is kept in a Secret; instead of `cert` and `key`.",
    ("WorkloadConfig", "namespace"): "Namespace, as its proxies send it. Required.",
    ("WorkloadConfig", "name"): "Name, as its proxies send it. Required.",
    ("ScalingPolicy", "type"): "What `value` counts. Required.",
    ("WorkloadConfig", "mode"): "Whether decisions are written: `canary` for by turns with whoever scaled before. Default `shadow`.",
    ("WorkloadConfig", "capacity"): "Where the capacity of a replica comes from. Default `fixed`: `target_rps_per_replica`, as it stands.",
    ("WorkloadConfig", "scale_in"): "What may scale in. Default `observed`: measured demand alone.",
    ("WorkloadConfig", "profile"): "How patient the predictive answer is: fewer changes cost a little more. Default `stable`.",
}


def problems(config):
    """What the binary finds wrong: setting to (value, what is valid)."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(config, file)
        file.flush()
        said = subprocess.run([foresail(), "serve", "--check", "--config", file.name], capture_output=True, text=True)
    lines = re.findall(r"^  (\S+|\(the file\)): (.*) (?:is not valid; use|an unknown setting) ?(.*)$", said.stderr, re.M)
    return {key: (value, valid) for key, value, valid in lines}


def at(path, value):
    """A configuration with a value at a path."""
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return value


def name_of(path):
    text = ""
    for step in path:
        text += "[0]" if step == 0 else f".{step}" if text else step
    return text


def known(path):
    """The settings that a mapping may have."""
    _, valid = problems(at(path, WRONG))[name_of((*path, UNKNOWN))]
    return valid.removeprefix("one of ").split(", ")


def docs():
    """Doc comments of the fields of all structs of the configuration, and of the choices of its enums."""
    found = {}
    for source in sorted((ROOT / "aggregator/src/config").glob("*.rs")) + [ROOT / "aggregator/src/config.rs"]:
        holder, comment = None, []
        for line in source.read_text().splitlines():
            if match := re.match(r"pub struct (\w+)", line):
                holder = match[1]
            elif line == "}":
                holder = None
            elif match := re.match(r"    /// (.*)", line):
                comment.append(match[1])
                continue
            elif (match := re.match(r"    pub (\w+):", line)) and holder:
                found[(holder, match[1])] = " ".join(comment)
            comment = []
    return found


def rows(path, holder, comments):
    absent = problems(at(path, {}))
    for key in known(path):
        said = SAID.get((holder, key)) or comments.get((holder, key))
        if said is None and holder == "KedaTls":
            said = comments[("CertificateFiles", key)]
        if said is None:
            raise SystemExit(f"docs      {holder}.{key} has neither a doc comment nor a line in tools/docs/settings.py")
        full = name_of((*path, key))
        _, valid = problems(at((*path, key), WRONG)).get(full, ("", "see below"))
        if full in absent and "Required" not in said and "Default" not in said:
            said += " Required."
        said = re.sub(r"\[`?([\w:]+)`?\]", r"`\1`", said)
        valid = valid.replace("|", "\\|")
        yield f"| `{key}` | {said} | {valid} |"


def page():
    comments = docs()
    text = [
        "# Settings",
        "",
        "Everything that `foresail serve --config FILE` reads. This page is written by `python3 tools/docs settings`, from the",
        "types that hold the settings and from the reader that checks them; a test fails when it is out of date.",
        "`foresail serve --config FILE --check` names everything that is wrong with a file at once.",
        "",
        "A `MeshAutoscaler` has the same settings in its own spelling: `istio/base/crd.yaml` describes each.",
    ]
    for path, holder, heading in SECTIONS:
        text += ["", f"## {heading}", "", "| setting | what it is for | valid |", "|---|---|---|"]
        text += list(rows(path, holder, comments))
    return "\n".join(text) + "\n"


def write():
    PAGE.write_text(page())


def check(failures):
    if not PAGE.exists() or PAGE.read_text() != page():
        failures.add("docs/settings.md is out of date; run: python3 tools/docs settings")
    said = {heading for _, heading, _ in ((p, h, h) for p, _, h in SECTIONS)}
    if len(said) != len(SECTIONS):
        failures.add("two sections of settings have the same heading")
