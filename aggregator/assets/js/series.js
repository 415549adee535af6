// What the page knows of one workload over time, and how it becomes columns for the charts.

/** Time spans one can look at, and the history tier that serves each. */
export const RANGES = [
  { id: "5m", label: "5 min", seconds: 300, tier: "1s", step: 1 },
  { id: "15m", label: "15 min", seconds: 900, tier: "1s", step: 1 },
  { id: "1h", label: "1 h", seconds: 3600, tier: "15s", step: 15 },
  { id: "6h", label: "6 h", seconds: 21600, tier: "15s", step: 15 },
  { id: "24h", label: "24 h", seconds: 86400, tier: "15s", step: 15 },
  { id: "7d", label: "7 d", seconds: 604800, tier: "5m", step: 300 },
  { id: "28d", label: "28 d", seconds: 2419200, tier: "5m", step: 300 },
];

export const DEFAULT_RANGE = "15m";

/** The aggregator still takes frames this late, so the newest windows may change after they were read. */
const LATE_SECONDS = 12;

/** A young aggregator's few points are not pressed into a corner of an empty chart. */
const LEAST_SPAN_SECONDS = 120;

const MAX_DECISIONS = 500;

const HISTORY_FIELDS = [
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
  }

  /** Adds windows, replacing those that were read before. */
  addHistory({ step_seconds: step, points }) {
    this.#step = step;
    for (const point of points) this.#points.set(point.t, point);
  }

  /** From when on history must be read again. */
  readAgainFrom(range, now) {
    const start = now - range.seconds;
    const newest = this.newestPoint;
    return newest === null ? start : Math.max(start, newest - Math.max(LATE_SECONDS, 2 * range.step));
  }

  get newestPoint() {
    let newest = null;
    for (const t of this.#points.keys()) if (newest === null || t > newest) newest = t;
    return newest;
  }

  /** The history has no count of existing replicas and is late with the others, so what is seen of them is kept. */
  addReplicas(t, { current_replicas, ready_replicas, desired_replicas }) {
    this.#replicas.set(Math.floor(t), { current_replicas, ready_replicas, desired_replicas });
  }

  /** Returns whether any of them is new. */
  addDecisions(decisions) {
    const before = this.#decisions.size;
    for (const decision of decisions) {
      this.#decisions.set(decision.sequence, decision);
      const { current_replicas, ready_replicas } = decision.observation;
      const { desired_replicas } = decision;
      this.addReplicas(journalSeconds(decision.at), { current_replicas, ready_replicas, desired_replicas });
    }
    return this.#decisions.size !== before;
  }

  /** Newest first. */
  get decisions() {
    return [...this.#decisions.values()].sort((a, b) => b.sequence - a.sequence);
  }

  /** Forgets what no range can show any more. */
  prune(now, range) {
    const oldest = now - range.seconds - 60;
    for (const map of [this.#points, this.#replicas, this.#foreseen]) {
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
   * for a time that has come; `replicas`, with what was seen of them where history has nothing; and the time span.
   */
  columns(now, range, newest) {
    const start = now - range.seconds;
    const history = this.#historyColumns(start, newest ?? now);
    const ahead = { t: [], point: [], lower: [], upper: [] };
    for (const step of this.#forecast?.points ?? []) {
      if (step.t < now - Math.max(this.#step, 60)) continue;
      ahead.t.push(step.t);
      ahead.point.push(step.point);
      ahead.lower.push(step.lower);
      ahead.upper.push(step.upper);
    }
    const then = this.#forecastThen(start, now);
    const replicas = {
      current: this.#replicaColumn(start, "current_replicas"),
      ready: this.#replicaColumn(start, "ready_replicas"),
      desired: this.#replicaColumn(start, "desired_replicas"),
    };

    const first = history.t[0] ?? now;
    const from = Math.min(Math.max(start, first), now - Math.min(LEAST_SPAN_SECONDS, range.seconds));
    const to = Math.max(now, ahead.t.at(-1) ?? now);
    return { history, ahead, then, replicas, now, from, to };
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

  #replicaColumn(start, field) {
    const byTime = new Map();
    for (const [t, seen] of this.#replicas) if (t >= start) byTime.set(t, seen[field] ?? null);
    if (!HISTORY_FIELDS.includes(field)) return columnOf(byTime);
    for (const [t, point] of this.#points) {
      const value = point[field] ?? null;
      if (t >= start && (value !== null || !byTime.has(t))) byTime.set(t, value);
    }
    return columnOf(byTime);
  }

  /** As far as this page has seen forecasts, those; before, what the decisions have looked at. */
  #forecastThen(start, now) {
    const firstSeen = Math.min(...this.#foreseen.keys());
    const byTime = new Map();
    for (const { at, forecast } of this.#decisions.values()) {
      if (!forecast) continue;
      const t = Math.round(journalSeconds(at) + durationSeconds(forecast.horizon));
      if (t >= start && t <= now && t < firstSeen) byTime.set(t, forecast);
    }
    for (const [t, step] of this.#foreseen) if (t >= start && t <= now) byTime.set(t, step);
    const t = [...byTime.keys()].sort((a, b) => a - b);
    return {
      t,
      point: t.map((at) => byTime.get(at).point),
      upper: t.map((at) => byTime.get(at).upper),
    };
  }

  /** Lengths of what is held, for tests and for curiosity. */
  get sizes() {
    return {
      history: this.#points.size,
      forecast: this.#forecast?.points.length ?? 0,
      decisions: this.#decisions.size,
      replicas: this.#replicas.size,
    };
  }
}

function columnOf(byTime) {
  const t = [...byTime.keys()].sort((a, b) => a - b);
  return { t, v: t.map((at) => byTime.get(at)) };
}
