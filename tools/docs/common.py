"""What the checks of the documents share: where things are, and how a failure is said."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def foresail():
    """The binary: FORESAIL_BIN, or the newest optimised build, as the end-to-end tests take it."""
    if named := os.environ.get("FORESAIL_BIN"):
        return str(pathlib.Path(named).resolve())
    builds = [ROOT / "target" / profile / "foresail" for profile in ("release", "quick")]
    found = sorted((path for path in builds if path.exists()), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit("docs      there is no aggregator; run: cargo build --profile quick -p foresail-aggregator")
    return str(found[-1])


class Failures:
    """Collects what is wrong, and says it at once."""

    def __init__(self):
        self.found = []

    def add(self, text):
        self.found.append(text)

    def equal(self, what, written, true):
        """Both are sets; names what only one of them has."""
        for missing in sorted(true - written):
            self.add(f"{what}: {missing} is not in the document")
        for invented in sorted(written - true):
            self.add(f"{what}: {invented} is in the document only")


@contextlib.contextmanager
def serving(config):
    """An aggregator with this configuration on a free port; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="foresail-docs-") as directory:
        path = pathlib.Path(directory, "foresail.yaml")
        whole = {"listen": f"127.0.0.1:{port}", "state": f"{directory}/state.redb", **config}
        path.write_text(json.dumps(whole))
        log = open(pathlib.Path(directory, "log"), "w", encoding="utf-8")
        process = subprocess.Popen([foresail(), "serve", "--config", str(path)], stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/readyz")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)
            log.close()


def wait_for(url):
    for _ in range(200):
        try:
            return get(url)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"docs      {url} does not answer")


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def pages():
    """Every page for people, with its path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()
    return {name: (ROOT / name).read_text() for name in listed if (ROOT / name).exists()}
