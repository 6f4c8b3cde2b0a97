// Which cases a change to a rule is asked, and in which order: likely and short ones first.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isCase } from "./cases.ts";
import { mutantsOf, type Mutant } from "./mutants.ts";
import {
  groupsOf,
  readAlerts,
  readTestFiles,
  seconds,
  variantOf,
  type Alert,
  type Case,
  type Rule,
  type TestFile,
} from "./rule-files.ts";

/** All changes to one rule, and test files of one case each, in the order in which to ask them. */
export interface Subject {
  readonly rule: string;
  readonly mutants: readonly Mutant[];
  readonly questions: readonly TestFile[];
}

/** Every rule that there is. */
export function subjects(): Subject[] {
  const files = readTestFiles();
  const alerts = readAlerts();
  const names = [...new Set(alerts.map(({ alert }) => alert)), undefined];
  return names.flatMap((name) => {
    const groups = groupsOf(name);
    const own = files.filter(({ alert }) => alert === name);
    const rules = groups.flatMap((group) => group.rules).filter(({ alert }) => alert === name);
    return rules.map((rule) => {
      const variant = rule.alert === undefined ? undefined : variantOf(rule as Alert, alerts);
      const questions = questionsOf(rule, variant, own);
      const step = seconds(questions[0]?.evaluation_interval ?? "1m");
      return {
        rule: name ?? rule.record ?? "",
        mutants: mutantsOf(
          groups,
          (other) => other === rule,
          () => step,
        ),
        questions,
      };
    });
  });
}

function questionsOf(
  rule: Rule,
  variant: string | undefined,
  files: readonly TestFile[],
): TestFile[] {
  const all = files.flatMap((file) => file.tests.map((test) => ({ ...file, tests: [test] })));
  const { record } = rule;
  const about = all.filter(({ tests: [test] }) => record === undefined || asks(test, record));
  // These two see most changes, whatever they cost.
  const first = ["does not fire one step before", "fires"];
  const rank = (one: TestFile): number => {
    const [test] = one.tests;
    if (test === undefined) return 0;
    const at = first.findIndex((name) => isCase(test, name, variant));
    if (at !== -1) return -1 - at;
    const steps = Math.max(...times(test)) / seconds(one.evaluation_interval);
    return speaksOf(test, variant) ? steps : steps + STEPS_MAX;
  };
  return about.toSorted((a, b) => rank(a) - rank(b));
}

/** More than any case has: those that do not speak of the severity or window come last. */
const STEPS_MAX = 10_000;

function speaksOf(test: Case, variant: string | undefined): boolean {
  return variant === undefined || new RegExp(`\\b${variant}\\b`).test(JSON.stringify(test));
}

function times(test: Case): number[] {
  return [...(test.alert_rule_test ?? []), ...(test.promql_expr_test ?? [])].map(({ eval_time }) =>
    seconds(eval_time),
  );
}

function asks(test: Case | undefined, record: string): boolean {
  return (test?.promql_expr_test ?? []).some(({ expr }) => namesIn(expr).has(record));
}

/** Words of an expression, names of series among them. */
export const namesIn = (expr: string): Set<string> => new Set(expr.match(/[\w:]+/g));

export const HINTS_FILE = join(import.meta.dirname, "noticed.json");

/** Which case noticed a change the last time, where that was not the likeliest one. Only a hint. */
export function readHints(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(JSON.parse(readFileSync(HINTS_FILE, "utf8")) as Record<string, string>),
  );
}
