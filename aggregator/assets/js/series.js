// What the page knows of one workload over time, and how it becomes columns for the charts.

import { beginOf } from "./ranges.js";

/** The aggregator still takes frames this late, so the newest windows may change after they were read. */
const LATE_SECONDS = 12;

/** A young aggregator's few points are not pressed into a corner of an empty chart. */
const LEAST_SPAN_SECONDS = 120;

const MAX_DECISIONS = 500;
/** What was seen of replicas and forecasts is kept at least so long, for a look at a longer span. */
const KEEP_SECONDS = 3600;

export const HISTORY_FIELDS = [
  "rps",
  "p50_ms",
  "p90_ms",
  "p95_ms",
  "p99_ms",
  "p999_ms",
  "error_ratio",
  "concurrency",
  "coverage",
  "ready_replicas",
  "desired_replicas",
];

/** serde's `Duration`, in seconds. */
export const durationSeconds = (value) =>
  typeof value === "number" ? value : value.secs + value.nanos / 1e9;

/** The journal's instants are whole microseconds. */
export const journalSeconds = (micros) => micros / 1e6;

export class Series {
  #points = new Map();
  #replicas = new Map();
  #foreseen = new Map();
  #decisions = new Map();
  #heat = new Map();
  #edges = [];
  #heatStep = 15;
  #step = 1;
  #forecast = null;

  /** The newest forecast as the aggregator gave it, or null. */
  get forecast() {
    return this.#forecast;
  }

