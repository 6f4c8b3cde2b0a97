// Which cases a change to a rule is asked, and in which order: likely and short ones first.

import { isCase } from "./cases.ts";
import { mutantsOf, type Mutant } from "./mutants.ts";
import {
  RULE_FILES,
  groupsOf,
  readAlerts,
  readGroups,
  readTestFiles,
  seconds,
  variantOf,
  type Alert,
  type Case,
  type Group,
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
    // What is recorded is asked of all alerts that look at it, too.
    const groups = name === undefined ? RULE_FILES.flatMap(readGroups) : groupsOf(name);
    const rules = groups.flatMap((group) => group.rules).filter(({ alert }) => alert === name);
    return rules.map((rule) => {
      const readers = name === undefined ? readersOf(rule.record ?? "", groups) : new Set([name]);
      // A case that gives what is to be recorded says nothing about the rule. One without a colon is a
      // series of Switchgear's own under older labels, recorded from itself.
      const recorded = new Set([...readers].filter((one) => name === undefined && /:/.test(one)));
      const own = files
        .filter(({ alert }) => (alert === undefined ? name === undefined : readers.has(alert)))
        .map((file) =>
          Object.assign({}, file, { tests: file.tests.filter((test) => !gives(test, recorded)) }),
        );
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
  const about = all.filter(({ alert, tests: [test] }) =>
    record === undefined ? isOf(test, variant) : alert !== undefined || asks(test, record),
  );
  // These see most changes, whatever they cost; the last of them first, since it asks for no texts.
  const first = ["does not fire one step before", "fires", "each cluster and namespace for itself"];
  const rank = (one: TestFile): number => {
    const [test] = one.tests;
    if (test === undefined) return 0;
    // What a record has of its own sees most of it, and costs least.
    if (record !== undefined && one.alert === undefined) return -STEPS_MAX + stepsOf(one);
    const at = first.findIndex((name) => isCase(test, name, variant));
    if (at !== -1) return -1 - at;
    return stepsOf(one);
  };
  return about.toSorted((a, b) => rank(a) - rank(b));
}

/** What looks at a rule, itself or by way of others, and the rule itself. */
export function readersOf(name: string, groups: readonly Group[]): ReadonlySet<string> {
  const rules = groups.flatMap((group) => group.rules);
  const names = new Set([name]);
  for (let count = 0; count < names.size;) {
    count = names.size;
    for (const rule of rules) {
      if ([...namesIn(rule.expr)].some((read) => names.has(read))) {
        names.add(rule.record ?? rule.alert ?? "");
      }
    }
  }
  return names;
}

/** More than any case has. */
const STEPS_MAX = 10_000;

/** Of an alert that comes in several, a case names the one it is of after a comma. */
function isOf(test: Case | undefined, variant: string | undefined): boolean {
  return variant === undefined || new RegExp(`, ${variant}\\b`).test(test?.name ?? "");
}

function stepsOf({ tests: [test], evaluation_interval }: TestFile): number {
  return test === undefined ? 0 : Math.max(...times(test)) / seconds(evaluation_interval);
}

/** Whether it begins with one of these series. */
function gives(test: Case, names: ReadonlySet<string>): boolean {
  return test.input_series.some(({ series }) => names.has(series.slice(0, series.indexOf("{"))));
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
