// The gateway's own answers: RFC 9457 problems, told apart from an upstream's by
// `x-switchgear-reason`. Nothing that an upstream said is repeated in them, and of what a caller
// said only short, quoted names. Texts are joined by hand, since a refusal is the fast path.

import type { Ending } from "./ending.ts";
import type { Refused } from "../pipeline/call/admission.ts";
import { isLimitReason } from "../pipeline/overload/limit-reasons.ts";
import type { Destination } from "./route.ts";

/** Everything an answer needs, whichever server sends it. */
export interface Problem {
  readonly status: number;
  /** Sent as `x-switchgear-reason`. */
  readonly reason: ProblemReason;
  readonly body: string;
  /** Whole seconds; undefined when nobody knows, or only a person can help. */
  readonly retryAfter?: string | undefined;
  /** Set on a 405. */
  readonly allow?: string;
  /** Given out again and again: a transport does well to keep what it makes of it. */
  readonly isShared?: boolean;
}

export const PROBLEM_REASONS = [
  "tripped",
  "limit",
  "priority",
  "no_time",
  "half_open_limit",
  "ramping",
  "no_endpoint",
  "load_shed",
  "rate_limited",
  "closing",
  "upstream_timeout",
  "upstream_error",
  "caller_timeout",
  "out_of_resources",
  "loop",
  "unknown_upstream",
  "no_upstream",
  "bad_target",
  "bad_header",
  "body_too_large",
  "upgrade_unsupported",
  "method_not_allowed",
  "method_not_implemented",
  "coding_unsupported",
  "version_unsupported",
  "internal_error",
] as const;

export type ProblemReason = (typeof PROBLEM_REASONS)[number];

export const PROBLEM_CONTENT_TYPE = "application/problem+json";

/** Methods that are passed on. `TRACE` would reflect credentials; the rest is not ours to guess. */
export const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
]);

/** Longest part of a caller's own text that is repeated to it. */
const ECHO_LENGTH_MAX = 64;

function problem(
  status: number,
  reason: ProblemReason,
  title: string,
  detail: string,
  members = "",
): Problem {
  return { status, reason, body: render(status, reason, title, detail, members) };
}

function render(
  status: number,
  reason: ProblemReason,
  title: string,
  detail: string,
  members: string,
): string {
  return `{"type":"urn:switchgear:problem:${reason}","title":"${title}","status":${status},"detail":${JSON.stringify(detail)},"reason":"${reason}"${members}}`;
}

/** The guard turned the call away. */
export function refusalProblem(destination: Destination, refused: Refused): Problem {
  const { reason } = refused;
  const who = `,"bookmaker":${destination.nameJson},"operation":${JSON.stringify(refused.operation)}`;
  const { name } = destination.upstream;
  if (reason === "load_shed") {
    return {
      status: 503,
      reason,
      retryAfter: "1",
      body: render(
        503,
        reason,
        "Load shed",
        "This gateway is loaded and the operation is heavy; the upstream was not asked.",
        `,"error":"load_shed"${who},"systemLoad":${numberJson(refused.systemLoad)},"operationLoad":${numberJson(refused.operationLoad)}`,
      ),
    };
  }
  if (isLimitReason(reason)) {
    return limitProblem(name, reason, refused, who);
  }
  if (reason === "closing") return { ...closingProblem(), retryAfter: "1" };
  if (reason === "rate_limited") return rateProblem(destination, refused, who);
  const retryAfter = wholeSeconds(refused.retryAfterMs);
  if (reason === "no_endpoint") {
    return {
      status: 503,
      reason,
      retryAfter,
      body: render(
        503,
        reason,
        "No endpoint",
        `Every endpoint of ${name} cools down; none was asked.`,
        `,"error":"no_endpoint"${who}`,
      ),
    };
  }
  return {
    status: 503,
    reason,
    retryAfter,
    body: render(
      503,
      reason,
      "Circuit tripped",
      retryAfter === undefined
        ? `Calls to ${name} are refused until a person resets its breaker.`
        : `Calls to ${name} are refused by its breaker; try again in ${retryAfter} s.`,
      `,"error":"circuit_tripped"${who},"remainingMs":${numberJson(Math.ceil(refused.remainingMs))},"manual":${refused.manual}`,
    ),
  };
}