  /** Keeps, for every time to come, what was first forecast for it. */
  setForecast(forecast, now) {
    this.#forecast = forecast;
    for (const step of forecast.points) {
      if (step.t > now && !this.#foreseen.has(step.t)) this.#foreseen.set(step.t, step);
    }
  }

  /** Starts over, for another range. */
  clear() {
    this.#points.clear();
    this.#heat.clear();
  }

  /** Adds windows, replacing those that were read before. */
  addHistory({ step_seconds: step, points }) {
    this.#step = step;
    for (const point of points) this.#points.set(point.t, point);
  }

  addHeat({ step_seconds: step, edges_ms: edges, columns }) {
    this.#heatStep = step;
    this.#edges = edges;
    for (const column of columns) this.#heat.set(column.t, column);
  }

  /** From when on history must be read again. */
  readAgainFrom(range, now) {
    const newest = this.newestPoint;
    const begin = beginOf(range, now);
    return newest === null ? begin : Math.max(begin, newest - Math.max(LATE_SECONDS, 2 * range.step));
  }

  /** From when on the heatmap must be read again. */
  readHeatFrom(range, now) {
    return Math.max(beginOf(range, now), ...this.#heat.keys());
  }

  get newestPoint() {
    let newest = null;
    for (const t of this.#points.keys()) if (newest === null || t > newest) newest = t;
    return newest;
  }

  /** The history has no count of existing replicas and is late with the others, so what is seen of them is kept. */
  addReplicas(t, { current_replicas, ready_replicas, desired_replicas, without_forecast }) {
    const known = this.#replicas.get(Math.floor(t))?.without_forecast;
    const without = without_forecast ?? known;
    this.#replicas.set(Math.floor(t), { current_replicas, ready_replicas, desired_replicas, without_forecast: without });
  }

  /** Takes what was decided over a span, in brief. */
  addTrack(decided) {
    for (const one of decided) {
      this.addReplicas(one.t, one);
      if (one.forecast) this.#foreseen.set(Math.round(one.forecast.t), one.forecast);
    }
  }

  /** Returns whether any of them is new. */
  addDecisions(decisions) {
    const before = this.#decisions.size;
    for (const decision of decisions) {
      this.#decisions.set(decision.sequence, decision);
      const { current_replicas, ready_replicas } = decision.observation;
      const { desired_replicas, without_forecast } = decision;
      const seen = { current_replicas, ready_replicas, desired_replicas, without_forecast };
      this.addReplicas(journalSeconds(decision.at), seen);
    }
    return this.#decisions.size !== before;
  }

  /** Newest first. */
  get decisions() {
    return [...this.#decisions.values()].sort((a, b) => b.sequence - a.sequence);
  }

  /** Forgets what no range can show any more. */
  prune(now, range) {
    const oldest = Math.min(beginOf(range, now), now - KEEP_SECONDS) - 60;
    for (const map of [this.#points, this.#replicas, this.#foreseen, this.#heat]) {
      for (const t of map.keys()) if (t < oldest) map.delete(t);
    }
    const surplus = this.#decisions.size - MAX_DECISIONS;
    if (surplus > 0) {
      for (const { sequence } of this.decisions.slice(-surplus)) this.#decisions.delete(sequence);
    }
  }

  /**
   * Columns for the charts: `history` on its own grid, with null for what is missing, of windows that were over at
   * `newest`, for one that is not has counted too little; `ahead` for the forecast; `then` for what was forecast before
   * for a time that has come; `replicas`, with what was seen of them where history has nothing; `heat`; and the time span.
   */
  columns(now, range, newest) {
    const start = beginOf(range, now);
    const end = range.fixed ? range.to : Infinity;
    const history = this.#historyColumns(start, Math.min(newest ?? now, end));
    const ahead = this.#aheadColumns(now, end);
    const then = this.#forecastThen(start, Math.min(now, end));
    const replicas = {
      current: this.#replicaColumn(start, end, "current_replicas"),
      ready: this.#replicaColumn(start, end, "ready_replicas"),
      desired: this.#replicaColumn(start, end, "desired_replicas"),
      without: this.#replicaColumn(start, end, "without_forecast"),
    };
    const heat = this.#heatColumns(start, end);
    const first = history.t[0] ?? now;
    const from = range.fixed ? start : Math.min(Math.max(start, first), now - Math.min(LEAST_SPAN_SECONDS, range.seconds));
    const to = range.fixed ? end : Math.max(now, ahead.t.at(-1) ?? now);
    return { history, ahead, then, replicas, heat, now, from, to };
  }

  #aheadColumns(now, end) {
    const fields = ["point", "lower", "upper", "p50", "p90", "p99"];
    const ahead = { t: [], ...Object.fromEntries(fields.map((field) => [field, []])) };
    for (const step of this.#forecast?.points ?? []) {
      if (step.t < now - Math.max(this.#step, 60) || step.t > end) continue;
      ahead.t.push(step.t);
      for (const field of fields) ahead[field].push(step[field]);
    }
    return ahead;
  }

  #historyColumns(start, newest) {
    const columns = { t: [] };
    for (const field of HISTORY_FIELDS) columns[field] = [];
    const times = [...this.#points.keys()].filter((t) => t >= start && t + this.#step <= newest).sort((a, b) => a - b);
    let previous = null;
    for (const t of times) {
      // Windows that are not in the answer are gaps, just as those without a value.
      if (previous !== null && t - previous > 1.5 * this.#step) {
        columns.t.push(previous + this.#step);
        for (const field of HISTORY_FIELDS) columns[field].push(null);
      }
      previous = t;
      columns.t.push(t);
      const point = this.#points.get(t);
      for (const field of HISTORY_FIELDS) columns[field].push(point[field] ?? null);
    }
    return columns;
  }

  #heatColumns(start, end) {
    const columns = [...this.#heat.values()].filter(({ t }) => t + this.#heatStep > start && t < end);
    return { step: this.#heatStep, edges: this.#edges, columns: columns.sort((a, b) => a.t - b.t) };
  }

  #replicaColumn(start, end, field) {
    const byTime = new Map();
    const holds = (t) => t >= start && t <= end;
    for (const [t, seen] of this.#replicas) if (holds(t) && seen[field] !== undefined) byTime.set(t, seen[field]);
    if (HISTORY_FIELDS.includes(field)) {
      for (const [t, point] of this.#points) {
        const value = point[field] ?? null;
        if (holds(t) && value !== null) byTime.set(t, value);
      }
    }
    const t = [...byTime.keys()].sort((a, b) => a - b);
    return { t, v: t.map((at) => byTime.get(at)) };
  }

  /** What was forecast for each time that has come, when it was still ahead. */
  #forecastThen(start, now) {
    const t = [...this.#foreseen.keys()].filter((at) => at >= start && at <= now).sort((a, b) => a - b);
    return {
      t,
      point: t.map((at) => this.#foreseen.get(at).point),
      upper: t.map((at) => this.#foreseen.get(at).upper),
    };
  }

  /** Lengths of what is held, for tests and for curiosity. */
  get sizes() {
    return {
      history: this.#points.size,
      forecast: this.#forecast?.points.length ?? 0,
      decisions: this.#decisions.size,
      replicas: this.#replicas.size,
      heat: this.#heat.size,
    };
  }
}
