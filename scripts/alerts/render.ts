// The bundle of alerts from its templates and one file of values.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { Eta } from "eta";
import { format, resolveConfig } from "prettier";
import { timelineFiles } from "./timelines/index.ts";
import { budget, secondsOf, type Values } from "./values.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TEMPLATES = join(ROOT, "alerts/templates");
export const DEFAULT_VALUES = join(ROOT, "alerts/values.yaml");

export interface Rendered {
  /** From the root of the repository. */
  readonly path: string;
  readonly content: string;
}

export async function renderAlerts(values: Values): Promise<Rendered[]> {
  const facts = factsOf(values);
  const eta = new Eta({
    // Those of PromQL's and Alertmanager's own templates are braces.
    tags: ["<<", ">>"],
    autoEscape: false,
    autoTrim: false,
    useWith: true,
  });
  const layout = await resolveConfig(join(ROOT, "alerts/switchgear.yml"));
  const made = templates().map((file) => {
    const path = join("alerts", relative(TEMPLATES, file)).replace(/\.eta$/, "");
    const text = eta.renderString(readFileSync(file, "utf8"), facts);
    const note = `# Rendered from ${relative(ROOT, file)} by \`npm run alerts\`.\n`;
    return { path, text: note + text };
  });
  return Promise.all(
    [...made, ...timelineFiles(values)].map(async ({ path, text }) => ({
      path,
      content: await format(text, { ...layout, filepath: path }),
    })),
  );
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
    percent: (part: number) => `${Number((part * 100).toPrecision(4))} %`,
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

const MONTH_SECONDS = 30 * 86_400;

function wakes({ long, factor, severity }: Values["slo"]["windows"][number]): string {
  const spent = Number(((100 * factor * secondsOf(long)) / MONTH_SECONDS).toPrecision(2));
  const left = Number((30 / factor).toPrecision(2));
  const who =
    severity === "critical" ? "Wakes somebody" : "Wakes nobody, it can wait for the morning";
  return `${who}: ${spent} % of a month's budget in ${long}; at this pace all of it lasts ${left} days. Look which bookmaker it is, and whether it or we have changed.`;
}
