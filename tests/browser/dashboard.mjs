// Looks at the dashboard of a running aggregator with a real browser.
//
//     node tests/browser/dashboard.mjs http://127.0.0.1:9900 OUT_DIR [namespace/name]
//
// The workload should be receiving requests. Prints a line per check, writes screenshots to OUT_DIR, and exits with 1
// when a check fails, with 2 when the browser is not set up.

import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const WATCH_MS = 12_000;
const LEAST_WINDOWS = 5;
/** The figures slide on between a tick and our question, so not every state can be caught. */
const LEAST_EQUAL = 2;
const MAX_DELAY_MS = 2000;
/** Late frames may change the newest windows between the page's reading and ours. */
const SETTLED_SECONDS = 15;
/** A line of a few hundred pixels leaves at least so many in its own colour. */
const LEAST_LINE_PIXELS = 20;

const FIGURES = [
  "rps",
  "p50_ms",
  "p95_ms",
  "p99_ms",
  "error_ratio",
  "concurrency",
  "desired_replicas",
  "ready_replicas",
  "current_replicas",
];

const [target, out, wanted] = process.argv.slice(2);
if (!out) {
  console.error("usage: node tests/browser/dashboard.mjs BASE_URL OUT_DIR [namespace/name]");
  process.exit(2);
}
mkdirSync(out, { recursive: true });

const { chromium, executablePath } = findBrowser();

function findBrowser() {
  const tools = resolve(dirname(fileURLToPath(import.meta.url)), "../../.tools");
  try {
    const playwright = createRequire(join(tools, "browser", "package.json"))("playwright-core");
    const path = join(tools, "bin", "chromium");
    if (!existsSync(path)) throw new Error(`${path} is missing`);
    return { chromium: playwright.chromium, executablePath: path };
  } catch (error) {
    console.error(`The browser is not set up (${error.message.split("\n")[0]}). Run: make setup`);
    process.exit(2);
  }
}

/** A TCP relay between the browser and the aggregator, which can be cut and mended. */
class Relay {
  #sockets = new Set();
  #cut = false;
  #server = net.createServer((inner) => {
    if (this.#cut) {
      inner.destroy();
      return;
    }
    const { hostname, port } = new URL(target);
    const outer = net.connect(Number(port), hostname);
    for (const socket of [inner, outer]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        inner.destroy();
        outer.destroy();
      });
    }
    inner.pipe(outer).pipe(inner);
  });

  async start() {
    await new Promise((started) => this.#server.listen(0, "127.0.0.1", started));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#cut = false;
  }

  stop() {
    this.cut();
    this.#server.close();
  }
}

let failures = 0;

/** Runs one check; what it returns is printed, what it throws fails it. */
async function check(name, body) {
  try {
    const words = await body();
    console.log(`ok   ${name}${words ? `: ${words}` : ""}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}: ${error.message}`);
  }
}

function ensure(condition, words) {
  if (!condition) throw new Error(words);
}

const byId = (id) => `[data-testid="${id}"]`;

