// Numbers and times in words. What is missing is a dash, never a zero.

export const MISSING = "–";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Making a formatter takes far longer than using one. */
const formatters = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits }));

/** Three significant digits, grouped, without an exponent. */
export function number(value) {
  if (!isNumber(value)) return MISSING;
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return formatters[digits].format(value);
}

export const rps = number;

export const count = (value) => (isNumber(value) ? formatters[3].format(value) : MISSING);

/** A latency given in milliseconds. */
export function latency(ms) {
  if (!isNumber(ms)) return MISSING;
  if (ms !== 0 && ms < 1) return `${number(ms * 1000)} µs`;
  return ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000)} s`;
}

/** A share from 0 to 1. */
export function percent(ratio) {
  if (!isNumber(ratio)) return MISSING;
  const value = ratio * 100;
  const digits = value === 0 || value >= 10 ? 0 : value >= 1 ? 1 : 2;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${formatters[digits].format(value)} %`;
}

/** A length of time in seconds: 75 s, 2 min 5 s, 3 h 10 min, 2 d 4 h. */
export function duration(seconds) {
  if (!isNumber(seconds)) return MISSING;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  for (const [size, unit, next, nextUnit] of [
    [86400, "d", 3600, "h"],
    [3600, "h", 60, "min"],
    [60, "min", 1, "s"],
  ]) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / next);
    return `${Math.floor(whole / size)} ${unit}${rest > 0 ? ` ${rest} ${nextUnit}` : ""}`;
  }
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const shortDateFormat = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/** Local time of day of an instant in Unix seconds. */
export const clock = (seconds) =>
  isNumber(seconds) ? clockFormat.format(seconds * 1000) : MISSING;

export const dateTime = (seconds) =>
  isNumber(seconds) ? dateFormat.format(seconds * 1000) : MISSING;

/** Time of day on a day's span, with the date when the span is longer. */
export const moment = (seconds, span) =>
  isNumber(seconds) && span > 86400 ? shortDateFormat.format(seconds * 1000) : clock(seconds);

/** `0.99` is p99, `0.999` is p99.9. */
export const quantile = (value) => `p${Number((value * 100).toFixed(3))}`;
