// Latency over time as counts of requests: darker is more. Time is the other charts', latency is logarithmic.

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { annotate, axes, cssColor, cursor, takeSelection } from "./chart-frame.js";
import { h, setAttribute, setHidden, setText } from "./dom.js";
import { count, latency, moment } from "./format.js";

const HEIGHT = 260;
/** What the first cell, which begins at 0, and the last, which has no end, are drawn as on a scale without either. */
const EDGE_RATIO = Math.SQRT2;

export class Heatmap {
  #zoom;
  #marks;
  #chart = null;
  #heat = { step: 15, edges: [], columns: [] };
  #span = { from: 0, to: 1, now: 0 };
  #most = 1;
  #value = h("li", {});
  #goal = h("li", { class: "legend-mark", hidden: true });
  #time = h("span", { class: "chart-time" });
  #empty = h("p", { class: "chart-empty", hidden: true }, "The first column is there half a minute after the first requests.");
  #plot = h("div", { class: "chart-plot", role: "img", "aria-label": "Latency heatmap" });
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
      h("div", { class: "chart-holder" }, this.#plot, this.#empty),
    );
    this.#resize.observe(this.#plot);
  }

  #resize = new ResizeObserver(() => {
    if (this.#chart === null) this.#build();
    else this.#chart.setSize(this.#size());
  });

  #size() {
    return { width: Math.max(200, this.#plot.clientWidth), height: HEIGHT };
  }

  update(heat, span, summary) {
    this.#heat = heat;
    this.#span = span;
    this.#most = Math.max(1, ...heat.columns.map(({ cells }) => Math.max(0, ...cells.map(([, n]) => n))));
    if (this.#chart === null) this.#build();
    else this.#chart.batch(() => this.#draw());
    const marks = this.#marks();
    setHidden(this.#goal, marks.length === 0);
    setText(this.#goal, marks.map(({ label, words }) => `${label} ${words}`).join(", "));
    setHidden(this.#empty, heat.columns.length > 0);
    setAttribute(this.#plot, "aria-label", `Latency heatmap. ${summary ?? ""}`);
  }

  #draw() {
    this.#chart.setData(this.#data(), false);
    this.#chart.setScale("x", { min: this.#span.from, max: this.#span.to });
  }

  /** Middles of the columns, for the cursor to stop at; what is drawn is drawn by hand. */
  #data() {
    const { step, columns } = this.#heat;
    const middles = columns.map(({ t }) => t + step / 2);
    const x = middles.length > 0 ? middles : [this.#span.now];
    return [x, x.map(() => null)];
  }

  #build() {
    if (this.#plot.clientWidth === 0) return;
    this.#chart = new uPlot(this.#options(), this.#data(), this.#plot);
    this.#chart.batch(() => this.#draw());
  }

  get canvas() {
    return this.#chart?.ctx.canvas ?? null;
  }

  restyle() {
    this.#chart?.destroy();
    this.#chart = null;
    this.#build();
  }

  destroy() {
    this.#resize.disconnect();
    this.#chart?.destroy();
  }

  #options() {
    return {
      ...this.#size(),
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
    const { ctx, bbox } = chart;
    const { step, columns } = this.#heat;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
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
    ctx.restore();
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
