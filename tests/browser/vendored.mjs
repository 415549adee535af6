// Checks that the vendored libraries are, byte for byte, those that VENDORED.md names.
//
//     node tests/browser/vendored.mjs

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const vendor = join(dirname(fileURLToPath(import.meta.url)), "../../aggregator/assets/vendor");
const page = readFileSync(join(vendor, "VENDORED.md"), "utf8");
const wanted = new Map([...page.matchAll(/^\| `([0-9a-f]{64})` \| `([^`]+)` \|$/gm)].map(([, sum, file]) => [file, sum]));

const found = readdirSync(vendor, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name !== "VENDORED.md")
  .map((entry) => relative(vendor, join(entry.parentPath ?? entry.path, entry.name)));

const problems = [];
for (const file of found) {
  const sum = createHash("sha256").update(readFileSync(join(vendor, file))).digest("hex");
  if (!wanted.has(file)) problems.push(`${file} is not named in VENDORED.md`);
  else if (wanted.get(file) !== sum) problems.push(`${file} has the sum ${sum}, not that of VENDORED.md`);
}
for (const file of wanted.keys()) if (!found.includes(file)) problems.push(`${file} is missing`);
if (wanted.size === 0) problems.push("VENDORED.md names no file");

for (const problem of problems) console.error(`FAIL ${problem}`);
if (problems.length === 0) console.log(`ok   ${found.length} vendored files are those of VENDORED.md`);
process.exitCode = problems.length === 0 ? 0 : 1;
