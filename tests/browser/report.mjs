// Looks at a backtest's report with a real browser, and compares its figures with the JSON's.
//
//     node tests/browser/report.mjs report.html report.json OUT_DIR [TRACES]
//
// Prints a line per check, writes screenshots to OUT_DIR, and exits with 1 when a check fails, with 2 when the browser is
// not set up.

import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { check, conclude, ensure, judge, launch, listenFor } from "./lib.mjs";

const MOST_MS = 2000;

const [html, json, out, traces] = process.argv.slice(2);
if (!out) {
  console.error("usage: node tests/browser/report.mjs REPORT.html REPORT.json OUT_DIR [TRACES]");
  process.exit(2);
}
mkdirSync(out, { recursive: true });
const report = JSON.parse(readFileSync(json, "utf8"));
const browser = await launch();

await conclude(look, () => browser.close());

async function look() {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  const complaints = listenFor(page);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  const address = pathToFileURL(resolve(html)).href;

  await check("it opens quickly, with every trace", async () => {
    if (traces) ensure(report.traces.length === Number(traces), `the JSON has ${report.traces.length} traces`);
    // A browser that was just started is still busy with itself.
    await page.goto("about:blank");
    const began = performance.now();
    await page.goto(address, { waitUntil: "load" });
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    const took = performance.now() - began;
    const shown = await page.locator("section[data-trace]").count();
    ensure(shown === report.traces.length, `${shown} traces are shown`);
    ensure(took < MOST_MS, `it took ${Math.round(took)} ms`);
    return `${shown} traces, ${(statSync(html).size / 2 ** 20).toFixed(1)} MiB, drawn after ${Math.round(took)} ms`;
  });

  await check("every figure over all traces is the JSON's", async () => {
    const rows = await figures(page, "#summary");
    ensure(rows.length === report.summary.length, `${rows.length} rows`);
    return compare(rows, (row) => report.summary.find(({ policy }) => policy === row.policy));
  });

  await check("every figure of every trace is the JSON's", async () => {
    let compared = 0;
    for (const [at, trace] of report.traces.entries()) {
      const rows = await figures(page, `#trace-${at}`);
      const policies = trace.policies.filter(({ runs }) => runs.some(({ is_default: own }) => own));
      ensure(rows.length === policies.length, `${trace.trace} has ${rows.length} rows, the JSON ${policies.length}`);
      compared += compare(rows, (row) => trace.policies.find(({ policy }) => policy === row.policy).runs.find(({ is_default: own }) => own));
    }
    return `${compared} figures`;
  });

  await check("the verdict says what the JSON says", async () => {
    const verdict = await page.locator(".verdict").textContent();
    const [own] = report.summary;
    for (const part of [own.policy, `on ${own.within_budget} of ${report.traces.length} traces`, own.default_cost.toFixed(2)]) {
      ensure(verdict.includes(part), `"${verdict}" lacks "${part}"`);
    }
    return verdict;
  });

  await check("the scatter and the time lines are drawn", async () => {
    const { dots, drawings } = await page.evaluate(() => ({
      dots: document.querySelector("svg").querySelectorAll("circle").length,
      drawings: [...document.querySelectorAll("section[data-trace]")].map((section) => [...section.querySelectorAll("svg")].map((svg) => ({ label: svg.getAttribute("aria-label"), lines: svg.querySelectorAll("path").length, text: svg.textContent }))),
    }));
    ensure(dots === report.summary.length, `${dots} dots for ${report.summary.length} policies`);
    for (const [at, [timeline, scatter]] of drawings.entries()) {
      const { policies } = report.traces[at].timeline;
      ensure(/forecast.*replicas.*violations/i.test(timeline.label) && timeline.lines > 5, `trace ${at} has no time lines`);
      for (const { policy } of policies) ensure(timeline.text.includes(`missed: ${policy}`), `trace ${at} lacks the violations of ${policy}`);
      ensure(scatter.lines > 2, `trace ${at} has no scatter`);
    }
    return `${dots} policies`;
  });

  await check("it is one file, without a script, that asks for nothing", async () => {
    const inside = await page.evaluate(() => document.querySelectorAll("script, link, img, iframe").length);
    ensure(inside === 0, `${inside} elements want something`);
    const strange = asked.filter((url) => url !== address && url !== "about:blank");
    ensure(strange.length === 0, `asked for ${strange.slice(0, 3).join(", ")}`);
    ensure(complaints.length === 0, complaints.slice(0, 3).join("; "));
  });

  await check("axe finds nothing serious, light and dark", async () => {
    await page.screenshot({ path: join(out, "report-light.png") });
    const light = await judge(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.locator("#trace-0").scrollIntoViewIfNeeded();
    await page.screenshot({ path: join(out, "report-dark-trace.png") });
    await judge(page);
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: join(out, "report-phone.png") });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    ensure(overflow <= 0, `on a phone the page is ${overflow} px too wide`);
    return light;
  });
}

/** The rows of a table, with the exact numbers behind what is shown. */
function figures(page, selector) {
  return page.evaluate((selector) => [...document.querySelectorAll(`${selector} tr[data-policy]`)].map((row) => ({
    policy: row.dataset.policy,
    cells: [...row.querySelectorAll("[data-field]")].map(({ dataset, textContent }) => ({ ...dataset, shown: textContent })),
  })), selector);
}

function compare(rows, truth) {
  let compared = 0;
  for (const row of rows) {
    const true_ = truth(row);
    ensure(true_ !== undefined, `the JSON has no ${row.policy}`);
    for (const { field, value, shown } of row.cells) {
      ensure(Number(value) === true_[field], `${row.policy} ${field}: ${value}, the JSON says ${true_[field]}`);
      const percent = shown.includes("%") ? 100 : 1;
      const close = Math.abs(Number.parseFloat(shown) - true_[field] * percent) <= 0.51;
      ensure(close, `${row.policy} ${field} is shown as ${shown} and is ${true_[field]}`);
      compared += 1;
    }
  }
  ensure(compared > 0, "there was nothing to compare");
  return compared;
}
