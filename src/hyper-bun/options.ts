// The drop-in's sixth argument, everything that Hyper-Bun's constructor has no position for, and what a call
// says of itself.

import {
  InvalidOptionsError,
  type LatchingOptions,
  type SwitchgearOptions,
  type Verdict,
} from "../index.ts";
import type { TripAlert } from "./host-log.ts";
import type { HostLogger, LoggerStyle } from "./host-logger.ts";

/** A verdict on a fulfilled value, with the words that are kept as the bookmaker's last error. */
export type ResultVerdict =
  Verdict | { readonly result: Verdict; readonly error?: string | undefined };

export type ResultClassifier = (value: unknown) => ResultVerdict;

/** What one call is. */
export interface CircuitBreakerContext {
  /** Named kind of call, for metrics, logs and errors. Default `unknown`. */
  operation: string;
  /** How heavy it is, 0–1000; outside values are clamped. Only calls above 100 are ever shed. */
  estimatedLoad: number;
  /** How this call's fulfilled value counts. Default: the breaker's `classifyResult`, else success. */
  classifyResult?: ResultClassifier;
}

export interface ProductionCircuitBreakerOptions {
  /** Time. Default: the system's. Tests hand in a `VirtualClock`. */
  readonly clock?: SwitchgearOptions["clock"];
  /** Where log lines go. Default: the console, in Hyper-Bun's format. */
  readonly logger?: HostLogger | undefined;
  /**
   * How the logger's methods are called: `fields` as `(fields, message)`, `code` as
   * `(code, message, error)`. Default: `code` for a method that declares three parameters, or whose first
   * one is called so; else `fields`.
   */
  readonly loggerStyle?: LoggerStyle | undefined;
  /** What a failure and a timeout count. Default 1 and 0.5; 0–1,000,000 with three decimals. */
  readonly weights?: { readonly failure?: number; readonly timeout?: number } | undefined;
  /**
   * When calls are shed: system load above `threshold` (default 0.85, 0–1) and the call's
   * `estimatedLoad` above `operationLoad` (default 100). Both strict.
   */
  readonly loadShedding?: SwitchgearOptions["loadShedding"];
  /**
   * `weighted` (default): 0.4 × memory + 0.3 × CPU + 0.3 × pending requests, which CPU and requests
   * alone never bring over 0.85. `max`: the largest of the three.
   */
  readonly loadMode?: "weighted" | "max" | undefined;
  /** Requests that the host is serving, such as `() => server.pendingRequests`. Default: not counted. */
  readonly pendingRequests?: (() => number) | undefined;
  /** Pending requests that count as saturated. Default 1,000; above 0. */
  readonly maxPendingRequests?: number | undefined;
  /** `manual` (default): only a person closes. `single-probe`: one re-test at a time may. */
  readonly recovery?: LatchingOptions["recovery"];
  /** Called after an automatic trip. What it throws is logged as HBCB-007 and goes no further. */
  readonly onAlert?: ((alert: TripAlert) => unknown) | undefined;
  /**
   * How an error counts. Default: timeouts are recognised, aborts and refusals are ignored, all else has failed,
   * whatever status it carries.
   */
  readonly classifyError?: ((error: unknown) => Verdict) | undefined;
  /** How a fulfilled value counts; the value is returned all the same. Default: success. */
  readonly classifyResult?: ResultClassifier | undefined;
  /** Milliseconds that a write waits for another process's lock; it blocks. Default 250, 0–10,000. */
  readonly busyTimeoutMs?: number | undefined;
}

const KNOWN: Readonly<Record<keyof ProductionCircuitBreakerOptions, true>> = {
  clock: true,
  logger: true,
  loggerStyle: true,
  weights: true,
  loadShedding: true,
  loadMode: true,
  pendingRequests: true,
  maxPendingRequests: true,
  recovery: true,
  onAlert: true,
  classifyError: true,
  classifyResult: true,
  busyTimeoutMs: true,
};

const FUNCTIONS = ["pendingRequests", "onAlert", "classifyError", "classifyResult"] as const;

/** Throws what the library would not find wrong: everything else is checked where it is used. */
export function checkBreakerOptions(options: ProductionCircuitBreakerOptions): void {
  const faults = Object.keys(options)
    .filter((key) => !Object.hasOwn(KNOWN, key))
    .map((key) => `${key} is not an option (${Object.keys(KNOWN).join(", ")})`);
  for (const key of FUNCTIONS) {
    if (options[key] !== undefined && typeof options[key] !== "function") {
      faults.push(`${key} must be a function`);
    }
  }
  const { loadMode, loggerStyle, maxPendingRequests } = options;
  if (loggerStyle !== undefined && loggerStyle !== "fields" && loggerStyle !== "code") {
    faults.push(`loggerStyle must be one of fields, code, not ${JSON.stringify(loggerStyle)}`);
  }
  if (loadMode !== undefined && loadMode !== "weighted" && loadMode !== "max") {
    faults.push(`loadMode must be one of weighted, max, not ${JSON.stringify(loadMode)}`);
  }
  if (maxPendingRequests !== undefined && !(maxPendingRequests > 0)) {
    faults.push(`maxPendingRequests must be a number above 0, not ${String(maxPendingRequests)}`);
  }
  if (faults.length > 0) throw new InvalidOptionsError("ProductionCircuitBreaker", faults);
}
