// Charts over time on uPlot: one look, one time axis, one cursor for all of them.

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { h, setAttribute, setHidden, setText } from "./dom.js";
import { moment, MISSING } from "./format.js";

const SYNC_KEY = "foresail";

const stepped = uPlot.paths.stepped({ align: 1 });

const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A short clock without date, as wide as the axis allows; dates only when days are shown. */
const timeAxisValues = (chart, splits) => {
  const span = chart.scales.x.max - chart.scales.x.min;
  const options =
    span > 2 * 86400
      ? { day: "numeric", month: "short" }
      : span > 1200
        ? { hour: "2-digit", minute: "2-digit" }
        : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const format = new Intl.DateTimeFormat("en-GB", options);
  return splits.map((t) => format.format(t * 1000));
};

/**
 * A chart with its own legend.
 *
 * `spec`: { id, title, unit, height, format, floor, lines: [{ key, label, color, swatch, dash, width, stepped, hidden, legend }],
 *           bands: [[upperKey, lowerKey, color]], whole, marks: () => [{ value, label, words, color }] }
 */
export class TimeChart {
  #spec;
  #chart = null;
  #data = null;
  #span = { from: 0, to: 1, now: 0 };
  #legend = new Map();
  #marks = h("li", { class: "legend-mark", hidden: true });
  #time = h("span", { class: "chart-time" });
  #plot = h("div", { class: "chart-plot" });

  constructor(spec) {
    this.#spec = spec;
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
      { class: "card chart", dataset: { testid: `chart-${spec.id}` } },
      h(
        "figcaption",
        {},
        h("h2", {}, spec.title, h("span", { class: "unit" }, ` ${spec.unit}`)),
        h("ul", { class: "legend" }, items, this.#marks),
        this.#time,
      ),
      this.#plot,
    );
    this.#plot.setAttribute("role", "img");
    this.#plot.setAttribute("aria-label", spec.title);
    this.#resize.observe(this.#plot);
  }

  #resize = new ResizeObserver(() => {
    if (this.#chart === null) this.#build();
    else this.#chart.setSize(this.#size());
  });

  #size() {
    return { width: Math.max(200, this.#plot.clientWidth), height: this.#spec.height };
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
    if (this.#chart === null) this.#build();
    else this.#chart.batch(() => this.#draw());
    this.#showLegend();
    setAttribute(this.#plot, "aria-label", `${this.#spec.title}. ${summary}`);
  }

  #draw() {
    this.#chart.setData(this.#data, false);
    this.#chart.setScale("x", { min: this.#span.from, max: this.#span.to });
  }

  #build() {
    if (this.#data === null || this.#plot.clientWidth === 0) return;
    this.#chart = new uPlot(this.#options(), this.#data, this.#plot);
    this.#chart.batch(() => this.#draw());
  }

  /** Draws anew, when the colours have changed. */
  restyle() {
    this.#chart?.destroy();
    this.#chart = null;
    this.#build();
  }

  destroy() {
    this.#resize.disconnect();
    this.#chart?.destroy();
  }

  #showLegend() {
    const at = this.#chart?.cursor.idx ?? null;
    const hovering = at !== null && this.#chart.cursor.left >= 0;
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
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const shared = {
      stroke: cssColor("--muted"),
      font,
      grid: { stroke: cssColor("--grid"), width: 1 },
      ticks: { show: false },
    };
    const indexOf = (key) => spec.lines.findIndex((line) => line.key === key) + 1;
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: {
        y: false,
        drag: { setScale: false, x: false, y: false },
        sync: { key: SYNC_KEY, setSeries: false },
        points: { size: 6 },
      },
      padding: [10, 26, 0, 0],
      scales: {
        x: { time: true },
        y: { range: (_, low, high) => this.#rangeOf(low, high) },
      },
      axes: [
        { ...shared, size: 26, gap: 6, space: 70, values: timeAxisValues },
        {
          ...shared,
          size: 56,
          gap: 6,
          space: spec.whole ? 22 : 34,
          incrs: spec.whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] : undefined,
          values: (_, splits) => splits.map((value) => spec.format(value)),
        },
      ],
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
        draw: [(chart) => this.#annotate(chart)],
        setCursor: [() => this.#showLegend()],
      },
    };
  }

  #rangeOf(low, high) {
    const marks = (this.#spec.marks?.() ?? []).map((mark) => mark.value);
    const top = Math.max(high ?? 0, ...marks, this.#spec.floor);
    return [0, top * 1.08];
  }

  /** The line of now, and those that the page marks, such as the objective. */
  #annotate(chart) {
    const { ctx, bbox } = chart;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.textAlign = "left";
    ctx.font = `${11 * scale}px ${getComputedStyle(document.body).fontFamily}`;
    const line = (x0, y0, x1, y1, color, dash) => {
      ctx.beginPath();
      ctx.strokeStyle = color;
      ctx.lineWidth = scale;
      ctx.setLineDash(dash.map((length) => length * scale));
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1, y1);
      ctx.stroke();
    };

    const nowX = Math.round(chart.valToPos(this.#span.now, "x", true));
    const future = bbox.left + bbox.width - nowX;
    if (future > 4) {
      const color = cssColor("--muted");
      line(nowX, bbox.top, nowX, bbox.top + bbox.height, color, [2, 3]);
      if (future > 34 * scale) {
        ctx.fillStyle = color;
        ctx.textBaseline = "top";
        ctx.fillText("now", nowX + 4 * scale, bbox.top + 2 * scale);
      }
    }
    for (const mark of this.#spec.marks?.() ?? []) {
      const y = Math.round(chart.valToPos(mark.value, "y", true));
      const color = cssColor(mark.color);
      line(bbox.left, y, bbox.left + bbox.width, y, color, [6, 4]);
    }
    ctx.restore();
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
