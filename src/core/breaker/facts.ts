// What is known of an upstream's calls whatever the state: dates, the last error, the average latency,
// the last reset. It decides nothing and survives transitions.

import { isLatency } from "../outcome.ts";
import { toNow, toWall } from "./dates.ts";
import { SYSTEM, type Instant, type OperatorOrder } from "./machine.ts";
import type { StoredFacts, StoredReset } from "./stored.ts";

/**
 * Weight of the newest sample in the latency average. The source systems are silent; 0.2 follows a
 * change of level within about ten calls and rides out one slow one.
 */
const LATENCY_ALPHA = 0.2;

export class CallFacts {
  lastError: string | null = null;
  /** NaN until the first, as is the average: a number field keeps its machine representation. */
  lastFailureWallMs = Number.NaN;
  lastSuccessMs = Number.NEGATIVE_INFINITY;
  #avgLatencyMs = Number.NaN;
  #lastReset: { readonly at: number; readonly by: string; readonly reason: string } | undefined =
    undefined;

  noteOk(latencyMs: number, nowMs: number): void {
    this.lastSuccessMs = nowMs;
    if (!isLatency(latencyMs)) return;
    const average = this.#avgLatencyMs;
    this.#avgLatencyMs = Number.isNaN(average)
      ? latencyMs
      : average + LATENCY_ALPHA * (latencyMs - average);
  }

  noteReset({ actor, reason }: OperatorOrder, at: Instant): void {
    this.#lastReset = { at: at.wallMs, by: actor, reason };
  }

  stored(at: Instant): StoredFacts {
    const reset = this.#lastReset;
    return {
      lastError: this.lastError,
      lastFailureAt: Number.isNaN(this.lastFailureWallMs) ? null : this.lastFailureWallMs,
      lastSuccessAt:
        this.lastSuccessMs === Number.NEGATIVE_INFINITY ? null : toWall(this.lastSuccessMs, at),
      avgLatencyMs: Number.isNaN(this.#avgLatencyMs) ? null : this.#avgLatencyMs,
      lastResetAt: reset?.at ?? null,
      lastResetBy: reset?.by ?? null,
      lastResetReason: reset?.reason ?? null,
    };
  }

  restore(stored: StoredFacts, at: Instant): void {
    const { lastSuccessAt } = stored;
    this.lastError = stored.lastError;
    this.lastFailureWallMs = stored.lastFailureAt ?? Number.NaN;
    this.lastSuccessMs =
      lastSuccessAt === null
        ? Number.NEGATIVE_INFINITY
        : toNow(Math.min(lastSuccessAt, at.wallMs), at);
    this.#avgLatencyMs = stored.avgLatencyMs ?? Number.NaN;
    this.restoreReset(stored);
  }

  restoreReset({ lastResetAt, lastResetBy, lastResetReason }: StoredReset): void {
    this.#lastReset =
      lastResetAt === null
        ? undefined
        : { at: lastResetAt, by: lastResetBy ?? SYSTEM, reason: lastResetReason ?? "" };
  }
}
