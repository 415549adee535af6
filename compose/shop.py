"""A replica of the sample service: a sidecar, Envoy with Foresail's filter, and behind it a service that can do four
things at once, 50 ms each on average. Its name is the container's, as a pod's name is in a cluster."""

import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

WORKERS = threading.Semaphore(4)
MEAN_SECONDS = float(os.environ.get("SERVICE_SECONDS", "0.05"))
PORT = 9000


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        # Whether it is well does not depend on how busy it is.
        if self.path != "/healthz":
            with WORKERS:
                time.sleep(random.expovariate(1 / MEAN_SECONDS))
        body = b"ok\n"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def sidecar():
    """The sidecar's configuration, with this container's name in it."""
    with open("/etc/foresail/sidecar.json", encoding="utf-8") as file:
        text = file.read().replace("@POD@", socket.gethostname())
    json.loads(text)
    path = "/tmp/sidecar.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return subprocess.Popen(["/usr/local/bin/envoy", "--config-path", path, "--concurrency", "1",
                             "--log-level", "warn", "--disable-hot-restart", "--drain-time-s", "2"])


def main():
    envoy = sidecar()
    signal.signal(signal.SIGTERM, lambda *_: envoy.terminate())
    threading.Thread(target=Server(("127.0.0.1", PORT), Service).serve_forever, daemon=True).start()
    sys.exit(0 if envoy.wait() in (0, -signal.SIGTERM) else 1)


main()
