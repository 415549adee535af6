// Rows of a long table, of which only those in sight exist.

import { h, setAttribute } from "./dom.js";

/** Rows kept ready above and below what is in sight, so that a quick scroll finds them drawn. */
const MARGIN = 8;

export class VirtualRows {
  #items = [];
  #pool = [];
  #rowHeight = 44;
  #makeRow;
  #frame = 0;
  #space = h("div", { class: "rows", role: "rowgroup" });
  #onResize = new ResizeObserver(() => this.#schedule());

  /** `makeRow()` gives { element, show(item, at) }; `scroller` is what scrolls. */
  constructor(scroller, makeRow) {
    this.scroller = scroller;
    this.#makeRow = makeRow;
    this.element = this.#space;
    scroller.addEventListener("scroll", () => this.#schedule(), { passive: true });
    this.#onResize.observe(scroller);
  }

  /** Shows these items, in this order. */
  update(items) {
    this.#items = items;
    this.#rowHeight = Number.parseFloat(getComputedStyle(this.#space).getPropertyValue("--row-height")) || this.#rowHeight;
    this.#space.style.height = `${items.length * this.#rowHeight}px`;
    this.#render();
  }

  /** Brings an item into sight; returns its row. */
  reveal(at) {
    const top = this.#space.offsetTop + at * this.#rowHeight;
    const head = this.#space.offsetTop;
    const { scrollTop, clientHeight } = this.scroller;
    if (top - head < scrollTop) this.scroller.scrollTop = top - head;
    else if (top + this.#rowHeight > scrollTop + clientHeight) this.scroller.scrollTop = top + this.#rowHeight - clientHeight;
    this.#render();
    return this.#pool[at % this.#pool.length] ?? null;
  }

  /** How many rows exist. */
  get size() {
    return this.#pool.length;
  }

  destroy() {
    this.#onResize.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  #schedule() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #render() {
    const inSight = Math.ceil(this.scroller.clientHeight / this.#rowHeight) + 1 + 2 * MARGIN;
    while (this.#pool.length < inSight) {
      const row = this.#makeRow();
      this.#pool.push(row);
      this.#space.append(row.element);
    }
    const size = this.#pool.length;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / this.#rowHeight) - MARGIN);
    for (let at = first; at < first + size; at += 1) {
      // The same item keeps its element while it is in sight, and with it the focus.
      const row = this.#pool[at % size];
      const item = this.#items[at];
      if (item === undefined) {
        row.element.hidden = true;
        row.item = null;
        continue;
      }
      // While one scrolls, most rows are what they were.
      if (row.at === at && row.item === item) continue;
      row.at = at;
      row.item = item;
      row.element.hidden = false;
      setAttribute(row.element, "aria-rowindex", String(at + 2));
      const place = `translateY(${at * this.#rowHeight}px)`;
      if (row.element.style.transform !== place) row.element.style.transform = place;
      row.show(item, at);
    }
  }
}
