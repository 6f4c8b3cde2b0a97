// What the source system logs of its endpoints: fields and levels of specification B-10.

import type { AdaptiveState } from "../core/breaker/adaptive/snapshot.ts";
import type { TransitionCause } from "../core/events.ts";
import { whenRejected } from "../core/foreign.ts";
import type { MonitorEvent } from "../pipeline/tasks/monitor.ts";
import type { EndpointStats } from "../pipeline/endpoints/endpoint.ts";

/** The states by the source system's names, and by the numbers that its metrics show. */
export const ENDPOINT_STATE_CODES = Object.freeze({
  Healthy: 0,
  Degraded: 1,
  CoolingDown: 2,
  HalfOpen: 3,
} as const);

export type EndpointState = keyof typeof ENDPOINT_STATE_CODES;

export interface EndpointHealthStats extends Omit<EndpointStats, "state"> {
  readonly state: EndpointState;
  /** 0 healthy, 1 degraded, 2 cooling down, 3 half-open. */
  readonly stateCode: number;
}

const STATE_NAMES: Readonly<Record<AdaptiveState, EndpointState>> = {
  healthy: "Healthy",
  degraded: "Degraded",
  "cooling-down": "CoolingDown",
  "half-open": "HalfOpen",
};

export function stateName(state: AdaptiveState): EndpointState {
  return STATE_NAMES[state];
}

type LogMethod = (fields: Record<string, unknown>, message: string) => unknown;

/** What a pino logger has, and whatever else takes fields and a message. */
export interface EndpointLogger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
}

/** `reason` in the log, for each cause that the adaptive machine gives. */
const REASONS: Readonly<Partial<Record<TransitionCause, string>>> = {
  recovered: "success",
  failures: "failure_threshold_exceeded",
  health_score: "health_score_critical",
  low_success_rate: "low_success_rate",
  probe_due: "cooldown_expired",
  probe_succeeded: "canary_passed",
  probe_failed: "canary_failed",
  reset: "manual_reset",
};

export interface EndpointTransition {
  readonly endpoint: string;
  readonly from: EndpointState;
  readonly to: EndpointState;
  readonly cause: TransitionCause;
}

/** A logger that throws harms nobody; without one nothing is made up for it. */
export class EndpointLog {
  readonly #logger: EndpointLogger | undefined;

  constructor(logger: EndpointLogger | undefined) {
    this.#logger = logger;
  }

  transition(
    { endpoint, from, to, cause }: EndpointTransition,
    stats: EndpointStats | undefined,
    latencyMs: number | undefined,
  ): void {
    this.#write(
      levelOf(from, to),
      to === "CoolingDown" ? "Endpoint OPENED" : `Endpoint ${to}`,
      () => ({
        endpoint,
        state_transition: `${from} -> ${to}`,
        reason: REASONS[cause] ?? cause,
        ...fieldsOf(stats, latencyMs),
      }),
    );
  }

  /** A result that changed no state. */
  result(
    endpoint: string,
    isOk: boolean,
    stats: () => EndpointStats | undefined,
    latencyMs: number | undefined,
  ): void {
    this.#write(isOk ? "debug" : "warn", isOk ? "Endpoint success" : "Endpoint failure", () => ({
      endpoint,
      ...fieldsOf(stats(), latencyMs),
    }));
  }

  task(event: MonitorEvent): void {
    switch (event.type) {
      case "shutdown": {
        const { endpoint, phase, outcome, elapsedMs } = event;
        const level = outcome === "panic" || outcome === "abort_timeout" ? "error" : "info";
        this.#write(level, "Monitoring task shutdown", () => ({
          endpoint,
          phase,
          outcome,
          elapsed_ms: Math.round(elapsedMs),
        }));
        return;
      }
      case "warning": {
        const { endpoint, warning, elapsedMs } = event;
        this.#write("warn", "Monitoring task ended late", () => ({
          endpoint,
          warning,
          elapsed_ms: Math.round(elapsedMs),
        }));
        return;
      }
      case "ended":
        this.#write(event.failed ? "error" : "info", "Monitoring task ended", () => ({
          endpoint: event.endpoint,
          ...(event.failed ? { error: event.error } : {}),
        }));
        return;
      case "started":
        this.#write("debug", "Monitoring task started", () => ({ endpoint: event.endpoint }));
        return;
      case "stopped-all":
        this.#write("info", "All monitoring tasks are stopped", () => ({
          active: event.active,
          total_created: event.started,
        }));
        return;
      default:
        event satisfies never;
    }
  }

  callbackFailed(endpoint: string, error: unknown): void {
    this.#write("error", "State change callback failed", () => ({ endpoint, error }));
  }

  #write(
    level: keyof EndpointLogger,
    message: string,
    fields: () => Record<string, unknown>,
  ): void {
    if (this.#logger === undefined) return;
    try {
      whenRejected(this.#logger[level](fields(), message));
    } catch {
      // There is nobody left to tell.
    }
  }
}

function levelOf(from: EndpointState, to: EndpointState): keyof EndpointLogger {
  if (to === "CoolingDown") return "error";
  return from === "CoolingDown" && to === "HalfOpen" ? "warn" : "info";
}

function fieldsOf(
  stats: EndpointStats | undefined,
  latencyMs: number | undefined,
): Record<string, unknown> {
  return {
    fail_count: stats?.consecutiveFailures ?? 0,
    success_rate: `${((stats?.successRate ?? 1) * 100).toFixed(2)}%`,
    ...(latencyMs === undefined ? {} : { latency_ms: latencyMs }),
  };
}
