// Tells timeouts from failures, and both from calls that say nothing about the upstream.
//
// Runtimes and clients disagree about how a timeout and a cancellation look: Node's abort says "The
// operation was aborted due to timeout", Bun's says "The operation timed out.", clients use codes, names
// and sentences. A status of 5xx on the error wins over its text, since "504 Gateway Timeout" is the
// upstream's own answer. Only what the upstream did is evidence: not a caller who left, not what this
// process ran out of, not a request that its client could not even prepare.

import { factsOf, type ErrorFacts } from "./error-facts.ts";
import { isRefused } from "./errors.ts";
import { property } from "./foreign.ts";
import { statusOfError } from "./http-answer.ts";
import { outcomeOfStatus, type Status429 } from "./http-status.ts";
import type { CallOutcome } from "./outcome.ts";
import { TEXT_LENGTH_MAX } from "./breaker/snapshot.ts";

const TIMEOUT_TEXT = /timeout|timed out/i;

const TIMEOUT_CODES: ReadonlySet<unknown> = new Set([
  "ETIMEDOUT",
  "ESOCKETTIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);

/** Of axios, got, node:stream, superagent and MySQL; gRPC and PostgreSQL need a second look. */
const CANCEL_CODES: ReadonlySet<unknown> = new Set([
  "ERR_CANCELED",
  "ERR_ABORTED",
  "ABORT_ERR",
  "ABORTED",
  "UND_ERR_ABORTED",
  "ER_QUERY_INTERRUPTED",
]);
const CANCEL_NAMES: ReadonlySet<unknown> = new Set(["AbortError", "CanceledError", "CancelError"]);

/** All that the SDKs of OpenAI and Anthropic say. */
const CANCEL_SENTENCE = "Request was aborted.";

/** Descriptors, local ports, buffers and memory of this host, and its own resolver. */
const RESOURCE_CODES: ReadonlySet<unknown> = new Set([
  "EMFILE",
  "ENFILE",
  "EADDRNOTAVAIL",
  "ENOBUFS",
  "ENOMEM",
  "EAI_AGAIN",
  "EAI_MEMORY",
]);

/** Nothing was sent: what was to be sent is no request. */
const PREPARATION_CODES: ReadonlySet<unknown> = new Set([
  "ERR_INVALID_URL",
  "ERR_INVALID_ARG_TYPE",
  "ERR_INVALID_ARG_VALUE",
  "ERR_INVALID_CHAR",
  "ERR_INVALID_HTTP_TOKEN",
  "ERR_HTTP_INVALID_HEADER_VALUE",
  "ERR_UNESCAPED_CHARACTERS",
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
  "ERR_UNSUPPORTED_PROTOCOL",
  "ERR_BAD_OPTION",
  "ERR_BAD_OPTION_VALUE",
  "ERR_NOT_SUPPORT",
]);

/** The same of `fetch`, where neither runtime gives a code. */
const PREPARATION_TEXT =
  /^(?:Request with GET\/HEAD method|Invalid header name|Header '.*' has invalid value|(?:Headers|RequestInit|Request)\b.* (?:invalid|Expected)|'.*' is not a valid HTTP method|(?:Body|Response|Request).* disturbed or locked)/s;

/** The same of Node's `fetch` in the cause of its "fetch failed": `localhost:3000` has no `http://`. */
const PREPARATION_CAUSE = "unknown scheme";

const GRPC_CANCELLED = 1;
const GRPC_DEADLINE_EXCEEDED = 4;
/** `4 DEADLINE_EXCEEDED: …`, as grpc-js writes it. */
const GRPC_TEXT = /^\d+ [A-Z_]+: /;
const PG_QUERY_CANCELLED = "57014";

/** HTTP clients wrap the socket's error once or twice; a longer chain is somebody else's story. */
const CAUSE_DEPTH_MAX = 3;

/** Of an `AggregateError`: no host has more addresses than a client tries. */
const ERRORS_MAX = 100;

/** How something that was thrown counts. */
export type ErrorClass = Exclude<CallOutcome, "ok">;

/**
 * How an error counts when the upstream's options say nothing else. One that carries an HTTP status of 3xx,
 * 4xx or 5xx, itself or in a cause, counts as that answer: a 304 and a 404 are `ok`, since the upstream lives,
 * a 5xx is `failed`, a 408 is `timeout`, a 429 is what `status429` says (default `neutral`: `ignored`). All
 * others count as `classifyThrown` says.
 */
export function classifyError(error: unknown, status429: Status429 = "neutral"): CallOutcome {
  return classifyRead(error, factsOf(error), status429);
}

/** The same of an error whose facts were read. Undefined for `status429`: as `classifyThrown`. */
export function classifyRead(
  error: unknown,
  facts: ErrorFacts,
  status429: Status429 | undefined,
): CallOutcome {
  let link = error;
  let read = facts;
  for (let depth = 0; depth <= CAUSE_DEPTH_MAX && link !== undefined && link !== null; depth += 1) {
    // A nested guard's refusal says nothing about this upstream, whoever wrapped it.
    if (isRefused(link)) return "ignored";
    const outcome = outcomeOfLink(link, read, status429, depth === 0);
    if (outcome !== undefined) return outcome;
    link = read.cause;
    read = factsOf(link);
  }
  return "failed";
}

/** The same where only a status of 5xx is known to be an answer: anything else that was thrown has failed. */
export function classifyThrown(error: unknown): ErrorClass {
  return classifyRead(error, factsOf(error), undefined) as ErrorClass;
}

function outcomeOfLink(
  link: unknown,
  facts: ErrorFacts,
  status429: Status429 | undefined,
  isFirst: boolean,
): CallOutcome | undefined {
  const { name, code } = facts;
  const status = statusOfError(facts);
  if (status !== undefined) {
    if (status429 !== undefined) return outcomeOfStatus(status, status429);
    if (status >= 500) return "failed";
  }
  if (name === "TimeoutError") return "timeout";
  const message = typeof link === "string" ? link : facts.message;
  // A cancellation further down may be how the client itself ended what took too long.
  const ended = isFirst ? cancellation(link, name, code, message) : undefined;
  if (ended !== undefined) return ended;
  if (isOurs(link, code)) return "ignored";
  if (TIMEOUT_CODES.has(code) || isTimeoutOfAxios(link, code)) return "timeout";
  if (typeof message === "string") {
    if (!isFirst && message === PREPARATION_CAUSE) return "ignored";
    if (name === "TypeError" && PREPARATION_TEXT.test(message)) return "ignored";
    if (TIMEOUT_TEXT.test(message)) return "timeout";
  }
  const isOurOwn = name === "AggregateError" && isAllOurs(property(link, "errors"));
  return isOurOwn ? "ignored" : undefined;
}

/** Whether a signal's reason says that a time was up, as that of `AbortSignal.timeout` does. */
export function isTimeUp(reason: unknown): boolean {
  return property(reason, "name") === "TimeoutError";
}

/** What of ours an error tells of, in itself or in one of its causes; undefined when it is not ours. */
export function ownFault(error: unknown): "resources" | "request" | undefined {
  let link = error;
  for (let depth = 0; depth <= CAUSE_DEPTH_MAX && link !== undefined && link !== null; depth += 1) {
    const code = property(link, "code");
    if (RESOURCE_CODES.has(code)) return "resources";
    if (PREPARATION_CODES.has(code)) return "request";
    link = property(link, "cause");
  }
  return undefined;
}

/** Whether an error tells of this process, or of a request that was never one. */
function isOurs(error: unknown, code: unknown): boolean {
  if (RESOURCE_CODES.has(code) || PREPARATION_CODES.has(code)) return true;
  // got's word for all errors without a code, such as those of its options and hooks: it times what it sends.
  if (code === "ERR_GOT_REQUEST_ERROR") return property(error, "timings") === undefined;
  // axios' word for a 4xx, too.
  return (
    code === "ERR_BAD_REQUEST" && isOfAxios(error) && property(error, "response") === undefined
  );
}

/** Whose text may be its user's own, `timeoutErrorMessage`. */
function isTimeoutOfAxios(error: unknown, code: unknown): boolean {
  return code === "ECONNABORTED" && isOfAxios(error);
}

function isOfAxios(error: unknown): boolean {
  return property(error, "isAxiosError") === true;
}

/** One of several addresses that failed for a reason of its own is evidence. */
function isAllOurs(errors: unknown): boolean {
  const count = property(errors, "length");
  if (typeof count !== "number" || !(count >= 1)) return false;
  for (let n = 0; n < Math.min(count, ERRORS_MAX); n += 1) {
    const error = property(errors, `${n}`);
    if (!isOurs(error, property(error, "code"))) return false;
  }
  return true;
}

/** Whether somebody ended the call, and whether because a time was up; undefined when nobody did. */
function cancellation(
  error: unknown,
  name: unknown,
  code: unknown,
  message: unknown,
): ErrorClass | undefined {
  if (code === PG_QUERY_CANCELLED) {
    return typeof message === "string" && TIMEOUT_TEXT.test(message) ? "timeout" : "ignored";
  }
  if (code === GRPC_CANCELLED || code === GRPC_DEADLINE_EXCEEDED) {
    const isGrpc =
      name === "ConnectError" ||
      typeof property(error, "details") === "string" ||
      (typeof message === "string" && GRPC_TEXT.test(message));
    if (isGrpc) return code === GRPC_CANCELLED ? "ignored" : "timeout";
  }
  const isCancelled =
    CANCEL_NAMES.has(name) || CANCEL_CODES.has(code) || message === CANCEL_SENTENCE;
  if (!isCancelled) return undefined;
  // Node keeps the signal's reason as the cause, axios the signal itself.
  const given = property(property(property(error, "config"), "signal"), "reason");
  return isTimeUp(property(error, "cause")) || isTimeUp(given) ? "timeout" : "ignored";
}

/** What is kept of an error: a bounded text, never the stack, which may hold paths and secrets. */
export function errorText(error: unknown, facts = factsOf(error)): string {
  const { message } = facts;
  if (typeof message === "string") return bounded(message === "" ? nameOf(facts) : message);
  if ((typeof error === "object" && error !== null) || typeof error === "function") {
    return nameOf(facts);
  }
  return bounded(String(error));
}

/** The same of what a call failed with; nothing may have been thrown, too. */
export function failureText(error: unknown, facts = factsOf(error)): string {
  if (error === undefined) return "no reason given";
  const text = errorText(error, facts);
  const { cause } = facts;
  return cause === undefined || cause === null ? text : bounded(withCause(text, cause));
}

/** All that Node's `fetch` says itself, whatever happened. */
const FETCH_SENTENCE = "fetch failed";

/** With what failed below it: the system's or the socket's own word, which for several addresses is a code alone. */
function withCause(text: string, cause: unknown): string {
  const { code, message } = factsOf(cause);
  if (typeof code !== "string" && text !== FETCH_SENTENCE) return text;
  const why = typeof cause === "string" ? cause : message;
  const words = typeof why === "string" && !text.includes(why) ? why : "";
  const isSaid = typeof code !== "string" || words.includes(code) || text.includes(code);
  const reason = isSaid ? words : `${code} ${words}`.trim();
  return reason === "" ? text : `${text}: ${reason}`;
}

/**
 * What an error says about when to come again: its `retryAfterMs`, as our own refusals and many HTTP
 * clients' errors carry it. Undefined when it is no number above 0.
 */
export function retryAfterOf({ retryAfterMs }: ErrorFacts): number | undefined {
  return typeof retryAfterMs === "number" && retryAfterMs > 0 ? retryAfterMs : undefined;
}

/** Bounds a text that people wrote: reasons, actors, messages. */
export function bounded(text: string): string {
  if (text.length <= TEXT_LENGTH_MAX) return text;
  // Made anew of its pieces: a slice keeps the whole of what it was cut from, for as long as it is kept itself.
  return Array.from(text.slice(0, TEXT_LENGTH_MAX)).join("");
}

function nameOf({ name }: ErrorFacts): string {
  return typeof name === "string" && name !== "" ? bounded(name) : "unknown error";
}
