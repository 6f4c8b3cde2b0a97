// npm run soak: thirty minutes of honest and other callers on both runtimes, side by side.

import { parseArgs } from "node:util";
import { describeMachine, machineLines, packageVersion } from "../bench/support/machine.ts";
import { runtimeVersions } from "../bench/support/runtimes.ts";
import { markdownTable, writeReport } from "../bench/support/table.ts";
import { soak, type SoakResult } from "./soak.ts";

const USAGE = `usage: npm run soak -- [options]
  --minutes N   how long (30); the result of shorter runs is not kept
  --honest N    honest calls a second (60)
  --others N    others a second (15)
  --seed N      seed of what they do (1)
`;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    honest: { type: "string", default: "60" },
    others: { type: "string", default: "15" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (process.platform !== "linux") {
  process.stderr.write("soak: reads /proc, so it runs on Linux only\n");
  process.exit(1);
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

function row(result: SoakResult): string[] {
  const { memory, descriptors } = result;
  return [
    result.runtime,
    result.honest.toLocaleString("en-US"),
    String(result.lost.length),
    result.others.toLocaleString("en-US"),
    `${mebibytes(memory.early)} → ${mebibytes(memory.late)}`,
    `${descriptors.early} → ${descriptors.late}`,
    `${Math.round(result.stillMs)} ms`,
    result.faults.length === 0 ? "none" : result.faults.join("; "),
  ];
}

const minutes = Number(values.minutes);
const options = {
  seconds: minutes * 60,
  seed: Number(values.seed),
  honestRate: Number(values.honest),
  otherRate: Number(values.others),
  heldMsMax: 20_000,
  tell: (line: string) => void process.stderr.write(`${line}\n`),
};
const results = await Promise.all(
  (["node", "bun"] as const).map((runtime) => soak({ ...options, runtime })),
);
const versions = { ...(await runtimeVersions()), switchgear: packageVersion("switchgear") };
const machine = describeMachine(versions);
const report = `# Soak

Written by \`npm run soak\`: ${minutes} minutes on each runtime, side by side. ${values.honest} honest calls a second, short, long and
with bodies, on kept and fresh connections, each of whose answers is compared; beside them ${values.others} others a second that
send slowly, do not read, leave, are impatient, say nothing or half a head, flood operations, or are hostile.
Memory and descriptors: the median of the second quarter → that of the last. Stood still: the longest that the
process of the callers and of the upstream did, by the machine's doing; the upstream has ten seconds.

${machineLines(machine)}

${markdownTable(["", "honest", "lost", "others", "memory MiB", "descriptors", "stood still", "faults"], results.map(row))}`;
process.stdout.write(`${report}\n`);
for (const { runtime, lost } of results)
  for (const line of lost) process.stdout.write(`${runtime} lost: ${line}\n`);
if (results.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
else if (minutes >= 30) await writeReport("soak", report, { machine, results });
process.exit();