const relay = new Relay();
const base = await relay.start();
const browser = await chromium.launch({
  executablePath,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

try {
  await run();
} catch (error) {
  failures += 1;
  console.log(`FAIL the run ended early: ${error.stack}`);
} finally {
  await browser.close();
  relay.stop();
}
console.log(failures === 0 ? "all checks passed" : `${failures} check(s) failed`);
process.exit(failures === 0 ? 0 : 1);

async function run() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  const complaints = [];
  const strangers = [];
  let requests = 0;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => {
    // Our own second listener ends when the watch does.
    if (!request.url().endsWith("?watch")) complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  page.on("request", (request) => {
    requests += 1;
    if (new URL(request.url()).origin !== base) strangers.push(request.url());
  });

  const answer = await page.goto(wanted ? `${base}/#/${wanted}` : base);
  const article = page.locator(byId("workload-page"));

  await check("the page is served with a strict content security policy", () => {
    const policy = answer.headers()["content-security-policy"] ?? "";
    ensure(/default-src '(none|self)'/.test(policy), `the policy is "${policy}"`);
    ensure(!/(default|script)-src[^;]*'unsafe/.test(policy), `inline scripts are allowed: "${policy}"`);
  });

  await check("a workload's page is ready and live", async () => {
    await page.waitForSelector(`${byId("workload-page")}[data-state="ready"]`, { timeout: 20000 });
    await page.waitForSelector(`${byId("connection")}[data-state="live"]`, { timeout: 10000 });
    const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    return `${await article.getAttribute("data-key")}, first paint after ${Math.round(painted)} ms`;
  });
  const key = await article.getAttribute("data-key");
  const apiPath = `/v1/workloads/${key.split("/").map(encodeURIComponent).join("/")}`;

  await check("the chosen workload is in the list and in the address", async () => {
    const current = page.locator(`${byId("workload")}[aria-current="page"]`);
    ensure((await current.getAttribute("data-key")) === key, "another one is marked in the list");
    ensure(page.url().includes(`#/${key}`), `the address is ${page.url()}`);
  });

  const watch = follow(page, key);
  await check("every figure equals the API's", () => compareFigures(watch));
  await check("the page shows a new window within 2 s", () => measureDelay(watch));
  await check("the charts' data equals the API's history", () => compareHistory(page, apiPath));
  await check("the forecast equals the API's", () => compareForecast(page, apiPath));
  await check("the decisions are the API's, newest first", () => compareDecisions(page, apiPath));
  await check("every chart is drawn, each line in its colour", () => lookAtCharts(page));

  await check("a decision opens to its full record by keyboard", async () => {
    const sequence = Number(await page.locator(byId("decision")).first().getAttribute("data-sequence"));
    // By its number: the next decision takes its place in the table.
    const row = page.locator(`${byId("decision")}[data-sequence="${sequence}"]`);
    await row.locator("button").focus();
    await page.keyboard.press("Enter");
    const text = await page.locator(`#decision-${sequence} pre`).textContent();
    ensure(JSON.parse(text).sequence === sequence, "the record is another one's");
    await page.locator(`#decision-${sequence} summary`).focus();
    await page.keyboard.press("Enter");
    ensure(await page.locator(`#decision-${sequence} pre`).isVisible(), "the JSON does not open");
    await picture(page, "dashboard-decision");
    await row.locator("button").focus();
    await page.keyboard.press("Enter");
    ensure((await page.locator(`#decision-${sequence}`).count()) === 0, "it does not close");
    return `record ${sequence}`;
  });

  await check("the charts have a text table", async () => {
    await page.locator(`${byId("text-table")} > summary`).click();
    const rows = page.locator(`${byId("text-table")} tbody tr`);
    await rows.first().waitFor({ timeout: 3000 });
    const count = await rows.count();
    await page.locator(`${byId("text-table")} > summary`).click();
    return `${count} rows`;
  });

  await check("another range is read, drawn, and held by the address", async () => {
    await page.locator(byId("range-5m")).click();
    ensure(page.url().endsWith("?range=5m"), `the address is ${page.url()}`);
    await page.waitForFunction(() => {
      const { drawn, state } = window.__foresail;
      return state.range === "5m" && drawn.now - drawn.from <= 301 && drawn.history.t.length > 0;
    }, null, { timeout: 5000 });
    await page.goBack();
    await page.waitForFunction(() => window.__foresail.state.range === "15m", null, { timeout: 3000 });
  });

  await check("screenshots, light, dark and on a phone", async () => {
    await page.waitForTimeout(1500);
    await picture(page, "dashboard-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForTimeout(1200);
    await picture(page, "dashboard-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForTimeout(1200);
    await picture(page, "dashboard-phone");
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    ensure(overflow <= 0, `on a phone the page is ${overflow} px too wide`);
    await page.setViewportSize({ width: 1440, height: 900 });
    return out;
  });

  await check("no console error or warning, and no failed request", () => {
    ensure(complaints.length === 0, complaints.slice(0, 5).join("; "));
    return `${requests} requests`;
  });
  await check("nothing is asked of another origin", () => {
    ensure(strangers.length === 0, strangers.slice(0, 5).join(", "));
  });

  // From here on the browser itself rightly complains, so the checks above come first.
  await check("a lost connection is said loudly", async () => {
    relay.cut();
    await page.locator(byId("connection-notice")).waitFor({ state: "visible", timeout: 8000 });
    ensure((await page.locator(byId("connection")).getAttribute("data-state")) === "lost", "the mark still says live");
    await picture(page, "dashboard-connection-lost");
    return page.locator(byId("connection-notice")).textContent();
  });
  await check("data that is old is said loudly", async () => {
    // Waiting for it takes half a minute; the page's clock is put ahead instead.
    await page.evaluate(() => {
      const real = Date.now;
      window.__realNow = real;
      Date.now = () => real() + 60_000;
    });
    await page.locator(byId("stale-notice")).waitFor({ state: "visible", timeout: 4000 });
    ensure((await article.getAttribute("data-freshness")) === "stale", "the page does not say that it is stale");
    await picture(page, "dashboard-stale");
    const words = await page.locator(byId("badge-age")).textContent();
    await page.evaluate(() => {
      Date.now = window.__realNow;
    });
    return words;
  });
  await check("the connection comes back by itself", async () => {
    const before = await page.evaluate(() => window.__foresail.state.ticks);
    relay.mend();
    const began = Date.now();
    await page.waitForFunction((ticks) => window.__foresail.state.ticks > ticks, before, { timeout: 12000 });
    const took = Date.now() - began;
    await page.locator(byId("connection-notice")).waitFor({ state: "hidden", timeout: 3000 });
    await compareFigures(follow(page, key));
    return `after ${took} ms, and the figures are right again`;
  });
}

/** A screenshot of the whole page. */
async function picture(page, name) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
}

/**
 * Watches the page and the API side by side: a second listener to the same events, and `/v1/workloads` asked all the
 * time. Everything that the page shows must be in one of them, to the last digit, and often enough in the latter.
 */
async function follow(page, key) {
  const { told, ticked, shown } = await page.evaluate(
    async ({ key, figures, watchMs }) => {
      const article = document.querySelector('[data-testid="workload-page"]');
      const elements = figures.map((field) => document.querySelector(`[data-testid="value-${field}"]`));
      const shown = [];
      const read = () => {
        const now = { at: performance.now(), newest: article.dataset.newest, values: elements.map((one) => one.dataset.value) };
        if (JSON.stringify(shown.at(-1)?.values) !== JSON.stringify(now.values) || shown.at(-1).newest !== now.newest) shown.push(now);
      };
      const observer = new MutationObserver(read);
      observer.observe(article, { subtree: true, attributes: true, attributeFilter: ["data-value", "data-newest"] });
      const stateOf = (workloads) => {
        const workload = workloads.find((one) => `${one.namespace}/${one.name}` === key);
        return { newest: String(workload.newest ?? ""), values: figures.map((field) => String(workload[field] ?? "")) };
      };
      const ticked = [];
      const events = new EventSource("v1/events?watch");
      events.addEventListener("tick", (event) => ticked.push(stateOf(JSON.parse(event.data).workloads)));
      const told = [];
      const until = performance.now() + watchMs;
      while (performance.now() < until) {
        const asked = performance.now();
        const { workloads } = await (await fetch("v1/workloads")).json();
        told.push({ asked, answered: performance.now(), ...stateOf(workloads) });
        await new Promise((wake) => setTimeout(wake, 25));
      }
      observer.disconnect();
      await new Promise((wake) => setTimeout(wake, 200));
      events.close();
      return { told, ticked, shown };
    },
    { key, figures: FIGURES, watchMs: WATCH_MS },
  );
  const state = ({ newest, values }) => JSON.stringify([newest, values]);
  const answers = new Set(told.map(state));
  const ticks = new Set(ticked.map(state));
  const equal = shown.filter((one) => answers.has(state(one)));
  // The first was shown before the watch began, so the API may have gone on.
  const different = shown.slice(1).filter((one) => !answers.has(state(one)) && !ticks.has(state(one)));
  return { told, shown, equal, different };
}

async function compareFigures(watch) {
  const { shown, equal, different } = await watch;
  const words = different.map(({ newest, values }) => `at ${newest}: ${FIGURES.map((field, at) => `${field} ${values[at]}`).join(", ")}`);
  ensure(different.length === 0, `the API never said ${words.slice(0, 2).join("; ")}`);
  ensure(shown.length >= LEAST_WINDOWS, `the page changed ${shown.length} times only`);
  ensure(equal.length >= LEAST_EQUAL, `equal to /v1/workloads ${equal.length} times only, of ${shown.length}`);
  const present = FIGURES.filter((_, at) => equal.some(({ values }) => values[at] !== ""));
  ensure(present.includes("rps"), "there is no request rate to compare; is there load?");
  return `${shown.length} changes, all as in the events, ${equal.length} caught in /v1/workloads too; ${present.length} of ${FIGURES.length} figures present`;
}

/** Time from when the API first has a new window until the page shows it, or a newer one. */
async function measureDelay(watch) {
  const { told, shown } = await watch;
  const first = new Map();
  for (const { newest, answered } of told) if (!first.has(newest)) first.set(newest, answered);
  const [initial, ...windows] = [...first];
  const end = told.at(-1).answered;
  const delays = windows
    // What came in the last moments may still be on its way.
    .filter(([, at]) => at < end - MAX_DELAY_MS)
    .map(([newest, at]) => {
      const when = shown.find((one) => Number(one.newest) >= Number(newest))?.at ?? Infinity;
      return Math.max(0, when - at);
    })
    .sort((a, b) => a - b);
  ensure(initial !== undefined && delays.length >= LEAST_WINDOWS, `only ${delays.length} new windows`);
  const worst = Math.round(delays.at(-1));
  ensure(worst <= MAX_DELAY_MS, `${worst} ms at worst`);
  return `${delays.length} windows, median ${Math.round(delays[delays.length >> 1])} ms, worst ${worst} ms`;
}

async function compareHistory(page, apiPath) {
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
async function compareForecast(page, apiPath) {
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

async function compareDecisions(page, apiPath) {
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
async function lookAtCharts(page) {
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
