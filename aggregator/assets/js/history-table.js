// What the charts show, as a table of text.

import { h } from "./dom.js";
import { count, dateTime, latency, percent, rps } from "./format.js";

const ROWS = 120;

const COLUMNS = [
  ["Requests/s", "rps", rps],
  ["p50", "p50_ms", latency],
  ["p95", "p95_ms", latency],
  ["p99", "p99_ms", latency],
  ["Errors", "error_ratio", percent],
  ["Coverage", "coverage", percent],
  ["Ready", "ready_replicas", count],
  ["Desired", "desired_replicas", count],
];

export class HistoryTable {
  #ahead = h("tbody");
  #past = h("tbody");

  /** `onopen` is called when the table is opened, to fill it. */
  constructor(onopen) {
    const aheadHeads = ["Time", "Expected", "Lower", "Upper"];
    this.element = h(
      "details",
      { class: "card text-table", dataset: { testid: "text-table" }, ontoggle: onopen },
      h("summary", {}, "The charts as tables"),
      h(
        "div",
        { class: "text-tables" },
        table("Forecast of requests per second", aheadHeads, this.#ahead),
        table(`The last ${ROWS} windows, newest first`, ["Time", ...COLUMNS.map(([head]) => head)], this.#past),
      ),
    );
  }

  update({ history, ahead }) {
    if (!this.element.open) return;
    const cells = (t, words) =>
      h("tr", {}, h("th", { scope: "row" }, dateTime(t)), words.map((word) => h("td", {}, word)));
    this.#ahead.replaceChildren(
      ...ahead.t.map((t, at) =>
        cells(t, [ahead.point, ahead.lower, ahead.upper].map((column) => rps(column[at])))),
    );
    const rows = [];
    for (let at = history.t.length - 1; at >= 0 && rows.length < ROWS; at -= 1) {
      rows.push(cells(history.t[at], COLUMNS.map(([, field, format]) => format(history[field][at]))));
    }
    this.#past.replaceChildren(...rows);
  }
}

function table(caption, heads, body) {
  return h(
    "div",
    { class: "table-scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      body,
    ),
  );
}
