// The badges and figures at the head of a workload's page.

import { h, setData, setHidden, setText, setValue } from "./dom.js";
import { count, duration, latency, MISSING, percent, quantile, rps } from "./format.js";
import { modeOf } from "./workload.js";

const AGE_LOOKS = { fresh: "good", late: "warn", stale: "bad", none: "" };

const FIGURES = [
  ["rps", "Requests/s", rps],
  ["forecast", "Forecast", rps],
  ["p50_ms", "p50", latency],
  ["p95_ms", "p95", latency],
  ["p99_ms", "p99", latency],
  ["error_ratio", "Errors", percent],
  ["concurrency", "In flight", rps],
  ["desired_replicas", "Desired", count],
  ["ready_replicas", "Ready", count],
  ["current_replicas", "Existing", count],
];

export class Figures {
  #badges = {
    mode: badge("mode", "Mode"),
    objective: badge("objective", "Objective"),
    age: badge("age", "Newest data"),
    coverage: badge("coverage", "Coverage"),
    model: badge("model", "Model in charge"),
    bounds: badge("bounds", "Bounds"),
  };
  #figures = Object.fromEntries(FIGURES.map(([field, label]) => [field, figure(field, label)]));
  #why = h("p", { class: "why", dataset: { testid: "last-reason" } });

  get elements() {
    const list = (name, parts) => h("dl", { class: name }, Object.values(parts).map((one) => one.element));
    return { badges: list("badges", this.#badges), figures: list("figures", this.#figures), why: this.#why };
  }

  show(workload) {
    for (const [field, , format] of FIGURES) {
      if (field !== "forecast") this.#figures[field].show(workload[field], format(workload[field]));
    }
    const badges = this.#badges;
    badges.mode.show(workload.mode, modeOf(workload).words, workload.mode === "active" ? "accent" : "");
    this.#showObjective(workload);
    const coverageLook = workload.coverage === null ? "" : workload.coverage < 0.8 ? "warn" : "good";
    badges.coverage.show(workload.coverage, percent(workload.coverage), coverageLook);
    const { min_replicas: least, max_replicas: most } = workload;
    const bounded = Number.isInteger(least) && Number.isInteger(most);
    badges.bounds.show(null, bounded ? `${least} to ${most} replicas` : MISSING);
    setText(this.#why, workload.last_reason ?? "");
    setHidden(this.#why, !workload.last_reason);
  }

  #showObjective({ objective, objective_met: met }) {
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

  showAge(age, freshness) {
    const words = age === null ? "none yet" : `${duration(age)} old`;
    this.#badges.age.show(age === null ? null : Math.round(age), words, AGE_LOOKS[freshness]);
  }

  /** `forecast` as the API gave it, or null. */
  showForecast(forecast, now) {
    const last = forecast?.points?.at(-1) ?? null;
    this.#badges.model.show(forecast?.model ?? null, forecast?.model ?? "none ready yet");
    const note = last === null ? "" : `≤ ${rps(last.upper)} in ${duration(last.t - now)}`;
    this.#figures.forecast.show(last?.point ?? null, rps(last?.point), note);
  }
}

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
