// What an HTTP status and its `Retry-After` say about the one who answered (spec A-19). Pure.
//
// A 4xx is the answer of a living upstream; 408 is its own timeout; 429 speaks of the caller's quota, so
// that the operator says how it counts; a refusal by another Switchgear in front of the upstream is that
// guard's own business.

import { REFUSAL_REASONS } from "./events.ts";
import type { CallOutcome } from "./outcome.ts";

/** How a 429 counts: as no evidence, as a failure, or as an answer. */
export type Status429 = "neutral" | "failure" | "success";

export const STATUS_429: readonly Status429[] = ["neutral", "failure", "success"];

export function outcomeOfStatus(status: number, status429: Status429 = "neutral"): CallOutcome {
  if (status >= 500) return "failed";
  if (status === 408) return "timeout";
  if (status !== 429 || status429 === "success") return "ok";
  return status429 === "failure" ? "failed" : "ignored";
}

/** What a Switchgear answers by itself, without having asked anybody, in `x-switchgear-reason`. */
const REFUSALS: ReadonlySet<unknown> = new Set([...REFUSAL_REASONS, "loop", "out_of_resources"]);

/** Whether the answer is another guard's refusal, by its status and its `x-switchgear-reason`. */
export function isGuardsRefusal(status: number, reason: unknown): boolean {
  // A 429 with any other reason is the upstream's own.
  if (status === 429) return reason === "rate_limited";
  return (status === 503 || status === 508) && REFUSALS.has(reason);
}

const SECONDS = /^\d{1,10}$/;

/** A date as C prints it, in UTC (RFC 9110 §5.6.7): without a zone it would be taken for local time. */
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** Statuses whose `Retry-After` asks for fewer calls: a redirect's is about something else. */
export function mayAskToWait(status: number): boolean {
  return status === 429 || status >= 500;
}

/**
 * Milliseconds from `wallMs` on that a `Retry-After` asks for, in seconds or as a date (RFC 9110 §10.2.3);
 * undefined for what is neither, or lies in the past.
 */
export function retryAfterMs(value: unknown, wallMs: number): number | undefined {
  if (typeof value !== "string") return undefined;
  const text = value.trim();
  const date = ASCTIME.test(text) ? `${text} GMT` : text;
  const waitMs = SECONDS.test(text) ? Number(text) * 1000 : Date.parse(date) - wallMs;
  return waitMs > 0 ? waitMs : undefined;
}
