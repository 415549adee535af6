// Which model is in charge at each horizon, and how well each has been doing.

import { duration, MISSING, number, percent } from "./format.js";
import { bar, row, TableCard } from "./table-card.js";

/** A forecast's bounds are of no use while they hold so much less often than they say. */
const SLACK = { p50: 0.1, p90: 0.05, p99: 0.02 };
const SAID = { p50: 0.5, p90: 0.9, p99: 0.99 };

export class ModelsCard extends TableCard {
  constructor() {
    super({
      id: "models",
      title: "Models",
      caption: "Forecasting models by horizon: who is in charge, how far each errs, and how often the bounds held",
      heads: ["Ahead", "In charge", "Share of the trees", "Leading linear expert", "Loss, linear", "Loss, trees", "Loss, used", "Held p50", "Held p90", "Held p99"],
    });
  }

  /** `forecast` as the API gave it. */
  take({ scores }) {
    if (scores.length === 0 || scores.every(({ steps }) => steps === 0)) {
      this.say("warming", "No forecast could be compared with what came yet: that takes as long as the nearest one looks ahead.");
      return;
    }
    this.show(
      "Losses are pinball losses at p90, p98 and p99.5 on the logarithm of the rate, lately: smaller is better. A bound that holds as often as it says is calibrated.",
      scores.map(standing),
    );
  }
}

function standing(score) {
  const [best, weight] = Object.entries(score.experts).sort((a, b) => b[1] - a[1])[0];
  const held = (quantile) => {
    if (score.covered === null) return MISSING;
    const share = score.covered[quantile];
    const low = share < SAID[quantile] - SLACK[quantile];
    return low ? `${percent(share)} (low)` : percent(share);
  };
  return row(
    { testid: "model-row", seconds: score.seconds, share: score.boosted_share, steps: score.steps },
    duration(score.seconds),
    [
      score.boosted_share > 0.5 ? "trees" : "linear experts",
      [bar(score.boosted_share, "good"), ` ${percent(score.boosted_share)}`],
      `${best} (${percent(weight)})`,
      number(score.linear_loss),
      score.boosted_loss === null ? MISSING : number(score.boosted_loss),
      number(score.loss),
      held("p50"),
      held("p90"),
      held("p99"),
    ],
  );
}
