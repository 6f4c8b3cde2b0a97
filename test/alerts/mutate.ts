// Changes the rules one thing at a time and asks their tests about each change: `node
// test/alerts/mutate.ts`; `--only NAME` for one alert. Fails when less than 95 % of the changes are
// noticed, or when one goes unnoticed for which survivors.ts gives no reason.
//
// What it costs is what promtool computes. So a change is asked one case at a time and is done with when
// one notices it: first the case that did so the last time, which noticed.json says and `--write` writes,
// then all. One promtool is asked about all the changes to a rule that are left. A change with a reason
// counts as unnoticed without being asked; `--all` asks them too, and tells of reasons that are wrong.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Mutant } from "./mutants.ts";
import { HINTS_FILE, namesIn, readHints, subjects, type Subject } from "./questions.ts";
import { eachOf, promtool, writeTest, type Group, type TestFile } from "./rule-files.ts";
import { reasonFor } from "./survivors.ts";

export const KILLED_RATIO_MIN = 0.95;

/** By id: the name of the case that noticed the change, or undefined when none did. */
export type Noticed = ReadonlyMap<string, string | undefined>;

/** Throws when a change makes no valid rule, since noticing that proves nothing. */
export async function ask(
  chosen: readonly Subject[],
  tell: (done: number) => void = () => undefined,
): Promise<Noticed> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-mutants-"));
  const noticed = new Map<string, string | undefined>();
  const hints = readHints();
  try {
    // The largest first, so that no core is left with it at the end.
    const queue = chosen.toSorted((a, b) => b.mutants.length - a.mutants.length).entries();
    await eachOf([...queue], availableParallelism(), async ([index, subject]) => {
      for (const [id, name] of await askOne(join(folder, String(index)), subject, hints)) {
        noticed.set(id, name);
      }
      tell(noticed.size);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return noticed;
}

async function askOne(
  folder: string,
  { mutants, questions }: Subject,
  hints: ReadonlyMap<string, string>,
): Promise<Noticed> {
  const noticed = new Map<string, string | undefined>(mutants.map(({ id }) => [id, undefined]));
  const hinted = ({ id }: Mutant): TestFile | undefined =>
    questions.find(({ tests: [test] }) => test?.name === hints.get(id)) ?? questions[0];
  const rounds = [hinted, ...questions.map((question) => () => question)];
  for (const [round, questionFor] of rounds.entries()) {
    const asked = mutants
      .filter(({ id }) => noticed.get(id) === undefined)
      .flatMap((mutant, index) => {
        const question = questionFor(mutant);
        if (question === undefined) return [];
        const groups = neededBy(question, mutant);
        const path = writeTest(join(folder, `${round}-${index}`), question, groups);
        return [{ mutant, question, path }];
      });
    if (asked.length === 0) break;
    const paths = asked.map(({ path }) => path);
    const faults = await faultsByFile(join(folder, `${round}.xml`), paths);
    for (const { mutant, question, path } of asked) {
      const fault = faults.get(path);
      if (fault === undefined) continue;
      if (/could not parse|parse error/.test(fault)) {
        throw new Error(`${mutant.id} is no valid rule: ${fault}`);
      }
      noticed.set(mutant.id, question.tests[0]?.name);
    }
  }
  return noticed;
}

/** Of what is recorded, only what the case asks for and the alerts read: promtool evaluates all it gets. */
function neededBy({ tests: [test] }: TestFile, { groups }: Mutant): Group[] {
  const alerts = groups.flatMap(({ rules }) => rules).filter(({ alert }) => alert !== undefined);
  const read = namesIn(
    [...alerts, ...(test?.promql_expr_test ?? [])].map(({ expr }) => expr).join(" "),
  );
  return groups
    .map((group) => ({
      ...group,
      rules: group.rules.filter(({ record }) => record === undefined || read.has(record)),
    }))
    .filter(({ rules }) => rules.length > 0);
}

async function faultsByFile(
  report: string,
  paths: readonly string[],
): Promise<Map<string, string>> {
  const { output } = await promtool("test", `--junit=${report}`, "rules", ...paths);
  try {
    return readReport(readFileSync(report, "utf8"), paths);
  } catch (error) {
    throw new Error(`promtool said: ${output}`, { cause: error });
  }
}

/** What promtool found, by test file; nothing for a file whose case passes. Throws when one was not run. */
export function readReport(xml: string, paths: readonly string[]): Map<string, string> {
  const faults = new Map<string, string>();
  const run = new Set<string>();
  for (const [, path = "", cases = ""] of xml.matchAll(
    /<testsuite name="([^"]*)"[^>]*>([\s\S]*?)<\/testsuite>/g,
  )) {
    if (cases.includes("<testcase ")) run.add(path);
    const [, fault] = /<failure>([\s\S]*?)<\/failure>/.exec(cases) ?? [];
    if (fault !== undefined) faults.set(path, fault);
  }
  for (const path of paths) if (!run.has(path)) throw new Error(`${path} was not run`);
  return faults;
}

