// The page of one workload: state, figures, charts, decisions.

import * as api from "./api.js";
import { linesOf, makeCharts } from "./chart-specs.js";
import { DecisionTable } from "./decisions.js";
import { h, setData, setHidden, setText } from "./dom.js";
import { csvOf, pictureOf, save } from "./download.js";
import { Figures } from "./figures.js";
import { clock, count, duration, latency, percent, rps } from "./format.js";
import { HistoryTable } from "./history-table.js";
import { Insights } from "./insights.js";
import { beginOf, fixedRange, heatTier, isLive, RANGES, DEFAULT_RANGE } from "./ranges.js";
import { addressOf } from "./route.js";
import { Series } from "./series.js";
import { SpanControls } from "./span-controls.js";
import { ageOf, freshnessOf, keyOf, STALE_SECONDS } from "./workload.js";

const DECISIONS_READ = 200;
/** A forecast is read again with each decision, and this often in any case. */
const FORECAST_SECONDS = 10;
const HEAT_SECONDS = 10;
const SUMMARY_SECONDS = 15;
/** After a failure nothing is asked again for so long. */
const RETRY_SECONDS = 3;

export class WorkloadPage {
  #route;
  #workload = null;
  #series = new Series();
  #aborted = new AbortController();
  #busy = false;
  #loaded = false;
  #due = { history: 0, heat: 0, track: 0, forecast: 0, decisions: 0 };
  #summaryDue = 0;
  #summaries = {};
  #connected = false;
  #drawn = null;