/** 429 and not 503: the quota is used up, and nothing is wrong. */
function rateProblem({ upstream }: Destination, refused: Refused, who: string): Problem {
  const { retryAfterMs } = refused;
  // Not 0, though the next call may go at once by now: whoever comes back at once comes too often.
  const retryAfter = wholeSeconds(Math.max(1, retryAfterMs ?? 0));
  return {
    status: 429,
    reason: "rate_limited",
    retryAfter,
    body: render(
      429,
      "rate_limited",
      "Rate limited",
      `${upstream.name} is called as often as its configured rate allows; it was not asked. Try again in ${retryAfter} s.`,
      `,"error":"rate_limited"${who},"retryAfterMs":${numberJson(retryAfterMs)}`,
    ),
  };
}

/** Rounded up, since one who is early is refused again. */
function wholeSeconds(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : String(Math.ceil(ms / 1000));
}

const LIMIT_DETAILS = {
  limit: "has as much to do as it can",
  priority: "has room for more critical calls only",
  no_time: "would not answer within the deadline",
} as const;

/** 503 and not 429: it is the capacity that is used up, and nobody's quota. */
function limitProblem(
  name: string,
  reason: keyof typeof LIMIT_DETAILS,
  { retryAfterMs, why }: Refused,
  who: string,
): Problem {
  const detail = why === undefined ? `${name} ${LIMIT_DETAILS[reason]}` : `${name} is full: ${why}`;
  return {
    status: 503,
    reason,
    retryAfter: wholeSeconds(retryAfterMs),
    body: render(
      503,
      reason,
      "Limited",
      `${detail}; it was not asked.`,
      `,"error":"limited"${who}`,
    ),
  };
}

/** Operations are named by callers, too; beyond this the answers kept are forgotten. */
const ANSWERS_KEPT_MAX = 64;

interface KeptAnswer {
  readonly reason: Refused["reason"];
  readonly retryAfterMs: number | undefined;
  readonly remainingMs: number;
  readonly manual: boolean;
  readonly why: string | undefined;
  readonly problem: Problem;
}

/**
 * One upstream's refusals, the last of each operation kept: a tripped breaker gives the same
 * answer until its time moves on. What this saves was not told apart from noise.
 */
export class RefusalAnswers {
  readonly #destination: Destination;
  readonly #kept = new Map<string, KeptAnswer>();

  constructor(destination: Destination) {
    this.#destination = destination;
  }

