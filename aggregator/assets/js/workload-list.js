// The list of workloads at the side.

import { h, setAttribute, setData, setHidden, setText } from "./dom.js";
import { rps } from "./format.js";
import { healthOf, keyOf, modeOf } from "./workload.js";
import { addressOf } from "./route.js";

/** A search field helps only when there is something to search. */
const SEARCH_FROM = 8;

export class WorkloadList {
  #rows = new Map();
  #list = h("ul", { class: "workloads", dataset: { testid: "workloads" } });
  #count = h("span", { class: "muted" });
  #search = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter workloads by name",
    oninput: () => this.#filter(),
  });

  constructor(container) {
    container.append(
      h("div", { class: "sidebar-head" }, h("h2", {}, "Workloads "), this.#count),
      this.#search,
      this.#list,
    );
  }

  update(workloads, selectedKey, route, now) {
    const keys = new Set(workloads.map(keyOf));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.item.remove();
      this.#rows.delete(key);
    }
    const added = workloads.filter((workload) => !this.#rows.has(keyOf(workload)));
    for (const workload of added) this.#rows.set(keyOf(workload), new ListRow(workload));
    if (added.length > 0) {
      const sorted = [...this.#rows].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
      this.#rows = new Map(sorted);
      this.#list.append(...sorted.map(([, row]) => row.item));
      this.#filter();
    }
    for (const workload of workloads) {
      const key = keyOf(workload);
      this.#rows.get(key).update(workload, key === selectedKey, route, now);
    }
    setText(this.#count, String(workloads.length));
    setHidden(this.#search, workloads.length < SEARCH_FROM);
  }

  #filter() {
    const wanted = this.#search.value.trim().toLowerCase();
    for (const [key, row] of this.#rows) setHidden(row.item, !key.toLowerCase().includes(wanted));
  }
}

class ListRow {
  #health = h("span", { class: "health", role: "img" });
  #rps = h("span", { class: "row-rps" });
  #mode = h("span", { class: "row-mode" });

  constructor({ namespace, name }) {
    this.link = h(
      "a",
      { dataset: { testid: "workload", key: `${namespace}/${name}` } },
      this.#health,
      h("span", { class: "row-name" }, name, h("span", { class: "row-namespace" }, namespace)),
      h("span", { class: "row-side" }, this.#rps, this.#mode),
    );
    this.item = h("li", {}, this.link);
  }

  update(workload, selected, route, now) {
    const health = healthOf(workload, now);
    setData(this.#health, "health", health.id);
    setAttribute(this.#health, "aria-label", health.words);
    setAttribute(this.#health, "title", health.words);
    setText(this.#rps, `${rps(workload.rps)}/s`);
    setText(this.#mode, modeOf(workload).name);
    setAttribute(this.link, "href", addressOf({ ...route, ...workload }));
    if (selected) setAttribute(this.link, "aria-current", "page");
    else this.link.removeAttribute("aria-current");
  }
}
