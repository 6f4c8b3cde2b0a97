// What happens in a registry, to a logger.
//
// A logger that throws harms nobody: the registry contains its listeners' errors and counts them.

import type { EventOf, EventType } from "../../core/events.ts";
import { loadTraceApi } from "./active-trace.ts";
import { BreakerLog, type PinoLike } from "./lines.ts";
import { RefusalLimit } from "./refusals.ts";

/** What is listened to: a registry. */
export interface LoggingSource {
  on<Type extends EventType>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
  storeHealth(): { readonly location: string; readonly recoveredFrom: string | null };
}

export interface LoggingOptions {
  /**
   * Rejections of one upstream, operation and reason are logged at most once in so many milliseconds,
   * with the number left out as `suppressed`; what was left out last is told when the time is over.
   * From 0 on, where 0 logs every one. Default 1000: in an outage they come in thousands a second.
   */
  readonly rejectionIntervalMs?: number | undefined;
}

/** An outage refuses thousands of calls a second, and one line says as much. */
const REJECTION_INTERVAL_MS = 1000;

/** Logs what happens in the registry from now on. The answer ends it. */
export function attachLogging(
  gear: LoggingSource,
  logger: PinoLike,
  options: LoggingOptions = {},
): () => void {
  const log = new BreakerLog(logger);
  const limit = {
    intervalMs: options.rejectionIntervalMs ?? REJECTION_INTERVAL_MS,
    tell: log.refused.bind(log),
  };
  const refused = new RefusalLimit(limit);
  const admittedInShadow = new RefusalLimit(limit);
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
    gear.on("mode", (event) => log.mode(event)),
    gear.on("task", (event) => log.task(event)),
    gear.on("store-error", (event) => log.storeError(event)),
    gear.on("store-recovered", (event) => log.storeRecovered(event)),
  ];
  return () => {
    for (const end of ends) end();
    refused.end();
    admittedInShadow.end();
  };
}