  #figures = new Figures();
  #notice = h("p", { class: "notice notice-bad", role: "alert", dataset: { testid: "stale-notice" }, hidden: true });
  #warming = h("p", { class: "notice notice-info", role: "status", dataset: { testid: "warming-notice" }, hidden: true });
  #error = h("p", { class: "notice notice-warn", role: "alert", dataset: { testid: "read-notice" }, hidden: true });
  #insights = new Insights();
  #decisions = new DecisionTable();
  #table = new HistoryTable(() => this.#draw());
  #zoom = { show: (from, to) => this.#show(from, to), live: () => this.#live() };
  #charts = makeCharts(() => this.#workload, this.#zoom);
  #controls = new SpanControls({
    ...this.#zoom,
    span: () => this.#drawn ?? { from: beginOf(this.#route.range, api.serverNow()), to: api.serverNow(), now: api.serverNow() },
    csv: () => this.#saveCsv(),
    png: () => this.#savePicture(),
  });

  constructor(route) {
    this.#route = route;
    const { badges, figures, why } = this.#figures.elements;
    const charts = h(
      "div",
      {
        class: "charts",
        role: "group",
        tabindex: "0",
        "aria-label": "Charts. Arrow keys move in time, plus and minus zoom, 0 goes back to now.",
        dataset: { testid: "charts" },
      },
      Object.values(this.#charts).map((chart) => chart.element),
    );
    const title = h("h1", { class: "title", tabindex: "-1" }, h("span", { class: "title-namespace" }, `${route.namespace} / `), route.name);
    this.element = h(
      "article",
      { class: "workload", dataset: { testid: "workload-page", key: keyOf(route), state: "loading" } },
      h("p", { class: "crumb" }, h("a", { href: "#/", dataset: { testid: "to-all" } }, "← All workloads")),
      h("div", { class: "page-head" }, title, this.#controls.element),
      this.#controls.words,
      badges,
      this.#notice,
      this.#warming,
      this.#error,
      figures,
      why,
      charts,
      this.#insights.element,
      this.#decisions.element,
      this.#table.element,
    );
    this.#controls.attach(charts);
    this.#controls.show(route);
  }

  get series() {
    return this.#series;
  }

  /** The columns that the charts show. */
  get drawn() {
    return this.#drawn;
  }

  setRange(route) {
    this.#route = route;
    this.#series.clear();
    this.#loaded = false;
    Object.assign(this.#due, { history: 0, heat: 0, track: 0, forecast: 0 });
    this.#controls.show(route);
    this.#read();
  }

  /** Puts a chosen span into the address, from where it is read. */
  #show(from, to) {
    const range = fixedRange(from, to, api.serverNow());
    location.hash = addressOf({ ...this.#route, range });
  }

  #live() {
    const range = RANGES.find(({ id }) => id === DEFAULT_RANGE);
    location.hash = addressOf({ ...this.#route, range: this.#route.range.fixed ? range : this.#route.range });
  }

  /** Takes the figures of a tick, and reads what else is due. */
  tick(workload) {
    const now = api.serverNow();
    this.#workload = workload;
    this.#series.addReplicas(now, workload);
    this.#series.prune(now, this.#route.range);
    this.#figures.show(workload);
    setData(this.element, "newest", workload.newest ?? "");
    this.age();
    this.#insights.read(workload, now, this.#aborted.signal);
    this.#read();
  }

  addDecision(decision) {
    if (this.#series.addDecisions([decision])) this.#decisions.update(this.#series.decisions);
    this.#due.forecast = 0;
  }

  /** After a lost connection there is a hole that only reading again fills. */
  reconnected() {
    for (const what of Object.keys(this.#due)) this.#due[what] = 0;
    this.#insights.renew();
  }

  setConnected(connected) {
    this.#connected = connected;
    this.age();
  }

  /** Shows how old the figures are; called each second, connection or not. */
  age() {
    if (this.#workload === null) return;
    const now = api.serverNow();
    const age = ageOf(this.#workload, now);
    const freshness = freshnessOf(this.#workload, now);
    this.#figures.showAge(age, freshness);
    setData(this.element, "freshness", freshness);
    setHidden(this.#notice, freshness === "fresh" || freshness === "late");
    setText(this.#notice, this.#staleWords(freshness, age));
    this.#notice.className = `notice ${freshness === "stale" ? "notice-bad" : "notice-warn"}`;
    this.#showWarming(freshness);
    if (!this.#connected) this.#draw();
  }

  #staleWords(freshness, age) {
    if (freshness === "none") {
      return `No data yet for ${keyOf(this.#route)}. Foresail waits for the first frame of a proxy that carries the filter: see that the filter is loaded, and that its aggregator cluster and path lead here.`;
    }
    if (freshness !== "stale") return "";
    const blame = this.#connected ? "" : " This page has lost the aggregator, which may know more.";
    return `The newest data is ${duration(age)} old, and the figures below are as old. Nothing is scaled down on data older than ${STALE_SECONDS} s.${blame}`;
  }

  #showWarming(freshness) {
    const { mode, desired_replicas: desired } = this.#workload;
    const { forecast } = this.#series;
    const fresh = freshness === "fresh" || freshness === "late";
    const words = !fresh
      ? ""
      : !mode
        ? "Watched only: this workload reports, and is not in the configuration, so nothing is decided for it."
        : desired === null
          ? "Warming up: data comes in, and the first decision follows the first decision interval."
          : forecast !== null && forecast.model === null
            ? "Warming up: no forecast is ready yet. Until one is, decisions follow the measured load alone."
            : "";
    setText(this.#warming, words);
    setHidden(this.#warming, words === "");
  }

  async #read() {
    if (this.#busy) return;
    this.#busy = true;
    const { range } = this.#route;
    const { signal } = this.#aborted;
    const now = api.serverNow();
    try {
      const wanted = this.#ask(range, now, signal);
      await Promise.all(wanted);
      // When nothing was due, nothing has become better either.
      if (wanted.length > 0) {
        if (range === this.#route.range) this.#loaded = true;
        setData(this.element, "state", "ready");
        setHidden(this.#error, true);
      }
    } catch (error) {
      if (signal.aborted) return;
      for (const what of Object.keys(this.#due)) this.#due[what] = now + RETRY_SECONDS;
      if (this.element.dataset.state !== "ready") setData(this.element, "state", "failed");
      setText(this.#error, `Could not read this workload's history: ${error.message}. Trying again.`);
      setHidden(this.#error, !this.#connected);
    } finally {
      this.#busy = false;
    }
    this.#draw();
  }

  /** What is due, asked for; `range` is the one that was looked at when it was asked. */
  #ask(range, now, signal) {
    const route = this.#route;
    const wanted = [];
    const ask = (what, seconds, question, take) => {
      if (now < this.#due[what]) return;
      this.#due[what] = now + seconds;
      wanted.push(question().then((answer) => {
        if (range === this.#route.range) take(answer);
      }));
    };
    const until = range.fixed ? range.to : undefined;
    const again = isLive(range, now) ? 1 : Infinity;
    const since = this.#loaded ? this.#series.readAgainFrom(range, now) : beginOf(range, now);
    ask("history", Math.min(30, range.step / 3) * again, () => api.getHistory(route, range.tier, since, until, signal), (history) => this.#series.addHistory(history));
    const heatSince = this.#loaded ? this.#series.readHeatFrom(range, now) : beginOf(range, now) - 300;
    ask("heat", HEAT_SECONDS * again, () => api.getHeatmap(route, heatTier(range, now), heatSince, until, signal), (heat) => this.#series.addHeat(heat));
    ask("track", Infinity, () => api.getTrack(route, beginOf(range, now) - 300, until, signal), (decided) => this.#series.addTrack(decided));
    ask("forecast", FORECAST_SECONDS, () => api.getForecast(route, signal), (forecast) => {
      this.#series.setForecast(forecast, now);
      this.#figures.showForecast(forecast, api.serverNow());
      this.#insights.takeForecast(forecast);
      setData(this.element, "issued", forecast?.issued_at ?? "");
    });
    ask("decisions", Infinity, () => api.getDecisions(route, DECISIONS_READ, signal), (decisions) => {
      this.#series.addDecisions(decisions);
      this.#decisions.update(this.#series.decisions);
    });
    return wanted;
  }

  #draw() {
    if (!this.#loaded || this.#workload === null || document.hidden) return;
    const now = api.serverNow();
    const columns = this.#series.columns(now, this.#route.range, this.#workload.newest);
    this.#drawn = columns;
    this.#summarise(now);
    for (const [name, lines] of Object.entries(linesOf(columns))) {
      this.#charts[name].update(lines, columns, this.#summaries[name]);
    }
    this.#table.update(columns);
  }

  /** The charts in words, renewed now and then so that a screen reader is not flooded. */
  #summarise(now) {
    if (now < this.#summaryDue) return;
    this.#summaryDue = now + SUMMARY_SECONDS;
    const workload = this.#workload ?? {};
    const last = this.#series.forecast?.points?.at(-1);
    const span = `Last ${this.#route.range.label}, at ${clock(now)}: `;
    const expected = last
      ? `, expected ${rps(last.p50)}, with p90 ${rps(last.p90)} and p99 ${rps(last.p99)}, in ${duration(last.t - now)}`
      : ", no forecast yet";
    const latencies = `p50 ${latency(workload.p50_ms)}, p95 ${latency(workload.p95_ms)}, p99 ${latency(workload.p99_ms)}.`;
    this.#summaries = {
      rps: `${span}${rps(workload.rps)} per second${expected}.`,
      heat: `${span}${latencies}`,
      latency: `${span}${latencies}`,
      errors: `${span}${percent(workload.error_ratio)} of requests failed.`,
      replicas: `${span}${count(workload.desired_replicas)} desired, ${count(workload.ready_replicas)} ready.`,
    };
  }

  #fileName(extension) {
    return `foresail-${this.#route.namespace}-${this.#route.name}-${new Date(api.serverNow() * 1000).toISOString().slice(0, 19).replaceAll(":", "")}.${extension}`;
  }

  #saveCsv() {
    if (this.#drawn === null) return;
    save(new Blob([csvOf(this.#drawn)], { type: "text/csv" }), this.#fileName("csv"));
  }

  async #savePicture() {
    const heading = `${keyOf(this.#route)}, ${clock(api.serverNow())}`;
    const picture = await pictureOf(Object.values(this.#charts), heading);
    if (picture !== null) save(picture, this.#fileName("png"));
  }

  redraw() {
    this.#draw();
  }

  restyle() {
    for (const chart of Object.values(this.#charts)) chart.restyle();
    this.#insights.restyle();
  }

  destroy() {
    this.#aborted.abort();
    for (const chart of Object.values(this.#charts)) chart.destroy();
    this.#insights.destroy();
    this.element.remove();
  }
}
