// How much of the error budget was spent, over several lengths of time.

import { h } from "./dom.js";
import { count, duration, MISSING, number, percent, quantile } from "./format.js";
import { bar, row, TableCard } from "./table-card.js";

export class BudgetCard extends TableCard {
  constructor() {
    super({
      id: "budget",
      title: "Error budget",
      caption: "Requests served while the objective was missed",
      heads: ["Over the last", "Requests", "While missed", "Budget spent", "Burn rate"],
    });
  }

  /** `budget` as the API gave it. */
  take({ budget, judged_quantile: judged, windows }) {
    this.show(
      `${percent(budget)} of the requests may be served while the objective is missed, judged by ${quantile(judged)} of each window`,
      windows.map(spent),
    );
  }
}

function spent({ seconds, known_seconds: known, requests, missed_share: share, burn_rate: burn }) {
  const part = burn === null ? null : burn * (known / seconds);
  const look = burn === null ? "none" : burn > 1 ? "bad" : burn > 0.5 ? "warn" : "good";
  const partly = known < seconds * 0.95 ? ` (${duration(known)} known)` : "";
  return row(
    { testid: "budget-row", seconds, share: share ?? "", burn: burn ?? "" },
    [duration(seconds), h("span", { class: "muted" }, partly)],
    [
      count(Math.round(requests)),
      percent(share),
      [bar(part, look), part === null ? MISSING : ` ${percent(part)}`],
      burn === null ? MISSING : `${number(burn)}×`,
    ],
  );
}