  of(refused: Refused): Problem {
    const { reason, operation } = refused;
    // Whose numbers are others at each call are not worth keeping.
    if (reason === "load_shed" || reason === "rate_limited") {
      return refusalProblem(this.#destination, refused);
    }
    const { manual, why } = refused;
    const isLimit = isLimitReason(reason);
    // An estimate moves with each call, and only its whole seconds show.
    const retryAfterMs = isLimit ? inSeconds(refused.retryAfterMs) : refused.retryAfterMs;
    const remainingMs = isLimit ? 0 : Math.ceil(refused.remainingMs);
    // More critical calls are refused beside less critical ones, for other reasons.
    const key = isLimit ? `${reason} ${operation}` : operation;
    const kept = this.#kept.get(key);
    if (
      kept !== undefined &&
      kept.remainingMs === remainingMs &&
      kept.retryAfterMs === retryAfterMs &&
      kept.manual === manual &&
      kept.reason === reason &&
      kept.why === why
    ) {
      return kept.problem;
    }
    const problem = { ...refusalProblem(this.#destination, refused), isShared: true };
    if (this.#kept.size >= ANSWERS_KEPT_MAX) this.#kept.clear();
    this.#kept.set(key, { reason, retryAfterMs, remainingMs, manual, why, problem });
    return problem;
  }
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.ceil(ms / 1000) * 1000;
}

/** JSON has no NaN, and a sampler's mistake must not make the answer unreadable. */
function numberJson(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? "null" : String(value);
}

export function timeoutProblem(
  destination: Destination,
  operation: string,
  deadlineMs: number,
): Problem {
  return problem(
    504,
    "upstream_timeout",
    "Upstream timeout",
    `${destination.upstream.name} gave no full answer in ${deadlineMs} ms.`,
    `,"error":"upstream_timeout","bookmaker":${destination.nameJson},"operation":${JSON.stringify(operation)},"deadlineMs":${deadlineMs}`,
  );
}

export function upstreamErrorProblem(destination: Destination, operation: string): Problem {
  return problem(
    502,
    "upstream_error",
    "Upstream error",
    `${destination.upstream.name} could not be reached, or broke off before its answer was whole.`,
    `,"error":"upstream_error","bookmaker":${destination.nameJson},"operation":${JSON.stringify(operation)}`,
  );
}

/** The caller took the time itself. */
export function callerTimeoutProblem(destination: Destination, deadlineMs: number): Problem {
  return problem(
    408,
    "caller_timeout",
    "Request timeout",
    `The request's body was not here in ${deadlineMs} ms; ${destination.upstream.name} was not at fault.`,
    `,"error":"caller_timeout","bookmaker":${destination.nameJson},"deadlineMs":${deadlineMs}`,
  );
}

/** Descriptors, ports or memory of this host: nobody was asked. */
export function resourcesProblem(): Problem {
  return {
    ...problem(
      503,
      "out_of_resources",
      "Out of resources",
      "This gateway has no descriptor, port or memory left for the call; the upstream was not asked.",
      `,"error":"out_of_resources"`,
    ),
    retryAfter: "1",
  };
}

export function loopProblem(hops: number): Problem {
  return problem(
    508,
    "loop",
    "Loop detected",
    `This request has passed ${hops} Switchgear gateways; one of their upstreams leads back here.`,
    `,"error":"loop","hops":${hops}`,
  );
}

/** What a caller is sent when the call ends before the answer's headers went out. */
export const SENT_ON_ENDING: Readonly<
  Record<Ending, { readonly status: number; readonly reason: ProblemReason | null }>
> = {
  deadline: { status: 504, reason: "upstream_timeout" },
  idle: { status: 504, reason: "upstream_timeout" },
  stalled: { status: 504, reason: "upstream_timeout" },
  impatient: { status: 504, reason: "upstream_timeout" },
  stream_over: { status: 504, reason: "upstream_timeout" },
  caller_left: { status: 0, reason: null },
  caller_slow: { status: 408, reason: "caller_timeout" },
  body_too_large: { status: 413, reason: "body_too_large" },
  stopping: { status: 503, reason: "closing" },
};

export function unknownUpstreamProblem(name: string): Problem {
  const echo = name.length <= ECHO_LENGTH_MAX ? name : `${name.slice(0, ECHO_LENGTH_MAX)}…`;
  return problem(
    404,
    "unknown_upstream",
    "Unknown upstream",
    `No upstream named ${JSON.stringify(echo)} is configured here; the first segment of the path must be an upstream's name.`,
  );
}

export function rootProblem(): Problem {
  return problem(
    404,
    "no_upstream",
    "No upstream named",
    "This is the Switchgear gateway: ask for /{upstream}/{path}, where upstream is a configured name.",
  );
}

export function targetProblem(why: string): Problem {
  return problem(400, "bad_target", "Target refused", `The request's target was refused: ${why}.`);
}

export function headerProblem(header: string, detail: string): Problem {
  return problem(
    400,
    "bad_header",
    "Header refused",
    `${header} ${detail}.`,
    `,"header":${JSON.stringify(header)}`,
  );
}

export function bodyTooLargeProblem(maxBodyBytes: number): Problem {
  return problem(
    413,
    "body_too_large",
    "Body too large",
    `The request's body is longer than the ${maxBodyBytes} bytes that this gateway accepts.`,
    `,"maxBodyBytes":${maxBodyBytes}`,
  );
}

export function upgradeProblem(): Problem {
  return problem(
    501,
    "upgrade_unsupported",
    "Upgrade unsupported",
    "This gateway forwards HTTP requests only, no WebSockets or other upgrades.",
  );
}

export function codingProblem(): Problem {
  return problem(
    501,
    "coding_unsupported",
    "Transfer coding unsupported",
    "This gateway takes no Transfer-Encoding but chunked; use Content-Encoding for compressed bodies.",
  );
}

export function versionProblem(): Problem {
  return problem(
    505,
    "version_unsupported",
    "HTTP version unsupported",
    "This gateway speaks HTTP/1.1, and HTTP/1.0.",
  );
}

export function methodProblem(method: string, forwarded: ReadonlySet<string>): Problem {
  if (method === "TRACE" || method === "CONNECT") {
    return {
      ...problem(405, "method_not_allowed", "Method not allowed", `${method} is not forwarded.`),
      allow: [...forwarded].join(", "),
    };
  }
  return problem(
    501,
    "method_not_implemented",
    "Method not implemented",
    `Forwarded methods are ${[...forwarded].join(", ")}.`,
  );
}

export function closingProblem(): Problem {
  return {
    ...problem(
      503,
      "closing",
      "Closing",
      "This gateway is shutting down; another one can take the call.",
      `,"error":"closing"`,
    ),
    retryAfter: "1",
  };
}

export function internalProblem(): Problem {
  return problem(500, "internal_error", "Internal error", "The gateway failed at this call.");
}
