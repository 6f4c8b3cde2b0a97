// What happens in a registry, to a logger.
//
// A logger that throws harms nobody: the registry contains its listeners' errors and counts them.

import { InvalidOptionsError } from "../../core/errors.ts";
import type { EventOf, EventType } from "../../core/events.ts";
import { property } from "../../core/foreign.ts";
import { checkOptions, show } from "../../core/options.ts";
import { loadTraceApi } from "./active-trace.ts";
import { LineLimit, type LineLimitOptions } from "./line-limit.ts";
import { BreakerLog, type PinoLike } from "./lines.ts";

/** What is listened to: a registry. */
export interface LoggingSource {
  on<Type extends EventType>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
  storeHealth(): { readonly location: string; readonly recoveredFrom: string | null };
  /** What it calls when it is closed; what is left out till then is told in time. */
  onClose?(listener: () => unknown): () => void;
}

export interface LoggingOptions {
  /**
   * Rejections of one upstream, operation and reason are logged at most once in so many milliseconds,
   * with the number left out as `suppressed`; what was left out last is told when the time is over.
   * From 0 on, where 0 logs every one. Default 1000: in an outage they come in thousands a second.
   */
  readonly rejectionIntervalMs?: number | undefined;
  /**
   * The same for failed calls of one upstream, operation and outcome, each with its cause; `null` logs
   * none. Default 1000.
   */
  readonly failureIntervalMs?: number | null | undefined;
}

/** An outage ends thousands of calls a second, and one line says as much. */
const INTERVAL_MS = 1000;

/**
 * Logs what happens in the registry from now on. The answer ends it, and tells how many lines were left out since
 * the last one; so does `gear.close()`. A process that ends without either leaves that count untold.
 */
export function attachLogging(
  gear: LoggingSource,
  logger: PinoLike,
  options: LoggingOptions = {},
): () => void {
  checkArguments(gear, logger, options);
  const log = new BreakerLog(logger);
  const refusals: LineLimitOptions<EventOf<"refused">> = {
    option: "rejectionIntervalMs",
    intervalMs: options.rejectionIntervalMs ?? INTERVAL_MS,
    kindOf: ({ reason }) => reason,
    tell: log.refused.bind(log),
  };
  const refused = new LineLimit(refusals);
  const admittedInShadow = new LineLimit(refusals);
  const { failureIntervalMs = INTERVAL_MS } = options;
  const failed =
    failureIntervalMs === null
      ? undefined
      : new LineLimit<EventOf<"failed">>({
          option: "failureIntervalMs",
          intervalMs: failureIntervalMs,
          kindOf: ({ outcome }) => outcome,
          tell: log.failed.bind(log),
        });
  void loadTraceApi();
  log.start(gear.storeHealth());
  const ends = [
    gear.on("trip", (event) => log.trip(event)),
    gear.on("reset", (event) => log.reset(event)),
    gear.on("reset-denied", (event) => log.resetDenied(event)),
    gear.on("transition", (event) => log.transition(event)),
    gear.on("endpoint", (event) => log.endpoint(event)),
    gear.on("recovery", (event) => log.recovery(event)),
    gear.on("refused", (event) => (event.shadow ? admittedInShadow : refused).take(event)),
    ...(failed === undefined ? [] : [gear.on("failed", (event) => failed.take(event))]),
    gear.on("limit", (event) => log.limit(event)),
    gear.on("mode", (event) => log.mode(event)),
    gear.on("task", (event) => log.task(event)),
    gear.on("store-error", (event) => log.storeError(event)),
    gear.on("store-recovered", (event) => log.storeRecovered(event)),
  ];
  // A process that ends by itself waits for no timer.
  const tellLast = (): void => {
    refused.end();
    admittedInShadow.end();
    failed?.end();
  };
  const endClose = gear.onClose?.(tellLast);
  return () => {
    for (const end of ends) end();
    endClose?.();
    tellLast();
  };
}

/** `fatal` is for one line of the start, and a logger without it tells it as an error. */
const LOGGER_METHODS = ["error", "warn", "info"] as const;

function checkArguments(gear: unknown, logger: unknown, options: LoggingOptions): void {
  const faults: string[] = [];
  if (!has(gear, ["on", "storeHealth"])) {
    faults.push(
      `the first argument must be a registry, such as createSwitchgear({…}), not ${show(gear)}`,
    );
  }
  if (!has(logger, LOGGER_METHODS)) {
    const wanted = `such as createLogger() or pino(), with the methods fatal, ${LOGGER_METHODS.join(", ")}`;
    faults.push(`the second argument must be a logger, ${wanted}, not ${show(logger)}`);
  }
  try {
    checkOptions("attachLogging", options, {
      rejectionIntervalMs: { is: "any" },
      failureIntervalMs: { is: "any" },
    });
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    faults.push(...error.faults);
  }
  if (faults.length > 0) throw new InvalidOptionsError("attachLogging", faults);
}

function has(value: unknown, methods: readonly string[]): boolean {
  return methods.every((method) => typeof property(value, method) === "function");
}
