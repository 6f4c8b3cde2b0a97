// Tells timeouts from failures, and both from calls that say nothing about the upstream.
//
// Runtimes disagree about how a timeout looks: Node's abort says "The operation was aborted due to
// timeout", Bun's says "The operation timed out.", sockets and HTTP clients use codes. A status of
// 5xx on the error wins over its text, since "504 Gateway Timeout" is the upstream's own answer.

import { isRefused } from "./errors.ts";
import { TEXT_LENGTH_MAX } from "./breaker/snapshot.ts";

const TIMEOUT_TEXT = /timeout|timed out/i;

const TIMEOUT_CODES: ReadonlySet<unknown> = new Set([
  "ETIMEDOUT",
  "ESOCKETTIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);

/** HTTP clients wrap the socket's error once or twice; a longer chain is somebody else's story. */
const CAUSE_DEPTH_MAX = 3;

export type ErrorClass = "failed" | "timeout" | "ignored";

/** How an error counts when the upstream's options say nothing else. */
export function classifyError(error: unknown): ErrorClass {
  // A nested guard's refusal, or a caller who went away, is no evidence against this upstream.
  if (isRefused(error) || property(error, "name") === "AbortError") return "ignored";
  return isTimeout(error) ? "timeout" : "failed";
}

function isTimeout(error: unknown): boolean {
  let link = error;
  for (let depth = 0; depth <= CAUSE_DEPTH_MAX && link !== undefined && link !== null; depth += 1) {
    const status = property(link, "status") ?? property(link, "statusCode");
    if (typeof status === "number" && status >= 500 && status <= 599) return false;
    if (property(link, "name") === "TimeoutError") return true;
    if (TIMEOUT_CODES.has(property(link, "code"))) return true;
    const message = typeof link === "string" ? link : property(link, "message");
    if (typeof message === "string" && TIMEOUT_TEXT.test(message)) return true;
    link = property(link, "cause");
  }
  return false;
}

/** Errors are strangers' objects: a getter that throws must not become the caller's error. */
function property(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** What is kept of an error: a bounded text, never the stack, which may hold paths and secrets. */
export function errorText(error: unknown): string {
  const message = property(error, "message");
  if (typeof message === "string") return bounded(message === "" ? nameOf(error) : message);
  if (typeof error === "object" && error !== null) return nameOf(error);
  return bounded(String(error));
}

/**
 * What an error says about when to come again: its `retryAfterMs`, as our own refusals and many HTTP
 * clients' errors carry it. Undefined when it is no number above 0.
 */
export function retryAfterOf(error: unknown): number | undefined {
  const value = property(error, "retryAfterMs");
  return typeof value === "number" && value > 0 ? value : undefined;
}

/** Bounds a text that people wrote: reasons, actors, messages. */
export function bounded(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : text.slice(0, TEXT_LENGTH_MAX);
}

function nameOf(error: unknown): string {
  const name = property(error, "name");
  return typeof name === "string" && name !== "" ? bounded(name) : "unknown error";
}
