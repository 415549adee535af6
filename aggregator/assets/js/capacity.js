// Slow requests against the load of a replica: what was seen, what was learned from it, and what is safe.

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { axisLook, cssColor, dashed, inside } from "./chart-frame.js";
import { h } from "./dom.js";
import { clock, latency, number, percent } from "./format.js";
import { Plot } from "./plot.js";
import { row, TableCard } from "./table-card.js";

const HEIGHT = 240;
/** Rarer than this is drawn as this. */
const LEAST_SHARE = 1e-4;
/** Rows of the table that says the same as the curve. */
const TABLE_ROWS = 8;

export class CapacityCard extends TableCard {
  #plot;
  #told = null;

  constructor() {
    const plot = new Plot({
      height: HEIGHT,
      label: "Slow requests against load",
      options: () => this.#options(),
      data: () => this.#data(),
    });
    const item = (look, words) => h("li", {}, h("span", { class: `swatch ${look}`, "aria-hidden": "true" }), words);
    super({
      id: "capacity",
      title: "Slow requests against load",
      caption: "Expected share of slow requests by load per replica",
      heads: ["Requests/s per replica", "Expected slow", "Intervals seen", "Slow in them"],
      above: [
        h(
          "ul",
          { class: "legend" },
          item("swatch-dot s-actual", "a decision interval"),
          item("swatch-solid s-forecast", "learned"),
          h("li", { class: "legend-mark" }, "objective"),
          item("swatch-solid s-ready", "safe load, and how sure that is"),
        ),
        plot.element,
      ],
    });
    this.#plot = plot;
  }

  /** `capacity` as the API gave it. */
  take(capacity) {
    this.#told = capacity;
    const { source, safe_rps: safe, lower_rps: lower, upper_rps: upper, latency_ms: ms, allowed_share: allowed, observed } = capacity;
    if (observed.length === 0) {
      this.say("warming", "No decision interval with known load, latency and Ready replicas yet.");
      return;
    }
    const sure = source === "learned"
      ? `learned; the truth lies between ${number(lower)} and ${number(upper)} with 90 %`
      : "as given; `capacity: learned` in the configuration would learn it";
    const words = `A replica safely serves ${number(safe)} requests per second (${sure}). Slow is over ${latency(ms)}, and ${percent(allowed)} may be. Seen until ${clock(observed.at(-1).t)}.`;
    this.show(words, tableRows(capacity));
    this.#plot.describe(`Slow requests against load. ${words}`);
    this.#plot.update();
  }

  /** What is drawn, for tests and for curiosity. */
  get told() {
    return this.#told;
  }

  restyle() {
    this.#plot.restyle();
  }

  destroy() {
    this.#plot.destroy();
  }

  #data() {
    if (this.#told === null || this.#told.observed.length === 0) return null;
    const column = (rows) => {
      const sorted = [...rows].sort((a, b) => a.rps - b.rps);
      return [sorted.map(({ rps }) => rps), sorted.map(({ slow_share: share }) => Math.max(LEAST_SHARE, share))];
    };
    const curve = this.#told.curve.length > 0 ? column(this.#told.curve) : [[0], [null]];
    return uPlot.join([curve, column(this.#told.observed)]);
  }

  #options() {
    const most = () => Math.max(this.#told.safe_rps, this.#told.upper_rps ?? 0, ...this.#told.observed.map(({ rps }) => rps)) * 1.1;
    const look = axisLook();
    return {
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      padding: [10, 16, 0, 0],
      scales: { x: { time: false, range: () => [0, most()] }, y: { distr: 3, log: 10, range: () => [LEAST_SHARE, 1] } },
      axes: [
        { ...look, size: 40, gap: 4, space: 60, label: "requests per second and Ready replica", labelSize: 16, labelFont: look.font, values: (_, splits) => splits.map((rps) => number(rps)) },
        { ...look, size: 62, gap: 6, space: 30, values: (_, splits) => splits.map((share) => (share === null ? null : percent(share))) },
      ],
      series: [
        {},
        { label: "learned", stroke: cssColor("--c-forecast"), width: 2, points: { show: false }, spanGaps: true },
        { label: "seen", stroke: cssColor("--c-actual"), paths: () => null, points: { show: true, size: 4, fill: cssColor("--c-actual") } },
      ],
      hooks: { drawAxes: [(chart) => this.#mark(chart)] },
    };
  }

  /** The objective across; the safe load, with the range in which the truth lies, upright. */
  #mark(chart) {
    const { bbox, ctx } = chart;
    const { safe_rps: safe, lower_rps: lower, upper_rps: upper, allowed_share: allowed } = this.#told;
    inside(chart, () => {
      const x = (rps) => Math.round(chart.valToPos(rps, "x", true));
      if (lower !== null) {
        ctx.fillStyle = cssColor("--c-ready");
        ctx.globalAlpha = 0.14;
        ctx.fillRect(x(lower), bbox.top, Math.max(1, x(upper) - x(lower)), bbox.height);
        ctx.globalAlpha = 1;
      }
      const y = Math.round(chart.valToPos(allowed, "y", true));
      dashed(ctx, bbox.left, y, bbox.left + bbox.width, y, cssColor("--c-objective"), [6, 4]);
      dashed(ctx, x(safe), bbox.top, x(safe), bbox.top + bbox.height, cssColor("--c-ready"), []);
    });
  }
}

/** The curve, or where none is learned the loads that were seen, in a few rows. */
function tableRows({ curve, observed }) {
  const most = Math.max(...observed.map(({ rps }) => rps), curve.at(-1)?.rps ?? 0);
  const step = most / TABLE_ROWS;
  return Array.from({ length: TABLE_ROWS }, (_, at) => {
    const [from, to] = [at * step, (at + 1) * step];
    const seen = observed.filter(({ rps }) => rps >= from && (rps < to || at === TABLE_ROWS - 1));
    const expected = curve.filter(({ rps }) => rps >= from && rps <= to).at(-1);
    const mean = seen.length === 0 ? null : seen.reduce((sum, one) => sum + one.slow_share, 0) / seen.length;
    return row({ testid: "capacity-row" }, `${number(from)} to ${number(to)}`, [percent(expected?.slow_share), String(seen.length), percent(mean)]);
  });
}
