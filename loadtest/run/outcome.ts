// What a run comes to. Lag of the generator, or of a machine that others use, too, only makes a claim harder to
// hold: what held then, holds. But what was breached then may have been breached by the machine.

import type { Verdict } from "../lib/summary.ts";
import { isControl, type RunOutcome, type Subject } from "./data.ts";

/** With calls started later than this a breach says nothing: it is no coarser than the finest claim. */
const FINE_LAG_MS = 10;
/** Nor on a machine that wakes threads later than this: a refusal, claimed to take ten, waits for three of them. */
const FINE_WAKE_MS = 3;
/** No lag of the generator makes calls that were sent time out by the hundred. */
const CONTROL_TIMEOUTS_MIN = 100;

/** k6's codes: 0 all held, 99 a threshold was breached; with any other it could not do its work. */
export function outcomeOf(
  subject: Subject,
  verdicts: readonly Verdict[],
  exitCode: number | null,
  wakeMs: number | null,
): RunOutcome {
  if ((exitCode !== 0 && exitCode !== 99) || verdicts.length === 0) return "void";
  if (isControl(subject) && valueOf(verdicts, "upstream_timeouts") >= CONTROL_TIMEOUTS_MIN)
    return "breached";
  if (verdicts.some(({ isAboutTheRun, held }) => isAboutTheRun && !held)) return "void";
  // k6 may say so although no claim tells why.
  if (verdicts.every(({ held }) => held)) return exitCode === 0 ? "held" : "breached";
  return isRough(verdicts, wakeMs) ? "void" : "breached";
}

/** Whether the machine was too busy for a breach to mean anything. `wakeMs`: as in `RunRecord`. */
export function isRough(verdicts: readonly Verdict[], wakeMs: number | null): boolean {
  return valueOf(verdicts, "generator_lag_ms") > FINE_LAG_MS || (wakeMs ?? 0) > FINE_WAKE_MS;
}

function valueOf(verdicts: readonly Verdict[], name: string): number {
  return verdicts.find((verdict) => verdict.name === name)?.value ?? 0;
}
