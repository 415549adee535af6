"""Compares Foresail's batch models with statsforecast (and prophet) on the same cut-offs.

    make forecast-compare TRACES="a.csv b.csv"

Each trace is scored by `foresail forecast --json`, on one thread. The reference is then fitted to the
very values that each of those fits saw (gaps by straight lines, because it takes none), with its
compiled code warm. Per model: the ratio of the mean absolute errors of all steps ahead, ours over
the reference's, and the ratio of the times of fit and forecast, the reference's over ours.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from statsforecast.models import MSTL, AutoARIMA, AutoETS, SeasonalNaive

warnings.filterwarnings("ignore")
LONGEST_SEASON = 24
MODELS = ["arima", "ets", "mstl", "seasonal-naive"]


def reference(name, seasons):
    """The reference model of a name for a series with these seasons; None where it has none."""
    short = next((m for m in seasons if 2 <= m <= LONGEST_SEASON), 1)
    if name == "arima":
        return AutoARIMA(season_length=short)
    if name == "ets":
        return AutoETS(season_length=short)
    if not seasons:
        return None
    if name == "mstl":
        return MSTL(season_length=list(seasons), trend_forecaster=AutoETS(model="ZZN"))
    return SeasonalNaive(season_length=seasons[0])


def fit_prophet(values, step_s, horizon):
    import logging

    import pandas
    from prophet import Prophet

    logging.getLogger("cmdstanpy").disabled = True
    times = pandas.date_range("2024-01-01", periods=len(values) + horizon, freq=f"{int(step_s)}s")
    model = Prophet(uncertainty_samples=0)
    model.fit(pandas.DataFrame({"ds": times[: len(values)], "y": values}))
    return model.predict(pandas.DataFrame({"ds": times[len(values) :]}))["yhat"].to_numpy()


def filled(values):
    y = np.array([math.nan if v is None else v for v in values], dtype=float)
    known = np.flatnonzero(~np.isnan(y))
    return np.interp(np.arange(len(y)), known, y[known])


def ours(binary, trace, options):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [binary, "forecast", "--trace", trace, "--json", str(out), "--threads", "1"]
        command += ["--models", ",".join(MODELS + (["piecewise"] if options.prophet else []))]
        command += ["--windows", str(options.windows), "--train", options.train]
        command += ["--horizon", options.horizon]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())["traces"][0]


def compare(scores, options):
    """Per model: error ratio, our seconds, reference seconds; None where one side has none."""
    y, horizon, result = scores["y"], scores["horizon_steps"], {}
    for model in scores["models"]:
        name, errors, seconds, fits = model["model"], [0.0, 0.0, 0], 0.0, 0
        if model["fit_s"] is None or model["predict_s"] is None:
            continue
        for cutoff, seasons, said in zip(scores["cutoffs"], scores["seasons"], model["at_cutoffs"]):
            past = filled(y[cutoff - scores["train_steps"] : cutoff])
            begun = time.perf_counter()
            if name == "piecewise":
                path = fit_prophet(past, scores["step_s"], horizon)
            else:
                fresh = reference(name, seasons)
                if fresh is None or said is None:
                    continue
                path = fresh.fit(past).predict(horizon)["mean"]
            seconds += time.perf_counter() - begun
            fits += 1
            # A rate is not negative: neither side says so.
            for actual, a, b in zip(y[cutoff : cutoff + horizon], said, np.maximum(path, 0.0)):
                if actual is not None:
                    errors = [errors[0] + abs(actual - a), errors[1] + abs(actual - b), errors[2] + 1]
        if errors[2] and errors[1] > 0:
            own = model["fit_s"] + model["predict_s"]
            result[name] = (errors[0] / errors[1], own, seconds / fits)
    return result


def warm():
    y = 50 + 10 * np.sin(np.arange(96) * 2 * np.pi / 12) + np.random.default_rng(1).normal(size=96)
    for name in MODELS:
        for seasons in ([12], [30]):
            reference(name, seasons).fit(y).predict(3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--foresail", required=True, help="the binary, optimised")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--train", default="3d")
    parser.add_argument("--horizon", default="15m")
    parser.add_argument("--prophet", action="store_true", help="compare `piecewise` with prophet, too")
    parser.add_argument("trace", nargs="+")
    options = parser.parse_args()
    missing = [trace for trace in options.trace if not Path(trace).is_file()]
    if missing:
        sys.exit(f"no such trace: {', '.join(missing)}; name recordings by TRACES=")
    warm()
    table = {}
    print(f"{'trace':<24} {'model':<15} {'error ratio':>11} {'ours ms':>9} {'theirs ms':>10} {'faster':>8}")
    for trace in options.trace:
        scores = ours(options.foresail, trace, options)
        for name, (ratio, own, theirs) in compare(scores, options).items():
            table.setdefault(name, []).append((ratio, theirs / own))
            print(
                f"{scores['trace']:<24} {name:<15} {ratio:>11.3f} {own * 1e3:>9.2f} "
                f"{theirs * 1e3:>10.1f} {theirs / own:>7.0f}x",
                flush=True,
            )
    print(f"over {len(options.trace)} traces, geometric means (error: ours / reference)")
    for name, rows in table.items():
        mean = lambda values: math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values))
        ratios, speeds = [row[0] for row in rows], [row[1] for row in rows]
        within = sum(ratio <= 1.02 for ratio in ratios)
        print(
            f"  {name:<15} error {mean(ratios):.3f} (at most 1.02 on {within} of {len(rows)}), "
            f"{mean(speeds):.0f}x as fast, at least {min(speeds):.0f}x"
        )


if __name__ == "__main__":
    main()
