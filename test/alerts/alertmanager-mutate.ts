// Changes Alertmanager's configuration one thing at a time and asks about each change: `node
// test/alerts/alertmanager-mutate.ts`; `--all` asks those with a reason, too, and tells of reasons that are wrong.
//
// Routes and mutings are asked of a real Alertmanager, which reads each change in turn; receivers side by side of
// another, each under a name of its own. Only what neither can tell, such as hours, is read in the file.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { stringify } from "yaml";
import { mutantsOf, type Mutant } from "./alertmanager-mutants.ts";
import { differentMessages } from "./alertmanager-messages.ts";
import { reasonFor } from "./alertmanager-survivors.ts";
import { answersOf, differences, reload, SILENT, tellAll } from "./asking.ts";
import { startAlertmanager } from "./live.ts";
import { readConfig, WRITTEN } from "./routing.ts";
import { readAlerts } from "./rule-files.ts";

export const KILLED_RATIO_MIN = 0.97;

/** Everything here takes half a minute; this is for a machine that others load, too. */
const MS_MAX = 300_000;

/** Each with an Alertmanager of its own. */
const WORKERS_MAX = 4;

/** By id: what noticed the change, or undefined when nothing did. */
export type Noticed = ReadonlyMap<string, string | undefined>;

export function allMutants(): Mutant[] {
  return mutantsOf(readConfig(), [...new Set(readAlerts().map(({ alert }) => alert))]);
}

/** Throws when a change makes no valid configuration, since noticing that proves nothing. */
export async function ask(mutants: readonly Mutant[]): Promise<Noticed> {
  const original: Mutant = { id: "as it is", config: readConfig() };
  const noticed = new Map<string, string | undefined>();
  const note = (found: ReadonlyMap<string, string>): void => {
    for (const [id, what] of found) noticed.set(id, noticed.get(id) ?? what);
  };
  for (const { id } of mutants) noticed.set(id, undefined);
  const isOfReceivers = ({ id }: Mutant): boolean => id.startsWith("receiver ");
  const [answered, sent] = await Promise.all([
    differentAnswers([original, ...mutants.filter((one) => !isOfReceivers(one))]),
    differentMessages([original, ...mutants.filter(isOfReceivers)], MS_MAX),
  ]);
  note(answered);
  note(sent);
  note(written([original, ...mutants.filter(({ id }) => noticed.get(id) === undefined)]));
  const wrong = noticed.get(original.id);
  if (wrong !== undefined) throw new Error(`nothing is changed, and yet: ${wrong}`);
  noticed.delete(original.id);
  return noticed;
}

async function differentAnswers(mutants: readonly Mutant[]): Promise<Map<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-mutants-"));
  const found = new Map<string, string>();
  const queue = mutants.values();
  const worker = async (name: string): Promise<void> => {
    const file = join(folder, name);
    writeFileSync(file, stringify(readConfig()));
    const { url, kill } = await startAlertmanager(file, MS_MAX, ...SILENT);
    try {
      await tellAll(url);
      for (const { id, config } of queue) {
        writeFileSync(file, stringify(config));
        await reload(url).catch((error: unknown) => {
          throw new Error(`${id} is no valid configuration`, { cause: error });
        });
        const [first] = differences(await answersOf(url));
        if (first !== undefined) found.set(id, first);
      }
    } finally {
      await kill();
    }
  };
  try {
    const count = Math.min(availableParallelism(), WORKERS_MAX);
    await Promise.all(Array.from({ length: count }, (_, n) => worker(`${n}.yml`)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return found;
}

function written(mutants: readonly Mutant[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { id, config } of mutants) {
    const question = WRITTEN.find(({ of, is }) => !isDeepStrictEqual(of(config), is));
    if (question !== undefined) found.set(id, question.what);
  }
  return found;
}

export interface Result {
  readonly count: number;
  /** Counted as unnoticed. */
  readonly excused: readonly string[];
  readonly survived: readonly string[];
  readonly ratio: number;
}

export async function mutationRun(mutants: readonly Mutant[]): Promise<Result> {
  const excused = mutants.map(({ id }) => id).filter((id) => reasonFor(id) !== undefined);
  const noticed = await ask(mutants.filter(({ id }) => reasonFor(id) === undefined));
  const survived = survivors(noticed);
  const count = mutants.length;
  return { count, excused, survived, ratio: (count - excused.length - survived.length) / count };
}

export function survivors(noticed: Noticed): string[] {
  return [...noticed].filter(([, what]) => what === undefined).map(([id]) => id);
}

async function main(): Promise<void> {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ options: { all: flag } });
  const startedMs = performance.now();
  const { count, excused, survived, ratio } = await mutationRun(allMutants());
  for (const id of excused) console.log(`excused   ${id}  (${reasonFor(id)})`);
  for (const id of survived) console.log(`survived  ${id}`);
  console.log(
    `${count} changes, ${excused.length + survived.length} unnoticed: ${(ratio * 100).toFixed(1)} % ` +
      `noticed, in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`,
  );
  let isGood = ratio >= KILLED_RATIO_MIN && survived.length === 0;
  if (values.all) {
    const others = await ask(allMutants().filter(({ id }) => reasonFor(id) !== undefined));
    for (const [id, what] of others) {
      if (what === undefined) continue;
      console.log(`noticed all the same  ${id}  by "${what}"`);
      isGood = false;
    }
  }
  process.exitCode = isGood ? 0 : 1;
}

if (import.meta.main) await main();
