"""A service that `foresail decide` scales: two days of load, pods that take a minute to start.

Prints every observation's line with the line that answered it, one JSON object a line.
"""

import json
import math
import random
import subprocess
import sys

STEP, DELAY, CAPACITY = 15, 4, 60.0
chance = random.Random(7)
foresail = subprocess.Popen(
    [sys.argv[1], "decide"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
ready, starting = 5, [0] * DELAY
for step in range(2 * 86400 // STEP):
    hour = step * STEP / 3600 % 24
    rate = 300 + 200 * math.sin(math.tau * (hour - 9) / 24) + (150 if hour % 6 < 0.2 else 0)
    rate = max(0.0, chance.gauss(rate, math.sqrt(rate / STEP)))
    busy = min(rate / (ready * CAPACITY / 0.8), 0.995)
    p50 = 35 / (1 - 0.5 * busy**4)
    observation = {
        "t": 1_700_000_000 + step * STEP,
        "rps": round(rate, 3),
        "p50_ms": round(p50, 2),
        "p95_ms": round(p50 * (3 + 6 * busy**6), 2),
        "p99_ms": round(p50 * (4 + 12 * busy**8), 2),
        "error_ratio": 0.0,
        "concurrency": round(rate * p50 / 1000, 3),
        "cpu": round(busy, 3),
        "ready": ready,
        "replicas": ready + sum(starting),
    }
    if chance.random() < 0.01:
        # A report that did not come: not known, which is not zero.
        for field in ("rps", "p50_ms", "p95_ms", "p99_ms"):
            del observation[field]
    foresail.stdin.write(json.dumps(observation) + "\n")
    foresail.stdin.flush()
    answer = foresail.stdout.readline()
    decision = json.loads(answer)
    print(json.dumps({"observation": json.dumps(observation), "decision": answer.strip()}))
    ready += starting.pop(0)
    starting.append(0)
    change = decision["desired"] - observation["replicas"]
    if change > 0:
        starting[-1] += change
    for slot in reversed(range(DELAY)):
        ended = min(max(-change, 0), starting[slot])
        starting[slot] -= ended
        change += ended
    ready = max(1, ready + min(change, 0))
foresail.stdin.close()
sys.exit(foresail.wait())
