#!/usr/bin/env python3
"""Times a new user's way, from `git clone` to a forecast that leads a scale-up, and prints each step.

    tools/first_hour.py laptop|compose|both [--target DIRECTORY]

Clones this repository's last commit into an empty directory and types there what docs/first-hour.md says. With `--target` the crates
that ours use come compiled from there, which is said; tools come from their cache (FORESAIL_CACHE) if it has them, which is
said, too. `compose` starts an engine where none answers, as `make compose-test` does. Ends everything that it starts.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/compose"))
import run as compose  # noqa: E402 (its folder is not a package)

LIMIT_S = 3600


class Way:
    """Steps with the time that each took."""

    def __init__(self, name):
        self.name, self.begin, self.last, self.commands = name, time.monotonic(), time.monotonic(), 0

    def step(self, words):
        now = time.monotonic()
        print(f"{self.name:<9} {now - self.begin:6.0f} s  (+{now - self.last:.0f} s)  {words}", flush=True)
        self.last = now

    def end(self):
        print(f"{self.name:<9} {self.commands} command(s), {self.last - self.begin:.0f} s", flush=True)

    def command(self, *words, **options):
        self.commands += 1
        print(f"{self.name:<9} $ {' '.join(words)}", flush=True)
        return subprocess.Popen(words, **options)


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


def clone(way, directory, target):
    """The repository as a stranger has it; `target` is what was compiled before."""
    if way.command("git", "clone", "--quiet", str(ROOT), directory).wait() != 0:
        sys.exit("the repository cannot be cloned")
    if target is not None:
        os.symlink(pathlib.Path(target).resolve(), pathlib.Path(directory, "target"))
    way.step("cloned; its crates are still to be compiled, " + ("those it uses are (warm)" if target else "and those it uses (cold)"))


def lead(way, url, name):
    """Waits for a decision that orders more than there is, and more than it would have ordered without its forecast."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            for one in get(f"{url}/v1/workloads/{name}/track")["decided"]:
                current, desired, without = one["current_replicas"], one["desired_replicas"], one["without_forecast"]
                if current is not None and desired > max(current, without):
                    way.step(f"the forecast leads: {current} -> {desired} replicas ordered, {without} without it")
                    return
        time.sleep(1)
    sys.exit("no decision was led by the forecast")


def the_workload(url):
    """The first workload's namespace and name, once there is one that is decided for."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            for one in get(f"{url}/v1/workloads")["workloads"]:
                if one["desired_replicas"] is not None:
                    return f"{one['namespace']}/{one['name']}"
        time.sleep(1)
    sys.exit("no workload was decided for")


def laptop(way, directory):
    demo = way.command(
        "make", "demo", cwd=directory, env={**os.environ, "HEADLESS": "1"}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    try:
        url = None
        said = []
        for line in demo.stdout:
            said.append(line)
            if found := re.search(r"Dashboard: (http://\S+?)/$", line.strip()):
                url = found[1]
                break
        if url is None:
            sys.exit(f"the demo ended: {''.join(said)[-2000:]}")
        way.step(f"built, and the dashboard is at {url}/")
        threading.Thread(target=demo.stdout.read, daemon=True).start()
        lead(way, url, the_workload(url))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGTERM)
        demo.wait()


def on_compose(way, directory):
    with compose.engine():
        compose.base_image()
        port = str(compose.free_port())
        ports = {"FORESAIL_PORT": port, "PROMETHEUS_PORT": str(compose.free_port())}
        way.step("an engine and its base image are there (not a user's step)")
        try:
            up = way.command(
                "make", "compose", cwd=directory, env={**os.environ, **ports},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            said, _ = up.communicate()
            if up.returncode != 0:
                sys.exit(f"make compose: {said[-2000:]}")
            url = f"http://127.0.0.1:{port}"
            way.step("built, and the stack is up")
            lead(way, url, the_workload(url))
        finally:
            subprocess.run(["tools/compose.sh", "down"], cwd=directory, env={**os.environ, **ports}, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=["laptop", "compose", "both"])
    parser.add_argument("--target", help="a target directory with compiled crates")
    arguments = parser.parse_args()
    cache = pathlib.Path(os.environ.get("FORESAIL_CACHE", pathlib.Path.home() / ".cache/foresail"))
    registry = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"), "registry/cache")
    way = Way("compose" if arguments.way == "compose" else "laptop")
    for name, path in (("tools", cache), ("crates", registry)):
        print(f"{way.name:<9} {name} {'are cached (warm)' if path.exists() else 'have to be fetched (cold)'}", flush=True)
    with tempfile.TemporaryDirectory(prefix="foresail-first-hour-") as parent:
        directory = str(pathlib.Path(parent, "foresail"))
        clone(way, directory, arguments.target)
        if arguments.way != "compose":
            laptop(way, directory)
            way.end()
        if arguments.way == "both":
            # From the same clone: what the demo compiled is there.
            way = Way("compose")
        if arguments.way != "laptop":
            on_compose(way, directory)
            way.end()


if __name__ == "__main__":
    main()
