// Changes the rules one thing at a time and asks their tests about each change: `node
// test/alerts/mutate.ts`; `--only NAME` for one alert. Fails when less than 97 % of the changes are
// noticed, or when one goes unnoticed for which survivors.ts gives no reason.
//
// What it costs is what promtool computes. So all changes to one rule stand side by side in one file, each
// under a name of its own, and a case is run once for all that no case before it has noticed. A change with a
// reason counts as unnoticed without being asked; `--all` asks them too, and tells of reasons that are wrong.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Mutant } from "./mutants.ts";
import { namesIn, readersOf, subjects, type Subject } from "./questions.ts";
import {
  eachOf,
  promtool,
  writeTest,
  type Case,
  type Group,
  type Rule,
  type TestFile,
} from "./rule-files.ts";
import { reasonFor } from "./survivors.ts";

export const KILLED_RATIO_MIN = 0.97;

/** By id: the name of the case that noticed the change, or undefined when none did. */
export type Noticed = ReadonlyMap<string, string | undefined>;

/** Throws when a change makes no valid rule, since noticing that proves nothing. */
export async function ask(
  chosen: readonly Subject[],
  tell: (done: number) => void = () => undefined,
): Promise<Noticed> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-mutants-"));
  const noticed = new Map<string, string | undefined>();
  try {
    // The largest first, so that no core is left with it at the end.
    const queue = chosen.toSorted((a, b) => b.mutants.length - a.mutants.length).entries();
    await eachOf([...queue], availableParallelism(), async ([index, subject]) => {
      for (const [id, name] of await askOne(join(folder, String(index)), subject)) {
        noticed.set(id, name);
      }
      tell(noticed.size);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return noticed;
}

async function askOne(folder: string, { mutants, questions }: Subject): Promise<Noticed> {
  const noticed = new Map<string, string | undefined>(mutants.map(({ id }) => [id, undefined]));
  for (const [round, question] of questions.entries()) {
    const left = mutants.filter(({ id }) => noticed.get(id) === undefined);
    const found = await noticedBy(question, left, join(folder, String(round)));
    for (const id of found) noticed.set(id, question.tests[0]?.name);
  }
  return noticed;
}

/** Those that one case notices. */
async function noticedBy(
  question: TestFile,
  mutants: readonly Mutant[],
  folder: string,
): Promise<ReadonlySet<string>> {
  const noticed = new Set<string>();
  for (let round = 0; ; round += 1) {
    const left = mutants.filter(({ id }) => !noticed.has(id));
    if (left.length === 0) return noticed;
    const { file, groups } = sideBySide(question, left);
    const path = writeTest(join(folder, String(round)), file, groups);
    const faults = await faultsByFile(join(folder, `${round}.xml`), [path]);
    const fault = faults.get(path);
    if (fault === undefined) return noticed;
    const named = new Set([...fault.matchAll(/__m(\d+)__/g)].map(([, at]) => left[Number(at)]));
    if (/could not parse|parse error/.test(fault)) {
      const ids = [...named].map((mutant) => mutant?.id).join(", ");
      throw new Error(`${ids} is no valid rule: ${fault}`);
    }
    for (const mutant of named) if (mutant !== undefined) noticed.add(mutant.id);
    // A rule that cannot be evaluated ends the run, before anything else is asked.
    if (named.size === 0 || !/^\s*rule: /m.test(fault)) return noticed;
  }
}

interface SideBySide {
  readonly file: TestFile;
  readonly groups: readonly Group[];
}

/** One case, asked of every change at once: what a change touches is there once more under its number. */
export function sideBySide(question: TestFile, mutants: readonly Mutant[]): SideBySide {
  const [original] = mutants;
  if (original === undefined) throw new RangeError("nothing is to be asked");
  const { asked, groups } = neededBy(question, original);
  const touched = readersOf(nameOf(original.original), groups);
  const bare = isTextAsked(question) ? (rule: Rule): Rule => rule : withoutTexts;
  const clones = (rule: Rule): readonly Rule[] =>
    touched.has(nameOf(rule))
      ? mutants.map((mutant, at) =>
          renamed(bare(rule === mutant.original ? mutant.changed : rule), touched, `__m${at}__`),
        )
      : [bare(rule)];
  const [test] = question.tests;
  const tests = mutants.map((_, at) => renamedCase(test, touched, `__m${at}__`, asked));
  return {
    file: {
      ...question,
      tests: [
        {
          name: test?.name ?? "",
          input_series: test?.input_series ?? [],
          alert_rule_test: tests.flatMap(({ alert_rule_test: all = [] }) => all),
          promql_expr_test: tests.flatMap(({ promql_expr_test: all = [] }) => all),
        },
      ],
    },
    groups: groups.map(({ name, rules }) => ({ name, rules: rules.flatMap(clones) })),
  };
}

/** Where no alert is expected, or only that it fires, it matters to none what it says. */
function isTextAsked({ tests: [test] }: TestFile): boolean {
  return (test?.alert_rule_test ?? []).some(({ exp_alerts = [] }) => exp_alerts.length > 0);
}

/** Texts are rendered at every step: half of what an alert costs. */
function withoutTexts(rule: Rule): Rule {
  return { ...rule, annotations: {} };
}

const nameOf = ({ alert, record }: Rule): string => alert ?? record ?? "";

function renamed(rule: Rule, touched: ReadonlySet<string>, suffix: string): Rule {
  const to = (text: string): string => renameIn(text, touched, suffix);
  const texts = Object.entries(rule.annotations ?? {});
  // An alert's own name stands in links, which stay as they are.
  const records = new Set([...touched].filter((name) => name.includes(":")));
  return {
    ...rule,
    ...(rule.alert === undefined ? {} : { alert: to(rule.alert) }),
    ...(rule.record === undefined ? {} : { record: to(rule.record) }),
    expr: to(rule.expr),
    ...(texts.length === 0
      ? {}
      : {
          annotations: Object.fromEntries(
            texts.map(([key, text]) => [key, renameIn(text, records, suffix)]),
          ),
        }),
  };
}

function renamedCase(
  test: Case | undefined,
  touched: ReadonlySet<string>,
  suffix: string,
  asked: string | undefined,
): Pick<Case, "alert_rule_test" | "promql_expr_test"> {
  const to = (text: string): string => renameIn(text, touched, suffix);
  const alerts = (test?.alert_rule_test ?? []).filter(({ alertname }) => alertname === asked);
  return {
    alert_rule_test: alerts.map((one) => Object.assign({}, one, { alertname: to(one.alertname) })),
    promql_expr_test: (test?.promql_expr_test ?? []).map((one) =>
      Object.assign({}, one, {
        expr: to(one.expr),
        exp_samples: one.exp_samples.map(({ labels, value }) => ({ labels: to(labels), value })),
      }),
    ),
  };
}

function renameIn(text: string, names: ReadonlySet<string>, suffix: string): string {
  return text.replaceAll(/[\w:]+/g, (word) => (names.has(word) ? word + suffix : word));
}

/** Of what is recorded, only what the case asks for and the alerts read: promtool evaluates all it gets. */
function neededBy(
  { alert: asked, tests: [test] }: TestFile,
  { groups, original }: Mutant,
): { readonly asked: string | undefined; readonly groups: readonly Group[] } {
  const rules = groups.flatMap((group) => group.rules);
  // Of an alert that comes in several, only the one that is changed: the cases are of one each.
  const isAsked = (rule: Rule): boolean =>
    original.alert === undefined ? rule.alert === asked : rule === original;
  const alerts = rules.filter((rule) => rule.alert !== undefined && isAsked(rule));
  const read = namesIn(
    [...alerts, ...(test?.promql_expr_test ?? [])].map(({ expr }) => expr).join(" "),
  );
  for (let count = 0; count < read.size;) {
    count = read.size;
    for (const { record, expr } of rules) {
      if (record !== undefined && read.has(record))
        for (const name of namesIn(expr)) read.add(name);
    }
  }
  const needed = groups
    .map((group) => ({
      ...group,
      rules: group.rules.filter((rule) =>
        rule.record === undefined ? isAsked(rule) : read.has(rule.record),
      ),
    }))
    .filter(({ rules }) => rules.length > 0);
  return { asked, groups: needed };
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
    const found = [...cases.matchAll(/<failure>([\s\S]*?)<\/failure>/g)].map(([, fault]) => fault);
    if (found.length > 0) faults.set(path, found.join("\n"));
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

async function main(): Promise<void> {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ options: { only: { type: "string" }, all: flag } });
  const chosen = subjects().filter(({ rule }) => values.only === undefined || rule === values.only);
  const startedMs = performance.now();
  const { count, excused, survived, ratio } = await mutationRun(chosen, (done) =>
    process.stderr.write(`${done} asked\n`),
  );
  for (const id of excused) console.log(`excused   ${id}  (${reasonFor(id)})`);
  for (const id of survived) console.log(`survived  ${id}`);
  console.log(
    `${count} changes, ${excused.length + survived.length} unnoticed: ${(ratio * 100).toFixed(1)} % ` +
      `noticed, in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`,
  );
  let isGood = ratio >= KILLED_RATIO_MIN && survived.length === 0;
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
