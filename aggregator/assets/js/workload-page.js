// The page of one workload: state, figures, charts, decisions.

import * as api from "./api.js";
import { TimeChart } from "./charts.js";
import { DecisionTable } from "./decisions.js";
import { h, setAttribute, setData, setHidden, setText, setValue } from "./dom.js";
import { clock, count, duration, latency, MISSING, percent, quantile, rps } from "./format.js";
import { HistoryTable } from "./history-table.js";
import { addressOf } from "./route.js";
import { RANGES, Series } from "./series.js";
import { ageOf, freshnessOf, keyOf, modeOf, STALE_SECONDS } from "./workload.js";

const DECISIONS_READ = 200;
/** A forecast is read again with each decision, and this often in any case. */
const FORECAST_SECONDS = 10;
const SUMMARY_SECONDS = 15;

export class WorkloadPage {
  #route;
  #workload = null;
  #series = new Series();
  #aborted = new AbortController();
  #busy = false;
  #loaded = false;
  #forecastDue = 0;
  #historyDue = 0;
  #decisionsDue = true;
  #summaryDue = 0;
  #summaries = {};
  #connected = false;
  #drawn = null;

  #title = h("h1", { class: "title" });
  #badges = {
    mode: badge("mode", "Mode"),
    objective: badge("objective", "Objective"),
    age: badge("age", "Newest data"),
    coverage: badge("coverage", "Coverage"),
    model: badge("model", "Model in charge"),
    bounds: badge("bounds", "Bounds"),
  };
  #figures = {
    rps: figure("rps", "Requests/s"),
    forecast: figure("forecast", "Forecast"),
    p50_ms: figure("p50_ms", "p50"),
    p95_ms: figure("p95_ms", "p95"),
    p99_ms: figure("p99_ms", "p99"),
    error_ratio: figure("error_ratio", "Errors"),
    concurrency: figure("concurrency", "In flight"),
    desired_replicas: figure("desired_replicas", "Desired"),
    ready_replicas: figure("ready_replicas", "Ready"),
    current_replicas: figure("current_replicas", "Existing"),
  };
  #why = h("p", { class: "why", dataset: { testid: "last-reason" } });
  #notice = h("p", { class: "notice notice-bad", role: "alert", dataset: { testid: "stale-notice" }, hidden: true });
  #error = h("p", { class: "notice notice-warn", dataset: { testid: "read-notice" }, hidden: true });
  #ranges = h("div", { class: "ranges", role: "group", "aria-label": "Time range" });
  #decisions = new DecisionTable();
  #table = new HistoryTable(() => this.#draw());
  #charts;

  constructor(route) {
    this.#route = route;
    this.#charts = makeCharts(() => this.#workload?.objective ?? null);
    const charts = Object.values(this.#charts).map((chart) => chart.element);
    this.element = h(
      "article",
      { class: "workload", dataset: { testid: "workload-page", key: keyOf(route), state: "loading" } },
      h("div", { class: "page-head" }, this.#title, this.#ranges),
      h("dl", { class: "badges" }, Object.values(this.#badges).map((one) => one.element)),
      this.#notice,
      this.#error,
      h("dl", { class: "figures" }, Object.values(this.#figures).map((one) => one.element)),
      this.#why,
      h("div", { class: "charts" }, charts),
      this.#decisions.element,
      this.#table.element,
    );
    this.#title.append(h("span", { class: "title-namespace" }, `${route.namespace} / `), route.name);
    this.#showRanges();
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
    this.#historyDue = 0;
    this.#forecastDue = 0;
    this.#showRanges();
    this.#read();
  }

  /** Takes the figures of a tick, and reads what else is due. */
  tick(workload) {
    const now = api.serverNow();
    this.#workload = workload;
    this.#series.addReplicas(now, workload);
    this.#series.prune(now, this.#route.range);
    this.#showFigures();
    this.age();
    this.#read();
  }

  addDecision(decision) {
    if (this.#series.addDecisions([decision])) this.#decisions.update(this.#series.decisions);
    this.#forecastDue = 0;
  }

  /** After a lost connection there is a hole that only reading again fills. */
  reconnected() {
    this.#decisionsDue = true;
    this.#forecastDue = 0;
    this.#historyDue = 0;
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
    const words = age === null ? "none yet" : `${duration(age)} old`;
    this.#badges.age.show(age === null ? null : Math.round(age), words, AGE_LOOKS[freshness]);
    setData(this.element, "freshness", freshness);
    setHidden(this.#notice, freshness === "fresh" || freshness === "late");
    setText(this.#notice, this.#staleWords(freshness, age));
    this.#notice.className = `notice ${freshness === "stale" ? "notice-bad" : "notice-warn"}`;
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

  async #read() {
    if (this.#busy) return;
    this.#busy = true;
    const { range } = this.#route;
    const { signal } = this.#aborted;
    const now = api.serverNow();
    try {
      const wanted = [];
      if (now >= this.#historyDue) {
        const since = this.#loaded ? this.#series.readAgainFrom(range, now) : now - range.seconds;
        this.#historyDue = now + Math.min(30, range.step / 3);
        wanted.push(api.getHistory(this.#route, range.tier, since, signal).then((history) => {
          if (range === this.#route.range) this.#series.addHistory(history);
        }));
      }
      if (now >= this.#forecastDue) {
        this.#forecastDue = now + FORECAST_SECONDS;
        wanted.push(api.getForecast(this.#route, signal).then((forecast) => {
          this.#series.setForecast(forecast, now);
          this.#showForecast();
        }));
      }
      if (this.#decisionsDue) {
        this.#decisionsDue = false;
        wanted.push(api.getDecisions(this.#route, DECISIONS_READ, signal).then((decisions) => {
          this.#series.addDecisions(decisions);
          this.#decisions.update(this.#series.decisions);
        }));
      }
      await Promise.all(wanted);
      if (range === this.#route.range) this.#loaded = true;
      setData(this.element, "state", "ready");
      setHidden(this.#error, true);
    } catch (error) {
      if (signal.aborted) return;
      this.reconnected();
      setText(this.#error, `Could not read this workload's history: ${error.message}. Trying again.`);
      setHidden(this.#error, !this.#connected);
    } finally {
      this.#busy = false;
    }
    this.#draw();
  }

  #showRanges() {
    const { range } = this.#route;
    const held = document.activeElement?.dataset?.range;
    this.#ranges.replaceChildren(
      ...RANGES.map((one) =>
        h(
          "a",
          {
            href: addressOf({ ...this.#route, range: one }),
            "aria-current": one === range ? "true" : null,
            dataset: { range: one.id, testid: `range-${one.id}` },
          },
          one.label,
        )),
    );
    if (held) this.#ranges.querySelector(`[data-range="${held}"]`)?.focus();
  }

  #showFigures() {
    const workload = this.#workload;
    const figures = this.#figures;
    for (const [field, format] of [
      ["rps", rps],
      ["p50_ms", latency],
      ["p95_ms", latency],
      ["p99_ms", latency],
      ["error_ratio", percent],
      ["concurrency", rps],
      ["desired_replicas", count],
      ["ready_replicas", count],
      ["current_replicas", count],
    ]) {
      figures[field].show(workload[field], format(workload[field]));
    }
    setData(this.element, "newest", workload.newest ?? "");

    this.#badges.mode.show(workload.mode, modeOf(workload).words, workload.mode === "active" ? "accent" : "");
    this.#showObjective();
    const coverageLook = workload.coverage === null ? "" : workload.coverage < 0.8 ? "warn" : "good";
    this.#badges.coverage.show(workload.coverage, percent(workload.coverage), coverageLook);
    const { min_replicas: least, max_replicas: most } = workload;
    const bounded = least !== null && most !== null && least !== undefined && most !== undefined;
    this.#badges.bounds.show(null, bounded ? `${least} to ${most} replicas` : MISSING);

    setText(this.#why, workload.last_reason ?? "");
    setHidden(this.#why, !workload.last_reason);
  }

  #showObjective() {
    const { objective, objective_met: met } = this.#workload;
    if (!objective) {
      this.#badges.objective.show(null, "none set");
      return;
    }
    const goal = `${quantile(objective.quantile)} ≤ ${latency(objective.latency_ms)}`;
    const verdict = met === true ? ": met" : met === false ? ": missed" : ": not known";
    const look = met === true ? "good" : met === false ? "bad" : "";
    this.#badges.objective.show(met, goal + verdict, look);
    for (const [field, value] of [["p50_ms", 0.5], ["p95_ms", 0.95], ["p99_ms", 0.99]]) {
      const judged = met === false && Math.abs(objective.quantile - value) < 1e-9;
      this.#figures[field].element.classList.toggle("figure-bad", judged);
    }
  }

  #showForecast() {
    const { forecast } = this.#series;
    const last = forecast?.points?.at(-1) ?? null;
    this.#badges.model.show(forecast?.model ?? null, forecast?.model ?? "none ready yet");
    const ahead = last === null ? "" : ` in ${duration(last.t - api.serverNow())}`;
    this.#figures.forecast.show(last?.point ?? null, rps(last?.point), last === null ? "" : `≤ ${rps(last.upper)}${ahead}`);
    setData(this.element, "issued", forecast?.issued_at ?? "");
  }

  #draw() {
    if (!this.#loaded || this.#workload === null || document.hidden) return;
    const now = api.serverNow();
    const columns = this.#series.columns(now, this.#route.range, this.#workload.newest);
    this.#drawn = columns;
    const { history, ahead, then, replicas } = columns;
    const of = (field) => ({ t: history.t, v: history[field] });
    this.#summarise(now);
    const draw = (name, lines) => this.#charts[name].update(lines, columns, this.#summaries[name]);
    draw("rps", {
      upper: { t: ahead.t, v: ahead.upper },
      lower: { t: ahead.t, v: ahead.lower },
      thenUpper: { t: then.t, v: then.upper },
      then: { t: then.t, v: then.point },
      point: { t: ahead.t, v: ahead.point },
      actual: of("rps"),
    });
    draw("latency", { p50: of("p50_ms"), p95: of("p95_ms"), p99: of("p99_ms") });
    draw("replicas", replicas);
    draw("errors", { errors: of("error_ratio") });
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
      ? `, expected ${rps(last.point)} (${rps(last.lower)} to ${rps(last.upper)}) in ${duration(last.t - now)}`
      : ", no forecast yet";
    this.#summaries = {
      rps: `${span}${rps(workload.rps)} per second${expected}.`,
      latency: `${span}p50 ${latency(workload.p50_ms)}, p95 ${latency(workload.p95_ms)}, p99 ${latency(workload.p99_ms)}.`,
      errors: `${span}${percent(workload.error_ratio)} of requests failed.`,
      replicas: `${span}${count(workload.desired_replicas)} desired, ${count(workload.ready_replicas)} ready.`,
    };
  }

  redraw() {
    this.#draw();
  }

  restyle() {
    for (const chart of Object.values(this.#charts)) chart.restyle();
  }

  destroy() {
    this.#aborted.abort();
    for (const chart of Object.values(this.#charts)) chart.destroy();
    this.element.remove();
  }
}

const AGE_LOOKS = { fresh: "good", late: "warn", stale: "bad", none: "" };

function badge(id, label) {
  const value = h("dd", { dataset: { testid: `badge-${id}` } });
  return {
    element: h("div", { class: "badge" }, h("dt", {}, label), value),
    show(raw, words, look = "") {
      setValue(value, raw, words);
      setData(value, "look", look);
    },
  };
}

function figure(field, label) {
  const value = h("dd", { class: "figure-value", dataset: { testid: `value-${field}`, value: "" } }, MISSING);
  const note = h("dd", { class: "figure-note" });
  const element = h("div", { class: "figure" }, h("dt", {}, label), value, note);
  return {
    element,
    show(raw, words, extra = "") {
      setValue(value, raw, words);
      setText(note, extra);
    },
  };
}

function makeCharts(objective) {
  return {
    rps: new TimeChart({
      id: "rps",
      title: "Requests",
      unit: "per second",
      height: 260,
      format: rps,
      floor: 1,
      lines: [
        { key: "upper", label: "forecast upper", color: "--c-band-edge", swatch: "s-band", width: 1, legend: false },
        { key: "lower", label: "forecast lower", color: "--c-band-edge", swatch: "s-band", width: 1, legend: false },
        { key: "thenUpper", label: "upper", color: "--c-then", swatch: "s-then", width: 1, dash: [1, 4], legend: false },
        { key: "then", label: "forecast then", color: "--c-then", swatch: "s-then", width: 1.5, dash: [5, 4] },
        { key: "point", label: "forecast", color: "--c-forecast", swatch: "s-forecast", width: 2 },
        { key: "actual", label: "actual", color: "--c-actual", swatch: "s-actual", width: 1.75 },
      ],
      bands: [["upper", "lower", "--c-band"]],
    }),
    latency: new TimeChart({
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
      marks: () => {
        const goal = objective();
        if (!goal) return [];
        const words = `${quantile(goal.quantile)} ≤ ${latency(goal.latency_ms)}`;
        return [{ value: goal.latency_ms, label: "objective", words, color: "--c-objective" }];
      },
    }),
    replicas: new TimeChart({
      id: "replicas",
      title: "Replicas",
      unit: "",
      height: 170,
      format: count,
      floor: 2,
      whole: true,
      lines: [
        { key: "current", label: "existing", color: "--c-current", swatch: "s-current", stepped: true },
        { key: "desired", label: "desired", color: "--c-forecast", swatch: "s-forecast", stepped: true, width: 2 },
        { key: "ready", label: "ready", color: "--c-ready", swatch: "s-ready", stepped: true, width: 2 },
      ],
    }),
    errors: new TimeChart({
      id: "errors",
      title: "Errors",
      unit: "share of requests",
      height: 170,
      format: percent,
      floor: 0.01,
      lines: [{ key: "errors", label: "failed", color: "--c-error", swatch: "s-error" }],
    }),
  };
}
