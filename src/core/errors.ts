// Every error that Switchgear makes. The code is the identity: never renamed, never reused.
// Messages are for people. Errors of the upstream pass through untouched and are none of these.

import type { RefusalReason } from "./events.ts";
import { didYouMean } from "./nearest.ts";
import { oneLine } from "./one-line.ts";
import { quotedName, ShownName, shownName } from "./shown-names.ts";

/** All codes, with what each one means. Documentation and tests are held to this list. */
export const ERROR_CODES = {
  SG_BREAKER_OPEN: "The breaker refuses calls: tripped, all probes taken, or on its way back.",
  SG_NO_ENDPOINT: "Every endpoint of the upstream cools down.",
  SG_LOAD_SHED: "This process is loaded and the operation is heavy, so the call was shed.",
  SG_LIMITED:
    "The call is over a limit of the upstream; `reason` tells which: limit, priority, no_time or rate_limited.",
  SG_DEADLINE: "The call did not finish within its deadline.",
  SG_CLOSING: "The registry is closed or closing and admits nothing any more.",
  SG_RESET_DENIED: "A reset inside the cooldown needs force.",
  SG_UNKNOWN_UPSTREAM: "No upstream of this name is configured.",
  SG_OPTIONS_INVALID: "Options were out of range or unknown; every fault is listed.",
  SG_STORE: "The store failed; the state in memory holds all the same.",
  SG_MISUSE:
    "Not an error but a warning of the process, once for each upstream and kind: a classifier, an adapter, a watcher or a clock of the host failed, or answered what cannot be used.",
  SG_CONFIG_INVALID: "The configuration file has faults; every one is listed.",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Marks refusals across duplicate copies of this package, where `instanceof` fails. */
const REFUSED_BRAND = Symbol.for("switchgear.refused");

/** Base of all errors made here. */
export class SwitchgearError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What every refusal tells. */
export interface RefusalFacts {
  readonly upstream: string;
  readonly operation: string;
  readonly reason: RefusalReason | "deadline";
  /** Milliseconds until another try may be admitted; undefined when only a person can help. */
  readonly retryAfterMs: number | undefined;
}

/** Base of everything that Switchgear refuses. Test with `isRefused`, branch on `code`. */
export class RefusedError extends SwitchgearError {
  readonly upstream: string;
  readonly operation: string;
  readonly reason: RefusalFacts["reason"];
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, facts: RefusalFacts) {
    super(code, message);
    this.upstream = facts.upstream;
    this.operation = facts.operation;
    this.reason = facts.reason;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

// On the prototype: an own symbol property would cost every refusal.
Object.defineProperty(RefusedError.prototype, REFUSED_BRAND, { value: true });

const shownOperation = new ShownName();
const shownUpstream = new ShownName();

/** The call in a sentence. */
function callOf({ operation, upstream }: RefusalFacts): string {
  return `${shownOperation.of(operation)} for ${shownUpstream.of(upstream)}`;
}

/** What a breaker that is on its way back says. */
const OPEN_WORDS: Readonly<Record<string, string | undefined>> = {
  half_open_limit: "has lent all its probes",
  ramping: "lets calls back in by steps",
};

/** The upstream's breaker refused. */
export class BreakerOpenError extends RefusedError {
  /** Milliseconds until a reset is accepted without force, or until the next probe; never negative. */
  readonly remainingMs: number;
  /** Whether a person tripped the breaker. */
  readonly manual: boolean;
  /** Epoch milliseconds of the trip. */
  readonly trippedAt: number | null;
  readonly lastError: string | null;

  constructor(
    facts: RefusalFacts,
    details: {
      readonly remainingMs: number;
      readonly manual: boolean;
      readonly trippedAt: number | null;
      readonly lastError: string | null;
    },
  ) {
    super(
      "SG_BREAKER_OPEN",
      `${callOf(facts)} refused: the breaker ${OPEN_WORDS[facts.reason] ?? "is tripped"}; ${nextStep(facts.retryAfterMs, details.remainingMs)}`,
      facts,
    );
    this.remainingMs = details.remainingMs;
    this.manual = details.manual;
    this.trippedAt = details.trippedAt;
    this.lastError = details.lastError;
  }
}

function nextStep(retryAfterMs: number | undefined, remainingMs: number): string {
  if (retryAfterMs !== undefined) return `try again in ${Math.ceil(retryAfterMs)} ms`;
  return remainingMs > 0
    ? `a person must reset it, without force in ${Math.ceil(remainingMs)} ms`
    : "a person must reset it";
}

/** This process is too loaded for a call this heavy. */
export class LoadShedError extends RefusedError {
  /** 0–1. */
  readonly systemLoad: number;
  readonly operationLoad: number;
  /** The system load above which heavy operations are shed, 0–1. */
  readonly threshold: number;

  constructor(
    facts: RefusalFacts,
    details: {
      readonly systemLoad: number;
      readonly operationLoad: number;
      readonly threshold: number;
    },
  ) {
    super(
      "SG_LOAD_SHED",
      `${callOf(facts)} shed: system load ${percent(details.systemLoad)} is over ${percent(details.threshold)} and the operation's load is ${details.operationLoad}`,
      facts,
    );
    this.systemLoad = details.systemLoad;
    this.operationLoad = details.operationLoad;
    this.threshold = details.threshold;
  }
}

/**
 * The upstream, or this kind of call, has been called as often as its rate allows. The code is that of all limits;
 * `reason` tells them apart. `retryAfterMs` is the time until the next call may go, as exact as the clock.
 */
export class RateLimitedError extends RefusedError {
  constructor(facts: RefusalFacts) {
    super(
      "SG_LIMITED",
      `${callOf(facts)} refused: its rate is used up; ${nextStep(facts.retryAfterMs, 0)}`,
      facts,
    );
  }
}

/** 0.9 → `90.0%`. */
export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)}%`;
}

/** The call outlived its deadline. It counts as a timeout of the upstream. */
export class DeadlineError extends RefusedError {
  /** The time that was up: for the whole, or for a pause in an answer. */
  readonly deadlineMs: number;

  constructor(facts: RefusalFacts, deadlineMs: number, isPause = false) {
    super(
      "SG_DEADLINE",
      `${callOf(facts)} ${isPause ? "sent nothing more for" : "did not finish within its deadline of"} ${deadlineMs} ms`,
      facts,
    );
    this.deadlineMs = deadlineMs;
  }
}

/** Every endpoint of the upstream cools down. */
export class NoEndpointError extends RefusedError {
  constructor(facts: RefusalFacts) {
    super(
      "SG_NO_ENDPOINT",
      `${callOf(facts)} refused: every endpoint cools down; ${nextStep(facts.retryAfterMs, 0)}`,
      facts,
    );
  }
}

const LIMIT_WORDS: Readonly<Record<string, string>> = {
  limit: "as many calls are in flight as the upstream can serve",
  priority: "what room there is, is kept for more critical calls",
  no_time: "the upstream would not answer within the deadline",
};

/**
 * The upstream has as much to do as it can. `reason` is `limit`, `priority` (a more critical call would be let in)
 * or `no_time`; `retryAfterMs` an estimate. It was not called, and its breaker hears nothing of it.
 */
export class LimitedError extends RefusedError {
  /** `why`: in words, where it is not as usual. */
  constructor(facts: RefusalFacts, why = LIMIT_WORDS[facts.reason] ?? "limited") {
    super(
      "SG_LIMITED",
      `${callOf(facts)} refused: ${why}; ${nextStep(facts.retryAfterMs, 0)}`,
      facts,
    );
  }
}

/** The registry was closed before the call. */
export class ClosingError extends RefusedError {
  constructor(facts: RefusalFacts) {
    super("SG_CLOSING", `${callOf(facts)} refused: closing`, facts);
  }
}

/** A reset inside the cooldown, without force. */
export class ResetDeniedError extends SwitchgearError {
  readonly upstream: string;
  readonly remainingMs: number;

  constructor(upstream: string, cooldownMs: number, remainingMs: number) {
    super(
      "SG_RESET_DENIED",
      `Reset denied: ${shownName(upstream)} tripped <${cooldownMs / 1000}s ago; ${Math.ceil(remainingMs)} ms remain, or force it`,
    );
    this.upstream = upstream;
    this.remainingMs = remainingMs;
  }
}

export class UnknownUpstreamError extends SwitchgearError {
  readonly upstream: string;

  constructor(upstream: string, known: readonly string[]) {
    const list =
      known.length === 0
        ? "none is configured"
        : `known: ${known.slice(0, 20).map(shownName).join(", ")}`;
    const isText = typeof upstream === "string";
    const hint = isText ? didYouMean(upstream, known) : "";
    super("SG_UNKNOWN_UPSTREAM", `no upstream named ${quotedName(upstream)}; ${list}${hint}`);
    this.upstream = upstream;
  }
}

/** Options out of range or unknown. A `RangeError`, as JavaScript's own are. */
export class InvalidOptionsError extends RangeError {
  readonly code: ErrorCode = "SG_OPTIONS_INVALID";
  readonly faults: readonly string[];

  constructor(subject: string, faults: readonly string[], options?: ErrorOptions) {
    super(`${oneLine(subject)}: ${faults.join("; ")}`, options);
    this.faults = faults;
  }
}

/**
 * What a failure of a store is about. `change`: this content is refused, and another would be taken.
 * `store`: nothing can be written at all, whatever it is. `either`: it does not say.
 */
export type StoreConcern = "change" | "store" | "either";

/** A store operation failed. Callers of upstreams never see it. */
export class StoreError extends SwitchgearError {
  /** The store's own code, such as `SQLITE_BUSY`. */
  readonly storeCode: string;
  /** Of a failed `commit`, whether the rest of the change is worth another try. Default `store`. */
  readonly concerns: StoreConcern;

  constructor(
    storeCode: string,
    message: string,
    options: ErrorOptions & { readonly concerns?: StoreConcern } = {},
  ) {
    const { concerns = "store", ...rest } = options;
    super("SG_STORE", message, rest);
    this.storeCode = storeCode;
    this.concerns = concerns;
  }
}

// Set once on each prototype instead of in each constructor; `new.target.name` would not survive
// minifiers.
for (const [type, name] of [
  [SwitchgearError, "SwitchgearError"],
  [RefusedError, "RefusedError"],
  [BreakerOpenError, "BreakerOpenError"],
  [LoadShedError, "LoadShedError"],
  [RateLimitedError, "RateLimitedError"],
  [DeadlineError, "DeadlineError"],
  [NoEndpointError, "NoEndpointError"],
  [LimitedError, "LimitedError"],
  [ClosingError, "ClosingError"],
  [ResetDeniedError, "ResetDeniedError"],
  [UnknownUpstreamError, "UnknownUpstreamError"],
  [InvalidOptionsError, "InvalidOptionsError"],
  [StoreError, "StoreError"],
] as const) {
  Object.defineProperty(type.prototype, "name", { value: name, configurable: true });
}

// Without a walked stack V8 still makes the head line, and JavaScriptCore makes none at all: code that
// splits `error.stack` must not fall over a refusal.
Object.defineProperty(SwitchgearError.prototype, "stack", {
  configurable: true,
  get(this: SwitchgearError) {
    return `${this.name}: ${this.message}`;
  },
  set(this: SwitchgearError, value: unknown) {
    Object.defineProperty(this, "stack", { value, writable: true, configurable: true });
  },
});

/** Whether Switchgear refused the call; holds across duplicate copies of the package. */
export function isRefused(error: unknown): error is RefusedError {
  if (typeof error !== "object" || error === null) return false;
  try {
    return (error as { readonly [REFUSED_BRAND]?: unknown })[REFUSED_BRAND] === true;
  } catch {
    // A revoked proxy, or a getter that throws: a stranger's, whatever it is.
    return false;
  }
}

/** A hardened realm may have frozen it; errors then merely cost more. */
const canLimitStack = Reflect.set(Error, "stackTraceLimit", Error.stackTraceLimit);

/**
 * Makes an error without walking the stack, which is most of what an error costs. A refusal's
 * stack would only ever show the guard; whoever needs the caller's has it in the awaiting frame.
 */
export function withoutStack<Made extends Error>(make: () => Made): Made {
  if (!canLimitStack) return make();
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}
