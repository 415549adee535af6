// Which charts a workload's page has, and what each shows.

import { TimeChart } from "./charts.js";
import { count, latency, percent, quantile, rps } from "./format.js";
import { Heatmap } from "./heatmap.js";

/** `workload` gives the figures of the newest tick, or null; `zoom` is told which span is chosen. */
export function makeCharts(workload, zoom) {
  const marks = () => {
    const goal = workload()?.objective;
    if (!goal) return [];
    const words = `${quantile(goal.quantile)} ≤ ${latency(goal.latency_ms)}`;
    return [{ value: goal.latency_ms, label: "objective", words, color: "--c-objective" }];
  };
  return {
    rps: new TimeChart(REQUESTS, zoom),
    heat: new Heatmap(marks, zoom),
    latency: new TimeChart({ ...LATENCY, marks }, zoom),
    replicas: new TimeChart(REPLICAS, zoom),
    errors: new TimeChart(ERRORS, zoom),
  };
}

const REQUESTS = {
  id: "rps",
  title: "Requests",
  unit: "per second",
  height: 270,
  wide: true,
  format: rps,
  floor: 1,
  lines: [
    { key: "p99", label: "p99", color: "--c-band-edge", swatch: "s-band", width: 1 },
    { key: "p90", label: "p90", color: "--c-band-edge", swatch: "s-band-inner", width: 1 },
    { key: "thenUpper", label: "upper", color: "--c-then", swatch: "s-then", width: 1, dash: [1, 4], legend: false },
    { key: "then", label: "forecast then", color: "--c-then", swatch: "s-then", width: 1.5, dash: [5, 4] },
    { key: "p50", label: "forecast p50", color: "--c-forecast", swatch: "s-forecast", width: 2 },
    { key: "actual", label: "actual", color: "--c-actual", swatch: "s-actual", width: 1.75 },
  ],
  bands: [["p99", "p90", "--c-band-outer"], ["p90", "p50", "--c-band"]],
};

const LATENCY = {
  id: "latency",
  title: "Latency",
  unit: "of finished requests",
  height: 260,
  format: latency,
  floor: 1,
  lines: [
    { key: "p50", label: "p50", color: "--c-p50", swatch: "s-p50" },
    { key: "p95", label: "p95", color: "--c-p95", swatch: "s-p95" },
    { key: "p99", label: "p99", color: "--c-p99", swatch: "s-p99" },
  ],
};

const REPLICAS = {
  id: "replicas",
  title: "Replicas",
  unit: "",
  height: 200,
  format: count,
  floor: 2,
  whole: true,
  lines: [
    { key: "current", label: "existing", color: "--c-current", swatch: "s-current", stepped: true },
    { key: "without", label: "without the forecast", color: "--c-then", swatch: "s-then", stepped: true, dash: [4, 3] },
    { key: "desired", label: "desired", color: "--c-forecast", swatch: "s-forecast", stepped: true, width: 2 },
    { key: "ready", label: "ready", color: "--c-ready", swatch: "s-ready", stepped: true, width: 2 },
  ],
};

const ERRORS = {
  id: "errors",
  title: "Errors",
  unit: "share of requests",
  height: 200,
  format: percent,
  floor: 0.01,
  lines: [{ key: "errors", label: "failed", color: "--c-error", swatch: "s-error" }],
};

/** What each chart draws of the columns. */
export function linesOf({ history, ahead, then, replicas, heat }) {
  const of = (field) => ({ t: history.t, v: history[field] });
  const forecast = (field) => ({ t: ahead.t, v: ahead[field] });
  return {
    rps: {
      p99: forecast("p99"),
      p90: forecast("p90"),
      p50: forecast("p50"),
      thenUpper: { t: then.t, v: then.upper },
      then: { t: then.t, v: then.point },
      actual: of("rps"),
    },
    heat,
    latency: { p50: of("p50_ms"), p95: of("p95_ms"), p99: of("p99_ms") },
    replicas,
    errors: { errors: of("error_ratio") },
  };
}
