// What an answer, an error or an early end says about the upstream (spec A-19). Pure.
//
// Only what the upstream did is evidence. So each early end names who was waited for: the upstream, the
// caller that sends or reads too slowly, or nobody. A 4xx is the answer of a living upstream; 408 is its
// own timeout; 429 speaks of the caller's quota, so that the operator says how it counts; a refusal by
// another Switchgear in front of the upstream is that guard's own business.

import { classifyError } from "../core/classify.ts";
import type { Outcome } from "../core/outcome.ts";
import { leavesUpstream, type Ending } from "./ending.ts";
import type { GatewayUpstream } from "./ports.ts";
import type { ProblemReason } from "./problem.ts";

export function outcomeOfStatus(
  status: number,
  status429: GatewayUpstream["status429"],
  latencyMs: number,
): Outcome {
  if (status >= 500) return { outcome: "failed", latencyMs, error: `HTTP ${status}` };
  if (status === 408) return { outcome: "failed", timeout: true, latencyMs, error: "HTTP 408" };
  if (status === 429 && status429 !== "success") {
    return status429 === "failure"
      ? { outcome: "failed", latencyMs, error: "HTTP 429" }
      : { outcome: "ignored", latencyMs };
  }
  return { outcome: "ok", latencyMs };
}

/** What a Switchgear answers by itself, without having asked anybody. */
const REFUSALS: ReadonlySet<string> = new Set<ProblemReason>([
  "tripped",
  "half_open_limit",
  "ramping",
  "no_endpoint",
  "load_shed",
  "closing",
  "loop",
  "out_of_resources",
]);

/** Whether the answer is another guard's refusal, by its status and its `x-switchgear-reason`. */
export function isGuardsRefusal(status: number, reason: string | null | undefined): boolean {
  return (status === 503 || status === 508) && REFUSALS.has(reason ?? "");
}

/** A connection that failed, before the answer's headers or inside its body. */
export function outcomeOfError(error: unknown, latencyMs: number): Outcome {
  const outcome = classifyError(error);
  if (outcome === "ignored") return { outcome, latencyMs };
  return outcome === "timeout"
    ? { outcome: "failed", timeout: true, latencyMs, error }
    : { outcome, latencyMs, error };
}

/** Connecting took longer than the client's own patience; anything else is a hard failure. */
export function isTimeoutError(error: unknown): boolean {
  return classifyError(error) === "timeout";
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
