// The cards of a workload's page that are not over time, against the API and against what they are made from.

import { byId, ensure } from "./lib.mjs";

/** The page's own next answer from an address, and the card after it was shown. */
async function nextAnswer(page, path) {
  const answer = await page.waitForResponse((response) => new URL(response.url()).pathname === path, { timeout: 65_000 });
  const told = await answer.json();
  await page.waitForTimeout(150);
  return told;
}

export async function compareCapacity(page, apiPath) {
  const told = await nextAnswer(page, `${apiPath}/capacity`);
  ensure(told.source === "learned", `capacity is ${told.source}`);
  ensure(told.lower_rps <= told.upper_rps && told.safe_rps <= told.upper_rps, `safe is ${told.safe_rps}, between ${told.lower_rps} and ${told.upper_rps}`);
  ensure(told.curve.every((point, at) => at === 0 || point.slow_share >= told.curve[at - 1].slow_share - 1e-12), "more load makes fewer requests slow");
  const seen = await page.evaluate(async (path) => {
    const { number } = await import("./assets/js/format.js");
    const { decisions } = await (await fetch(`.${path}/decisions?limit=400`)).json();
    const { safe_rps: safe } = await (await fetch(`.${path}/capacity`)).json();
    const card = document.querySelector('[data-testid="capacity"]');
    const canvas = card.querySelector("canvas");
    const style = getComputedStyle(document.documentElement);
    const copyOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
    const copy = copyOf(canvas.width, canvas.height);
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const probe = copyOf(1, 1);
    const pixels = ["--c-actual", "--c-forecast"].map((name) => {
      probe.fillStyle = style.getPropertyValue(name).trim();
      probe.fillRect(0, 0, 1, 1);
      const color = [...probe.getImageData(0, 0, 1, 1).data];
      let count = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 150 && [0, 1, 2].every((channel) => Math.abs(data[at + channel] - color[channel]) < 16)) count += 1;
      }
      return [name, count];
    });
    return {
      decisions,
      safe: number(safe),
      words: card.querySelector('[data-testid="capacity-words"]').textContent,
      spoken: card.querySelector(".chart-plot").getAttribute("aria-label"),
      state: card.dataset.state,
      pixels,
    };
  }, apiPath);
  ensure(seen.state === "ready" && seen.words.includes(`safely serves ${seen.safe} `), `it is ${seen.state} and says "${seen.words}", the API ${seen.safe}`);
  ensure(seen.spoken.includes(seen.words), "a screen reader is told something else");
  const byTime = new Map(seen.decisions.map((decision) => [decision.at / 1e6, decision.observation]));
  const known = told.observed.filter(({ t }) => byTime.has(t));
  const wrong = known.filter(({ t, rps }) => Math.abs(byTime.get(t).rps / byTime.get(t).ready_replicas - rps) > 1e-9);
  ensure(known.length > 5 && wrong.length === 0, `${wrong.length} of ${known.length} points differ from the decisions`);
  const faint = seen.pixels.filter(([, count]) => count < 20);
  ensure(faint.length === 0, `hardly drawn: ${faint.join("; ")}`);
  return `${known.length} points, ${told.curve.length} of the curve, safe ${seen.safe}; ${seen.pixels.map(([name, count]) => `${name.slice(4)} ${count}`).join(", ")} pixels`;
}

export async function compareModels(page, apiPath) {
  const told = await nextAnswer(page, `${apiPath}/forecast`);
  const rows = await page.locator(byId("model-row")).evaluateAll((found) => found.map(({ dataset, cells }) => ({ ...dataset, charge: cells[1].textContent })));
  ensure(told.scores.length > 0 && rows.length === told.scores.length, `${rows.length} rows, the API has ${told.scores.length}`);
  told.scores.forEach((score, at) => {
    ensure(rows[at].seconds === String(score.seconds) && rows[at].steps === String(score.steps), `row ${at} is ${JSON.stringify(rows[at])}, the API says ${score.seconds} s and ${score.steps} steps`);
    ensure(rows[at].charge === (score.boosted_share > 0.5 ? "trees" : "linear experts"), `row ${at} has ${rows[at].charge} in charge`);
    const sum = Object.values(score.experts).reduce((total, weight) => total + weight, 0);
    ensure(Math.abs(sum - 1) < 1e-9, `the weights add up to ${sum}`);
    ensure(score.steps > 0 && score.covered.p50 <= score.covered.p90 && score.covered.p90 <= score.covered.p99, `covered ${JSON.stringify(score.covered)}`);
  });
  const [first] = told.scores;
  return `${rows.length} horizons; at ${first.seconds} s p90 held in ${(first.covered.p90 * 100).toFixed(0)} % of ${first.steps} steps`;
}

/** Replica time of whoever is in charge is added up again here, from the whole records. */
export async function compareScorecard(page, apiPath) {
  const told = await nextAnswer(page, `${apiPath}/shadows`);
  const { decisions } = await page.evaluate(async (path) => (await fetch(`.${path}/decisions?limit=2000`)).json(), apiPath);
  const rows = await page.locator(byId("scorecard-row")).evaluateAll((found) => found.map(({ dataset }) => ({ ...dataset })));
  const sides = told.windows.flatMap(({ seconds, measured, modelled, policies }) =>
    Object.entries({ measured, modelled, ...policies }).map(([name, score]) => ({ seconds: String(seconds), side: name, hours: String(score.pod_hours), violation: String(score.violation) })));
  const wanted = sides.map((side) => JSON.stringify(side));
  const shown = rows.map(({ seconds, side, hours, violation }) => JSON.stringify({ seconds, side, hours, violation }));
  ensure(JSON.stringify(shown) === JSON.stringify(wanted), `shown are ${shown.slice(0, 2)}, the API says ${wanted.slice(0, 2)}`);
  const [{ measured, policies }] = told.windows;
  ensure(policies.configured !== undefined, `policies are ${Object.keys(policies)}`);
  const replicas = new Set(decisions.map(({ observation }) => observation.current_replicas).filter((count) => count !== null));
  ensure(replicas.size === 1, `there were ${[...replicas]} replicas`);
  // One replica all the time is as many replica-seconds as are known.
  ensure(Math.abs(measured.pod_hours * 3600 - measured.known_seconds) < 1e-6 * measured.known_seconds + 1e-9, `${measured.pod_hours} replica-hours in ${measured.known_seconds} s of one replica`);
  return `${rows.length} rows; ${measured.known_seconds.toFixed(0)} s known, Foresail would have had ${(policies.configured.pod_hours / measured.pod_hours).toFixed(2)} times the replica time`;
}
