// What happens to breakers, as log lines of fixed shapes (spec A-14), for any logger: no package is
// loaded for it.
//
// The texts are an interface: people search for them and alerts match them, so they change like one.
// A logger that throws harms nobody: the registry contains its listeners' errors and counts them.

import { percent } from "../../core/errors.ts";
import type {
  AnyTripEvidence,
  EventOf,
  EventType,
  TransitionCause,
  TaskStep,
} from "../../core/events.ts";
import { activeTrace, loadTraceApi } from "./active-trace.ts";
import { oneLine } from "./escape.ts";

/** What is listened to: a registry. */
export interface LoggingSource {
  on<Type extends EventType>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
  storeHealth(): { readonly location: string; readonly recoveredFrom: string | null };
}

type LogMethod = (fields: Record<string, unknown>, message: string) => unknown;

/** Any pino logger, or what looks like one. */
export interface PinoLike {
  readonly fatal: LogMethod;
  readonly error: LogMethod;
  readonly warn: LogMethod;
  readonly info: LogMethod;
}

export interface LoggingOptions {
  /**
   * Logs the first of so many rejections of each upstream and reason, with the number left out as
   * `suppressed`. A whole number from 1 on. Default 1: every rejection is logged.
   */
  readonly rejectionSampling?: number | undefined;
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
  mode: "SG_MODE",
  state: "SG_STATE",
  task: "SG_TASK",
  store: "SG_STORE",
} as const;

/** The mandated word for a trip; the other two are states that the source system has not. */
const REFUSED_WORDS = {
  tripped: "circuit tripped",
  half_open_limit: "circuit half-open, all probes lent",
  ramping: "circuit ramping up",
  no_endpoint: "every endpoint cools down",
} as const;

const PREFIX = "[CIRCUIT_BREAKER]";

/** Upstreams whose rejections are sampled apart; the rest share one count. */
const SAMPLED_MAX = 1000;

/** Logs what happens in the registry from now on. The answer ends it. */
export function attachLogging(
  gear: LoggingSource,
  logger: PinoLike,
  options: LoggingOptions = {},
): () => void {
  const log = new BreakerLog(logger, new Sampling(options.rejectionSampling ?? 1));
  void loadTraceApi();
  log.start(gear.storeHealth());
  const ends = [
    gear.on("trip", (event) => log.trip(event)),
    gear.on("reset", (event) => log.reset(event)),
    gear.on("reset-denied", (event) => log.resetDenied(event)),
    gear.on("transition", (event) => log.transition(event)),
    gear.on("endpoint", (event) => log.endpoint(event)),
    gear.on("recovery", (event) => log.recovery(event)),
    gear.on("refused", (event) => log.refused(event)),
    gear.on("mode", (event) => log.mode(event)),
    gear.on("task", (event) => log.task(event)),
    gear.on("store-error", (event) => log.storeError(event)),
    gear.on("store-recovered", (event) => log.storeRecovered(event)),
  ];
  return () => {
    for (const end of ends) end();
  };
}

/** For hosts with an alert callback of their own: says that it failed (HBCB-007). Never throws. */
export function logAlertFailure(logger: PinoLike, upstream: string, error: unknown): void {
  const why = oneLine(error instanceof Error ? error.message : String(error));
  try {
    const fields = { code: LOG_CODES.alertFailed, bookmaker: oneLine(upstream), error: why };
    logger.error(fields, `${PREFIX} The alert callback for ${oneLine(upstream)} failed: ${why}`);
  } catch {
    // There is nobody left to tell.
  }
}

class BreakerLog {
  readonly #logger: PinoLike;
  readonly #sampling: Sampling;

  constructor(logger: PinoLike, sampling: Sampling) {
    this.#logger = logger;
    this.#sampling = sampling;
  }

