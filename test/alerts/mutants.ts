// Rules with one thing wrong: what somebody could mistype, or think better of. Each should fail a test
// of its alert. What no test looks at on purpose, such as a text's wording, is not changed here.

import type { Group, Rule } from "./rule-files.ts";

export interface Mutant {
  /** The alert, or the record. */
  readonly rule: string;
  /** Unique and stable: survivors are listed by it. */
  readonly id: string;
  readonly original: Rule;
  readonly changed: Rule;
  /** As they are; the changed rule takes the original's place. */
  readonly groups: readonly Group[];
}

type Change = readonly [what: string, rule: Rule];

/** All mutants of the rules for which `isMutated` holds, among the groups that their tests need. */
export function mutantsOf(
  groups: readonly Group[],
  isMutated: (rule: Rule) => boolean,
  stepSeconds: (rule: Rule) => number,
): Mutant[] {
  return groups.flatMap((group) =>
    group.rules.filter(isMutated).flatMap((rule) => {
      const name = rule.alert ?? rule.record ?? "";
      const { severity = "", slo = severity, window = slo } = rule.labels ?? {};
      const all = changes(rule, stepSeconds(rule));
      // What a template wrote for each window is asked once, but for what is each one's own.
      const own = isTwin(rule, groups)
        ? all.filter(([, changed]) => changed.expr === rule.expr)
        : all;
      return own.map(([what, changed]) => ({
        rule: name,
        id: `${name}${window === "" ? "" : `/${window}`}: ${what}`,
        original: rule,
        changed,
        groups,
      }));
    }),
  );
}

/** Whether an earlier rule is the same but for the windows and paces that stand in it. */
function isTwin(rule: Rule, groups: readonly Group[]): boolean {
  const shape = shapeOf(rule);
  const first = groups.flatMap(({ rules }) => rules).find((other) => shapeOf(other) === shape);
  return first !== rule;
}

function shapeOf({ record, alert, expr, labels }: Rule): string {
  const text = `${record ?? alert} ${labels?.["slo"]} ${expr}`;
  return text
    .replaceAll(/increase\d+[smhd]|\[\d+[smhd]\]/g, "window")
    .replaceAll(/\b[\d.]+ \*/g, "pace *");
}

function changes(rule: Rule, stepSeconds: number): Change[] {
  return [
    ...expressions(rule.expr).map(([what, expr]): Change => [what, { ...rule, expr }]),
    ...waits(rule, "for", stepSeconds),
    ...waits(rule, "keep_firing_for", stepSeconds),
    ...labels(rule),
  ];
}

function waits(rule: Rule, key: "for" | "keep_firing_for", step: number): Change[] {
  const value = rule[key];
  if (value === undefined) return [];
  const { [key]: _, ...without } = rule;
  const total = secondsOf(value);
  return [
    [`no ${key}`, without],
    ...[total - step, total + step]
      .filter((seconds) => seconds > 0)
      .map((seconds): Change => [`${key} ${seconds}s`, { ...rule, [key]: `${seconds}s` }]),
  ];
}

function labels(rule: Rule): Change[] {
  const own = rule.labels ?? {};
  const found: Change[] = [];
  for (const [label, value] of Object.entries(own)) {
    const rest = Object.fromEntries(Object.entries(own).filter(([other]) => other !== label));
    found.push([`no label ${label}`, { ...rule, labels: rest }]);
    const others = label === "severity" ? SEVERITIES : [`${value}-other`];
    for (const other of others.filter((one) => one !== value)) {
      found.push([`${label} ${other}`, { ...rule, labels: { ...rest, [label]: other } }]);
    }
  }
  return found;
}

const SEVERITIES = ["critical", "warning", "info", "none"];

const SWAPS: Readonly<Record<string, readonly string[]>> = {
  "==": ["!=", ">=", "<="],
  "!=": ["==", ">"],
  ">=": [">", "<", "=="],
  "<=": ["<", ">", "=="],
  ">": [">=", "<", "=="],
  "<": ["<=", ">", "=="],
  max: ["min", "sum", "avg"],
  min: ["max", "sum", "avg"],
  sum: ["max", "min", "avg"],
  count: ["sum"],
  and: ["or", "unless"],
  or: ["and", "unless"],
  unless: ["and", "or"],
  rate: ["increase", "delta"],
  increase: ["rate", "delta"],
  max_over_time: ["min_over_time"],
};

