// Spans of time that one can look at, and the history that serves each.

/** How far back each tier of the history reaches, finest first. */
const TIERS = [
  { tier: "1s", step: 1, kept: 900 },
  { tier: "15s", step: 15, kept: 86400 },
  { tier: "5m", step: 300, kept: 28 * 86400 },
];

/** Spans that end now. */
export const RANGES = [
  { id: "5m", label: "5 min", seconds: 300, tier: "1s", step: 1 },
  { id: "15m", label: "15 min", seconds: 900, tier: "1s", step: 1 },
  { id: "1h", label: "1 h", seconds: 3600, tier: "15s", step: 15 },
  { id: "6h", label: "6 h", seconds: 21600, tier: "15s", step: 15 },
  { id: "24h", label: "24 h", seconds: 86400, tier: "15s", step: 15 },
  { id: "7d", label: "7 d", seconds: 604800, tier: "5m", step: 300 },
  { id: "28d", label: "28 d", seconds: 2419200, tier: "5m", step: 300 },
];

export const DEFAULT_RANGE = "15m";

/** Less than this cannot be looked at: a window is a second. */
const LEAST_SECONDS = 10;

/** How far back the 15 s columns of the heatmap reach. */
const HEAT_FINE_SECONDS = 6 * 3600;

/** A span with a fixed begin and end, from the finest tier that still holds its begin. */
export function fixedRange(from, to, now) {
  const begin = Math.floor(from);
  const end = Math.max(Math.ceil(to), begin + LEAST_SECONDS);
  const { tier, step } = TIERS.find(({ kept }) => now - begin <= kept) ?? TIERS.at(-1);
  return { id: `${begin}-${end}`, label: "chosen span", fixed: true, from: begin, to: end, seconds: end - begin, tier, step };
}

/** Where a range begins. */
export const beginOf = (range, now) => (range.fixed ? range.from : now - range.seconds);

/** Whether windows are still added to a range, or change in it. */
export const isLive = (range, now) => !range.fixed || range.to > now - 30;

/** The tier of the heatmap that reaches back far enough. */
export const heatTier = (range, now) => (now - beginOf(range, now) <= HEAT_FINE_SECONDS ? "15s" : "5m");
