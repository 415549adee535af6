// Charts over time on uPlot: one look, one time axis, one cursor for all of them.

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { annotate, axes, cssColor, cursor, takeSelection } from "./chart-frame.js";
import { h, setHidden, setText } from "./dom.js";
import { moment, MISSING } from "./format.js";
import { Plot } from "./plot.js";

const stepped = uPlot.paths.stepped({ align: 1 });

/**
 * A chart with its own legend.
 *
 * `zoom`: { show(from, to), live() }, called when a span is dragged over, and on a double click.
 * `spec`: { id, title, unit, height, format, floor, lines: [{ key, label, color, swatch, dash, width, stepped, hidden, legend }],
 *           bands: [[upperKey, lowerKey, color]], whole, wide, marks: () => [{ value, label, words, color }] }
 */
export class TimeChart {
  #spec;
  #zoom;
  #plot;
  #data = null;
  #span = { from: 0, to: 1, now: 0 };
  #legend = new Map();
  #marks = h("li", { class: "legend-mark", hidden: true });
  #time = h("span", { class: "chart-time" });

  constructor(spec, zoom) {
    this.#spec = spec;
    this.#zoom = zoom;
    this.#plot = new Plot({
      height: spec.height,
      label: spec.title,
      options: () => this.#options(),
      data: () => this.#data,
      scale: (chart) => chart.setScale("x", { min: this.#span.from, max: this.#span.to }),
    });
    const items = spec.lines
      .filter((line) => line.legend !== false)
      .map((line) => {
        const value = h("b", {}, MISSING);
        this.#legend.set(line.key, value);
        const look = line.dash ? "dashed" : "solid";
        const swatch = h("span", { class: `swatch swatch-${look} ${line.swatch}`, "aria-hidden": "true" });
        return h("li", {}, swatch, `${line.label} `, value);
      });
    this.element = h(
      "figure",
      { class: spec.wide ? "card chart chart-wide" : "card chart", dataset: { testid: `chart-${spec.id}` } },
      h(
        "figcaption",
        {},
        h("h2", {}, spec.title, h("span", { class: "unit" }, ` ${spec.unit}`)),
        h("ul", { class: "legend" }, items, this.#marks),
        this.#time,
      ),
      this.#plot.element,
    );
  }

  /** `columns` is a map from a line's key to { t, v }; `span` is { from, to, now }. */
  update(columns, span, summary) {
    this.#span = span;
    const tables = this.#spec.lines.map(({ key }) => {
      const { t, v } = columns[key];
      return [t.length > 0 ? t : [span.now], t.length > 0 ? v : [null]];
    });
    // A null stays a gap; times that a line does not have become undefined, which it is drawn across.
    this.#data = uPlot.join(tables);
    this.#plot.update();
    this.#showLegend();
    this.#plot.describe(`${this.#spec.title}. ${summary}`);
  }

  get canvas() {
    return this.#plot.canvas;
  }

  get title() {
    return this.#spec.title;
  }

  restyle() {
    this.#plot.restyle();
  }

  destroy() {
    this.#plot.destroy();
  }

  #showLegend() {
    const { idx: at = null, left = -1 } = this.#plot.chart?.cursor ?? {};
    const hovering = at !== null && left >= 0;
    this.#spec.lines.forEach(({ key }, index) => {
      const column = this.#data?.[index + 1] ?? [];
      const value = hovering ? nearest(column, at) : lastKnown(column);
      const words = this.#legend.get(key);
      if (words) setText(words, this.#spec.format(value));
    });
    const marks = this.#spec.marks?.() ?? [];
    setHidden(this.#marks, marks.length === 0);
    setText(this.#marks, marks.map(({ label, words }) => `${label} ${words}`).join(", "));
    const span = this.#span.to - this.#span.from;
    setText(this.#time, hovering ? moment(this.#data[0][at], span) : "");
  }

  #options() {
    const spec = this.#spec;
    const indexOf = (key) => spec.lines.findIndex((line) => line.key === key) + 1;
    return {
      legend: { show: false },
      cursor: cursor(this.#zoom),
      padding: [10, 26, 0, 0],
      scales: {
        x: { time: true },
        y: { range: (_, low, high) => this.#rangeOf(low, high) },
      },
      axes: axes({
        space: spec.whole ? 22 : 34,
        incrs: spec.whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] : undefined,
        values: (_, splits) => splits.map((value) => spec.format(value)),
      }),
      series: [
        {},
        ...spec.lines.map((line) => ({
          label: line.label,
          stroke: line.hidden ? "transparent" : cssColor(line.color),
          width: line.width ?? 1.5,
          dash: line.dash,
          paths: line.stepped ? stepped : undefined,
          points: { show: line.points ?? false, size: 4 },
          spanGaps: false,
        })),
      ],
      bands: (spec.bands ?? []).map(([upper, lower, color]) => ({
        series: [indexOf(upper), indexOf(lower)],
        fill: cssColor(color),
      })),
      hooks: {
        draw: [(chart) => annotate(chart, this.#span.now, this.#spec.marks?.() ?? [])],
        setSelect: [(chart) => takeSelection(chart, this.#zoom)],
        setCursor: [() => this.#showLegend()],
      },
    };
  }

  #rangeOf(low, high) {
    const marks = (this.#spec.marks?.() ?? []).map((mark) => mark.value);
    const top = Math.max(high ?? 0, ...marks, this.#spec.floor);
    return [0, top * 1.08];
  }
}

function lastKnown(column) {
  for (let at = column.length - 1; at >= 0; at -= 1) {
    if (column[at] !== undefined) return column[at];
  }
  return null;
}

/** The value at an index; where the line has no such time, that of the nearest time that it has. */
function nearest(column, at) {
  for (let away = 0; away < 3; away += 1) {
    for (const index of [at - away, at + away]) {
      if (column[index] !== undefined) return column[index];
    }
  }
  return null;
}
