"""Every command block of the documents is run here, or listed in docs/commands.txt with who runs it or what it needs.

A line of docs/commands.txt is `PAGE | COMMAND | HOW`. HOW is `run` (run here, in an empty directory with the repository's
files beside), `serves` (the same, ended once it serves), `test NAME` (the named test of tests/tests or target of the Makefile runs it), or `needs WHAT`, where WHAT
is one of those below: what no test here can have.
"""

import math
import os
import pathlib
import re
import signal
import subprocess
import tempfile

from common import ROOT, foresail, pages

LIST = ROOT / "docs/commands.txt"
NEEDS = {"cluster", "internet", "registry", "your data"}
LIMIT_S = 300


def commands_in(text):
    """The commands of a page, one a line: blocks marked as console, sh or bash, and indented ones in prose."""
    found, fence = [], None
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if match := re.match(r"^```(\w*)", line):
            fence = None if fence is not None else match[1]
        elif fence in ("console", "sh", "bash"):
            found.append(line)
        elif fence is None and (is_command(line) or goes_on(lines, at)):
            found.append(line)
    joined = re.sub(r" *\\\n *", " ", "\n".join(found))
    # What stands behind three spaces is a remark.
    bare = [re.split(r"\s{3,}", line.strip())[0] for line in joined.splitlines()]
    return [line for line in bare if line and not line.startswith("#")]


def goes_on(lines, at):
    """Whether a line continues an indented command."""
    before = lines[at - 1] if at > 0 else ""
    return before.endswith("\\") and (is_command(before) or goes_on(lines, at - 1))


WORDS = ("make ", "cargo ", "target/", "kubectl ", "foresail ", "tools/", "python3 ", "docker ", "git ", "cd ", "curl ", "promtool ", ".tools/")


def is_command(line):
    return line.startswith("    ") and not line.startswith("     ") and line.strip().startswith(WORDS)


def listed():
    rows = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3:
            raise SystemExit(f"docs      docs/commands.txt:{number} is not PAGE | COMMAND | HOW")
        rows.append(tuple(parts))
    return rows


def check(failures):
    rows = listed()
    written = {(name, command) for name, text in pages().items() for command in commands_in(text)}
    failures.equal("docs/commands.txt", {(page, command) for page, command, _ in rows}, written)
    makefile = (ROOT / "Makefile").read_text()
    for page, command, how in rows:
        kind, _, what = how.partition(" ")
        if kind == "needs" and what in NEEDS:
            continue
        if kind == "test" and ((ROOT / f"tests/tests/{what}.rs").exists() or re.search(rf"^{re.escape(what)}:", makefile, re.M)):
            continue
        if how in ("run", "serves"):
            run(failures, page, command, how == "serves")
            continue
        failures.add(f"docs/commands.txt: `{how}` is not a way to run {command}")


def a_week():
    """A recording such as a reader has: eight days of five minutes, with a day's wave."""
    lines = ["timestamp,rps"]
    for at in range(8 * 288):
        lines.append(f"{1_700_000_000 + at * 300},{60 + 40 * math.sin(at / 288 * math.tau):.1f}")
    return "\n".join(lines) + "\n"


def run(failures, page, command, serves):
    """Runs a command as it stands, but for the binary's place and the port that is listened on."""
    with tempfile.TemporaryDirectory(prefix="foresail-docs-") as directory:
        for name in ("docs", "istio", "tools", "tests"):
            pathlib.Path(directory, name).symlink_to(ROOT / name)
        release = pathlib.Path(directory, "target/release")
        release.mkdir(parents=True)
        (release / "foresail").symlink_to(foresail())
        example = (ROOT / "docs/examples/foresail.yaml").read_text()
        pathlib.Path(directory, "foresail.yaml").write_text(example.replace(":9900", ":0"))
        pathlib.Path(directory, "last-week.csv").write_text(a_week())
        pathlib.Path(directory, "observations.ndjson").write_text('{"t":1700000000,"rps":120.5,"ready":4,"replicas":5}\n')
        path = f"{release}:{ROOT / '.tools/bin'}:{os.environ['PATH']}"
        process = subprocess.Popen(
            ["bash", "-euc", f"exec {command}" if serves else command],
            cwd=directory, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if serves:
            said = until_it_serves(process)
        else:
            said, _ = process.communicate(timeout=LIMIT_S)
        if process.returncode != 0:
            failures.add(f"{page}: `{command}` ends with {process.returncode}: {said[-1200:]}")


def until_it_serves(process):
    """Waits for the line that names the address, and ends the server as a user would."""
    said = ""
    for line in process.stdout:
        said += line
        if "shows what happens" in line:
            process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    return said
