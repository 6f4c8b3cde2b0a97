// What happens to breakers, as log lines of fixed shapes (spec A-14), for any logger: no package is
// loaded for it.
//
// The texts are an interface: people search for them and alerts match them, so they change like one.

import { percent } from "../../core/errors.ts";
import type {
  AnyTripEvidence,
  EventOf,
  RefusedAudit,
  TransitionCause,
  TaskStep,
} from "../../core/events.ts";
import { whenRejected } from "../../core/foreign.ts";
import { isLimitReason } from "../../pipeline/overload/limit-reasons.ts";
import { activeTrace, type TraceFields } from "./active-trace.ts";
import { oneLine } from "./escape.ts";

type LogMethod = (fields: Record<string, unknown>, message: string) => unknown;

/** Any pino logger, or what looks like one. */
export interface PinoLike {
  readonly fatal: LogMethod;
  readonly error: LogMethod;
  readonly warn: LogMethod;
  readonly info: LogMethod;
}

/** `HBCB-…` are Hyper-Bun's own codes; the others are ours. */
export const LOG_CODES = {
  recovered: "HBCB-001",
  tripped: "HBCB-002",
  rejected: "HBCB-003",
  loadShed: "HBCB-004",
  reset: "HBCB-005",
  trippedByHand: "HBCB-006",
  alertFailed: "HBCB-007",
  failed: "SG_CALL",
  limit: "SG_LIMIT",
  mode: "SG_MODE",
  state: "SG_STATE",
  task: "SG_TASK",
  store: "SG_STORE",
  log: "SG_LOG",
  misused: "SG_MISUSE",
} as const;

/** The mandated word for a trip; the other two are states that the source system has not. */
const REFUSED_WORDS = {
  tripped: "circuit tripped",
  limit: "as many calls in flight as it can serve",
  priority: "room kept for more critical calls",
  no_time: "no answer to be had within the deadline",
  half_open_limit: "circuit half-open, all probes lent",
  ramping: "circuit ramping up",
  no_endpoint: "every endpoint cools down",
  rate_limited: "rate limit used up",
} as const;

const PREFIX = "[CIRCUIT_BREAKER]";

/** For hosts with an alert callback of their own: says that it failed (HBCB-007). Never throws. */
export function logAlertFailure(logger: PinoLike, upstream: string, error: unknown): void {
  const why = oneLine(error instanceof Error ? error.message : String(error));
  try {
    const fields = { code: LOG_CODES.alertFailed, bookmaker: oneLine(upstream), error: why };
    const message = `${PREFIX} The alert callback for ${oneLine(upstream)} failed: ${why}`;
    whenRejected(logger.error(fields, message));
  } catch {
    // There is nobody left to tell.
  }
}

/** Each line answers what the logger did: a promise of its own is for whoever called to contain. */
export class BreakerLog {
  readonly #logger: PinoLike;

  constructor(logger: PinoLike) {
    this.#logger = logger;
  }

