"""Scales containers for Foresail's webhook, through the Engine's API.

It alone has the Engine's socket, which is as good as root on the machine; the aggregator does not. And it touches only
containers that carry the label `foresail.workload`: it counts those, copies one of them to scale out, and removes only
copies that it made.
"""

import http.client
import http.server
import json
import os
import socket
import threading
import urllib.parse

SOCKET = os.environ.get("ENGINE_SOCKET", "/var/run/docker.sock")
LABEL, COPY = "foresail.workload", "foresail.copy"
MOST = int(os.environ.get("MOST_REPLICAS", "10"))
KEPT = ("Memory", "NanoCpus", "ReadonlyRootfs", "CapDrop", "SecurityOpt", "Tmpfs", "NetworkMode", "PidsLimit", "Init")
LOCK = threading.Lock()


class Engine(http.client.HTTPConnection):
    """The Engine's API over its socket."""

    def __init__(self):
        super().__init__("localhost", timeout=20)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def engine(method, path, body=None, good=(200, 201, 204, 304)):
    connection = Engine()
    headers = {"content-type": "application/json"} if body is not None else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status not in good:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text) if text.strip() else None


def replicas(workload):
    """The containers of a workload that run, oldest first."""
    wanted = urllib.parse.quote(json.dumps({"label": [f"{LABEL}={workload}"], "status": ["created", "running"]}))
    return sorted(engine("GET", f"/containers/json?all=1&filters={wanted}"), key=lambda one: one["Created"])


def counts(workload):
    there = replicas(workload)
    ready = [one["Id"][:12] for one in there if "(healthy)" in one["Status"]]
    return {"current_replicas": len(there), "ready_replicas": len(ready), "ready_pods": ready}


def copy(workload, template):
    """Starts one more replica, as the first one is."""
    seen = engine("GET", f"/containers/{template['Id']}/json")
    config, host = seen["Config"], seen["HostConfig"]
    names = {
        network: {"Aliases": [alias for alias in (there["Aliases"] or []) if alias != template["Id"][:12]]}
        for network, there in seen["NetworkSettings"]["Networks"].items()
    }
    made = engine("POST", "/containers/create", {
        **{key: config[key] for key in ("Image", "Env", "Cmd", "Entrypoint", "User", "Healthcheck", "StopSignal") if config.get(key)},
        "Labels": {**config["Labels"], LABEL: workload, COPY: "true"},
        "HostConfig": {key: host[key] for key in KEPT if host.get(key)},
        "NetworkingConfig": {"EndpointsConfig": names},
    })
    engine("POST", f"/containers/{made['Id']}/start")


def remove(one):
    engine("POST", f"/containers/{one['Id']}/stop?t=5")
    engine("DELETE", f"/containers/{one['Id']}?force=1", good=(200, 204, 404, 409))


def scale(workload, desired):
    with LOCK:
        there = replicas(workload)
        if not there:
            raise RuntimeError(f"no container carries {LABEL}={workload}")
        for _ in range(min(desired, MOST) - len(there)):
            copy(workload, there[0])
        surplus = [one for one in reversed(there) if one["Labels"].get(COPY) == "true"]
        for one in surplus[: max(0, len(there) - desired)]:
            remove(one)


class Webhook(http.server.BaseHTTPRequestHandler):
    """`GET` and `POST /NAMESPACE/NAME`, as Foresail's `actuator: webhook` speaks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/healthz":
            self.answer(200, {})
            return
        self.attempt(lambda: counts(self.path.strip("/")))

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        desired = int(order["desired_replicas"])

        def act():
            scale(self.path.strip("/"), desired)
            print(f"{self.path} {desired}: {order.get('reason')}", flush=True)
            return {"desired_replicas": desired}

        self.attempt(act)

    def attempt(self, act):
        try:
            self.answer(200, act())
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            print(error, flush=True)
            self.answer(500, {"error": str(error)})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def clear():
    """Removes what a former run left, and its own copies when it ends."""
    wanted = urllib.parse.quote(json.dumps({"label": [f"{COPY}=true"]}))
    for one in engine("GET", f"/containers/json?all=1&filters={wanted}"):
        engine("DELETE", f"/containers/{one['Id']}?force=1", good=(200, 204, 404, 409))


if __name__ == "__main__":
    import signal

    clear()
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Webhook)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    clear()
