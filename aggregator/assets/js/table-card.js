// A card with a heading, a sentence, and a table; and what it says while there is nothing to show.

import { h, setData, setHidden, setText } from "./dom.js";

export class TableCard {
  #words = h("p", { class: "muted" });
  #state = h("p", { class: "state-inline", role: "status" });
  #rows = h("tbody");
  #content;

  /** `above` are elements between the heading and the table. */
  constructor({ id, title, caption, heads, above = [] }) {
    const titleId = `${id}-title`;
    this.#words.dataset.testid = `${id}-words`;
    this.#state.dataset.testid = `${id}-state`;
    const table = h(
      "div",
      { class: "table-scroll", tabindex: "0", role: "region", "aria-label": `Table: ${title}` },
      h(
        "table",
        {},
        h("caption", { class: "visually-hidden" }, caption),
        h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
        this.#rows,
      ),
    );
    this.#content = h("div", { class: "insight-content" }, above, table);
    this.element = h(
      "section",
      { class: `card insight ${id}`, "aria-labelledby": titleId, dataset: { testid: id } },
      h("div", { class: "card-head" }, h("h2", { id: titleId }, title), this.#words),
      this.#state,
      this.#content,
    );
    this.say("loading", "Loading…");
  }

  /** Shows rows, and a sentence about them. */
  show(words, rows) {
    this.#set("ready", "");
    setText(this.#words, words);
    this.#rows.replaceChildren(...rows);
  }

  /** Says why there is nothing: `state` is "loading", "warming", "none" or "failed". What was there before a failure stays. */
  say(state, words) {
    const keeps = state === "failed" && this.#rows.childElementCount > 0;
    if (!keeps) setText(this.#words, "");
    this.#set(state, words, keeps);
  }

  #set(state, words, keeps = false) {
    setData(this.element, "state", state);
    setText(this.#state, words);
    setHidden(this.#state, words === "");
    setHidden(this.#content, state !== "ready" && !keeps);
  }
}

/** A row: its head, and cells of text or elements. */
export const row = (dataset, head, cells) =>
  h("tr", { dataset }, h("th", { scope: "row" }, head), cells.map((cell) => h("td", {}, cell)));

/** A bar of a share from 0 to 1; `look` is "good", "warn", "bad" or "none". */
export function bar(share, look) {
  const fill = h("span", { class: "bar-fill" });
  // A style attribute would need an exception in the content security policy; a property does not.
  fill.style.width = `${Math.min(100, Math.max(0, share ?? 0) * 100)}%`;
  return h("span", { class: "bar", "aria-hidden": "true", dataset: { look } }, fill);
}