const NEGATED: Readonly<Record<string, string>> = { "=": "!=", "!=": "=", "=~": "!~", "!~": "=~" };

const TOKEN =
  /"(?:\\.|[^"\\])*"|\[[^\]]*\]|[a-zA-Z_:][\w:]*|\d+(?:\.\d+)?[smhd]?|==|!=|=~|!~|>=|<=|\s+|./gs;

/** Expressions with one token, matcher or label changed. */
export function expressions(expr: string): [what: string, expr: string][] {
  const tokens = [...expr.matchAll(TOKEN)].map(([token]) => token);
  const found: [string, string][] = [];
  const put = (from: number, to: number, text: string, what: string): void => {
    const changed = [...tokens.slice(0, from), text, ...tokens.slice(to)].join("");
    // Where a thing stands twice, so does its change: the position keeps them apart.
    found.push([`${what} @${from}`, changed]);
  };
  let isMatcher = false;
  for (const [at, token] of tokens.entries()) {
    if (token === "{") isMatcher = true;
    if (token === "}") isMatcher = false;
    if (isMatcher) {
      const negated = NEGATED[token];
      if (negated === undefined) continue;
      put(at, at + 1, negated, `${tokens[at - 1]} ${negated}`);
      // With the comma that follows it, if any.
      const rest = /^,$/.test(tokens[at + 2] ?? "") ? 3 : 2;
      put(at - 1, at + rest, "", `no matcher ${tokens[at - 1]}`);
      continue;
    }
    for (const other of SWAPS[token] ?? []) put(at, at + 1, other, `${token} → ${other}`);
    if (token === "by") for (const change of lists(tokens, at)) put(...change);
    if (/^\d+(?:\.\d+)?$/.test(token)) {
      const isFactor = tokens.slice(at - 3, at + 4).includes("*");
      for (const other of numbers(Number(token), isFactor)) {
        put(at, at + 1, other, `${token} → ${other}`);
      }
    }
    const duration = /^\[(\d+[smhd])\]$|^(\d+[smhd])$/.exec(token);
    if (duration !== null) {
      const seconds = secondsOf(duration[1] ?? duration[2] ?? "");
      for (const other of [seconds / 2, seconds * 2]) {
        put(at, at + 1, token.replace(/\d+[smhd]/, `${other}s`), `${token} → ${other}s`);
      }
    }
  }
  return found;
}

/** Counts and states move by one, all else by a tenth. */
function numbers(value: number, isFactor: boolean): string[] {
  if (value === 0) return ["1"];
  if (Number.isInteger(value) && value < 10 && !isFactor) {
    return [String(value - 1), String(value + 1)];
  }
  return [value * 0.9, value * 1.1].map((other) => String(Number(other.toPrecision(6))));
}

/** Each label of `by (…)` left out, and one more put in. */
function lists(
  tokens: readonly string[],
  by: number,
): [from: number, to: number, text: string, what: string][] {
  const from = tokens.indexOf("(", by);
  const to = tokens.indexOf(")", by);
  const names = tokens.slice(from + 1, to).filter((token) => /^\w+$/.test(token));
  const changed = [
    ...names.map((name) => [names.filter((other) => other !== name), `not by ${name}`] as const),
    // A label twice is that label.
    ...(names.includes("instance") ? [] : [[[...names, "instance"], "by instance, too"] as const]),
    // Of one label, leaving it out is that already.
    ...(names.length > 1 ? [[[], "by nothing"] as const] : []),
  ];
  return changed.map(([list, what]) => [from, to + 1, `(${list.join(", ")})`, what]);
}

function secondsOf(duration: string): number {
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
  return Number.parseInt(duration, 10) * (units[duration.at(-1) ?? ""] ?? Number.NaN);
}
