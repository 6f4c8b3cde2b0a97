// What an answer, an error or an early end says about the upstream (spec A-19). Pure.
//
// Only what the upstream did is evidence. So each early end names who was waited for: the upstream, the
// caller that sends or reads too slowly, or nobody. How a status counts is the same as in the library.

import { classifyThrown } from "../core/classify.ts";
import { outcomeOfStatus } from "../core/http-status.ts";
import type { Outcome } from "../core/outcome.ts";
import { leavesUpstream, type Ending } from "./ending.ts";
import type { GatewayUpstream } from "./ports.ts";

export function outcomeOfAnswer(
  status: number,
  status429: GatewayUpstream["status429"],
  latencyMs: number,
): Outcome {
  const outcome = outcomeOfStatus(status, status429);
  if (outcome === "ok" || outcome === "ignored") return { outcome, latencyMs };
  const error = `HTTP ${status}`;
  return outcome === "timeout"
    ? { outcome: "failed", timeout: true, latencyMs, error }
    : { outcome, latencyMs, error };
}

/** A connection that failed, before the answer's headers or inside its body. */
export function outcomeOfError(error: unknown, latencyMs: number): Outcome {
  const outcome = classifyThrown(error);
  if (outcome === "ignored") return { outcome, latencyMs };
  return outcome === "timeout"
    ? { outcome: "failed", timeout: true, latencyMs, error }
    : { outcome, latencyMs, error };
}

/** Connecting took longer than the client's own patience; anything else is a hard failure. */
export function isTimeoutError(error: unknown): boolean {
  return classifyThrown(error) === "timeout";
}

/** What the upstream's time was, when it was its fault. */
export interface Times {
  /** From when only the upstream was waited for. */
  readonly waitedMs: number;
  /** The same of whoever has waited longest, this call or one before it. */
  readonly waitedInAllMs: number;
  readonly deadlineMs: number;
  readonly idleMs: number | undefined;
}

export function outcomeOfEnding(ending: Ending, times: Times, owesAnswer: boolean): Outcome {
  const { waitedMs: latencyMs, waitedInAllMs, deadlineMs, idleMs } = times;
  if (ending === "deadline") {
    const error = `no full answer in ${deadlineMs} ms`;
    return { outcome: "failed", timeout: true, latencyMs, error };
  }
  if (ending === "idle") {
    const error = `nothing more of its answer in ${idleMs} ms`;
    return { outcome: "failed", timeout: true, latencyMs, error };
  }
  return owesAnswer && leavesUpstream(ending)
    ? { outcome: "ignored", latencyMs, leftAfterMs: latencyMs, waitedInAllMs }
    : { outcome: "ignored", latencyMs };
}
