// What is looked at, as a file: the figures as CSV, the charts as a picture.

import { cssColor } from "./chart-frame.js";
import { HISTORY_FIELDS } from "./series.js";

const EXTRA = ["forecast_p50", "forecast_p90", "forecast_p99", "forecast_then", "forecast_then_upper", "without_forecast"];

/** The columns of the charts as CSV, a line for each time; what is not known is empty. */
export function csvOf({ history, ahead, then, replicas }) {
  const rows = new Map();
  const put = (t, field, value) => {
    if (value === null || value === undefined) return;
    if (!rows.has(t)) rows.set(t, {});
    rows.get(t)[field] = value;
  };
  const column = (times, values, field) => times.forEach((t, at) => put(t, field, values[at]));
  for (const field of HISTORY_FIELDS) column(history.t, history[field], field);
  for (const field of ["p50", "p90", "p99"]) column(ahead.t, ahead[field], `forecast_${field}`);
  column(then.t, then.point, "forecast_then");
  column(then.t, then.upper, "forecast_then_upper");
  column(replicas.desired.t, replicas.desired.v, "desired_replicas");
  column(replicas.ready.t, replicas.ready.v, "ready_replicas");
  column(replicas.without.t, replicas.without.v, "without_forecast");
  const fields = [...HISTORY_FIELDS, ...EXTRA];
  const times = [...rows.keys()].sort((a, b) => a - b);
  const lines = times.map((t) => [t, ...fields.map((field) => rows.get(t)[field] ?? "")].join(","));
  return `${["time", ...fields].join(",")}\n${lines.join("\n")}\n`;
}

/** The charts below each other, as they are drawn, in one PNG; null when none is. */
export async function pictureOf(charts, heading) {
  const drawn = charts.map(({ canvas, title }) => ({ canvas, title })).filter(({ canvas }) => canvas !== null);
  if (drawn.length === 0) return null;
  const scale = devicePixelRatio;
  const [head, gap, pad] = [34, 26, 12].map((length) => length * scale);
  const sheet = document.createElement("canvas");
  sheet.width = Math.max(...drawn.map(({ canvas }) => canvas.width)) + 2 * pad;
  sheet.height = head + drawn.reduce((sum, { canvas }) => sum + canvas.height + gap, 0) + pad;
  const ctx = sheet.getContext("2d");
  ctx.fillStyle = cssColor("--surface");
  ctx.fillRect(0, 0, sheet.width, sheet.height);
  ctx.fillStyle = cssColor("--text");
  ctx.textBaseline = "middle";
  const write = (text, y, size, weight) => {
    ctx.font = `${weight} ${size * scale}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.fillText(text, pad, y);
  };
  write(heading, head / 2, 15, 600);
  let y = head;
  for (const { canvas, title } of drawn) {
    write(title, y + gap / 2, 12, 500);
    ctx.drawImage(canvas, pad, y + gap);
    y += gap + canvas.height;
  }
  return new Promise((done) => sheet.toBlob(done, "image/png"));
}

/** Hands a file to the browser. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
