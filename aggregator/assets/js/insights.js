// What is known of a workload beside its course over time. Each card reads for itself, and fails by itself.

import * as api from "./api.js";
import { BudgetCard } from "./budget.js";
import { CapacityCard } from "./capacity.js";
import { h, setHidden } from "./dom.js";
import { ModelsCard } from "./models.js";
import { ScorecardCard } from "./scorecard.js";

/** After a failure nothing is asked again for so long. */
const RETRY_SECONDS = 3;

export class Insights {
  #capacity = new CapacityCard();
  #models = new ModelsCard();
  #read = [
    { card: this.#capacity, ask: api.getCapacity, seconds: 30, due: 0 },
    { card: new ScorecardCard(), ask: api.getShadows, seconds: 30, due: 0 },
    { card: new BudgetCard(), ask: api.getBudget, seconds: 30, due: 0 },
  ];

  element = h(
    "div",
    { class: "insights", dataset: { testid: "insights" } },
    [this.#capacity, this.#models, ...this.#read.slice(1).map(({ card }) => card)].map(({ element }) => element),
  );

  /** Reads what is due of a workload; nothing is promised to the users of one that is only watched. */
  read(workload, now, signal) {
    setHidden(this.element, !workload.objective);
    if (!workload.objective) return;
    for (const one of this.#read) {
      if (now < one.due) continue;
      one.due = now + one.seconds;
      one.ask(workload, signal).then(
        (answer) => one.card.take(answer),
        (error) => {
          if (signal.aborted) return;
          one.due = now + RETRY_SECONDS;
          one.card.say("failed", `Could not be read: ${error.message}. Trying again.`);
        },
      );
    }
  }

  /** Takes the forecast as the API gave it; it has the models' scores. */
  takeForecast(forecast) {
    this.#models.take(forecast);
  }

  /** Everything is read again with the next call. */
  renew() {
    for (const one of this.#read) one.due = 0;
  }

  restyle() {
    this.#capacity.restyle();
  }

  destroy() {
    this.#capacity.destroy();
  }
}
