// The columns of the overview: what each shows of a workload, and by what it sorts.

import { count, duration, latency, MISSING, percent, quantile, rps } from "./format.js";
import { ageOf, healthOf, keyOf, modeOf } from "./workload.js";

/** What needs attention comes first. */
const SEVERITY = { missed: 0, stale: 1, none: 2, unknown: 3, met: 4 };

const judged = ({ objective, p50_ms: p50, p95_ms: p95, p99_ms: p99 }) => {
  if (!objective) return null;
  return objective.quantile <= 0.5 ? p50 : objective.quantile <= 0.95 ? p95 : p99;
};

/** Share of the greatest number of replicas that is not needed now. */
const spared = ({ current_replicas: current, max_replicas: most }) =>
  Number.isInteger(current) && Number.isInteger(most) && most > 0 ? 1 - current / most : null;

const replicas = ({ ready_replicas: ready, desired_replicas: desired }) => {
  const [from, to] = [count(ready), count(desired)];
  return ready === desired ? from : `${from} → ${to}`;
};

/** `sort` gives a number or text; null sorts last in both directions. */
export const COLUMNS = [
  {
    id: "health",
    label: "State",
    hint: "Whether the objective is met, and whether data comes in",
    sort: (workload, now) => SEVERITY[healthOf(workload, now).id],
  },
  { id: "name", label: "Workload", hint: "Name and namespace", sort: keyOf },
  { id: "rps", label: "Requests/s", hint: "Over the last seconds", text: ({ rps: rate }) => rps(rate), sort: ({ rps: rate }) => rate },
  {
    id: "forecast",
    label: "Forecast",
    hint: "Expected requests per second when a replica ordered now could serve, and their upper bound",
    text: ({ forecast_rps: point, forecast_upper_rps: upper }) => (point === null ? "none yet" : `${rps(point)} ≤ ${rps(upper)}`),
    sort: ({ forecast_rps: point }) => point,
  },
  {
    id: "latency",
    label: "Latency",
    hint: "The quantile that the objective is about, or the nearest that is measured, and the objective",
    text: (workload) => {
      const { objective } = workload;
      if (!objective) return latency(workload.p95_ms);
      return `${latency(judged(workload))} / ${quantile(objective.quantile)} ${latency(objective.latency_ms)}`;
    },
    sort: judged,
  },
  {
    id: "missed",
    label: "Missed",
    hint: "Share of the requests since the aggregator's start that were served while the objective was missed",
    text: ({ missed_share: share }) => percent(share),
    look: ({ missed_share: share, objective }) => (share !== null && objective && share > objective.budget ? "bad" : ""),
    sort: ({ missed_share: share }) => share,
  },
  { id: "replicas", label: "Replicas", hint: "Ready, and desired where that differs", text: replicas, sort: ({ ready_replicas: ready }) => ready },
  { id: "spared", label: "Below max", hint: "Share of the greatest number of replicas that does not run now", text: (workload) => percent(spared(workload)), sort: spared },
  { id: "mode", label: "Mode", hint: "Shadow decides and writes nothing", text: (workload) => modeOf(workload).name, sort: (workload) => modeOf(workload).name },
  {
    id: "age",
    label: "Data",
    hint: "Age of the newest data",
    text: (workload, now) => (ageOf(workload, now) === null ? MISSING : duration(ageOf(workload, now))),
    sort: ageOf,
  },
];

/** Sorts copies by a column; what is not known comes last, and equals by name. */
export function sorted(workloads, { sort, down }, now) {
  const column = COLUMNS.find(({ id }) => id === sort) ?? COLUMNS[0];
  const way = down ? -1 : 1;
  const rows = workloads.map((workload) => ({ workload, key: keyOf(workload), value: column.sort(workload, now) ?? null }));
  const compare = (a, b) => {
    if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1;
    if (a.value !== null && typeof a.value === "number" && a.value !== b.value) return way * (a.value - b.value);
    const byText = typeof a.value === "string" ? way * collator.compare(a.value, b.value) : 0;
    return byText !== 0 ? byText : collator.compare(a.key, b.key);
  };
  return rows.sort(compare).map(({ workload }) => workload);
}

const collator = new Intl.Collator("en", { numeric: true });