export interface Result {
  readonly count: number;
  /** Counted as unnoticed. */
  readonly excused: readonly string[];
  readonly survived: readonly string[];
  readonly ratio: number;
  readonly noticed: Noticed;
}

export async function mutationRun(
  chosen: readonly Subject[],
  tell?: (done: number) => void,
): Promise<Result> {
  const ids = chosen.flatMap(({ mutants }) => mutants.map(({ id }) => id));
  const excused = ids.filter((id) => reasonFor(id) !== undefined);
  const noticed = await ask(
    only(chosen, (id) => reasonFor(id) === undefined),
    tell,
  );
  const survived = survivors(noticed);
  const count = ids.length;
  const ratio = (count - excused.length - survived.length) / count;
  return { count, excused, survived, ratio, noticed };
}

export function survivors(noticed: Noticed): string[] {
  return [...noticed].filter(([, name]) => name === undefined).map(([id]) => id);
}

function only(chosen: readonly Subject[], isMeant: (id: string) => boolean): Subject[] {
  return chosen.map(({ rule, mutants, questions }) => ({
    rule,
    mutants: mutants.filter(({ id }) => isMeant(id)),
    questions,
  }));
}

function writeHints(chosen: readonly Subject[], noticed: Noticed): void {
  const hints = chosen.flatMap(({ mutants, questions: [first] }) =>
    mutants.flatMap(({ id }) => {
      const name = noticed.get(id);
      return name === undefined || name === first?.tests[0]?.name ? [] : [[id, name] as const];
    }),
  );
  writeFileSync(HINTS_FILE, `${JSON.stringify(Object.fromEntries(hints), undefined, 2)}\n`);
}

async function main(): Promise<void> {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ options: { only: { type: "string" }, all: flag, write: flag } });
  const chosen = subjects().filter(({ rule }) => values.only === undefined || rule === values.only);
  const startedMs = performance.now();
  const { count, excused, survived, ratio, noticed } = await mutationRun(chosen, (done) =>
    process.stderr.write(`${done} asked\n`),
  );
  for (const id of excused) console.log(`excused   ${id}  (${reasonFor(id)})`);
  for (const id of survived) console.log(`survived  ${id}`);
  console.log(
    `${count} changes, ${excused.length + survived.length} unnoticed: ${(ratio * 100).toFixed(1)} % ` +
      `noticed, in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`,
  );
  let isGood = ratio >= KILLED_RATIO_MIN && survived.length === 0;
  if (values.write && values.only === undefined) writeHints(chosen, noticed);
  if (values.all) {
    const others = await ask(only(chosen, (id) => reasonFor(id) !== undefined));
    for (const [id, name] of others) {
      if (name === undefined) continue;
      console.log(`noticed all the same  ${id}  by "${name}"`);
      isGood = false;
    }
  }
  process.exitCode = isGood ? 0 : 1;
}

if (import.meta.main) await main();
