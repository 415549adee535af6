// The last decisions: what, when, why, and which guards bound. A row opens to the full record.

import { h, setHidden, setText } from "./dom.js";
import { clock, count, dateTime, duration, latency, MISSING, percent, rps } from "./format.js";
import { durationSeconds, journalSeconds } from "./series.js";

const SHOWN = 50;
const COLUMNS = 5;

export class DecisionTable {
  #rows = new Map();
  #decisions = [];
  #body = h("tbody");
  #empty = h("p", { class: "state-inline", dataset: { testid: "decisions-empty" } });
  #onlyChanges = h("input", { type: "checkbox", onchange: () => this.#render() });

  constructor() {
    const heads = ["Time", "Replicas", "Forecast", "Why", "Guards"];
    this.element = h(
      "section",
      { class: "card decisions", "aria-labelledby": "decisions-title" },
      h(
        "div",
        { class: "card-head" },
        h("h2", { id: "decisions-title" }, "Decisions"),
        h("label", { class: "check" }, this.#onlyChanges, "Only changes and guards"),
      ),
      h(
        "div",
        { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of decisions" },
        h(
          "table",
          { dataset: { testid: "decisions" } },
          h("caption", { class: "visually-hidden" }, "Decisions, newest first"),
          h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
          this.#body,
        ),
      ),
      this.#empty,
    );
  }

  update(decisions) {
    this.#decisions = decisions;
    this.#render();
  }

  #render() {
    const wanted = this.#decisions
      .filter((decision) => !this.#onlyChanges.checked || isNotable(decision))
      .slice(0, SHOWN);
    const sequences = new Set(wanted.map((decision) => decision.sequence));
    for (const [sequence, row] of this.#rows) {
      if (sequences.has(sequence)) continue;
      row.remove();
      this.#rows.delete(sequence);
    }
    // Rows that are there stay as they are, opened or not, so that reading is not disturbed.
    let before = this.#body.firstChild;
    for (const decision of wanted) {
      let row = this.#rows.get(decision.sequence);
      if (row === undefined) {
        row = new Row(decision);
        this.#rows.set(decision.sequence, row);
        row.insertBefore(this.#body, before);
      }
      before = row.last.nextSibling;
    }
    setHidden(this.#empty, wanted.length > 0);
    setText(
      this.#empty,
      this.#decisions.length === 0
        ? "No decision yet. The first follows the first decision interval with data."
        : "None of the last decisions changed anything or met a guard.",
    );
  }
}

const isNotable = (decision) => direction(decision) !== "same" || decision.guards.length > 0;

function direction(decision) {
  const current = decision.observation.current_replicas;
  if (current === null || current === undefined || current === decision.desired_replicas) {
    return "same";
  }
  return decision.desired_replicas > current ? "up" : "down";
}

const WORDS = { up: "▲", down: "▼", same: "=" };
const SPOKEN = { up: "raise", down: "lower", same: "keep" };

class Row {
  #detail = null;

  constructor(decision) {
    const { sequence, observation, forecast, guards } = decision;
    const id = `decision-${sequence}`;
    const way = direction(decision);
    const from = observation.current_replicas ?? MISSING;
    const change = way === "same" ? `${decision.desired_replicas}` : `${from} → ${decision.desired_replicas}`;
    this.decision = decision;
    this.button = h(
      "button",
      {
        type: "button",
        class: "expand",
        "aria-expanded": "false",
        "aria-controls": id,
        title: "Show the full record",
        onclick: () => this.#toggle(id),
      },
      h("span", { class: "chevron", "aria-hidden": "true" }),
      clock(journalSeconds(decision.at)),
      h("span", { class: "why-word" }, "Why?"),
    );
    this.main = h(
      "tr",
      { dataset: { testid: "decision", sequence } },
      h("td", { class: "nowrap" }, this.button),
      h(
        "td",
        { class: `nowrap change change-${way}` },
        h("span", { class: "arrow", "aria-hidden": "true" }, WORDS[way]),
        h("span", { class: "visually-hidden" }, `${SPOKEN[way]} `),
        change,
      ),
      h(
        "td",
        { class: "nowrap" },
        forecast
          ? [`≤ ${rps(forecast.upper)}/s `, h("span", { class: "muted" }, `in ${duration(durationSeconds(forecast.horizon))}`)]
          : h("span", { class: "muted" }, "none"),
      ),
      h("td", { class: "reason" }, decision.reason),
      h(
        "td",
        {},
        guards.map(({ guard, reason }) => h("span", { class: "chip chip-guard", title: reason }, guard)),
      ),
    );
  }

  get last() {
    return this.#detail ?? this.main;
  }

  insertBefore(body, before) {
    body.insertBefore(this.main, before);
  }

  remove() {
    this.main.remove();
    this.#detail?.remove();
  }

  #toggle(id) {
    const open = this.button.getAttribute("aria-expanded") !== "true";
    this.button.setAttribute("aria-expanded", String(open));
    if (!open) {
      this.#detail.remove();
      this.#detail = null;
      return;
    }
    this.#detail = h(
      "tr",
      { id, class: "detail", dataset: { testid: "decision-detail" } },
      h("td", { colspan: COLUMNS }, record(this.decision)),
    );
    this.main.after(this.#detail);
  }
}

/** The full record in words, and as it is in the journal. */
function record(decision) {
  const { observation: seen, signals, guards, forecast } = decision;
  const facts = (pairs) =>
    h("dl", { class: "facts" }, pairs.map(([term, words]) => h("div", {}, h("dt", {}, term), h("dd", {}, words))));
  const optional = (value, format) => (value === null || value === undefined ? MISSING : format(value));
  const text = JSON.stringify(decision, null, 2);
  const copy = h("button", { type: "button", class: "button", onclick: () => copyText(text, copy) }, "Copy");
  return h(
    "div",
    { class: "record" },
    h(
      "section",
      {},
      h("h3", {}, "What each signal asked for"),
      h("ul", { class: "plain" }, signals.map((signal) =>
        h("li", {}, h("b", {}, `${signal.name} ${signal.desired_replicas}`), ` ${signal.reason}`))),
      facts([
        ["Proposed", count(decision.proposed_replicas)],
        ["Desired", count(decision.desired_replicas)],
        ["Without the forecast", count(decision.without_forecast)],
      ]),
      h("h3", {}, "Guards that bound"),
      guards.length === 0
        ? h("p", { class: "muted" }, "None.")
        : h("ol", { class: "plain" }, guards.map((guard) =>
            h("li", {}, h("b", {}, `${guard.guard} ${guard.from_replicas} → ${guard.to_replicas}`), ` ${guard.reason}`))),
    ),
    h(
      "section",
      {},
      h("h3", {}, `What was known at ${dateTime(journalSeconds(decision.at))}`),
      facts([
        ["Requests/s", optional(seen.rps, rps)],
        ["Last 6 s", optional(seen.burst_rps, rps)],
        ["p50", optional(seen.p50_ms, latency)],
        ["p95", optional(seen.p95_ms, latency)],
        ["p99", optional(seen.p99_ms, latency)],
        ["Errors", optional(seen.error_ratio, percent)],
        ["In flight", optional(seen.concurrency, rps)],
        ["Coverage", optional(seen.coverage, percent)],
        ["Ready", optional(seen.ready_replicas, count)],
        ["Existing", optional(seen.current_replicas, count)],
      ]),
      h("h3", {}, "Forecast used"),
      forecast
        ? facts([
            ["Model", forecast.model],
            ["Ahead", duration(durationSeconds(forecast.horizon))],
            ["Expected", `${rps(forecast.point)}/s`],
            ["Upper", `${rps(forecast.upper)}/s`],
          ])
        : h("p", { class: "muted" }, "None was ready."),
    ),
    h(
      "details",
      { class: "raw" },
      h("summary", {}, `Record ${decision.sequence} as JSON`),
      isSecureContext ? copy : null,
      h("pre", { tabindex: "0" }, text),
    ),
  );
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
}
