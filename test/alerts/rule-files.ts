// Reads the rule files and their tests, and runs promtool on them.

import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { isMap, isSeq, parse, parseDocument, type YAMLMap } from "yaml";
import { toolPath } from "../tools/build.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const RULE_FILES = [
  "alerts/circuit-breaker.yml",
  "alerts/switchgear.yml",
  "alerts/process.yml",
  "alerts/slo.yml",
] as const;
const TESTS = join(ROOT, "alerts/tests");

export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly keep_firing_for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Group {
  readonly name: string;
  readonly rules: readonly Rule[];
}

export interface Alert extends Rule {
  readonly alert: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly file: string;
  /** What is written above it. */
  readonly comment: string;
}

export function readText(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

export function readGroups(file: string): readonly Group[] {
  return (parse(readText(file)) as { groups: readonly Group[] }).groups;
}

export function readAlerts(): Alert[] {
  return RULE_FILES.flatMap((file) => {
    const groups = parseDocument(readText(file)).get("groups");
    if (!isSeq(groups)) throw new TypeError(`${file} has no groups`);
    return groups.items.flatMap((group) => {
      const rules = (group as YAMLMap).get("rules");
      if (!isSeq(rules)) throw new TypeError(`a group of ${file} has no rules`);
      // A comment above the first of a list is the list's.
      return rules.items.flatMap((node, index) => {
        if (!isMap(node) || !node.has("alert")) return [];
        const comment = node.commentBefore ?? (index === 0 ? rules.commentBefore : undefined) ?? "";
        const rule = node.toJSON() as Alert;
        return [{ ...rule, file, comment: comment.replaceAll(/\s*\n\s*/g, " ").trim() }];
      });
    });
  });
}

/** One alert may come in several severities or windows, each with cases of its own. */
export function variantOf(alert: Alert, alerts: readonly Alert[]): string | undefined {
  const twins = alerts.filter((other) => other.alert === alert.alert);
  if (twins.length === 1) return undefined;
  const { severity, window } = alert.labels;
  return window ?? severity;
}

/** The rules that a test needs, and no others: promtool evaluates every rule it is given. */
export function groupsOf(alert: string | undefined): Group[] {
  return RULE_FILES.flatMap(readGroups).flatMap((group) => {
    if (alert === undefined) {
      return group.rules.some(({ record }) => record !== undefined) ? [onlyRecords(group)] : [];
    }
    if (!group.rules.some((rule) => rule.alert === alert)) return [];
    return [
      {
        ...group,
        rules: group.rules.filter((rule) => rule.record !== undefined || rule.alert === alert),
      },
    ];
  });
}

function onlyRecords(group: Group): Group {
  return { ...group, rules: group.rules.filter(({ record }) => record !== undefined) };
}

export interface Series {
  readonly series: string;
  readonly values: string;
}

export interface Case {
  readonly name: string;
  readonly input_series: readonly Series[];
  readonly alert_rule_test?: readonly {
    readonly eval_time: string;
    readonly alertname: string;
    readonly exp_alerts?: readonly {
      readonly exp_labels: Readonly<Record<string, string>>;
      readonly exp_annotations?: Readonly<Record<string, string>>;
    }[];
  }[];
  readonly promql_expr_test?: readonly {
    readonly expr: string;
    readonly eval_time: string;
    readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
  }[];
}

export interface TestFile {
  readonly name: string;
  /** The alert it is about; undefined for recording rules. */
  readonly alert: string | undefined;
  readonly evaluation_interval: string;
  readonly tests: readonly Case[];
}

/** `Alert.yml` and `Alert-more.yml` are about that alert, `recording….yml` about what is recorded. */
export function readTestFiles(): TestFile[] {
  return readdirSync(TESTS)
    .filter((file) => file.endsWith(".yml"))
    .toSorted()
    .map((file) => {
      const name = basename(file, ".yml");
      const [alert = name] = name.split("-");
      const text = readFileSync(join(TESTS, file), "utf8");
      const { evaluation_interval, tests } = parse(text) as Omit<TestFile, "name" | "alert">;
      return {
        name,
        alert: alert === "recording" ? undefined : alert,
        evaluation_interval,
        tests,
      };
    });
}

/** A test file and the rules in one folder, so that the rules can be other than those of the repository. */
export function writeTest(folder: string, file: TestFile, groups: readonly Group[]): string {
  mkdirSync(folder, { recursive: true });
  const rules = join(folder, "rules.yml");
  // JSON is YAML, and fast to write: a mutation run writes thousands.
  writeFileSync(rules, JSON.stringify({ groups }));
  const path = join(folder, `${file.name}.yml`);
  const { evaluation_interval, tests } = file;
  writeFileSync(path, JSON.stringify({ rule_files: [rules], evaluation_interval, tests }));
  return path;
}

export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** promtool hangs for no rule; a test of it takes seconds. */
const PROMTOOL_MS_MAX = 120_000;

export function promtool(...args: string[]): Promise<Ended> {
  // It lives for seconds on megabytes: collecting its garbage at every turn would cost a third of them.
  const env = { ...process.env, GOGC: "400" };
  const options = { cwd: ROOT, env, timeout: PROMTOOL_MS_MAX, maxBuffer: 16 * 1024 * 1024 };
  return new Promise((done) => {
    execFile(toolPath("promtool"), args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      done({ code, output: stdout + stderr });
    });
  });
}

/** As many at once as there are cores for them. */
export async function eachOf<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

export function seconds(duration: string): number {
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
  let total = 0;
  for (const [, count = "", unit = ""] of duration.matchAll(/(\d+)([smhd])/g)) {
    total += Number(count) * (units[unit] ?? Number.NaN);
  }
  return total;
}
