// The bundle of alerts from its templates and one file of values.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { Eta } from "eta";
import { format, resolveConfig } from "prettier";
import { timelineFiles } from "./timelines/index.ts";
import { budget, secondsOf, type Values } from "./values.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TEMPLATES = join(ROOT, "alerts/templates");
const RUNBOOKS = "runbooks";
export const DEFAULT_VALUES = join(ROOT, "alerts/values.yaml");

export interface Rendered {
  /** From the root of the repository. */
  readonly path: string;
  readonly content: string;
}

const eta = new Eta({
  // Those of PromQL's and Alertmanager's own templates are braces.
  tags: ["<<", ">>"],
  autoEscape: false,
  autoTrim: false,
  useWith: true,
});

/** Of a template below alerts/templates, with whatever facts: the chart's are names that Helm fills in. */
export function renderTemplate(file: string, facts: object): string {
  return eta.renderString(readFileSync(join(TEMPLATES, file), "utf8"), facts);
}

/** The files of rules alone, as the templates lay them out. */
export function renderRules(values: Values): string[] {
  const facts = factsOf(values);
  return templates()
    .map((file) => relative(TEMPLATES, file))
    .filter((file) => /^[\w-]+\.yml\.eta$/.test(file))
    .map((file) => renderTemplate(file, facts));
}

export async function renderAlerts(values: Values): Promise<Rendered[]> {
  const facts = factsOf(values);
  const layout = await resolveConfig(join(ROOT, "alerts/switchgear.yml"));
  const made = templates().map((file) => {
    const own = relative(TEMPLATES, file).replace(/\.eta$/, "");
    const text = renderTemplate(relative(TEMPLATES, file), facts);
    const note = `Rendered from ${relative(ROOT, file)} by \`npm run alerts\`.`;
    // The first line of a page is its alert's name.
    return own.startsWith(`${RUNBOOKS}/`)
      ? { path: own, text: `${text}\n<!-- ${note} -->\n` }
      : { path: join("alerts", own), text: `# ${note}\n${text}` };
  });
  const rendered = await Promise.all(
    [...made, ...timelineFiles(values)].map(async ({ path, text }) => ({
      path,
      content: await format(text, { ...layout, filepath: path }),
    })),
  );
  return rendered.filter(({ path }) => !isUnasked(path, rendered));
}

/** The page of an alert that these values leave out. */
function isUnasked(path: string, rendered: readonly Rendered[]): boolean {
  if (!path.startsWith(`${RUNBOOKS}/`)) return false;
  const name = basename(path, ".md");
  const all = rendered.filter((file) => file.path.endsWith(".yml"));
  return !all.some(({ content }) => content.includes(`alert: ${name}\n`));
}

/** The pages that are the same whatever the values, for whoever publishes all of them. */
export function otherRunbooks(rendered: readonly Rendered[]): Rendered[] {
  const templated = new Set(templates().map((file) => basename(file, ".eta")));
  const known = new Set(rendered.map(({ path }) => path));
  return readdirSync(join(ROOT, RUNBOOKS))
    .filter((file) => !templated.has(file))
    .map((file) => join(RUNBOOKS, file))
    .filter((path) => !known.has(path))
    .map((path) => ({ path, content: readFileSync(join(ROOT, path), "utf8") }));
}

function templates(): string[] {
  return readdirSync(TEMPLATES, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".eta"))
    .toSorted()
    .map((file) => join(TEMPLATES, file));
}

type Page = "overview" | "pipeline";

/** What templates can name: the values, and what follows from them. */
function factsOf(values: Values): object {
  const { jobs, slo } = values;
  const sloWindows = [...new Set(slo.windows.flatMap(({ long, short }) => [short, long]))];
  return {
    ...values,
    slo: { ...slo, windows: slo.windows.map((window) => ({ ...window, wakes: wakes(window) })) },
    job: jobs.length === 1 ? `job="${jobs[0]}"` : `job=~"${jobs.map(escaped).join("|")}"`,
    sloWindows: sloWindows.toSorted((a, b) => secondsOf(a) - secondsOf(b)),
    // As it stands in the page, and as Prometheus 3 stores it.
    le: le(slo.latency.seconds),
    budget,
    secondsOf,
    percent: (part: number) => `${Number((part * 100).toPrecision(4))} %`,
    words,
    /** As it stands between a shell's double quotes. */
    inShell: (text: string) => text.replaceAll(/[\\"$`]/g, String.raw`\$&`),
    runbookOfBudgets: budgetsInWords(slo.windows),
    thousands: (count: number) => count.toLocaleString("en-US"),
    runbook: (alert: string) => `${values.runbooks}/${alert}.md`,
    dashboard: (page: Page, ...labels: string[]) => {
      const query = labels.map((label) => `var-${label}={{ $labels.${label} | urlquery }}`);
      const url = `${values.grafana}/d/switchgear-${page}`;
      return query.length === 0 ? url : `${url}?${query.join("&")}`;
    },
  };
}

function le(seconds: number): string {
  return Number.isInteger(seconds) ? `${seconds}|${seconds}\\\\.0` : escaped(String(seconds));
}

/** For a regular expression in PromQL's quotes. */
function escaped(text: string): string {
  return text.replaceAll(".", String.raw`\\.`);
}

const UNITS: Readonly<Record<string, string>> = { s: "second", m: "minute", h: "hour", d: "day" };

/** `1h` is an hour, `15m` are 15 minutes. */
function words(duration: string): string {
  const unit = UNITS[duration.at(-1) ?? ""] ?? "";
  const count = Number.parseInt(duration, 10);
  if (count !== 1) return `${count} ${unit}s`;
  return `${unit === "hour" ? "an" : "a"} ${unit}`;
}

function budgetsInWords(windows: Values["slo"]["windows"]): object {
  const over = (severity: string): string =>
    listed(windows.filter((window) => window.severity === severity).map(({ long }) => long));
  const who = [
    ["critical", "critical: it wakes somebody"],
    ["warning", "a warning: it waits for the day"],
  ].flatMap(([severity = "", what = ""]) => {
    const longs = over(severity);
    return longs === "" ? [] : [`over ${longs} ${what}`];
  });
  const days = ({ long, factor }: Values["slo"]["windows"][number], at: number): string => {
    const left = Number((30 / factor).toPrecision(2));
    return at === 0 ? `at the pace of ${long} in ${left} days` : `of ${long} in ${left}`;
  };
  return {
    who: `${who.join("; ").replace(/^o/, "O")}.`,
    paces: listed(windows.map(days)),
    ends: listed(
      windows.map(
        ({ long, short }) => `that of ${long} after ${secondsOf(short) / 60 + 5} minutes`,
      ),
    ),
  };
}

function listed(items: readonly string[]): string {
  const last = items.at(-1) ?? "";
  return items.length < 2 ? last : `${items.slice(0, -1).join(", ")} and ${last}`;
}

const MONTH_SECONDS = 30 * 86_400;

function wakes({ long, factor, severity }: Values["slo"]["windows"][number]): string {
  const spent = Number(((100 * factor * secondsOf(long)) / MONTH_SECONDS).toPrecision(2));
  const left = Number((30 / factor).toPrecision(2));
  const who =
    severity === "critical" ? "Wakes somebody" : "Wakes nobody, it can wait for the morning";
  return `${who}: ${spent} % of a month's budget in ${long}; at this pace all of it lasts ${left} days. Look which bookmaker it is, and whether it or we have changed.`;
}
