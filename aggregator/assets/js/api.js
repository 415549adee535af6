// Everything that is asked of the aggregator: JSON by fetch, and the stream of events.

/** How far the server's clock is ahead of this machine's, in seconds. */
let clockOffset = 0;

/** Now, by the server's clock, in Unix seconds. */
export const serverNow = () => Date.now() / 1000 + clockOffset;

/** The `Date` header has whole seconds, so only a difference that cannot be rounding counts. */
function learnClock(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  const offset = (date + 500 - Date.now()) / 1000;
  clockOffset = Math.abs(offset) > 2 ? offset : 0;
}

async function getJson(path, signal) {
  const response = await fetch(path, { signal, headers: { accept: "application/json" } });
  learnClock(response);
  if (!response.ok) {
    const error = new Error(`${path} answered ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return response.json();
}

const workloadPath = ({ namespace, name }) =>
  `v1/workloads/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;

const span = (since, until) =>
  `since=${Math.floor(since)}${until === undefined ? "" : `&until=${Math.ceil(until)}`}`;

export const getHistory = (workload, tier, since, until, signal) =>
  getJson(`${workloadPath(workload)}/history?tier=${tier}&${span(since, until)}`, signal);

export const getHeatmap = (workload, tier, since, until, signal) =>
  getJson(`${workloadPath(workload)}/heatmap?tier=${tier}&${span(since, until)}`, signal);

export const getTrack = async (workload, since, until, signal) =>
  (await getJson(`${workloadPath(workload)}/track?${span(since, until)}`, signal)).decided;

export const getBudget = (workload, signal) => getJson(`${workloadPath(workload)}/budget`, signal);

export const getCapacity = (workload, signal) => getJson(`${workloadPath(workload)}/capacity`, signal);

export const getShadows = (workload, signal) => getJson(`${workloadPath(workload)}/shadows`, signal);

export const getForecast = (workload, signal) =>
  getJson(`${workloadPath(workload)}/forecast`, signal);

export const getDecisions = async (workload, limit, signal) =>
  (await getJson(`${workloadPath(workload)}/decisions?limit=${limit}`, signal)).decisions;

/** A tick is due each second; after this long without one the stream counts as lost. */
const SILENCE_SECONDS = 5;
const RETRY_SECONDS = [1, 1, 2, 3, 5];

/**
 * Listens to `/v1/events` and goes on trying when it is lost. `handlers` has `tick`, `decision`, and `state`, which
 * is called with "connecting", "live" or "lost". Returns what changes whom it listens to: one workload, or with null all,
 * whose decisions nobody looks at.
 */
export function listen(handlers, begin) {
  let source = null;
  let attempts = 0;
  let lastTick = performance.now();
  let retry = null;
  let watched = begin;

  const connect = () => {
    clearTimeout(retry);
    retry = null;
    lastTick = performance.now();
    source?.close();
    const query = new URLSearchParams(watched === null ? { decisions: false } : { workload: `${watched.namespace}/${watched.name}` });
    source = new EventSource(`v1/events?${query}`);
    source.addEventListener("tick", (event) => {
      lastTick = performance.now();
      attempts = 0;
      handlers.state("live");
      handlers.tick(JSON.parse(event.data));
    });
    source.addEventListener("decision", (event) => handlers.decision(JSON.parse(event.data)));
    source.addEventListener("error", lose);
  };

  // The browser's own retries stop for good at an HTTP error, so ours replace them.
  const lose = () => {
    source?.close();
    source = null;
    if (retry !== null) return;
    handlers.state("lost");
    const seconds = RETRY_SECONDS[Math.min(attempts, RETRY_SECONDS.length - 1)];
    attempts += 1;
    retry = setTimeout(connect, seconds * 1000);
  };

  setInterval(() => {
    if (source !== null && performance.now() - lastTick > SILENCE_SECONDS * 1000) lose();
  }, 1000);
  // A laptop that wakes up, or a network that comes back, need not wait for the timer.
  addEventListener("online", () => {
    if (retry !== null) connect();
  });

  handlers.state("connecting");
  connect();
  return (workload) => {
    watched = workload;
    connect();
  };
}
