// Looks at the dashboard of a running aggregator with a real browser.
//
//     node tests/browser/dashboard.mjs http://127.0.0.1:9900 OUT_DIR [namespace/name]
//
// The workload should be receiving requests. Prints a line per check, writes screenshots to OUT_DIR, and exits with 1
// when a check fails, with 2 when the browser is not set up.

import { mkdirSync } from "node:fs";
import { Relay, byId, check, conclude, ensure, judge, launch, listenFor, picture as screenshot } from "./lib.mjs";
import * as insights from "./insight-checks.mjs";
import * as checks from "./workload-checks.mjs";

const WATCH_MS = 12_000;
const LEAST_WINDOWS = 5;
/** The figures slide on between a tick and our question, so not every state can be caught. */
const LEAST_EQUAL = 2;
const MAX_DELAY_MS = 2000;

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

const relay = new Relay(target);
const base = await relay.start();
const browser = await launch();

await conclude(run, async () => {
  await browser.close();
  relay.stop();
});

async function run() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  const strangers = [];
  let requests = 0;
  // Our own second listener ends when the watch does.
  const complaints = listenFor(page, (url) => url.endsWith("?watch"));
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

  await check("the chosen workload is in the address and the title", async () => {
    ensure(page.url().includes(`#/${key}`), `the address is ${page.url()}`);
    ensure((await page.title()).startsWith(key), `the title is ${await page.title()}`);
  });

  const watch = follow(page, key);
  await check("every figure equals the API's", () => compareFigures(watch));
  await check("the page shows a new window within 2 s", () => measureDelay(watch));
  await check("the charts' data equals the API's history", () => checks.compareHistory(page, apiPath));
  await check("the forecast equals the API's", () => checks.compareForecast(page, apiPath));
  await check("the decisions are the API's, newest first", () => checks.compareDecisions(page, apiPath));
  await check("every chart is drawn, each line in its colour", () => checks.lookAtCharts(page));

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

  await check("the heatmap holds every request of the histograms", () => checks.compareHeat(page, apiPath));
  await check("the error budget is the API's, and adds up from the history", () => checks.compareBudget(page, apiPath));
  await check("the learned capacity is the API's, and drawn", () => insights.compareCapacity(page, apiPath));
  await check("the models' scores are the API's", () => insights.compareModels(page, apiPath));
  await check("the scorecard is the API's, and adds up from the decisions", () => insights.compareScorecard(page, apiPath));
  await check("the fan of the forecast is in order", () => checks.lookAtFan(page));
  await check("zoom and pan, by mouse and by key, are in the address", () => checks.zoomAndPan(page));
  await check("the figures and the charts can be downloaded", () => checks.download(page));
  await check("axe finds nothing serious", () => judge(page));

  await check("screenshots, light, dark and on a phone", async () => {
    await page.waitForTimeout(1500);
    await picture(page, "dashboard-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForTimeout(1200);
    await picture(page, "dashboard-dark");
    await check("axe finds nothing serious in the dark", () => judge(page));
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

function picture(page, name) {
  return screenshot(page, out, name);
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
