// The chart's copy of the rules: rendered from the same templates, with names in place of values, which Helm fills in
// (templates/monitoring/_alerts.tpl). `$(gap)` is what alerts/values.yaml calls `gap`; `$(budget slo.latency.objective)`
// follows from it.
//
// Values that are texts become their names at once. Templates calculate with numbers, so each of these is a number that
// nobody would write, and what it has become is given its name afterwards.

import { parse, stringify } from "yaml";
import { HELM_YAML } from "./yaml.ts";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { renderTemplate } from "../alerts/render.ts";
import type { Values } from "../alerts/values.ts";

const ROOT = resolve(import.meta.dirname, "../..");

type Rule = Readonly<Record<string, unknown>>;

interface Group {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** Rules that stand together, once, or once for each of what a value lists. */
interface Block {
  readonly each: "" | "window" | "burn" | "sampleLimit";
  readonly rules: Rule[];
}

export function chartRules(values: Values): string {
  const names = new Names();
  const facts = factsOf(values, names);
  const groups = readdirSync(join(ROOT, "alerts/templates"))
    .filter((file) => file.endsWith(".yml.eta"))
    .toSorted()
    .flatMap((file) => {
      const text = names.restore(renderTemplate(file, facts));
      return (parse(text) as { groups: readonly Group[] }).groups;
    });
  return stringify(
    { groups: groups.map(({ name, rules }) => ({ name, blocks: blocksOf(rules) })) },
    HELM_YAML,
  );
}

/** Names of all alerts, in their order. */
export function alertNames(rules: string): string[] {
  const { groups } = parse(rules) as { groups: readonly { blocks: readonly Block[] }[] };
  const all = groups.flatMap(({ blocks }) => blocks.flatMap((block) => block.rules));
  return [...new Set(all.flatMap(({ alert }) => (typeof alert === "string" ? [alert] : [])))];
}

function blocksOf(rules: readonly Rule[]): Block[] {
  const blocks: Block[] = [];
  for (const rule of rules) {
    const each = eachOf(JSON.stringify(rule));
    const last = blocks.at(-1);
    if (last?.each === each) last.rules.push(rule);
    else blocks.push({ each, rules: [rule] });
  }
  return blocks;
}

function eachOf(rule: string): Block["each"] {
  if (rule.includes("$(burn.")) return "burn";
  if (rule.includes("$(window)")) return "window";
  return rule.includes("scrape.sampleLimit)") ? "sampleLimit" : "";
}

/** Numbers that stand for names until the text is rendered. */
class Names {
  readonly #names = new Map<number, string>();
  // Larger than any threshold, and not near one of their multiples.
  #next = 770_000_017;

  number(name: string): number {
    const number = this.#next;
    this.#next += 1000;
    this.#names.set(number, name);
    return number;
  }

  derived(number: number, name: string): void {
    this.#names.set(number, name);
  }

  nameOf(number: number): string {
    const name = this.#names.get(number);
    if (name === undefined) throw new Error(`${number} stands for no value`);
    return name;
  }

  restore(text: string): string {
    return text.replaceAll(/\d{9,}/g, (digits) => `$(${this.nameOf(Number(digits))})`);
  }
}

function factsOf(values: Values, names: Names): object {
  const named = namesIn(values, "", names) as Values;
  const { gap, mostlyOpen, slo } = named;
  names.derived(2 * mostlyOpen.trips - 1, "changes");
  const gapSeconds = names.number("seconds of gap");
  names.derived(gapSeconds + 60, "gap and a minute");
  const burn = namesIn(values.slo.windows[0], "burn.", names);
  return {
    ...named,
    slo: { ...slo, windows: [{ ...(burn as object), wakes: "" }] },
    job: "$(job)",
    le: "$(le)",
    sloWindows: ["$(window)"],
    secondsOf: (duration: string) => {
      if (duration !== gap) throw new Error(`seconds of ${duration}: tell the chart how`);
      return gapSeconds;
    },
    budget: (objective: number) => names.number(`budget ${names.nameOf(objective)}`),
    percent: (part: number) => `$(${names.nameOf(part).replace("budget", "percent")})`,
    thousands: (count: number) => `$(thousands ${names.nameOf(count)})`,
    runbook: (alert: string) => `${named.runbooks}/${alert}.md`,
    dashboard: (page: string, ...labels: string[]) => {
      const query = labels.map((label) => `var-${label}={{ $labels.${label} | urlquery }}`);
      return `${named.grafana}/d/switchgear-${page}${query.length === 0 ? "" : `?${query.join("&")}`}`;
    },
  };
}

function namesIn(value: unknown, path: string, names: Names): unknown {
  if (typeof value === "string") return `$(${path})`;
  if (typeof value === "number") return names.number(path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const prefix = path === "" || path.endsWith(".") ? path : `${path}.`;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, namesIn(one, `${prefix}${key}`, names)]),
  );
}
