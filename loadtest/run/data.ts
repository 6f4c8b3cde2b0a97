// What a run leaves in its folder, for reports and whoever reads it with a program. All times are
// milliseconds since 1970, all latencies milliseconds.
//
//   run.json             one `RunRecord`
//   rows.jsonl           one `Row` a line: what the callers saw, each 200 ms for each bookmaker
//   samples.jsonl        one `Sample` a line: what gateway and bookmakers said of themselves, each 200 ms
//   k6-summary.json      what k6 hands to `handleSummary`
//   k6-dashboard.html    k6's own report, with its own plots

import type { Baseline } from "../lib/measure.ts";
import type { Phase, ScenarioName } from "../lib/shapes.ts";
import type { Verdict } from "../lib/summary.ts";

export const ROW_MS = 200;
/** k6's own report; not there when the run was over at once. */
export const DASHBOARD = "k6-dashboard.html";

/** What stood between the callers and the bookmakers: ours, none, a plain breaker, or somebody's own. */
export const SUBJECTS = ["gateway", "none", "opossum"] as const;
export type Subject = (typeof SUBJECTS)[number] | "against";

/** What has no protection of ours, and must breach. */
export function isControl(subject: Subject): subject is "none" | "opossum" {
  return subject === "none" || subject === "opossum";
}

export interface RunRecord {
  readonly subject: Subject;
  readonly scenario: ScenarioName;
  readonly scale: number;
  readonly isShort: boolean;
  /** Of the gateway; null where it is none of ours. */
  readonly runtime: "node" | "bun" | null;
  readonly deadlineMs: number;
  /** Whose load is raised, and the one beside it. */
  readonly target: string;
  readonly healthy: string;
  /** What the setup measured; null when it did not come so far. */
  readonly baseline: Baseline | null;
  readonly steps: readonly StepRecord[];
  readonly verdicts: readonly Verdict[];
  /** How late the machine woke an idle thread while claims were judged, 99th percentile; null when it was not looked at. */
  readonly wakeMs: number | null;
  readonly outcome: RunOutcome;
  /** k6's own exit code: 0, or 99 when a threshold was breached. */
  readonly exitCode: number | null;
  readonly startMs: number;
  readonly endMs: number;
}

/** `void`: the load was not what it was to be, or k6 ended otherwise, so that nothing can be said. */
export type RunOutcome = "held" | "breached" | "void";

export interface StepRecord {
  readonly phase: Phase;
  /** When k6 began it; absent when it did not. */
  readonly startMs?: number;
  readonly seconds: number;
  readonly perSecond: number;
}

/** The calls of one bookmaker that began in these 200 ms (`offered`), and those that ended (the rest). */
export interface Row {
  readonly atMs: number;
  readonly bookmaker: string;
  readonly offered: number;
  readonly ok: number;
  /** By reason. */
  readonly refused: Readonly<Record<string, number>>;
  readonly timeouts: number;
  readonly errors: number;
  /** Of good answers, by criticality; where there were any. */
  readonly latency: Readonly<Record<string, { readonly p50: number; readonly p99: number }>>;
}

export interface Sample {
  readonly atMs: number;
  /** How much later than due it was taken: the machine stood still, or was busy with something else. */
  readonly lagMs: number;
  /** Of each simulated bookmaker what `/__stats` says. */
  readonly bookmakers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** The gateway's series by name and labels, as its `/metrics` writes them, of replicas their sums; empty where it was not asked. */
  readonly series: Readonly<Record<string, number>>;
}
