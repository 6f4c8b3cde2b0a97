// Makes a report of runs: `node loadtest/report/main.ts --out FOLDER RUN…`, each RUN a folder that a run left.
//
//   report.html    all of it, in one file
//   summary.json   the verdict and each claim's number
//   spike.png      what became of each call, of the first scenario
//
// Its exit code is the verdict: 0 proven, 1 not proven, 3 no verdict, 2 wrongly used.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeReport } from "./write.ts";

const USAGE = "usage: node loadtest/report/main.ts --out FOLDER RUN…\n";

let values: { readonly out?: string | undefined };
let positionals: readonly string[];
try {
  ({ values, positionals } = parseArgs({
    options: { out: { type: "string" } },
    allowPositionals: true,
  }));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exit(2);
}
const { out } = values;
if (out === undefined || positionals.length === 0) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const proof = writeReport(out, positionals);
process.stdout.write(`${join(out, "report.html")}: ${proof.outcome}\n`);
for (const fault of proof.faults) process.stdout.write(`  ${fault}\n`);
process.exitCode = { held: 0, breached: 1, void: 3 }[proof.outcome];
