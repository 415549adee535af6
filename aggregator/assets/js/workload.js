// What follows from a workload's figures as the aggregator gives them.

import { duration } from "./format.js";

/** On data older than this nothing is scaled down (safety rule 2). */
export const STALE_SECONDS = 30;

/** Reports come each second; a few missing ones are worth a look. */
const LATE_SECONDS = 10;

const MODES = {
  shadow: { name: "Shadow", words: "Shadow: decides, does not scale" },
  canary: { name: "Canary", words: "Canary: scales by turns with whoever did before" },
  active: { name: "Active", words: "Active: scales" },
};

const WATCHED = { name: "Watched", words: "Watched: not in the configuration" };

/** A workload that sends frames without being configured has no mode. */
export const modeOf = ({ mode }) => MODES[mode] ?? WATCHED;

export const keyOf = ({ namespace, name }) => `${namespace}/${name}`;

/** Seconds since the newest data, or null when there never was any. */
export const ageOf = ({ newest }, now) =>
  newest === null || newest === undefined ? null : Math.max(0, now - newest);

/** "none", "fresh", "late" or "stale". */
export function freshnessOf(workload, now) {
  const age = ageOf(workload, now);
  if (age === null) return "none";
  if (age > STALE_SECONDS) return "stale";
  return age > LATE_SECONDS ? "late" : "fresh";
}

/** One mark for the list: { id, words }. */
export function healthOf(workload, now) {
  const freshness = freshnessOf(workload, now);
  if (freshness === "none") return { id: "none", words: "no data yet" };
  if (freshness === "stale") {
    return { id: "stale", words: `stale: newest data is ${duration(ageOf(workload, now))} old` };
  }
  if (workload.objective_met === true) return { id: "met", words: "objective met" };
  if (workload.objective_met === false) return { id: "missed", words: "objective missed" };
  return { id: "unknown", words: "objective not known" };
}
