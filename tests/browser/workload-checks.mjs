// What a workload's page shows, against what the API says; and what can be done with its charts.

import { readFileSync } from "node:fs";
import { byId, ensure } from "./lib.mjs";

/** Late frames may change the newest windows between the page's reading and ours. */
const SETTLED_SECONDS = 15;
/** A line of a few hundred pixels leaves at least so many in its own colour. */
const LEAST_LINE_PIXELS = 20;

export async function compareHistory(page, apiPath) {
  const { points, drawn } = await page.evaluate(async (path) => {
    const { drawn } = window.__foresail;
    const answer = await fetch(`.${path}/history?tier=1s&since=${Math.floor(drawn.from)}`);
    return { points: (await answer.json()).points, drawn };
  }, apiPath);
  const told = new Map(points.map((point) => [point.t, point]));
  const fields = ["rps", "p50_ms", "p95_ms", "p99_ms", "error_ratio", "ready_replicas", "desired_replicas"];
  const wrong = [];
  let compared = 0;
  drawn.history.t.forEach((t, at) => {
    if (t > drawn.now - SETTLED_SECONDS || t < drawn.from) return;
    for (const field of fields) {
      const shown = drawn.history[field][at];
      const value = told.get(t)?.[field] ?? null;
      if (shown !== value) wrong.push(`${field} at ${t}: ${shown}, API ${value}`);
      if (value !== null) compared += 1;
    }
  });
  ensure(wrong.length === 0, `${wrong.length} differ: ${wrong.slice(0, 3).join("; ")}`);
  ensure(compared > 0, "there is no settled history; let the load run for longer");
  return `${compared} values`;
}

/** Waits for the page's own next question for the forecast, and compares what it shows with that answer. */
export async function compareForecast(page, apiPath) {
  const answer = await page.waitForResponse((response) => new URL(response.url()).pathname === `${apiPath}/forecast`, { timeout: 15000 });
  const forecast = await answer.json();
  ensure(forecast.points?.length > 0, "the API has no forecast yet; let the load run for longer");
  await page.waitForFunction((issued) => document.querySelector('[data-testid="workload-page"]').dataset.issued === issued, String(forecast.issued_at), { timeout: 2000 });
  await page.waitForTimeout(200);
  const { shown, model, drawn } = await page.evaluate(() => ({
    shown: document.querySelector('[data-testid="value-forecast"]').dataset.value,
    model: document.querySelector('[data-testid="badge-model"]').dataset.value,
    drawn: window.__foresail.drawn,
  }));
  const last = forecast.points.at(-1);
  ensure(shown === String(last.point), `shows ${shown}, API ${last.point}`);
  ensure(model === forecast.model, `model ${model}, API ${forecast.model}`);
  ensure(drawn.ahead.upper.at(-1) === last.upper && drawn.ahead.lower.at(-1) === last.lower, "the band differs");
  ensure(last.lower <= last.point && last.point <= last.upper, "the band does not hold the point");
  return `${forecast.points.length} steps by ${model}`;
}

export async function compareDecisions(page, apiPath) {
  const { told, shown } = await page.evaluate(async (path) => {
    const rows = [...document.querySelectorAll('[data-testid="decision"]')];
    const shown = rows.map((row) => ({ sequence: Number(row.dataset.sequence), text: row.textContent }));
    return { told: (await (await fetch(`.${path}/decisions?limit=50`)).json()).decisions, shown };
  }, apiPath);
  ensure(shown.length > 0, "no decision is shown; let the load run for longer");
  const order = shown.map(({ sequence }) => sequence);
  ensure(order.every((sequence, at) => at === 0 || sequence < order[at - 1]), `the order is ${order}`);
  // One may have been made between reading the page and asking the API.
  ensure(told[0].sequence - shown[0].sequence <= 1, `the newest is ${told[0].sequence}, shown is ${shown[0].sequence}`);
  const bySequence = new Map(told.map((decision) => [decision.sequence, decision]));
  for (const { sequence, text } of shown) {
    const decision = bySequence.get(sequence);
    if (!decision) continue;
    ensure(text.includes(decision.reason), `row ${sequence} lacks its reason`);
    for (const { guard } of decision.guards) ensure(text.includes(guard), `row ${sequence} lacks its guard ${guard}`);
  }
  return `${shown.length} rows, newest ${shown[0].sequence}`;
}