  start(store: { readonly location: string; readonly recoveredFrom: string | null }): void {
    if (store.recoveredFrom === null) return;
    try {
      const answer = this.#write(
        "fatal",
        { code: LOG_CODES.store, store: store.location, recoveredFrom: store.recoveredFrom },
        `Store ${store.location} was broken and put aside as ${store.recoveredFrom}. Earlier trips are lost: every breaker starts closed.`,
      );
      whenRejected(answer);
    } catch {
      // The host goes on without this line, as it would without any later one.
    }
  }

  trip(event: EventOf<"trip">): unknown {
    const { manual, failureCount, lastError, actor, reason, upstream, evidence } = event;
    return this.#write(
      manual ? "warn" : "error",
      {
        code: manual ? LOG_CODES.trippedByHand : LOG_CODES.tripped,
        bookmaker: upstream,
        reason,
        user: actor,
        manual,
        failures: failureCount,
        // A count stands in the fields already.
        ...(evidence === null || evidence.rule === "failure_count" ? {} : evidenceFields(evidence)),
      },
      // The words of the source system where they are true; the others recover by themselves.
      evidence === null || evidence.rule === "failure_count"
        ? `TRIPPED: ${upstream} after ${failureCount} failures. Last error: ${lastError}. Manual intervention required.`
        : `TRIPPED: ${upstream} after ${failureCount} failures: ${reason}. Last error: ${lastError}. Probes find out whether it is back.`,
    );
  }

  reset({ upstream, actor, reason, forced }: EventOf<"reset">): unknown {
    return this.#write(
      "info",
      { code: LOG_CODES.reset, bookmaker: upstream, reason, user: actor, forced },
      `RESET: ${upstream} by ${actor}. Reason: ${reason}${forced ? " (FORCED)" : ""}`,
    );
  }

  resetDenied({ upstream, actor, reason, remainingMs }: EventOf<"reset-denied">): unknown {
    const remaining = wholeMs(remainingMs);
    return this.#write(
      "warn",
      {
        code: LOG_CODES.reset,
        bookmaker: upstream,
        reason,
        user: actor,
        denied: true,
        remainingMs: remaining,
      },
      `RESET DENIED: ${upstream} by ${actor} (${remaining}ms of the cooldown remaining). Reason: ${reason}`,
    );
  }

  recovery({ upstream, latencyMs }: Pick<EventOf<"recovery">, "upstream" | "latencyMs">): unknown {
    const latency = Number.isFinite(latencyMs) ? String(Math.round(latencyMs)) : "unknown ";
    return this.#write(
      "info",
      { code: LOG_CODES.recovered, bookmaker: upstream },
      `SUCCESS: ${upstream} recovered. Latency: ${latency}ms. Failure count reset to 0.`,
    );
  }

  refused(event: EventOf<"refused">, suppressed: number, isLate: boolean): unknown {
    const { upstream, operation, reason, shadow, manual } = event;
    const fields = {
      code: reason === "load_shed" ? LOG_CODES.loadShed : LOG_CODES.rejected,
      bookmaker: upstream,
      operation,
      reason,
      ...(suppressed === 0 ? {} : { suppressed }),
    };
    // Whatever runs when the time is over is no part of the call.
    const trace = isLate ? {} : activeTrace();
    const call = `${operation} for ${upstream}`;
    const more = moreLikeIt(suppressed);
    if (reason === "load_shed") {
      const { systemLoad = 0, operationLoad = 0 } = event;
      return this.#write(
        "warn",
        { ...fields, systemLoad, operationLoad },
        `Load shed ${call}: system load ${percent(systemLoad)}, operation load ${operationLoad}${more}`,
        trace,
      );
    }
    if (reason === "closing") {
      return this.#write("warn", fields, `Rejected ${call}: closing${more}`, trace);
    }
    const remainingMs = wholeMs(event.remainingMs);
    // There is no time that runs out: it is how long to stay away, and an estimate.
    const time = isLimitReason(reason)
      ? `retry after ${remainingMs}ms`
      : `${remainingMs}ms remaining`;
    const why = `${REFUSED_WORDS[reason]} (${time})${more}`;
    return this.#write(
      shadow ? "info" : "warn",
      { ...fields, manual, remainingMs, ...(shadow ? { shadow } : {}) },
      shadow ? `Shadow mode admitted ${call}: ${why}` : `Rejected ${call}: ${why}`,
      trace,
    );
  }

  failed(event: EventOf<"failed">, suppressed: number, isLate: boolean): unknown {
    const { upstream, operation, outcome, error, endpoint, latencyMs } = event;
    const elapsedMs = wholeMs(latencyMs);
    return this.#write(
      "warn",
      {
        code: LOG_CODES.failed,
        bookmaker: upstream,
        ...(endpoint === undefined ? {} : { endpoint }),
        operation,
        outcome,
        error,
        elapsedMs,
        ...(suppressed === 0 ? {} : { suppressed }),
      },
      `Failed ${operation} for ${upstream} after ${elapsedMs}ms: ${error}${moreLikeIt(suppressed)}`,
      isLate ? {} : activeTrace(),
    );
  }

  limit({ upstream, endpoint, isHung, limit, inFlight }: EventOf<"limit">): unknown {
    const who = endpoint === undefined ? upstream : `${endpoint} of ${upstream}`;
    return this.#write(
      isHung ? "error" : "info",
      {
        code: LOG_CODES.limit,
        bookmaker: upstream,
        ...(endpoint === undefined ? {} : { endpoint }),
        hung: isHung,
        limit,
        inFlight,
      },
      isHung
        ? `LIMIT: ${who} hangs: ${inFlight} calls are in flight, and nothing has come back for half a deadline or longer. Until something does, ${limit} may be.`
        : `LIMIT: ${who} answers again: ${limit} calls may be in flight, ${inFlight} are.`,
    );
  }

  mode({ upstream, from, to, actor, reason }: EventOf<"mode">): unknown {
    return this.#write(
      "warn",
      { code: LOG_CODES.mode, bookmaker: upstream, reason, user: actor, from, to },
      `MODE: ${upstream} from ${from} to ${to} by ${actor}. Reason: ${reason}`,
    );
  }

  task({ endpoint, step, phase, elapsedMs, error }: EventOf<"task">): unknown {
    const level = TASK_LEVELS[step];
    const elapsed = elapsedMs === undefined ? undefined : wholeMs(elapsedMs);
    return this.#write(
      level,
      {
        code: LOG_CODES.task,
        ...(endpoint === "" ? {} : { endpoint }),
        outcome: step,
        ...(phase === undefined ? {} : { phase }),
        ...(elapsed === undefined ? {} : { elapsedMs: elapsed }),
        ...(error === undefined ? {} : { error }),
      },
      step === "stopped-all"
        ? "TASKS: all monitoring tasks are stopped"
        : `TASK: ${endpoint} ${step}${phase === undefined ? "" : ` in phase ${phase}`}${elapsed === undefined ? "" : ` after ${elapsed}ms`}${error === undefined ? "" : `: ${error}`}`,
    );
  }

  storeError(event: EventOf<"store-error">): unknown {
    const { op, code, message, upstream, audit, suppressed } = event;
    const fields = { code: LOG_CODES.store, op, storeCode: code };
    const why = `${code}: ${message}`;
    if (audit !== undefined) return this.#auditRefused(audit, fields, why);
    if (upstream !== undefined) {
      return this.#write(
        "error",
        { ...fields, bookmaker: upstream },
        `Store refuses the state of ${upstream}: ${why}. It is kept in memory and tried again; all others are stored.`,
      );
    }
    return this.#write(
      "error",
      { ...fields, ...(suppressed === 0 ? {} : { suppressed }) },
      `Store ${op} failed: ${why}. Breakers go on from memory${moreLikeIt(suppressed) || "."}`,
    );
  }

  /** In full: no store has it. */
  #auditRefused(audit: RefusedAudit, fields: Record<string, unknown>, why: string): unknown {
    const { upstream, action, reason, actor, at, forced } = audit;
    return this.#write(
      "error",
      { ...fields, bookmaker: upstream, action, reason, user: actor, timestamp: at, forced },
      `Store refuses an audit, which is kept here alone: ${action} of ${upstream} by ${actor}, "${reason}"${forced ? " (FORCED)" : ""}. ${why}`,
    );
  }

  storeRecovered(_event: EventOf<"store-recovered">): unknown {
    return this.#write(
      "info",
      { code: LOG_CODES.store },
      "Store works again. Nothing waits to be written.",
    );
  }

  /** Of the machines that change state without a trip, a reset or a recovery to tell of. */
  transition({ upstream, from, to, cause }: EventOf<"transition">): unknown {
    if (!TOLD_CAUSES.has(cause)) return undefined;
    return this.#write(
      cause === "probe_due" || cause === "ramp_completed" ? "info" : "warn",
      { code: LOG_CODES.state, bookmaker: upstream, from, to, cause },
      `STATE: ${upstream} from ${from} to ${to} (${cause})`,
    );
  }

  /** The fields are the source system's own names. */
  endpoint({ upstream, endpoint, from, to, cause, stats }: EventOf<"endpoint">): unknown {
    const level = to === "cooling-down" ? "error" : to === "half-open" ? "warn" : "info";
    const rate = `${(stats.successRate * 100).toFixed(2)}%`;
    return this.#write(
      level,
      {
        code: LOG_CODES.state,
        bookmaker: upstream,
        endpoint,
        state_transition: `${from} -> ${to}`,
        reason: cause,
        fail_count: stats.consecutiveFailures,
        success_rate: rate,
        latency_ms: Math.round(stats.avgLatencyMs),
      },
      `ENDPOINT: ${endpoint} of ${upstream} from ${from} to ${to} (${cause}), success rate ${rate}`,
    );
  }

  #write(
    level: keyof PinoLike,
    fields: Record<string, unknown>,
    message: string,
    trace: TraceFields = activeTrace(),
  ): unknown {
    const safe: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(fields)) {
      safe[key] = typeof value === "string" ? oneLine(value) : value;
    }
    const method = typeof this.#logger[level] === "function" ? level : "error";
    return this.#logger[method]({ ...safe, ...trace }, `${PREFIX} ${oneLine(message)}`);
  }
}

