// What a run comes to. Lag of the generator, or of a machine that others use, too, only makes a claim harder to
// hold: what held then, holds. But what was breached then may have been breached by the machine.

import type { Verdict } from "../lib/summary.ts";
import { isControl, type RunOutcome, type Subject } from "./data.ts";

/** With calls started later than this a breach says nothing: it is no coarser than the finest claim. */
export const FINE_LAG_MS = 10;
/** No lag of the generator makes calls that were sent time out by the hundred. */
const CONTROL_TIMEOUTS_MIN = 100;

/** k6's codes: 0 all held, 99 a threshold was breached; with any other it could not do its work. */
export function outcomeOf(
  subject: Subject,
  verdicts: readonly Verdict[],
  exitCode: number | null,
): RunOutcome {
  if ((exitCode !== 0 && exitCode !== 99) || verdicts.length === 0) return "void";
  const valueOf = (name: string): number =>
    verdicts.find((verdict) => verdict.name === name)?.value ?? 0;
  if (isControl(subject) && valueOf("upstream_timeouts") >= CONTROL_TIMEOUTS_MIN) return "breached";
  if (verdicts.some(({ isAboutTheRun, held }) => isAboutTheRun && !held)) return "void";
  // k6 may say so although no claim tells why.
  if (verdicts.every(({ held }) => held)) return exitCode === 0 ? "held" : "breached";
  return valueOf("generator_lag_ms") > FINE_LAG_MS ? "void" : "breached";
}
