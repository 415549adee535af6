"""The compose stack on a real engine, from nothing to nothing: a flash crowd comes and goes, containers of the sample service
grow and shrink with it, the dashboard's figures equal Prometheus', and nothing is left.

    python3 tests/compose/run.py

Takes the engine at DOCKER_HOST or /var/run/docker.sock; without one it starts dockerd, which needs root, and stops it again.
Without a registry the base image is made by debootstrap. Prints what it sees, and exits with 1 when something is not so.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("FORESAIL_CACHE", pathlib.Path.home() / ".cache/foresail"))
BASE = "debian:bookworm-slim"
LABEL = "foresail.workload=shop/web"
LEAST_PEAK = 3
UP_LIMIT, GROW_LIMIT, SHRINK_LIMIT = 300, 180, 420
MOST_DIFFERENCE = 0.02
LOW_RPS, HIGH_RPS = 20, 120


def say(text):
    print(f"compose   {text}", flush=True)


def fail(text):
    sys.exit(f"compose   FAILED: {text}")


def cannot_run(text):
    """Where nobody promised an engine, CI says so and goes on; anybody else asked for this test."""
    if os.environ.get("FORESAIL_ENGINE") == "if-any":
        say(f"NOT RUN: {text}")
        sys.exit(0)
    fail(text)


def run(*words, quiet=True, check=True):
    done = subprocess.run(words, cwd=ROOT, capture_output=quiet, text=True)
    if check and done.returncode != 0:
        fail(f"{' '.join(words)}: {(done.stdout or '')[-2000:]}{(done.stderr or '')[-2000:]}")
    return done.stdout or ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def engine():
    """An engine that answers: the one that is there, or our own."""
    if subprocess.run(["docker", "version"], capture_output=True).returncode == 0:
        yield
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        cannot_run("no engine answers, and none can be started: that needs root and dockerd (apt-get install docker.io)")
    with tempfile.TemporaryDirectory(prefix="foresail-engine-") as directory:
        os.environ["DOCKER_HOST"] = f"unix://{directory}/sock"
        words = ["dockerd", "-H", os.environ["DOCKER_HOST"], "--data-root", f"{directory}/data",
                 "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid"]
        with open(f"{directory}/log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            if not answers(60):
                cannot_run(f"dockerd does not come up here: {open(f'{directory}/log', encoding='utf-8').read()[-500:]}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def answers(limit):
    """Whether an engine answers within so many seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if subprocess.run(["docker", "version"], capture_output=True).returncode == 0:
            return True
        time.sleep(1)
    return False


def wait(what, limit, look):
    """Waits until `look` gives something, and gives that."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(1)
    fail(f"{what} did not come within {limit} s")


def base_image():
    """The image that the Dockerfiles name: there, pulled, or made of Debian's packages."""
    if run("docker", "images", "-q", BASE).strip():
        return
    if subprocess.run(["docker", "pull", "-q", BASE], capture_output=True).returncode == 0:
        return
    tree = CACHE / "debian-bookworm-compose.tar"
    if not tree.exists():
        say("no registry answers: making the base image with debootstrap, once; this takes some minutes")
        with tempfile.TemporaryDirectory(prefix="foresail-base-") as directory:
            words = ["debootstrap", "--variant=minbase", "--include=python3,prometheus", "bookworm", f"{directory}/root"]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
            if done.returncode != 0:
                cannot_run(f"{' '.join(words)}: {(done.stdout + done.stderr)[-1000:]}")
            CACHE.mkdir(parents=True, exist_ok=True)
            run("tar", "-C", f"{directory}/root", "-cf", f"{tree}.part", ".")
            pathlib.Path(f"{tree}.part").rename(tree)
    run("docker", "import", str(tree), BASE)


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


def containers(*more):
    return [line for line in run("docker", "ps", "-q", "--filter", f"label={LABEL}", *more).split() if line]


