// All workloads: a table to sort and search, which stays quick with thousands.

import { h, setAttribute, setData, setHidden, setText } from "./dom.js";
import { COLUMNS, sorted } from "./overview-columns.js";
import { addressOf, addressOfList } from "./route.js";
import { VirtualRows } from "./virtual-rows.js";
import { healthOf, keyOf } from "./workload.js";

/** Figures change each second; the order does not, or nobody could read it. */
const RESORT_SECONDS = 5;

const SHOWS = [
  { id: "all", label: "All", holds: () => true },
  { id: "missed", label: "Outside objective", holds: (health) => health === "missed" },
  { id: "stale", label: "Stale", holds: (health) => health === "stale" || health === "none" },
  { id: "met", label: "Within objective", holds: (health) => health === "met" },
];

export class Overview {
  #list;
  #workloads = [];
  #order = [];
  #byKey = new Map();
  #sortedAt = 0;
  #now = 0;
  #heads = new Map();
  #filters = new Map();
  #focused = 0;

  #search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Search  ( / )",
    autocomplete: "off",
    "aria-label": "Search workloads by name",
    oninput: () => this.#change({ q: this.#search.value }),
    dataset: { testid: "search" },
  });
  #count = h("p", { class: "muted", role: "status", dataset: { testid: "shown" } });
  #nothing = h("p", { class: "state-inline", dataset: { testid: "state-no-match" }, hidden: true }, "No workload fits this search.");
  #scroller = h("div", { class: "overview-scroll", tabindex: "0", dataset: { testid: "scroller" } });
  #rows = new VirtualRows(this.#scroller, () => new Row((at, row) => this.#move(at, row)));
  #table = h("div", { class: "overview-table", role: "table", "aria-label": "Workloads", dataset: { testid: "overview" } });

  constructor(list) {
    this.#list = list;
    this.#table.append(h("div", { class: "overview-heads", role: "rowgroup" }, this.#makeHeads()), this.#rows.element);
    this.#scroller.append(this.#table);
    this.element = h(
      "section",
      { class: "overview", "aria-labelledby": "overview-title" },
      h(
        "div",
        { class: "overview-bar" },
        h("h1", { class: "title", id: "overview-title", tabindex: "-1" }, "Workloads"),
        this.#search,
        h("div", { class: "filters", role: "group", "aria-label": "Show" }, SHOWS.map((show) => this.#makeFilter(show))),
        this.#count,
      ),
      this.#scroller,
      this.#nothing,
    );
    this.#search.value = list.q;
    this.#scroller.setAttribute("role", "region");
    this.#scroller.setAttribute("aria-label", "Table of workloads");
  }

  /** Takes what the address says. */
  setList(list) {
    this.#list = list;
    if (this.#search.value !== list.q) this.#search.value = list.q;
    this.#sortedAt = 0;
    this.update(this.#workloads, this.#now);
  }

  update(workloads, now) {
    const isOther = workloads.length !== this.#workloads.length;
    this.#workloads = workloads;
    this.#now = now;
    this.#byKey = new Map(workloads.map((workload) => [keyOf(workload), workload]));
    if (isOther || now - this.#sortedAt > RESORT_SECONDS) this.#sort();
    const shown = this.#order.map((key) => this.#byKey.get(key)).filter((workload) => workload !== undefined);
    this.#rows.update(shown.map((workload) => ({ workload, now })));
    setAttribute(this.#table, "aria-rowcount", String(shown.length + 1));
    this.#showHead(shown.length);
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  destroy() {
    this.#rows.destroy();
    this.element.remove();
  }

  #sort() {
    const { q, show } = this.#list;
    const wanted = q.trim().toLowerCase();
    const { holds } = SHOWS.find(({ id }) => id === show) ?? SHOWS[0];
    const fitting = this.#workloads.filter(
      (workload) => keyOf(workload).toLowerCase().includes(wanted) && holds(healthOf(workload, this.#now).id),
    );
    this.#order = sorted(fitting, this.#list, this.#now).map(keyOf);
    this.#sortedAt = this.#now;
  }

  #showHead(shown) {
    const { sort, down, show } = this.#list;
    for (const [id, head] of this.#heads) {
      setAttribute(head, "aria-sort", id !== sort ? "none" : down ? "descending" : "ascending");
    }
    const healths = this.#workloads.map((workload) => healthOf(workload, this.#now).id);
    for (const { id, holds } of SHOWS) {
      const { button, number } = this.#filters.get(id);
      setAttribute(button, "aria-pressed", String(id === show));
      setText(number, String(healths.filter(holds).length));
    }
    setText(this.#count, shown === this.#workloads.length ? "" : `${shown} of ${this.#workloads.length}`);
    setHidden(this.#nothing, shown > 0);
  }

  #makeHeads() {
    return h(
      "div",
      { class: "overview-row overview-head", role: "row", "aria-rowindex": "1" },
      COLUMNS.map(({ id, label, hint }) => {
        const sort = () => this.#change({ sort: id, down: this.#list.sort === id && !this.#list.down });
        const button = h("button", { type: "button", title: hint, onclick: sort, dataset: { testid: `sort-${id}` } }, label);
        const head = h("div", { class: `cell cell-${id}`, role: "columnheader" }, button);
        this.#heads.set(id, head);
        return head;
      }),
    );
  }

  #makeFilter({ id, label }) {
    const number = h("b", {});
    const button = h("button", { type: "button", class: "filter", onclick: () => this.#change({ show: id }), dataset: { testid: `show-${id}` } }, `${label} `, number);
    this.#filters.set(id, { button, number });
    return button;
  }

  /** The address is where the list's state lives, so that it can be sent to somebody. */
  #change(part) {
    const list = { ...this.#list, ...part };
    history.replaceState(null, "", addressOfList(list));
    this.#scroller.scrollTop = 0;
    this.setList(list);
  }

  /** Arrow keys move from row to row, also to those that are not in sight. */
  #move(by, at) {
    const last = this.#order.length - 1;
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + 10, PageUp: at - 10 };
    if (!(by in steps)) return false;
    this.#focused = Math.max(0, Math.min(last, steps[by]));
    this.#rows.reveal(this.#focused)?.link.focus({ preventScroll: true });
    return true;
  }
}

class Row {
  #at = 0;
  #health = h("span", { class: "health", role: "img" });
  #namespace = h("span", { class: "row-namespace" });
  #name = h("span", {});
  #cells = new Map();

  constructor(move) {
    this.link = h("a", {
      dataset: { testid: "workload" },
      onkeydown: (event) => {
        if (move(event.key, this.#at)) event.preventDefault();
      },
    }, this.#name);
    const cells = COLUMNS.map(({ id }) => {
      const cell = h("div", { class: `cell cell-${id}`, role: "cell" });
      this.#cells.set(id, cell);
      return cell;
    });
    this.#cells.get("health").append(this.#health);
    this.#cells.get("name").append(this.link, this.#namespace);
    this.element = h("div", { class: "overview-row", role: "row" }, cells);
  }

  show({ workload, now }, at) {
    this.#at = at;
    const key = keyOf(workload);
    const health = healthOf(workload, now);
    setData(this.#health, "health", health.id);
    setAttribute(this.#health, "aria-label", health.words);
    setAttribute(this.#health, "title", health.words);
    setText(this.#name, workload.name);
    setText(this.#namespace, workload.namespace);
    setData(this.link, "key", key);
    setAttribute(this.link, "href", addressOf({ ...workload, range: { id: "15m" } }));
    for (const { id, text, look } of COLUMNS) {
      if (text === undefined) continue;
      const cell = this.#cells.get(id);
      setText(cell, text(workload, now));
      if (look !== undefined) setData(cell, "look", look(workload, now));
    }
  }
}
