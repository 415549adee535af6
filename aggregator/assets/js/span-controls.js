// Which span of time is looked at: named ranges, zoom and pan by button and key, and what is looked at as a file.

import { h, setHidden, setText } from "./dom.js";
import { dateTime } from "./format.js";
import { RANGES } from "./ranges.js";
import { addressOf } from "./route.js";

/** Share of the span by which a pan moves. */
const PAN = 0.25;
const ZOOM = 2;

export class SpanControls {
  #actions;
  #ranges = h("div", { class: "ranges", role: "group", "aria-label": "Time range" });
  #fixed = h("p", { class: "span-words", role: "status", dataset: { testid: "span-words" }, hidden: true });
  #live;

  /** `actions`: { span() gives { from, to, now }, show(from, to), live(), csv(), png() }. */
  constructor(actions) {
    this.#actions = actions;
    const button = (label, name, title, onclick) =>
      h("button", { type: "button", class: "button", "aria-label": title, title, onclick, dataset: { testid: `span-${name}` } }, label);
    this.#live = h("button", { type: "button", class: "button button-accent", onclick: () => actions.live(), dataset: { testid: "span-live" }, hidden: true }, "Back to now");
    this.element = h(
      "div",
      { class: "span-controls" },
      this.#live,
      h(
        "div",
        { class: "span-buttons", role: "group", "aria-label": "Zoom and pan" },
        button("◀", "back", "Earlier", () => this.#pan(-PAN)),
        button("▶", "forth", "Later", () => this.#pan(PAN)),
        button("+", "in", "Zoom in", () => this.#zoom(1 / ZOOM)),
        button("−", "out", "Zoom out", () => this.#zoom(ZOOM)),
      ),
      this.#ranges,
      h(
        "div",
        { class: "span-buttons", role: "group", "aria-label": "Download" },
        button("CSV", "csv", "Download the figures as CSV", () => actions.csv()),
        button("PNG", "png", "Download the charts as PNG", () => actions.png()),
      ),
    );
    this.words = this.#fixed;
  }

  /** Marks the range of a route. */
  show(route) {
    const { range } = route;
    const held = document.activeElement?.dataset?.range;
    this.#ranges.replaceChildren(
      ...RANGES.map((one) =>
        h(
          "a",
          {
            href: addressOf({ ...route, range: one }),
            "aria-current": one.id === range.id ? "true" : null,
            dataset: { range: one.id, testid: `range-${one.id}` },
          },
          one.label,
        )),
    );
    if (held) this.#ranges.querySelector(`[data-range="${held}"]`)?.focus();
    setHidden(this.#live, !range.fixed);
    setHidden(this.#fixed, !range.fixed);
    setText(this.#fixed, range.fixed ? `From ${dateTime(range.from)} to ${dateTime(range.to)}. The figures above are of now.` : "");
  }

  /** Makes a group of charts answer to arrow keys, + and -, 0, and to the wheel with Ctrl or Shift. */
  attach(group) {
    const keys = {
      ArrowLeft: () => this.#pan(-PAN),
      ArrowRight: () => this.#pan(PAN),
      "+": () => this.#zoom(1 / ZOOM),
      "=": () => this.#zoom(1 / ZOOM),
      "-": () => this.#zoom(ZOOM),
      0: () => this.#actions.live(),
    };
    group.addEventListener("keydown", (event) => {
      if (event.target !== group || event.ctrlKey || event.metaKey || event.altKey) return;
      const action = keys[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    });
    group.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const amount = event.deltaY + event.deltaX;
    if (event.shiftKey) {
      this.#pan(Math.sign(amount) * PAN * 0.4);
      return;
    }
    const plot = event.target.closest(".u-over")?.getBoundingClientRect();
    const at = plot ? (event.clientX - plot.left) / plot.width : 0.5;
    this.#zoom(Math.exp(Math.max(-1, Math.min(1, amount * 0.004))), at);
  }

  #pan(share) {
    const { from, to, now } = this.#actions.span();
    const length = to - from;
    // There is nothing later than the end of a forecast, which no span of ours needs more of than half.
    const shift = Math.min(length * share, now + length / 2 - to);
    this.#actions.show(from + shift, to + shift);
  }

  #zoom(factor, at = 0.5) {
    const { from, to } = this.#actions.span();
    const length = Math.min((to - from) * factor, RANGES.at(-1).seconds);
    const fixed = from + (to - from) * at;
    this.#actions.show(fixed - length * at, fixed + length * (1 - at));
  }
}