/** Causes whose transition no other event tells of. */
const TOLD_CAUSES: ReadonlySet<TransitionCause> = new Set([
  "probe_due",
  "probe_failed",
  "probe_ignored",
  "probe_lease_expired",
  "half_open_expired",
  "ramp_completed",
  // What another replica or process has ordered, or what was stored when this one began.
  "restored",
]);

function evidenceFields(evidence: AnyTripEvidence): Record<string, unknown> {
  const { rule, threshold } = evidence;
  return "calls" in evidence
    ? { rule, count: evidence.count, calls: evidence.calls, ratio: evidence.ratio, threshold }
    : { rule, value: evidence.value, threshold };
}

const TASK_LEVELS = {
  started: "info",
  ended: "info",
  success: "info",
  completed: "info",
  cancelled: "info",
  "stopped-all": "info",
  failed: "error",
  panic: "error",
  timeout: "warn",
  abort_timeout: "error",
  slow_cancellation: "warn",
  long_running_task: "warn",
} as const satisfies Readonly<Record<TaskStep, keyof PinoLike>>;

/** Waits are promises to people: rounded up, and never negative. */
function wholeMs(ms: number): number {
  return Number.isFinite(ms) ? Math.max(0, Math.ceil(ms)) : 0;
}

/** What follows a message of which others like it were left out. */
function moreLikeIt(suppressed: number): string {
  return suppressed === 0 ? "" : `. ${suppressed} more like it were not logged.`;
}
