"""Open-loop load on the gateway: Poisson arrivals whose rate follows SHAPE, so a slow answer does not slow the load.

SHAPE is `day` (a wave of DAY_SECONDS), `flash` (quiet, a sudden crowd, quiet), `step` (one rise that stays), or `csv`
(seconds,rps in /load.csv, repeated).
"""

import csv
import http.client
import math
import os
import queue
import random
import threading
import time

SHAPE = os.environ.get("SHAPE", "day")
LOW, HIGH = float(os.environ.get("LOW_RPS", "20")), float(os.environ.get("HIGH_RPS", "140"))
DAY = float(os.environ.get("DAY_SECONDS", "600"))
HOST, PORT = os.environ.get("GATEWAY", "gateway:8000").split(":")
CLIENTS = 96


def rate_of_csv():
    with open("/load.csv", encoding="utf-8") as file:
        rows = [(float(at), float(rps)) for at, rps in list(csv.reader(file))[1:]]
    length = rows[-1][0] - rows[0][0] or 1.0

    def rate(seconds):
        at = rows[0][0] + seconds % length
        return next((rps for start, rps in reversed(rows) if start <= at), rows[0][1])

    return rate


SHAPES = {
    "day": lambda: lambda t: LOW + (HIGH - LOW) * (1 - math.cos(math.tau * t / DAY)) / 2,
    "flash": lambda: lambda t: HIGH if 45 <= t % 300 < 135 else LOW,
    "step": lambda: lambda t: HIGH if t >= 60 else LOW,
    "csv": rate_of_csv,
}


def client(work):
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=10)
    while True:
        work.get()
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()


def main():
    rate, work = SHAPES[SHAPE](), queue.Queue(maxsize=4096)
    for _ in range(CLIENTS):
        threading.Thread(target=client, args=(work,), daemon=True).start()
    begin = due = time.monotonic()
    while True:
        due += random.expovariate(max(rate(due - begin), 0.1))
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            work.put_nowait(None)
        except queue.Full:
            pass


main()
