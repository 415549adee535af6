// The dashboard: takes the stream of events, and keeps the overview or the chosen workload's page up to date.

import * as api from "./api.js";
import { h, setData, setHidden, setText } from "./dom.js";
import { duration } from "./format.js";
import { Overview } from "./overview.js";
import { readRoute } from "./route.js";
import { keyOf } from "./workload.js";
import { WorkloadPage } from "./workload-page.js";

const element = (id) => document.getElementById(id);
const main = element("main");

let workloads = null;
let summary = null;
let route = readRoute(api.serverNow());
let page = null;
let overview = null;
let shown = null;
let connection = "connecting";
let lostAt = null;
let lastTickAt = null;
let ticks = 0;
/** Another page was asked for, and is not shown yet. */
let isAwaited = false;

const EXAMPLE = `workloads:
  - namespace: shop
    name: checkout
    max_replicas: 20
    objective: { latency: 250ms }
    target_rps_per_replica: 30
    actuator: none`;

const states = {
  loading: () => [h("p", { role: "status" }, "Loading workloads…"), h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: 6 }, () => h("div", {})))],
  unreachable: () => [
    h("h1", {}, "The aggregator does not answer"),
    h("p", {}, "This page has loaded, and then nothing more came. It tries again by itself, every few seconds. See that ", h("code", {}, "foresail serve"), " runs, and what it logs."),
  ],
  empty: () => [
    h("h1", {}, "No workloads yet"),
    h("p", {}, "A workload appears here as soon as a proxy with the Foresail filter reports for it. To have Foresail decide for one, name it in the file that ", h("code", {}, "foresail serve --config"), " reads, and start it again:"),
    h("pre", { tabindex: "0" }, EXAMPLE),
    h("p", { class: "muted" }, "It starts in Shadow mode: every decision is shown here, and nothing is scaled until you say so."),
  ],
  unknown: () => [
    h("h1", {}, `There is no workload ${keyOf(route)}`),
    h("p", {}, "It may have another name, or nothing was heard of it yet: a new one appears with its first report. ", h("a", { href: "#/" }, "See all workloads")),
  ],
};

function clear() {
  page?.destroy();
  overview?.destroy();
  page = null;
  overview = null;
}

function showState(name) {
  const key = `${name} ${keyOf(route)}`;
  if (shown === key) return;
  shown = key;
  clear();
  document.title = "Foresail";
  main.replaceChildren(h("section", { class: "state", dataset: { testid: `state-${name}` } }, states[name]()));
}

function render() {
  if (workloads === null) {
    showState(lostAt === null ? "loading" : "unreachable");
    return;
  }
  summarise();
  if (summary.workloads === 0) showState("empty");
  else if (route.name === null) showOverview(api.serverNow());
  else showWorkload();
  announce();
}

/** What was asked for is read out, and the next Tab goes on from there. */
function announce() {
  const head = isAwaited ? main.querySelector("h1") : null;
  if (head === null) return;
  isAwaited = false;
  head.focus({ preventScroll: true });
}

function showOverview(now) {
  if (overview === null) {
    shown = "overview";
    clear();
    overview = new Overview(route.list);
    main.replaceChildren(overview.element);
    document.title = "Workloads · Foresail";
  }
  overview.update(workloads, now);
}

function showWorkload() {
  const key = keyOf(route);
  const workload = workloads.find((one) => keyOf(one) === key);
  if (workload === undefined) {
    showState("unknown");
    return;
  }
  if (shown !== `workload ${key}`) {
    shown = `workload ${key}`;
    clear();
    page = new WorkloadPage(route);
    page.setConnected(connection === "live");
    main.replaceChildren(page.element);
    document.title = `${key} · Foresail`;
  }
  page.tick(workload);
}

/** How all workloads are, as was heard last. */
function summarise() {
  const { workloads: all, met, missed, stale } = summary;
  const words = [`${all} ${all === 1 ? "workload" : "workloads"}`];
  if (met > 0) words.push(`${met} within objective`);
  if (missed > 0) words.push(`${missed} outside`);
  if (stale > 0) words.push(`${stale} stale`);
  setText(element("summary"), words.join(" · "));
}

/** Whom the stream of events is about: the workload that is looked at, or null for all. */
const watched = () => (route.name === null ? null : route);

function setConnection(state) {
  if (state === connection) return;
  const wasLost = lostAt !== null;
  connection = state;
  if (state === "lost" && lostAt === null) lostAt = Date.now();
  if (state === "live") {
    lostAt = null;
    if (wasLost) page?.reconnected();
  }
  page?.setConnected(state === "live");
  showConnection();
}

function showConnection() {
  const lost = lostAt !== null;
  setData(element("connection"), "state", lost ? "lost" : connection);
  setText(element("connection-text"), lost ? "Connection lost" : connection === "live" ? "Live" : "Connecting");
  const notice = element("connection-notice");
  setHidden(notice, !lost);
  if (lost) {
    const since = (Date.now() - lostAt) / 1000;
    setText(notice, `No connection to the aggregator for ${duration(since)}. What you see is the last that was heard; trying again by itself.`);
  }
}

/** What of the API server does not work; decisions may rest on what was known before. */
function showCluster(kubernetes) {
  const faults = kubernetes?.faults ?? [];
  const notice = element("cluster-notice");
  setHidden(notice, faults.length === 0);
  if (faults.length === 0) return;
  const [first] = faults;
  const others = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  setText(notice, `Kubernetes, for ${duration(api.serverNow() - first.since)}: ${first.message}${others}`);
}

addEventListener("hashchange", () => {
  const before = route;
  route = readRoute(api.serverNow());
  const same = before.namespace === route.namespace && before.name === route.name;
  if (same && page !== null) {
    if (before.range.id !== route.range.id) page.setRange(route);
    return;
  }
  if (same && overview !== null) {
    overview.setList(route.list);
    return;
  }
  // Of one workload alone there is no overview; of all there is the one.
  if (route.name === null) workloads = null;
  watch(watched());
  isAwaited = true;
  render();
  scrollTo(0, 0);
});

// As a plain link it would change the address, which says what is looked at.
element("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || overview === null) return;
  event.preventDefault();
  overview.focusSearch();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) page?.redraw();
});
for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
  matchMedia(query).addEventListener("change", () => page?.restyle());
}

setInterval(() => {
  showConnection();
  page?.age();
  // Ticks do this while there are any.
  if (lostAt !== null) {
    if (workloads === null || overview !== null) render();
  }
}, 1000);

const watch = api.listen({
  state: setConnection,
  tick(tick) {
    ticks += 1;
    lastTickAt = Date.now();
    workloads = tick.workloads;
    showCluster(tick.kubernetes);
    summary = tick.summary;
    render();
  },
  decision({ namespace, name, decision }) {
    if (page !== null && keyOf({ namespace, name }) === keyOf(route)) page.addDecision(decision);
  },
}, watched());

render();

/** What a test or a curious person may look at; nothing here changes the page. */
Object.defineProperty(window, "__foresail", {
  value: Object.freeze({
    get state() {
      return {
        connection,
        ticks,
        lastTickAt,
        workloads: summary?.workloads ?? null,
        selected: route.name === null ? null : keyOf(route),
        range: route.range.id,
        series: page?.series.sizes ?? null,
      };
    },
    /** A copy of the columns that the charts show. */
    get drawn() {
      return structuredClone(page?.drawn ?? null);
    },
  }),
});
