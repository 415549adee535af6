#!/usr/bin/env python3
"""What river's drift detectors decide, for aggregator/tests/drift.rs to decide again.

    compare.py OUTPUT [TRACE.csv ...]

Writes one JSON document. Without traces the streams are invented, from the few numbers that are
written with them; with traces (timestamp,rps) they are the relative change of the rate from one row
to the next, and are written out. KSWIN draws by chance: here it draws from the same SplitMix64
numbers as Foresail.
"""

import csv
import json
import math
import sys

import river
from river import drift
from river.drift import kswin as kswin_module

MASK = (1 << 64) - 1
# (steps, mean, spread, height of a wave, its period)
STREAMS = {
    "level_shift": [(1500, 0, 1, 0, 1), (1500, 1.5, 1, 0, 1)],
    "back_and_forth": [(800, 0, 1, 0, 1), (400, 3, 1, 0, 1), (800, -1, 1, 0, 1), (600, 0, 1, 0, 1)],
    "spread": [(1500, 0, 1, 0, 1), (1500, 0, 4, 0, 1)],
    "wave_begins": [(1500, 0, 0.5, 0, 1), (1500, 0, 0.5, 3, 200)],
    "slow_slope": [(300, i / 4, 1, 0, 1) for i in range(10)],
    "stationary": [(6000, 0, 1, 0, 1)],
    "large_units": [(1000, 400, 30, 0, 1), (1000, 520, 45, 0, 1)],
    "constant": [(500, 2, 0, 0, 1), (500, 3, 0, 0, 1)],
}


class SplitMix:
    """Steele, Lea and Flood 2014; with the two draws that are needed here."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)

    def sample(self, population, count):
        places = list(population)
        for at in range(count):
            other = at + min(int(self.uniform() * (len(places) - at)), len(places) - at - 1)
            places[at], places[other] = places[other], places[at]
        return places[:count]


def invented(seed, parts):
    chance = SplitMix(seed)
    values = []
    for steps, mean, spread, height, period in parts:
        for at in range(steps):
            # Twelve uniforms less six have a spread of one, by sums that are exact everywhere.
            noise = sum(chance.uniform() for _ in range(12)) - 6
            phase = (at % period) / period
            values.append(mean + spread * noise + height * (4 * abs(phase - 0.5) - 1))
    return values


def changes(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    header = rows[0]
    column = header.index("rps") if "rps" in header else 1
    rates = [float(row[column]) for row in rows[1:] if row[column] != ""][:20000]
    return [math.log(b + 1e-3) - math.log(a + 1e-3) for a, b in zip(rates, rates[1:])]


def detectors():
    kswin_module.random.Random = SplitMix
    return {
        "adwin": drift.ADWIN(),
        "page_hinkley": drift.PageHinkley(),
        "page_hinkley_20": drift.PageHinkley(threshold=20, delta=0.05),
        "kswin": drift.KSWIN(seed=1),
        "kswin_strict": drift.KSWIN(alpha=0.0001, seed=1),
    }


def found(values):
    decisions = {}
    for name, detector in detectors().items():
        decisions[name] = []
        for at, value in enumerate(values):
            detector.update(value)
            if detector.drift_detected:
                decisions[name].append(at)
    return decisions


def main():
    output, *traces = sys.argv[1:]
    cases = []
    for path in traces:
        values = changes(path)
        cases.append({"name": path, "values": values, "found": found(values)})
    if not traces:
        for seed, (name, parts) in enumerate(STREAMS.items(), 1):
            values = invented(seed, parts)
            cases.append({"name": name, "seed": seed, "parts": parts, "found": found(values)})
    with open(output, "w") as file:
        json.dump({"river": river.__version__, "cases": cases}, file)
        file.write("\n")
    for case in cases:
        counts = {name: len(places) for name, places in case["found"].items()}
        print(case["name"], counts)


if __name__ == "__main__":
    main()
