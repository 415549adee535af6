// How much of the error budget was spent, over several lengths of time.

import { h, setData, setHidden, setText } from "./dom.js";
import { count, duration, MISSING, number, percent, quantile } from "./format.js";

export class BudgetCard {
  #rows = h("tbody");
  #words = h("p", { class: "muted", dataset: { testid: "budget-words" } });

  constructor() {
    const heads = ["Over the last", "Requests", "While missed", "Budget spent", "Burn rate"];
    this.element = h(
      "section",
      { class: "card budget", "aria-labelledby": "budget-title", dataset: { testid: "budget" }, hidden: true },
      h("div", { class: "card-head" }, h("h2", { id: "budget-title" }, "Error budget"), this.#words),
      h(
        "div",
        { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of the error budget" },
        h(
          "table",
          {},
          h("caption", { class: "visually-hidden" }, "Requests served while the objective was missed"),
          h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
          this.#rows,
        ),
      ),
    );
  }

  /** `budget` as the API gave it; null for a workload without an objective. */
  show(budget) {
    setHidden(this.element, budget === null);
    if (budget === null) return;
    setText(
      this.#words,
      `${percent(budget.budget)} of the requests may be served while the objective is missed, judged by ${quantile(budget.judged_quantile)} of each window`,
    );
    this.#rows.replaceChildren(...budget.windows.map((window) => row(window)));
  }
}

function row({ seconds, known_seconds: known, requests, missed_share: share, burn_rate: burn }) {
  const spent = burn === null ? null : burn * (known / seconds);
  const look = burn === null ? "none" : burn > 1 ? "bad" : burn > 0.5 ? "warn" : "good";
  const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("span", { class: "bar-fill" }));
  setData(bar, "look", look);
  // A style attribute would need an exception in the content security policy; a property does not.
  bar.firstChild.style.width = `${Math.min(100, (spent ?? 0) * 100)}%`;
  const partly = known < seconds * 0.95 ? ` (${duration(known)} known)` : "";
  return h(
    "tr",
    { dataset: { testid: "budget-row", seconds, share: share ?? "", burn: burn ?? "" } },
    h("th", { scope: "row" }, duration(seconds), h("span", { class: "muted" }, partly)),
    h("td", {}, count(Math.round(requests))),
    h("td", {}, percent(share)),
    h("td", { class: "nowrap" }, bar, spent === null ? MISSING : ` ${percent(spent)}`),
    h("td", {}, burn === null ? MISSING : `${number(burn)}×`),
  );
}