def query(prometheus, text):
    answer = get(f"{prometheus}/api/v1/query?query={urllib.parse.quote(text)}")
    result = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def compare(foresail, prometheus, begin, end):
    """The same minutes, as the dashboard's history has them and as Prometheus scraped them.

    The gauge is a mean over the last five seconds, scraped every two, so it tells of some seconds ago. Over a span that begins in
    the crowd and ends after it, those seconds alone are percents; so both ends have to lie where the load is the same.
    """
    points = get(f"{foresail}/v1/workloads/shop/web/history?tier=1s&since={begin:.0f}&until={end:.0f}")["points"]
    rates = [point["rps"] for point in points if point["rps"] is not None]
    if len(rates) < 0.9 * (end - begin):
        fail(f"the dashboard knows {len(rates)} of {end - begin:.0f} seconds")
    ours = sum(rates) / len(rates)
    theirs = query(prometheus, f"avg_over_time(foresail_workload_rps[{end - begin:.0f}s] @ {end:.0f})")
    equal(f"requests per second over {end - begin:.0f} s", ours, theirs)
    live = get(f"{foresail}/v1/workloads/shop/web")
    wait("the same number of replicas in Prometheus", 20, lambda: query(prometheus, "foresail_desired_replicas") == live["desired_replicas"])
    say(f"desired replicas: {live['desired_replicas']} in both")
    missed = query(prometheus, "foresail_objective_missed_requests_total / foresail_objective_requests_total")
    equal("share of requests while the objective was missed", live["missed_share"], missed)


def equal(what, ours, theirs):
    difference = abs(ours - theirs) / max(abs(theirs), 1e-9) if ours != theirs else 0.0
    say(f"{what}: dashboard {ours:.4g}, Prometheus {theirs:.4g}, {difference:.2%} apart")
    if difference > MOST_DIFFERENCE:
        fail(f"the dashboard and Prometheus disagree on {what}")


def scenario(foresail, prometheus):
    wait("the first telemetry", UP_LIMIT, lambda: ready(foresail))
    say(f"the stack is up, with {len(containers())} container(s) of the sample service")
    # The gauge knows as little of what was before as the history does.
    begin = time.time() + 10
    peak = wait(f"{LEAST_PEAK} containers", GROW_LIMIT, lambda: len(containers()) >= LEAST_PEAK and len(containers()))
    say(f"the crowd came: {peak} containers")
    last = wait("the way back to one or two containers", SHRINK_LIMIT, lambda: calm(prometheus) and len(containers()) <= 2 and len(containers()))
    say(f"the crowd went: {last} container(s)")
    compare(foresail, prometheus, begin, settled(prometheus))


def calm(prometheus):
    """Whether there has been no crowd for so long that no mean of the last seconds knows it."""
    highest = query(prometheus, "max_over_time(foresail_workload_rps[20s])")
    return highest is not None and highest < (LOW_RPS + HIGH_RPS) / 2


def settled(prometheus):
    """A moment without a crowd for which no late frame is waited for any longer, once it is in the past."""
    end = time.time()
    time.sleep(15)
    return end


def ready(foresail):
    try:
        workloads = get(f"{foresail}/v1/workloads")["workloads"]
    except (OSError, ValueError):
        return False
    return any(one["name"] == "web" and one["rps"] for one in workloads)


def main():
    ports = {"FORESAIL_PORT": str(free_port()), "PROMETHEUS_PORT": str(free_port())}
    os.environ.update({"SHAPE": "flash", "LOW_RPS": str(LOW_RPS), "HIGH_RPS": str(HIGH_RPS), **ports})
    with engine():
        base_image()
        begin = time.monotonic()
        try:
            run("tools/compose.sh", "up", "--detach")
            say(f"built and started after {time.monotonic() - begin:.0f} s")
            scenario(*(f"http://127.0.0.1:{ports[name]}" for name in ("FORESAIL_PORT", "PROMETHEUS_PORT")))
        except SystemExit:
            print(run("docker", "ps", "-a", check=False), flush=True)
            for name in ("aggregator", "scaler", "web", "gateway", "load", "prometheus"):
                logs = subprocess.run(["docker", "logs", "--tail", "15", f"foresail_{name}_1"], capture_output=True, text=True)
                print(f"--- {name}\n{logs.stdout}{logs.stderr}", flush=True)
            raise
        finally:
            subprocess.run(["tools/compose.sh", "down"], cwd=ROOT, capture_output=True)
        left = containers("-a")
        if left:
            fail(f"{len(left)} containers are left")
        say("torn down, nothing is left")


if __name__ == "__main__":
    main()
