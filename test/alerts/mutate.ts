// Changes the rules one thing at a time and runs their tests on each change: `node test/alerts/mutate.ts`,
// a quarter of an hour on two cores; `--only NAME` for one alert. Fails when less than 95 % of the changes are noticed, or
// when one goes unnoticed for which survivors.ts gives no reason.

import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isCase } from "./cases.ts";
import { mutantsOf, type Mutant } from "./mutants.ts";
import {
  eachOf,
  groupsOf,
  promtool,
  readAlerts,
  readTestFiles,
  seconds,
  variantOf,
  writeTest,
  type Alert,
  type Rule,
  type TestFile,
} from "./rule-files.ts";
import { reasonFor } from "./survivors.ts";

export const KILLED_RATIO_MIN = 0.95;

export interface Subject {
  readonly mutant: Mutant;
  readonly files: readonly TestFile[];
}

/** Every mutant with the tests that should notice it. */
export function subjects(): Subject[] {
  const files = readTestFiles();
  const alerts = readAlerts();
  const names = [...new Set(alerts.map(({ alert }) => alert)), undefined];
  return names.flatMap((name) => {
    const own = files.filter(({ alert }) => alert === name);
    const isMutated = (rule: Rule): boolean => rule.alert === name;
    const homeOf = (rule: Rule): TestFile | undefined => {
      const variant = rule.alert === undefined ? undefined : variantOf(rule as Alert, alerts);
      return own.find(({ tests }) => tests.some((one) => isCase(one, "fires", variant))) ?? own[0];
    };
    const step = (rule: Rule): number => seconds(homeOf(rule)?.evaluation_interval ?? "1m");
    return mutantsOf(groupsOf(name), isMutated, step).map((mutant) => {
      const home = homeOf(mutant.original);
      // The likeliest to notice first.
      return { mutant, files: own.toSorted((a, b) => Number(b === home) - Number(a === home)) };
    });
  });
}

/** Mutants whose tests all pass. Throws when one is no valid rule, since that proves nothing. */
export async function survivors(
  chosen: readonly Subject[],
  tell: (done: number) => void = () => undefined,
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-mutants-"));
  const alive: string[] = [];
  let done = 0;
  try {
    await eachOf([...chosen.entries()], availableParallelism(), async ([index, subject]) => {
      if (!(await isNoticed(join(folder, String(index)), subject))) alive.push(subject.mutant.id);
      done += 1;
      tell(done);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return alive.toSorted();
}

async function isNoticed(folder: string, { mutant, files }: Subject): Promise<boolean> {
  for (const file of files) {
    const { code, output } = await promtool(
      "test",
      "rules",
      writeTest(folder, file, mutant.groups),
    );
    if (code === 0) continue;
    if (code !== 1 || /could not parse|parse error/.test(output)) {
      throw new Error(`${mutant.id} is no valid rule: ${output}`);
    }
    return true;
  }
  return false;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  const all = subjects().filter(
    ({ mutant }) => values.only === undefined || mutant.rule === values.only,
  );
  const alive = await survivors(all, (done) => {
    if (done % 50 === 0) process.stderr.write(`${done} of ${all.length}\n`);
  });
  for (const id of alive) console.log(`survived  ${id}  (${reasonFor(id) ?? "no reason known"})`);
  const ratio = (all.length - alive.length) / all.length;
  console.log(
    `${all.length} mutants, ${alive.length} survived: ${(ratio * 100).toFixed(1)} % noticed`,
  );
  const isGood = ratio >= KILLED_RATIO_MIN && alive.every((id) => reasonFor(id) !== undefined);
  process.exitCode = isGood ? 0 : 1;
}

if (import.meta.main) await main();
