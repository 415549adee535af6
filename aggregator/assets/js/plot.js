// A uPlot that is made when there is room and data for it, follows its room's width, and is made anew in other colours.

import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { h, setAttribute } from "./dom.js";

const LEAST_WIDTH = 200;

export class Plot {
  #plan;
  #chart = null;
  #resize = new ResizeObserver(() => (this.#chart === null ? this.update() : this.#chart.setSize(this.#size())));

  /**
   * `plan`: { height, label, options() gives uPlot's options without a size, data() its data or null while there is none,
   * scale(chart) sets what scales are not derived from the data, if any }
   */
  constructor(plan) {
    this.#plan = plan;
    this.element = h("div", { class: "chart-plot", role: "img", "aria-label": plan.label });
    this.#resize.observe(this.element);
  }

  #size() {
    return { width: Math.max(LEAST_WIDTH, this.element.clientWidth), height: this.#plan.height };
  }

  /** Draws the data of now. */
  update() {
    const data = this.#plan.data();
    if (data === null) return;
    if (this.#chart === null) {
      if (this.element.clientWidth === 0) return;
      this.#chart = new uPlot({ ...this.#size(), ...this.#plan.options() }, data, this.element);
    }
    this.#chart.batch(() => {
      this.#chart.setData(data, this.#plan.scale === undefined);
      this.#plan.scale?.(this.#chart);
    });
  }

  /** Says in words what is drawn. */
  describe(words) {
    setAttribute(this.element, "aria-label", words);
  }

  /** The uPlot, or null while there is none. */
  get chart() {
    return this.#chart;
  }

  /** What is drawn, for a picture. */
  get canvas() {
    return this.#chart?.ctx.canvas ?? null;
  }

  /** Draws anew, when the colours have changed. */
  restyle() {
    this.#chart?.destroy();
    this.#chart = null;
    this.update();
  }

  destroy() {
    this.#resize.disconnect();
    this.#chart?.destroy();
  }
}