/** Counts pixels in the colours that the page's style gives to the lines. */
export async function lookAtCharts(page) {
  const seen = await page.evaluate(() => {
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const style = getComputedStyle(document.documentElement);
    const rgb = (name) => {
      probe.fillStyle = style.getPropertyValue(name).trim();
      probe.fillRect(0, 0, 1, 1);
      return [...probe.getImageData(0, 0, 1, 1).data];
    };
    const { drawn } = window.__foresail;
    const has = (column) => column.filter((value) => value !== null).length > 5;
    const lines = {
      "chart-rps": [["--c-actual", has(drawn.history.rps)], ["--c-forecast", drawn.ahead.t.length > 1]],
      "chart-latency": ["50", "95", "99"].map((q) => [`--c-p${q}`, has(drawn.history[`p${q}_ms`])]),
      "chart-replicas": [["--c-ready", has(drawn.replicas.ready.v)]],
      "chart-errors": [["--c-error", has(drawn.history.error_ratio)]],
    };
    return Object.entries(lines).flatMap(([id, colors]) => {
      const canvas = document.querySelector(`[data-testid="${id}"] canvas`);
      const copy = document.createElement("canvas");
      copy.width = canvas.width;
      copy.height = canvas.height;
      const context = copy.getContext("2d");
      context.drawImage(canvas, 0, 0);
      const { data } = context.getImageData(0, 0, copy.width, copy.height);
      return colors.map(([name, due]) => {
        const color = rgb(name);
        let pixels = 0;
        for (let at = 0; at < data.length; at += 4) {
          if (data[at + 3] > 150 && [0, 1, 2].every((channel) => Math.abs(data[at + channel] - color[channel]) < 16)) pixels += 1;
        }
        return { id, name, due, pixels };
      });
    });
  });
  const faint = seen.filter(({ due, pixels }) => due && pixels < LEAST_LINE_PIXELS);
  ensure(faint.length === 0, faint.map(({ id, name, pixels }) => `${id} ${name}: ${pixels} pixels`).join(", "));
  const absent = seen.filter(({ due }) => !due).map(({ id, name }) => `${id} ${name}`);
  ensure(!absent.includes("chart-rps --c-actual"), "there are no request rates to draw; is there load?");
  const words = seen.filter(({ due }) => due).map(({ name, pixels }) => `${name.slice(4)} ${pixels}`);
  return `${words.join(", ")} pixels${absent.length > 0 ? `; without data: ${absent.join(", ")}` : ""}`;
}

/** The columns that the page has against the API's, and their sums against the rate of the same windows. */
export async function compareHeat(page, apiPath) {
  await page.waitForFunction(() => window.__foresail.drawn.heat.columns.length > 0, null, { timeout: 45000 });
  const { shown, told, history } = await page.evaluate(async (path) => {
    const { heat } = window.__foresail.drawn;
    const since = heat.columns[0].t;
    const ask = async (what) => (await fetch(`.${path}/${what}&since=${since}`)).json();
    return { shown: heat, told: await ask("heatmap?tier=15s"), history: await ask("history?tier=15s") };
  }, apiPath);
  ensure(shown.step === 15 && JSON.stringify(shown.edges) === JSON.stringify(told.edges_ms), "the cells differ");
  const columns = new Map(told.columns.map(({ t, cells }) => [t, cells]));
  let requests = 0;
  let inHistory = 0;
  for (const { t, cells } of shown.columns) {
    ensure(JSON.stringify(columns.get(t)) === JSON.stringify(cells), `the column at ${t} differs`);
    const window = history.points.find((point) => point.t === t);
    if (!window || window.coverage < 1) continue;
    requests += cells.reduce((sum, [, n]) => sum + n, 0);
    inHistory += window.rps * 15;
  }
  ensure(requests > 0, "no whole window to compare");
  ensure(Math.abs(requests / inHistory - 1) < 0.01, `${requests} requests in the heatmap, ${inHistory} in the history`);
  return `${shown.columns.length} columns, ${requests} requests, ${Math.round(inHistory)} in the history`;
}

export async function compareBudget(page, apiPath) {
  await page.locator(byId("budget-row")).first().waitFor({ timeout: 40000 });
  const { told, history, shown } = await page.evaluate(async (path) => {
    const ask = async (what) => (await fetch(`.${path}/${what}`)).json();
    const rows = [...document.querySelectorAll('[data-testid="budget-row"]')];
    return {
      told: await ask("budget"),
      history: await ask("history?tier=15s"),
      shown: rows.map(({ dataset }) => ({ seconds: Number(dataset.seconds), share: dataset.share })),
    };
  }, apiPath);
  ensure(JSON.stringify(shown.map(({ seconds }) => seconds)) === JSON.stringify(told.windows.map(({ seconds }) => seconds)), "other lengths of time");
  const goal = 100;
  const windows = history.points.filter(({ rps }) => rps !== null);
  const sum = (points) => points.reduce((total, { rps }) => total + rps * 15, 0);
  const missed = sum(windows.filter(({ p99_ms: p99 }) => p99 > goal));
  const [hour] = told.windows;
  // A window may have closed between the two questions.
  ensure(Math.abs(hour.requests / sum(windows) - 1) < 0.35 && Math.abs(hour.missed - missed) <= sum(windows) * 0.35, `the API says ${JSON.stringify(hour)}, the history ${sum(windows)} and ${missed}`);
  ensure(hour.missed_share === null || Math.abs(hour.burn_rate - hour.missed_share / told.budget) < 1e-9, "the burn rate is not the share over the budget");
  return `${Math.round(hour.missed)} of ${Math.round(hour.requests)} requests while missed`;
}

