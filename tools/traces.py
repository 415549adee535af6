#!/usr/bin/env python3
"""Brings the development traces to the form in which `foresail backtest` compares policies.

    tools/traces.py FOLDER DESTINATION [NAME ...]

reads recordings from FOLDER (`timestamp,rps` or `timestamp,demand`, .gz too; never part of this
repository) and writes one CSV a trace, in requests per second, into DESTINATION. Every trace that
can be compared is listed in TRACES with what is done to it; nothing else is.
"""

import gzip
import statistics
import sys
from pathlib import Path

# Minutes around a minute whose median says what is usual there, to both sides.
AROUND = 60
# Above this multiple of the usual a minute is a burst.
BURST = 1.3


def as_recorded(rates):
    return rates


def times(factor):
    return lambda rates: [None if rate is None else rate * factor for rate in rates]


def to_mean(wanted):
    """Scales a demand in another unit to this mean rate."""

    def scale(rates):
        known = [rate for rate in rates if rate is not None]
        return times(wanted * len(known) / sum(known))(rates)

    return scale


def without_bursts(rates):
    """Scales every minute of a 1 s recording that is a burst down to the median of its two hours.

    The recording has batches of four to five times the load some eleven times a day, of about
    eight minutes each; what is left is the load between them, with the noise of its seconds.
    """
    minutes = [rates[at : at + 60] for at in range(0, len(rates), 60)]
    known = [[rate for rate in minute if rate is not None] for minute in minutes]
    means = [sum(minute) / len(minute) if minute else None for minute in known]
    calm = []
    for at, (minute, mean) in enumerate(zip(minutes, means)):
        near = [m for m in means[max(0, at - AROUND) : at + AROUND + 1] if m is not None]
        usual = statistics.median(near) if near else 0.0
        is_burst = mean is not None and mean > BURST * usual > 0.0
        calm.extend(times(usual / mean)(minute) if is_burst else minute)
    return calm


# Name, file, and what is done to it. Demand without a unit is brought to 100 requests per second.
TRACES = [
    ("tw_clean", "twitter_stream_1s.csv.gz", without_bursts),
    ("nasa_jul95", "nasa_jul95_1s.csv.gz", as_recorded),
    ("nab_elb", "nab_elb_300s.csv", times(20.0)),
    ("mongo_app1", "msmon_mongo_app1_60s.csv", as_recorded),
    ("mongo_app3", "msmon_mongo_app3_60s.csv", as_recorded),
    ("mongo_app4", "msmon_mongo_app4_60s.csv", as_recorded),
    ("crane_01", "proxy/crane_01_60s.csv", to_mean(100.0)),
    ("crane_09", "proxy/crane_09_60s.csv", to_mean(100.0)),
    ("crane_11", "proxy/crane_11_60s.csv", to_mean(100.0)),
    ("crane_12", "proxy/crane_12_60s.csv", to_mean(100.0)),
    ("crane_14", "proxy/crane_14_60s.csv", to_mean(100.0)),
]


def read(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    with opened as lines:
        next(lines)
        rows = [line.rstrip("\n").split(",") for line in lines]
    return [row[0] for row in rows], [float(row[1]) if row[1] else None for row in rows]


def main(folder, destination, *names):
    folder, destination = Path(folder), Path(destination)
    if not folder.is_dir():
        sys.exit(
            f"{folder} is not there: the development traces are not part of this repository; say where they are "
            "with TRACES=FOLDER"
        )
    unknown = set(names) - {name for name, _, _ in TRACES}
    if unknown:
        sys.exit(f"no trace is called {', '.join(sorted(unknown))}; known: {', '.join(name for name, _, _ in TRACES)}")
    destination.mkdir(parents=True, exist_ok=True)
    for name, file, change in TRACES:
        output = destination / f"{name}.csv"
        if names and name not in names:
            continue
        if not (folder / file).is_file():
            sys.exit(f"{folder / file} is missing; it is trace {name}")
        if output.is_file() and output.stat().st_mtime > Path(__file__).stat().st_mtime:
            continue
        stamps, rates = read(folder / file)
        rows = (f"{t},{'' if r is None else format(r, '.6g')}\n" for t, r in zip(stamps, change(rates)))
        output.write_text("timestamp,rps\n" + "".join(rows))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
