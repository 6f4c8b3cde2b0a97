// What is said at the end: each claim, whether it held, and by what number.

import type { ScenarioName, Shape } from "./shapes.ts";
import { CLAIMS, claimsOf, judgedMetric, leastOf, type ClaimName } from "./thresholds.ts";

/** What k6 hands to `handleSummary`, as far as it is read. */
export interface Summary {
  readonly metrics: Readonly<Record<string, SummaryMetric | undefined>>;
  readonly setup_data?: unknown;
}

export interface SummaryMetric {
  readonly type: string;
  readonly values: Readonly<Record<string, number>>;
  readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>;
}

export interface Verdict {
  /** The metric, with its tags where it has any. */
  readonly name: string;
  readonly threshold: string;
  readonly held: boolean;
  /** Null where nothing was measured. */
  readonly value: number | null;
  readonly says: string;
  /** How many calls it was judged by, and how many it needs. */
  readonly judged: number;
  readonly least: number;
  /** Breached, there is no verdict: the load was not what it was to be. */
  readonly isAboutTheRun: boolean;
}

export function verdictsOf(summary: Summary, scenario: ScenarioName, shape: Shape): Verdict[] {
  const verdicts: Verdict[] = [];
  const dropped = summary.metrics["dropped_iterations"]?.values["count"] ?? 0;
  verdicts.push({
    name: "dropped_iterations",
    threshold: "count==0",
    held: dropped === 0,
    value: dropped,
    says: "calls that could not be made when they were due",
    judged: 1,
    least: 1,
    isAboutTheRun: true,
  });
  for (const [claim, { says }] of claimsOf(scenario)) {
    const least = leastOf(claim, shape);
    const judged = summary.metrics[judgedMetric(claim)]?.values["count"] ?? 0;
    for (const [name, metric] of metricsOf(summary, claim)) {
      for (const [threshold, { ok }] of Object.entries(metric.thresholds ?? {})) {
        verdicts.push({
          name,
          threshold,
          held: ok && judged >= least,
          value: judged === 0 ? null : valueOf(metric, threshold),
          says,
          judged,
          least,
          isAboutTheRun: "isAboutTheRun" in CLAIMS[claim],
        });
      }
    }
  }
  return verdicts;
}

/** With its tagged parts, where those have the thresholds. */
function metricsOf(summary: Summary, claim: ClaimName): [string, SummaryMetric][] {
  return Object.entries(summary.metrics).flatMap(([name, metric]) =>
    metric?.thresholds !== undefined && (name === claim || name.startsWith(`${claim}{`))
      ? [[name, metric] as [string, SummaryMetric]]
      : [],
  );
}

function valueOf(metric: SummaryMetric, threshold: string): number | null {
  const [key = ""] = /^[a-z]+(?:\(\d+\))?/.exec(threshold) ?? [];
  return metric.values[key] ?? null;
}

export function report(data: unknown, scenario: ScenarioName, shape: Shape): string {
  const verdicts = verdictsOf(data as Summary, scenario, shape);
  const width = Math.max(...verdicts.map(({ name }) => name.length));
  const lines = verdicts.map((verdict) => {
    const { name, threshold, held, says, judged, least } = verdict;
    const value = verdict.value === null ? "nothing" : shown(verdict.value);
    const few = judged < least ? ` (judged by ${judged}, needs ${least})` : "";
    const mark = held ? "held    " : "BREACHED";
    return `${mark} ${name.padEnd(width)} ${threshold.padEnd(13)} ${value.padStart(8)}${few}  ${says}`;
  });
  return `\n${lines.join("\n")}\n`;
}

function shown(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}
