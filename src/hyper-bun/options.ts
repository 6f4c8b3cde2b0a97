// The drop-in's sixth argument, everything that Hyper-Bun's constructor has no position for, and what a call
// says of itself.

import { property } from "../core/foreign.ts";
import { checkOptions, show, type OptionRules } from "../core/options.ts";
import {
  InvalidOptionsError,
  type LatchingOptions,
  type SwitchgearOptions,
  type Verdict,
} from "../index.ts";
import type { TripAlert } from "./host-log.ts";
import type { MetricsClient } from "./metrics-feed.ts";
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

const RULES: OptionRules<ProductionCircuitBreakerOptions> = {
  clock: { is: "any" },
  logger: { is: "any" },
  loggerStyle: { oneOf: ["fields", "code"] },
  weights: { is: "object" },
  loadShedding: { is: "object" },
  loadMode: { oneOf: ["weighted", "max"] },
  pendingRequests: { is: "function" },
  maxPendingRequests: { above: 0 },
  recovery: { is: "any" },
  onAlert: { is: "function" },
  classifyError: { is: "function" },
  classifyResult: { is: "function" },
  busyTimeoutMs: { is: "any" },
};

const LOGGER_METHODS = ["fatal", "error", "warn", "info", "logCircuitBreakerState"] as const;

/** Throws `InvalidOptionsError` with every fault that is not found where the option is used. */
export function checkBreakerOptions(
  options: ProductionCircuitBreakerOptions,
  metrics: MetricsClient | null | undefined,
): void {
  const faults: string[] = [];
  const collect = (check: () => void, at = ""): void => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof InvalidOptionsError)) throw error;
      faults.push(...error.faults.map((fault) => `${at}${fault}`));
    }
  };
  if (metrics !== undefined && metrics !== null) {
    const isClient = METRICS_METHODS.every((one) => typeof property(metrics, one) === "function");
    const wanted = METRICS_METHODS.join(", ");
    if (!isClient)
      faults.push(`metrics must be a client with the methods ${wanted}, not ${show(metrics)}`);
  }
  collect(() => checkOptions("options", options, RULES));
  const weights = property(options, "weights");
  if (typeof weights === "object" && weights !== null) {
    const rules = { failure: { is: "any" }, timeout: { is: "any" } } as const;
    collect(() => checkOptions<object>("weights", weights, rules), "weights: ");
  }
  const loadShedding = property(options, "loadShedding");
  if (typeof loadShedding === "object" && loadShedding !== null) {
    const rules = { threshold: { least: 0, most: 1 }, operationLoad: { least: 0 } } as const;
    collect(() => checkOptions<object>("loadShedding", loadShedding, rules), "loadShedding: ");
  }
  const logger = property(options, "logger");
  if (logger !== undefined && !isLogger(logger)) {
    const wanted = LOGGER_METHODS.join(", ");
    faults.push(
      `logger must be an object whose ${wanted}, as far as it has them, are methods, not ${show(logger)}`,
    );
  }
  if (faults.length > 0) throw new InvalidOptionsError("ProductionCircuitBreaker", faults);
}

const METRICS_METHODS = ["counter", "gauge"] as const;

/** One without any method is for those who want no line. */
function isLogger(logger: unknown): boolean {
  if ((typeof logger !== "object" && typeof logger !== "function") || logger === null) return false;
  return LOGGER_METHODS.every((one) => {
    const method = property(logger, one);
    return method === undefined || typeof method === "function";
  });
}
