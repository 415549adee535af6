// How whoever is in charge fares on the live load, beside Foresail and every other policy in shadow.

import { duration, MISSING, number, percent } from "./format.js";
import { row, TableCard } from "./table-card.js";

const NAMES = { measured: "In charge, as measured", modelled: "In charge, through the model of a replica", configured: "Foresail, as configured" };

export class ScorecardCard extends TableCard {
  constructor() {
    super({
      id: "scorecard",
      title: "Scorecard",
      caption: "Violations and replica time of whoever is in charge, and of the policies in shadow, on the same load",
      heads: ["Over the last", "Policy", "Violations", "Slow requests", "Replica-hours", "Against measured", "Over an oracle's", "Changes an hour"],
    });
  }

  /** The scoreboard as the API gave it. */
  take({ windows, promotion }) {
    const known = windows.filter(({ measured }) => measured !== null && measured.known_seconds > 0);
    if (known.length === 0) {
      this.say("warming", "Nothing to compare yet: a decision interval with telemetry of the Ready replicas is needed.");
      return;
    }
    const stage = promotion ? ` ${promotion.candidate} is in stage ${promotion.stage}: ${promotion.reason}.` : "";
    this.show(
      `The same load for all; ${duration(known[0].measured.known_seconds)} are known of the last ${duration(known[0].seconds)}. Violations are requests in decision intervals that missed the objective. How far measured and modelled differ is the model's error.${stage}`,
      known.flatMap(scores),
    );
  }
}

function scores({ seconds, measured, modelled, policies }) {
  const sides = Object.entries({ measured, modelled, ...policies }).filter(([, score]) => score !== null);
  return sides.map(([name, score]) => row(
    { testid: "scorecard-row", seconds, side: name, hours: score.pod_hours, violation: score.violation },
    duration(seconds),
    [
      NAMES[name] ?? name,
      percent(score.violation),
      percent(score.slow_share),
      number(score.pod_hours),
      name === "measured" || measured.pod_hours === 0 ? MISSING : `${number(score.pod_hours / measured.pod_hours)}×`,
      `${number(score.cost_over_oracle)}×`,
      number(score.changes_per_hour),
    ],
  ));
}
