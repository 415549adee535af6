// The address after `#` holds what is looked at: `#/namespace/name?range=1h`.

import { DEFAULT_RANGE, RANGES } from "./series.js";

/** { namespace, name, range }; namespace and name are null when none is chosen. */
export function readRoute(hash = location.hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const [namespace, name] = path.split("/").map(decode);
  const wanted = new URLSearchParams(query ?? "").get("range") ?? DEFAULT_RANGE;
  const range = RANGES.find(({ id }) => id === wanted) ?? RANGES.find(({ id }) => id === DEFAULT_RANGE);
  return name ? { namespace, name, range } : { namespace: null, name: null, range };
}

export function addressOf({ namespace, name, range }) {
  const query = range.id === DEFAULT_RANGE ? "" : `?range=${range.id}`;
  return `#/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}${query}`;
}

/** An address typed by hand may hold a `%` that escapes nothing. */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
