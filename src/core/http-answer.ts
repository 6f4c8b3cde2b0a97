// What a fulfilled value or an error tells of an HTTP answer, whichever client made it. Every value is a
// stranger's. The clock is asked only where a `Retry-After` may be a date.

import type { Clock } from "./clock.ts";
import type { ErrorFacts } from "./error-facts.ts";
import { ask, property } from "./foreign.ts";
import {
  isGuardsRefusal,
  mayAskToWait,
  outcomeOfStatus,
  retryAfterMs,
  type Status429,
} from "./http-status.ts";
import type { CallOutcome } from "./outcome.ts";

/** How an HTTP answer counts. */
export interface AnswerVerdict {
  readonly outcome: CallOutcome;
  readonly status: number;
  /** What its `Retry-After` asks for, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;
}

/**
 * How a `Response` counts, that of the platform or of a library which names its class so; undefined for
 * everything else. An object that merely has a `status` may be a bet's, and says nothing.
 */
export function judgeResponse(
  value: unknown,
  status429: Status429,
  clock: Clock,
): AnswerVerdict | undefined {
  if (!isResponse(value)) return undefined;
  const status = property(value, "status");
  return typeof status === "number" ? judge(status, value, status429, clock) : undefined;
}

/**
 * Whether it is a `Response`, that of the platform or of a library which names its class so. Not by `property`:
 * every result passes here, and a read of its own learns which shapes come by.
 */
export function isResponse(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    return (
      (value as { readonly [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === "Response"
    );
  } catch {
    return false;
  }
}

/** How the answer counts that an error tells of; undefined for an error without one of 3xx, 4xx or 5xx. */
export function judgeErrorsAnswer(
  error: unknown,
  facts: ErrorFacts,
  status429: Status429,
  clock: Clock,
): AnswerVerdict | undefined {
  const status = statusOfError(facts);
  return status === undefined
    ? undefined
    : judge(status, facts.response ?? error, status429, clock);
}

/** The status of 3xx, 4xx or 5xx that an error of an HTTP client carries; clients throw a 304, too. */
export function statusOfError(facts: ErrorFacts): number | undefined {
  // axios, superagent, Octokit, the SDKs of OpenAI and Anthropic; older clients; got and ky; AWS.
  return (
    within(facts.status, 300) ??
    within(facts.statusCode, 300) ??
    statusOfResponse(facts) ??
    within(property(facts.$metadata, "httpStatusCode"), 300)
  );
}

function statusOfResponse({ name, response }: ErrorFacts): number | undefined {
  // What became of the address that a redirect led to is told by an error that still has the redirect.
  const least = name === "HTTPError" ? 300 : 400;
  return (
    within(property(response, "status"), least) ?? within(property(response, "statusCode"), least)
  );
}

function within(status: unknown, least: number): number | undefined {
  return typeof status === "number" && status >= least && status <= 599 ? status : undefined;
}

function judge(status: number, answer: unknown, status429: Status429, clock: Clock): AnswerVerdict {
  if (isGuardsRefusal(status, header(answer, "x-switchgear-reason"))) {
    return { outcome: "ignored", status, retryAfterMs: undefined };
  }
  return {
    outcome: outcomeOfStatus(status, status429),
    status,
    retryAfterMs: mayAskToWait(status)
      ? retryAfterMs(header(answer, "retry-after"), clock.now())
      : undefined,
  };
}

/** `headers` is a `Headers`, or an object whose names are in lower case. */
function header(answer: unknown, name: string): unknown {
  const headers = property(answer, "headers");
  return typeof property(headers, "get") === "function"
    ? ask(headers, "get", name)
    : property(headers, name);
}
