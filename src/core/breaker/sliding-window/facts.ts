// What is known of an upstream's calls whatever the state: totals, dates, the last error, the average
// latency. It decides nothing and survives transitions.

import { isLatency } from "../../outcome.ts";
import type { Instant } from "../machine.ts";
import type { SlidingWindowSnapshot } from "./snapshot.ts";

/** As in the latching breaker: follows a change of level within about ten calls. */
const LATENCY_ALPHA = 0.2;

type StoredFacts = Pick<
  SlidingWindowSnapshot,
  | "lastError"
  | "lastFailureAt"
  | "lastSuccessAt"
  | "avgLatencyMs"
  | "lastResetAt"
  | "lastResetBy"
  | "lastResetReason"
>;

export class CallFacts {
  successes = 0;
  failures = 0;
  lastError: string | null = null;
  lastReset: { readonly at: number; readonly by: string; readonly reason: string } | undefined =
    undefined;
  #lastFailureWallMs: number | null = null;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  /** NaN until the first sample: a number field keeps its machine representation. */
  #avgLatencyMs = Number.NaN;

  countOk(latencyMs: number, nowMs: number): void {
    this.successes += 1;
    this.#lastSuccessMs = nowMs;
    if (!isLatency(latencyMs)) return;
    const average = this.#avgLatencyMs;
    this.#avgLatencyMs = Number.isNaN(average)
      ? latencyMs
      : average + LATENCY_ALPHA * (latencyMs - average);
  }

  countFailed(wallMs: number): void {
    this.failures += 1;
    this.#lastFailureWallMs = wallMs;
  }

  stored(at: Instant): StoredFacts {
    return {
      lastError: this.lastError,
      lastFailureAt: this.#lastFailureWallMs,
      lastSuccessAt:
        this.#lastSuccessMs === Number.NEGATIVE_INFINITY ? null : toWall(this.#lastSuccessMs, at),
      avgLatencyMs: Number.isNaN(this.#avgLatencyMs) ? null : this.#avgLatencyMs,
      lastResetAt: this.lastReset?.at ?? null,
      lastResetBy: this.lastReset?.by ?? null,
      lastResetReason: this.lastReset?.reason ?? null,
    };
  }

  /** Totals are this process's own, and stay. */
  restore(stored: StoredFacts, at: Instant): void {
    this.lastError = stored.lastError;
    this.#lastFailureWallMs = stored.lastFailureAt;
    this.#lastSuccessMs =
      stored.lastSuccessAt === null ? Number.NEGATIVE_INFINITY : toNow(stored.lastSuccessAt, at);
    this.#avgLatencyMs = stored.avgLatencyMs ?? Number.NaN;
    this.lastReset =
      stored.lastResetAt === null
        ? undefined
        : {
            at: stored.lastResetAt,
            by: stored.lastResetBy ?? "system",
            reason: stored.lastResetReason ?? "",
          };
  }
}

/** What the wall clock said, or will say, at a monotonic time. */
export function toWall(ms: number, at: Instant): number {
  return Math.round(at.wallMs - (at.nowMs - ms));
}

/** The monotonic time of a date. */
export function toNow(wallMs: number, at: Instant): number {
  return at.nowMs - (at.wallMs - wallMs);
}
