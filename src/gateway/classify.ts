// What an answer, an error or an early end says about the upstream (spec A-19). Pure.
//
// Only what the upstream did is evidence: a caller who left, a body that was too long, our own
// shutdown are not. A 4xx is the answer of a living upstream; 408 is its own timeout; 429 speaks
// of the caller's quota, so that the operator says how it counts.

import { classifyError } from "../core/classify.ts";
import type { Outcome } from "../core/outcome.ts";
import type { GatewayUpstream } from "./ports.ts";

/**
 * Why a call ended before its answer did. `stalled` is a deadline that passed while this process
 * stood still: the caller is told the same, but it is no evidence.
 */
export type Ending = "deadline" | "stalled" | "caller_left" | "body_too_large" | "stopping";

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

/** A connection that failed, before the answer's headers or inside its body. */
export function outcomeOfError(error: unknown, latencyMs: number): Outcome {
  return isTimeoutError(error)
    ? { outcome: "failed", timeout: true, latencyMs, error }
    : { outcome: "failed", latencyMs, error };
}

/** Connecting took longer than the client's own patience; anything else is a hard failure. */
export function isTimeoutError(error: unknown): boolean {
  return classifyError(error) === "timeout";
}

export function outcomeOfEnding(ending: Ending, deadlineMs: number, latencyMs: number): Outcome {
  return ending === "deadline"
    ? { outcome: "failed", timeout: true, latencyMs, error: `no full answer in ${deadlineMs} ms` }
    : { outcome: "ignored", latencyMs };
}