export async function lookAtFan(page) {
  const { ahead } = await page.evaluate(() => window.__foresail.drawn);
  ensure(ahead.t.length > 0, "there is no forecast");
  ahead.t.forEach((t, at) => ensure(ahead.p50[at] <= ahead.p90[at] && ahead.p90[at] <= ahead.p99[at], `at ${t}: ${ahead.p50[at]}, ${ahead.p90[at]}, ${ahead.p99[at]}`));
  return `${ahead.t.length} steps`;
}

export async function zoomAndPan(page) {
  await page.evaluate(() => scrollTo(0, 0));
  const box = await page.locator(`${byId("chart-rps")} .u-over`).boundingBox();
  const [y, x] = [box.y + box.height / 2, (share) => box.x + box.width * share];
  const before = await page.evaluate(() => window.__foresail.drawn);
  const timeAt = (share) => before.from + (before.to - before.from) * share;
  await page.mouse.move(x(0.3), y);
  await page.mouse.down();
  await page.mouse.move(x(0.5), y, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/[?]from=\d+&to=\d+/, { timeout: 3000 });
  const spanOf = () => Object.fromEntries(new URLSearchParams(new URL(page.url()).hash.split("?")[1]));
  const dragged = spanOf();
  ensure(Math.abs(dragged.from - timeAt(0.3)) < 4 && Math.abs(dragged.to - timeAt(0.5)) < 4, `chose ${JSON.stringify(dragged)}, of ${before.from} to ${before.to}`);
  await page.waitForFunction(({ from, to }) => {
    const { drawn } = window.__foresail;
    return drawn.from === Number(from) && drawn.to === Number(to) && drawn.history.t.length > 0 && drawn.history.t.every((t) => t >= from && t <= to);
  }, dragged, { timeout: 5000 });
  await page.mouse.move(x(0.5), y);
  await page.waitForFunction(() => [...document.querySelectorAll(".u-cursor-x")].filter((line) => !line.classList.contains("u-off") && line.offsetParent !== null).length >= 4, null, { timeout: 2000 });
  await page.locator(byId("charts")).focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((from) => !location.hash.includes(`from=${from}`), dragged.from, { timeout: 2000 });
  const panned = spanOf();
  ensure(Number(panned.from) < Number(dragged.from), `${panned.from} is not earlier than ${dragged.from}`);
  await page.keyboard.press("0");
  await page.waitForURL((url) => !url.href.includes("from="), { timeout: 2000 });
  // Read anew from its address, a chosen span is the same one.
  await page.waitForFunction(() => window.__foresail.drawn.to >= window.__foresail.drawn.now, null, { timeout: 4000 });
  return `${dragged.to - dragged.from} s of ${Math.round(before.to - before.from)} s`;
}

export async function download(page) {
  const get = async (id) => {
    const waiting = page.waitForEvent("download", { timeout: 5000 });
    await page.locator(byId(id)).click();
    const file = await waiting;
    return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
  };
  const csv = await get("span-csv");
  const [head, ...lines] = csv.bytes.toString().trim().split("\n").map((line) => line.split(","));
  ensure(csv.name.endsWith(".csv") && head[0] === "time" && head[1] === "rps", `the CSV begins with ${head}`);
  const drawn = await page.evaluate(() => window.__foresail.drawn);
  const [t, value] = [drawn.history.t[2], drawn.history.rps[2]];
  const line = lines.find(([time]) => Number(time) === t);
  ensure(line !== undefined && Number(line[1]) === value, `at ${t} the CSV has ${line?.[1]}, the chart ${value}`);
  const png = await get("span-png");
  ensure(png.bytes.subarray(1, 4).toString() === "PNG" && png.bytes.length > 20_000, `${png.name} is no picture`);
  return `${lines.length} lines, a picture of ${Math.round(png.bytes.length / 1024)} KiB`;
}