  start(store: { readonly location: string; readonly recoveredFrom: string | null }): void {
    if (store.recoveredFrom === null) return;
    try {
      this.#write(
        "fatal",
        { code: LOG_CODES.store, store: store.location, recoveredFrom: store.recoveredFrom },
        `Store ${store.location} was broken and put aside as ${store.recoveredFrom}. Earlier trips are lost: every breaker starts closed.`,
      );
    } catch {
      // The host goes on without this line, as it would without any later one.
    }
  }

  trip(event: EventOf<"trip">): void {
    const { manual, failureCount, lastError, actor, reason, upstream, evidence } = event;
    this.#write(
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

  reset({ upstream, actor, reason, forced }: EventOf<"reset">): void {
    this.#write(
      "info",
      { code: LOG_CODES.reset, bookmaker: upstream, reason, user: actor, forced },
      `RESET: ${upstream} by ${actor}. Reason: ${reason}${forced ? " (FORCED)" : ""}`,
    );
  }

  resetDenied({ upstream, actor, reason, remainingMs }: EventOf<"reset-denied">): void {
    const remaining = wholeMs(remainingMs);
    this.#write(
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

  recovery({ upstream, latencyMs }: EventOf<"recovery">): void {
    const latency = Number.isFinite(latencyMs) ? String(Math.round(latencyMs)) : "unknown ";
    this.#write(
      "info",
      { code: LOG_CODES.recovered, bookmaker: upstream },
      `SUCCESS: ${upstream} recovered. Latency: ${latency}ms. Failure count reset to 0.`,
    );
  }

  refused(event: EventOf<"refused">): void {
    const { upstream, operation, reason, shadow, manual } = event;
    const suppressed = this.#sampling.take(upstream, reason);
    if (suppressed === undefined) return;
    const fields = {
      code: reason === "load_shed" ? LOG_CODES.loadShed : LOG_CODES.rejected,
      bookmaker: upstream,
      operation,
      reason,
      ...(suppressed === 0 ? {} : { suppressed }),
    };
    const call = `${operation} for ${upstream}`;
    if (reason === "load_shed") {
      const { systemLoad = 0, operationLoad = 0 } = event;
      this.#write(
        "warn",
        { ...fields, systemLoad, operationLoad },
        `Load shed ${call}: system load ${percent(systemLoad)}, operation load ${operationLoad}`,
      );
    } else if (reason === "closing") {
      this.#write("warn", fields, `Rejected ${call}: closing`);
    } else {
      const remainingMs = wholeMs(event.remainingMs);
      const why = `${REFUSED_WORDS[reason]} (${remainingMs}ms remaining)`;
      this.#write(
        shadow ? "info" : "warn",
        { ...fields, manual, remainingMs, ...(shadow ? { shadow } : {}) },
        shadow ? `Shadow mode admitted ${call}: ${why}` : `Rejected ${call}: ${why}`,
      );
    }
  }

  mode({ upstream, from, to, actor, reason }: EventOf<"mode">): void {
    this.#write(
      "warn",
      { code: LOG_CODES.mode, bookmaker: upstream, reason, user: actor, from, to },
      `MODE: ${upstream} from ${from} to ${to} by ${actor}. Reason: ${reason}`,
    );
  }

  task({ endpoint, step, phase, elapsedMs, error }: EventOf<"task">): void {
    const level = TASK_LEVELS[step];
    const elapsed = elapsedMs === undefined ? undefined : wholeMs(elapsedMs);
    this.#write(
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

  storeError({ op, code, message, suppressed }: EventOf<"store-error">): void {
    const more = suppressed === 0 ? "" : ` ${suppressed} more like it were not logged.`;
    this.#write(
      "error",
      { code: LOG_CODES.store, op, storeCode: code, ...(suppressed === 0 ? {} : { suppressed }) },
      `Store ${op} failed: ${code}: ${message}. Breakers go on from memory.${more}`,
    );
  }

  storeRecovered(_event: EventOf<"store-recovered">): void {
    this.#write(
      "info",
      { code: LOG_CODES.store },
      "Store works again. Nothing waits to be written.",
    );
  }

  /** Of the machines that change state without a trip, a reset or a recovery to tell of. */
  transition({ upstream, from, to, cause }: EventOf<"transition">): void {
    if (!TOLD_CAUSES.has(cause)) return;
    this.#write(
      cause === "probe_due" || cause === "ramp_completed" ? "info" : "warn",
      { code: LOG_CODES.state, bookmaker: upstream, from, to, cause },
      `STATE: ${upstream} from ${from} to ${to} (${cause})`,
    );
  }

  /** The fields are the source system's own names. */
  endpoint({ upstream, endpoint, from, to, cause, stats }: EventOf<"endpoint">): void {
    const level = to === "cooling-down" ? "error" : to === "half-open" ? "warn" : "info";
    const rate = `${(stats.successRate * 100).toFixed(2)}%`;
    this.#write(
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

  #write(level: keyof PinoLike, fields: Record<string, unknown>, message: string): void {
    const safe: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(fields)) {
      safe[key] = typeof value === "string" ? oneLine(value) : value;
    }
    this.#logger[level]({ ...safe, ...activeTrace() }, `${PREFIX} ${oneLine(message)}`);
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

/** Counts rejections, and picks the first of each `every`. */
class Sampling {
  readonly #every: number;
  readonly #seen = new Map<string, number>();

  constructor(every: number) {
    if (!Number.isInteger(every) || every < 1) {
      throw new RangeError(`rejectionSampling must be a whole number from 1 on, not ${every}`);
    }
    this.#every = every;
  }

  /** How many were left out since the last one picked; undefined when this one is left out. */
  take(upstream: string, reason: string): number | undefined {
    if (this.#every === 1) return 0;
    const own = `${reason} ${upstream}`;
    const key = this.#seen.has(own) || this.#seen.size < SAMPLED_MAX ? own : reason;
    const seen = this.#seen.get(key) ?? 0;
    this.#seen.set(key, seen + 1);
    if (seen % this.#every !== 0) return undefined;
    return seen === 0 ? 0 : this.#every - 1;
  }
}
