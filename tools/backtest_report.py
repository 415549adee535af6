#!/usr/bin/env python3
"""Sums up reports of `foresail backtest --sweep --json`: the figures of docs/backtest.md.

    tools/backtest_report.py REPORT.json [REPORT.json ...]

Reports with the same scenario are taken together: their traces as one set, the policies of a trace
that stands in several side by side (peers may have been run apart).
"""

import json
import math
import statistics
import sys

LEVELS = [0.02, 0.01, 0.005]
# A policy keeps its budget when it misses it by no more than this factor.
WITHIN = 1.2
# The report of whom "cheapest" and "above the best peer" are said.
OWN = "foresail"


def merged(paths):
    """Traces by name, each with its policies by name, and the scenario of all."""
    traces, scenario = {}, None
    for path in paths:
        with open(path) as file:
            report = json.load(file)
        if scenario not in (None, report["scenario"]):
            sys.exit(f"{path}: another scenario than in the reports before it")
        scenario = report["scenario"]
        for trace in report["traces"]:
            policies = {policy["policy"]: policy for policy in trace["policies"]}
            traces.setdefault(trace["trace"], {}).update(policies)
    return scenario, traces


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def cost_at(policy, level):
    found = [at for at in policy["cost_at"] if abs(at["violation"] - level) < 1e-9]
    return found[0]["cost_over_oracle"] if found else None


def default(policy):
    return next(run for run in policy["runs"] if run["is_default"])


def frontier(traces, names):
    """Cost at equal violation, over the traces on which every policy but those that fail reaches it."""
    print("frontier: cost over the oracle's with the best knob of each trace in hindsight (traces reached)")
    print(f"  {'policy':<22}" + "".join(f"{f'at {level:.1%}':>14}" for level in LEVELS))
    for name in names:
        cells = []
        for level in LEVELS:
            costs = [cost_at(policies[name], level) for policies in traces.values() if name in policies]
            known = [cost for cost in costs if cost is not None]
            cells.append(f"{geometric_mean(known):.3f} ({len(known)}/{len(costs)})")
        print(f"  {name:<22}" + "".join(f"{cell:>14}" for cell in cells))


def against_peers(traces, names):
    """How often Foresail is cheapest, and how far above the best peer it is at worst."""
    own = [name for name in names if name.startswith(OWN)]
    peers = [name for name in names if not name.startswith(OWN)]
    if not peers:
        return
    print("against the best peer of each trace, tuned in hindsight: cheapest on, at most above it, mean of cost")
    for name in own:
        cells = []
        for level in LEVELS:
            ratios = []
            for policies in traces.values():
                rivals = [cost_at(policies[peer], level) for peer in peers if peer in policies]
                rivals = [cost for cost in rivals if cost is not None]
                mine = cost_at(policies[name], level)
                if mine is not None:
                    ratios.append(mine / min(rivals) if rivals else 0.0)
            reached = [ratio for ratio in ratios if ratio > 0.0]
            wins = sum(ratio <= 1.0 for ratio in ratios)
            worst = (max(ratios) - 1.0) * 100.0
            cells.append(f"{level:.1%}: {wins}/{len(traces)} {worst:+.1f} % {geometric_mean(reached):.3f}")
        print(f"  {name:<22} " + "   ".join(cells))


def one_setting(scenario, traces, names):
    """What who sets nothing gets."""
    budget = scenario["budget"]
    print(f"one setting: traces within {WITHIN} times the budget of {budget:.1%}, and what the default does")
    print(
        f"  {'policy':<22}{'within':>8}{'/oracle':>9}{'slow %':>8}{'changes/h':>11}{'median':>8}"
        f"{'reversals/h':>13}{'median':>8}{'recovery s':>12}{'p99 us':>8}"
    )
    for name in names:
        runs = [default(policies[name]) for policies in traces.values() if name in policies]
        column = lambda key: [run[key] for run in runs]
        within = sum(run["violation"] <= WITHIN * budget for run in runs)
        recovery = statistics.mean(column("recovery_mean_steps")) * scenario["decision_interval_s"]
        times = [time for time in column("decision_p99_us") if time is not None]
        print(
            f"  {name:<22}{f'{within}/{len(runs)}':>8}{geometric_mean(column('cost_over_oracle')):>9.3f}"
            f"{statistics.median(column('slow_share')) * 100:>8.2f}"
            f"{statistics.mean(column('changes_per_hour')):>11.1f}{statistics.median(column('changes_per_hour')):>8.1f}"
            f"{statistics.mean(column('reversals_per_hour')):>13.2f}"
            f"{statistics.median(column('reversals_per_hour')):>8.2f}"
            f"{recovery:>12.0f}{max(times, default=math.nan):>8.0f}"
        )


def per_trace(traces, names):
    level = LEVELS[1]
    print(f"per trace: cost over the oracle's at {level:.1%}; violation and cost of the default")
    for trace, policies in sorted(traces.items()):
        cells = []
        for name in (name for name in names if name in policies):
            cost, run = cost_at(policies[name], level), default(policies[name])
            shown = "-" if cost is None else f"{cost:.3f}"
            cells.append(f"{name} {shown} ({run['violation']:.2%} {run['cost_over_oracle']:.3f})")
        print(f"  {trace:<12} " + ", ".join(cells))


def main(*paths):
    scenario, traces = merged(paths)
    names = list(dict.fromkeys(name for policies in traces.values() for name in policies))
    print(
        f"{len(traces)} traces, start-up {scenario['startup_s']:.0f} s, decisions every "
        f"{scenario['decision_interval_s']:.0f} s, mean {scenario['mean_replicas']:.0f} replicas"
    )
    if any(policy["cost_at"] for policies in traces.values() for policy in policies.values()):
        frontier(traces, names)
        against_peers(traces, names)
    one_setting(scenario, traces, names)
    per_trace(traces, names)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
