// npm run fuzz: hunts for differences between the gateway on Node and on Bun that nobody has listed.

import { parseArgs } from "node:util";
import { confirm, fuzz, judge, type Verdict } from "./fuzz.ts";
import type { Exchange } from "./exchange.ts";
import { generate } from "./generate.ts";
import { Rig } from "./rig.ts";
import { shrink } from "./shrink.ts";

const USAGE = `usage: npm run fuzz -- [options]
  --exchanges N  how many (1000)
  --seed N       of what is generated (1)
  --from N       number of the first exchange (0)
  --only N       this one alone, with all that differs
  --lanes N      exchanges at a time (8)
  --findings N   ends after so many (5)
  --as-found     shows them as they were found, at once, and makes none smaller
  --plant NAME   puts a fault into the gateway on Bun first; see planted.ts
`;

const { values } = parseArgs({
  options: {
    exchanges: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    only: { type: "string" },
    lanes: { type: "string", default: "8" },
    findings: { type: "string", default: "5" },
    "as-found": { type: "boolean", default: false },
    plant: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function number(name: "exchanges" | "seed" | "from" | "only" | "lanes" | "findings"): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`fuzz: --${name} must be a whole number, not ${values[name] ?? ""}\n`);
    process.exit(2);
  }
  return value;
}

const SHOWN_MAX = 600;

function cut(text: string): string {
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}… (${text.length})` : text;
}

function show(index: number, exchange: Exchange, { unexplained }: Verdict): void {
  console.log(`\nexchange ${index}: npm run fuzz -- --seed ${values.seed} --only ${index}`);
  for (const { method, steps } of exchange.requests) {
    console.log(`  request ${method}`);
    for (const step of steps) console.log(`    ${cut(JSON.stringify(step))}`);
  }
  for (const { after, steps } of exchange.answers) {
    console.log(`  answer, after the request's ${after === "head" ? "head" : "end"}`);
    for (const step of steps) console.log(`    ${cut(JSON.stringify(step))}`);
  }
  if (exchange.isWarm) console.log("  over a kept connection to the upstream");
  if (exchange.isRewritten) console.log("  redirects and cookies written anew");
  if (exchange.isPipelined) console.log("  pipelined");
  for (const { about, index: at, aspect, name, node, bun } of unexplained) {
    console.log(`  differs: ${about} ${at} ${aspect} ${name ?? ""}`);
    console.log(`    Node ${cut(JSON.stringify(node))}\n    Bun  ${cut(JSON.stringify(bun))}`);
  }
}

if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const seed = number("seed");
const isOne = values.only !== undefined;
const rig = await Rig.start(isOne ? 1 : number("lanes"), values.plant);
const startedMs = performance.now();
if (isOne) {
  const exchange = generate(seed, number("only"));
  const verdict = await judge(rig, rig.lanes[0] ?? "", exchange);
  show(number("only"), exchange, verdict);
  console.log(`  listed: ${[...verdict.explained].join("; ") || "none"}`);
  process.exitCode = verdict.unexplained.length === 0 ? 0 : 1;
} else {
  const result = await fuzz(rig, {
    seed,
    from: number("from"),
    count: number("exchanges"),
    findingsMax: number("findings"),
    onFinding(finding) {
      if (values["as-found"]) show(finding.index, finding.exchange, finding);
    },
    onProgress: (done) => process.stderr.write(`${done}\n`),
  });
  for (const { index, exchange, ...verdict } of values["as-found"] ? [] : result.findings) {
    const shows = async (smaller: Exchange): Promise<boolean> =>
      isSame(verdict, await confirm(rig, smaller));
    const smallest = await shrink(exchange, shows);
    show(index, smallest, (await confirm(rig, smallest)) ?? verdict);
  }
  for (const [name, times] of [...result.explained].toSorted((a, b) => b[1] - a[1])) {
    console.log(`${String(times).padStart(8)} ${name}`);
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0);
  console.log(
    `${result.done} exchanges, seed ${seed}: ${result.findings.length} found, ${seconds} s`,
  );
  process.exitCode = result.findings.length === 0 ? 0 : 1;
}
await rig.stop();
process.exit();

/** Whether the smaller exchange shows one of the same facts. */
function isSame(before: Verdict, after: Verdict | undefined): boolean {
  const keys = new Set(before.unexplained.map(keyOf));
  return after?.unexplained.some((each) => keys.has(keyOf(each))) === true;
}

function keyOf({ about, aspect, name }: Verdict["unexplained"][number]): string {
  return `${about} ${aspect} ${name ?? ""}`;
}
