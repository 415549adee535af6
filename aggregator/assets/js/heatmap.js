// Latency over time as counts of requests: darker is more. Time is the other charts', latency is logarithmic.

import { annotate, axes, cssColor, cursor, inside, takeSelection } from "./chart-frame.js";
import { h, setHidden, setText } from "./dom.js";
import { count, latency, moment } from "./format.js";
import { Plot } from "./plot.js";

const HEIGHT = 260;
/** What the first cell, which begins at 0, and the last, which has no end, are drawn as on a scale without either. */
const EDGE_RATIO = Math.SQRT2;

export class Heatmap {
  #zoom;
  #marks;
  #heat = { step: 15, edges: [], columns: [] };
  #span = { from: 0, to: 1, now: 0 };
  #most = 1;
  #value = h("li", {});
  #goal = h("li", { class: "legend-mark", hidden: true });
  #time = h("span", { class: "chart-time" });
  #empty = h("p", { class: "chart-empty", hidden: true }, "The first column is there half a minute after the first requests.");
  #plot = new Plot({
    height: HEIGHT,
    label: "Latency heatmap",
    options: () => this.#options(),
    data: () => this.#data(),
    scale: (chart) => chart.setScale("x", { min: this.#span.from, max: this.#span.to }),
  });
  title = "Latency of each request";

  constructor(marks, zoom) {
    this.#marks = marks;
    this.#zoom = zoom;
    const swatch = h("span", { class: "swatch-heat", "aria-hidden": "true" });
    this.element = h(
      "figure",
      { class: "card chart", dataset: { testid: "chart-heat" } },
      h(
        "figcaption",
        {},
        h("h2", {}, "Latency heatmap", h("span", { class: "unit" }, " requests by duration")),
        h("ul", { class: "legend" }, h("li", {}, swatch, "few to many"), this.#goal, this.#value),
        this.#time,
      ),
      h("div", { class: "chart-holder" }, this.#plot.element, this.#empty),
    );
  }

  update(heat, span, summary) {
    this.#heat = heat;
    this.#span = span;
    this.#most = Math.max(1, ...heat.columns.map(({ cells }) => Math.max(0, ...cells.map(([, n]) => n))));
    this.#plot.update();
    const marks = this.#marks();
    setHidden(this.#goal, marks.length === 0);
    setText(this.#goal, marks.map(({ label, words }) => `${label} ${words}`).join(", "));
    setHidden(this.#empty, heat.columns.length > 0);
    this.#plot.describe(`Latency heatmap. ${summary ?? ""}`);
  }

  /** Middles of the columns, for the cursor to stop at; what is drawn is drawn by hand. */
  #data() {
    const { step, columns } = this.#heat;
    const middles = columns.map(({ t }) => t + step / 2);
    const x = middles.length > 0 ? middles : [this.#span.now];
    return [x, x.map(() => null)];
  }

  get canvas() {
    return this.#plot.canvas;
  }

  restyle() {
    this.#plot.restyle();
  }

  destroy() {
    this.#plot.destroy();
  }

  #options() {
    return {
      legend: { show: false },
      cursor: cursor(this.#zoom),
      padding: [10, 26, 0, 0],
      scales: { x: { time: true }, y: { distr: 3, log: 10, range: () => this.#range() } },
      axes: axes({ space: 30, values: (_, splits) => splits.map((ms) => (ms === null ? null : latency(ms))) }),
      series: [{}, { label: "requests", stroke: "transparent" }],
      hooks: {
        drawAxes: [(chart) => this.#paint(chart)],
        draw: [(chart) => annotate(chart, this.#span.now, this.#marks())],
        setSelect: [(chart) => takeSelection(chart, this.#zoom)],
        setCursor: [(chart) => this.#showCell(chart)],
      },
    };
  }

  /** From below the fastest to above the slowest request and the objective. */
  #range() {
    const used = this.#heat.columns.flatMap(({ cells }) => cells.map(([cell]) => cell));
    const goals = this.#marks().map(({ value }) => value);
    if (used.length === 0) return [1, Math.max(1000, ...goals.map((goal) => goal * 2))];
    const ends = [Math.min(...used), Math.max(...used)].map((cell) => this.#bounds(cell));
    return [Math.min(ends[0][0], ...goals.map((goal) => goal / 2)), Math.max(ends[1][1], ...goals.map((goal) => goal * 2))];
  }

  /** The latencies between which a cell lies, in ms. */
  #bounds(cell) {
    const { edges } = this.#heat;
    const low = cell === 0 ? edges[0] / EDGE_RATIO : edges[cell - 1];
    return [low, edges[cell] ?? low * EDGE_RATIO];
  }

  #paint(chart) {
    const { ctx } = chart;
    const { step, columns } = this.#heat;
    inside(chart, () => {
      ctx.fillStyle = cssColor("--c-heat");
      for (const { t, cells } of columns) {
        const left = Math.floor(chart.valToPos(t, "x", true));
        const right = Math.ceil(chart.valToPos(t + step, "x", true));
        for (const [cell, requests] of cells) {
          const [low, high] = this.#bounds(cell);
          const bottom = Math.round(chart.valToPos(low, "y", true));
          const top = Math.round(chart.valToPos(high, "y", true));
          // By the logarithm, for one slow request among thousands of fast ones must be seen, too.
          ctx.globalAlpha = 0.12 + 0.88 * (Math.log(1 + requests) / Math.log(1 + this.#most));
          ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
        }
      }
    });
  }

  #showCell(chart) {
    const { left, top, idx } = chart.cursor;
    const column = left >= 0 && idx !== null ? this.#heat.columns[idx] : undefined;
    setText(this.#time, column === undefined ? "" : moment(column.t, this.#span.to - this.#span.from));
    const ms = column === undefined || top < 0 ? null : chart.posToVal(top, "y");
    const cell = ms === null ? -1 : this.#heat.edges.filter((edge) => edge <= ms).length;
    const requests = column?.cells.find(([at]) => at === cell)?.[1] ?? 0;
    const [low, high] = cell < 0 ? [0, 0] : this.#bounds(cell);
    setText(this.#value, cell < 0 ? "" : `${count(requests)} of ${latency(low)} to ${latency(high)}`);
  }
}
