// Small helpers to build and update elements. Text only ever goes in as text, never as markup.

/**
 * h("p", { class: "note", dataset: { testid: "x" }, onclick: f }, "text", child, null)
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets text only when it changed, so that a selection survives and nothing is announced twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a value: words for people, the exact number in `data-value` (empty when it is missing). */
export function setValue(element, value, text) {
  setText(element, text);
  setData(element, "value", value ?? "");
  element.classList.toggle("missing", value === null || value === undefined);
}

export function setData(element, name, value) {
  const text = String(value);
  if (element.dataset[name] !== text) element.dataset[name] = text;
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
