// The address after `#` holds what is looked at:
// `#/?q=shop&sort=rps&down=1&show=missed` for all workloads, `#/namespace/name?range=1h` for one, and
// `#/namespace/name?from=1700000000&to=1700003600` for a fixed span of it.

import { DEFAULT_RANGE, RANGES, fixedRange } from "./ranges.js";

/** { namespace, name, range, list }; namespace and name are null when all are looked at. */
export function readRoute(now, hash = location.hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const [namespace, name] = path.split("/").map(decode);
  const wanted = new URLSearchParams(query ?? "");
  const list = {
    q: wanted.get("q") ?? "",
    sort: wanted.get("sort") ?? "health",
    down: wanted.get("down") === "1",
    show: wanted.get("show") ?? "all",
  };
  const range = readRange(wanted, now);
  return name ? { namespace, name, range, list } : { namespace: null, name: null, range, list };
}

function readRange(wanted, now) {
  const [from, to] = ["from", "to"].map((end) => Number.parseFloat(wanted.get(end) ?? ""));
  if (Number.isFinite(from) && Number.isFinite(to) && to > from) return fixedRange(from, to, now);
  const named = (id) => RANGES.find((range) => range.id === id);
  return named(wanted.get("range")) ?? named(DEFAULT_RANGE);
}

export function addressOf({ namespace, name, range }) {
  const span = range.fixed ? `?from=${range.from}&to=${range.to}` : `?range=${range.id}`;
  const query = range.id === DEFAULT_RANGE ? "" : span;
  return `#/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}${query}`;
}

export function addressOfList({ q, sort, down, show }) {
  const query = new URLSearchParams();
  if (q !== "") query.set("q", q);
  if (sort !== "health") query.set("sort", sort);
  if (down) query.set("down", "1");
  if (show !== "all") query.set("show", show);
  const text = query.toString();
  return `#/${text === "" ? "" : `?${text}`}`;
}

/** An address typed by hand may hold a `%` that escapes nothing. */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
