// What the scripts that look at pages share: the browser, checks that are printed, screenshots, and a judge of
// accessibility.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const tools = resolve(dirname(fileURLToPath(import.meta.url)), "../../.tools");

/** Starts Chromium; ends with 2, and the command that brings it, when it is not set up. */
export async function launch() {
  const { chromium, executablePath } = findBrowser();
  return chromium.launch({
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
}

function findBrowser() {
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

let failures = 0;

/** Runs one check; what it returns is printed, what it throws fails it. */
export async function check(name, body) {
  try {
    const words = await body();
    console.log(`ok   ${name}${words ? `: ${words}` : ""}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}: ${error.message}`);
  }
}

/** Runs all of `body`, and ends the process with what came of it. */
export async function conclude(body, cleanUp) {
  try {
    await body();
  } catch (error) {
    failures += 1;
    console.log(`FAIL the run ended early: ${error.stack}`);
  } finally {
    await cleanUp();
  }
  console.log(failures === 0 ? "all checks passed" : `${failures} check(s) failed`);
  process.exit(failures === 0 ? 0 : 1);
}

export function ensure(condition, words) {
  if (!condition) throw new Error(words);
}

export const byId = (id) => `[data-testid="${id}"]`;

/** A screenshot of the whole page. */
export async function picture(page, out, name) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
}

/** Collects what the browser complains of; `mine(url)` tells what a test does itself. */
export function listenFor(page, mine = () => false) {
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => {
    // What the page itself takes back, because another page is looked at, is no failure.
    if (request.failure()?.errorText === "net::ERR_ABORTED") return;
    if (!mine(request.url())) complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  return complaints;
}

const SERIOUS = ["serious", "critical"];

/** Fails on findings of axe-core that are serious or critical, by WCAG 2.2 A and AA and its own best practices. */
export async function judge(page) {
  const source = readFileSync(join(tools, "browser", "node_modules", "axe-core", "axe.min.js"), "utf8");
  await page.evaluate(source);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations", "passes"] }));
  const serious = violations.filter(({ impact }) => SERIOUS.includes(impact));
  const words = serious.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
  ensure(serious.length === 0, words.join("; "));
  const minor = violations.map(({ id, impact }) => `${id} (${impact})`);
  return `${passes.length} rules hold${minor.length > 0 ? `; not serious: ${minor.join(", ")}` : ""}`;
}

/** A TCP relay between the browser and the aggregator, which can be cut and mended. */
export class Relay {
  #sockets = new Set();
  #cut = false;
  #server;

  constructor(target) {
    this.#server = net.createServer((inner) => this.#connect(inner, new URL(target)));
  }

  #connect(inner, { hostname, port }) {
    if (this.#cut) {
      inner.destroy();
      return;
    }
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
  }

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
