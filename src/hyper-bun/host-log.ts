// Where the drop-in's log lines go: to the host's logger, or to the console in Hyper-Bun's own format.
// A logger that throws harms nobody.

import { errorText } from "../core/classify.ts";
import type { Switchgear, Upstream } from "../index.ts";
import { attachLogging, type LoggingSource } from "../telemetry/log/attach.ts";
import { LOG_CODES, logAlertFailure, type PinoLike } from "../telemetry/log/lines.ts";
import { oneLine } from "../telemetry/log/escape.ts";
import { consoleLogger, linesTo, type HostLogger, type LoggerStyle } from "./host-logger.ts";
import { Recoveries } from "./recoveries.ts";

/** What a host is told of an automatic trip. */
export interface TripAlert {
  readonly bookmaker: string;
  readonly failures: number;
  readonly lastError: string;
  /** Why it tripped, with the numbers. */
  readonly reason: string;
  /** Epoch milliseconds. */
  readonly trippedAt: number;
}

const PREFIX = "[CIRCUIT_BREAKER]";

export class HostLog {
  readonly #logger: PinoLike;

  /** Of a closed set: method names of this module's. */
  readonly #told = new Set<string>();
  #recoveries: Recoveries | undefined = undefined;

  constructor(logger: HostLogger | undefined, style: LoggerStyle | undefined) {
    this.#logger = logger === undefined ? consoleLogger : linesTo(logger, style);
  }

  /** Logs what happens in the registry from now on, and how its database was found. */
  attach(gear: Switchgear, logger: HostLogger | undefined): void {
    const { ok, lastError } = gear.storeHealth();
    if (!ok) this.#unusable(lastError ?? "unknown");
    let isAttaching = true;
    const source: LoggingSource = {
      storeHealth: () => gear.storeHealth(),
      on: (type, listener) =>
        gear.on(type, (event) => {
          // That the database cannot be used is told above, in this host's own words.
          if (!ok && isAttaching && type === "store-error") return undefined;
          return listener(event);
        }),
    };
    // Every event of specification A-14 is logged, and no other.
    attachLogging(source, this.#logger, { rejectionIntervalMs: 0, failureIntervalMs: null });
    isAttaching = false;
    this.#recoveries = new Recoveries(gear, this.#logger);
    if (logger?.logCircuitBreakerState === undefined) return;
    gear.on("transition", ({ upstream, to, cause }) =>
      logger.logCircuitBreakerState?.(upstream, to as "open" | "closed" | "half-open", cause),
    );
  }

  /** Tells the host of automatic trips. A person who trips by hand needs no alert. */
  alert(gear: Switchgear, onAlert: (alert: TripAlert) => unknown): void {
    gear.on("trip", ({ upstream, manual, failureCount, lastError, reason, at }) => {
      if (manual) return;
      const failed = (error: unknown): void => logAlertFailure(this.#logger, upstream, error);
      const facts = { bookmaker: upstream, failures: failureCount, lastError, reason };
      try {
        Promise.resolve(onAlert({ ...facts, trippedAt: at })).catch(failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /** A success that was recorded without a call, which is a recovery if one is awaited. */
  succeeded(upstream: Upstream, latencyMs: number): void {
    this.#recoveries?.recorded(upstream, latencyMs);
  }

  unknownReset(
    bookmaker: string,
    { actor: user, reason }: { readonly actor: string; readonly reason: string },
    hint: string,
  ): void {
    this.#warn(
      { code: LOG_CODES.reset, bookmaker: oneLine(bookmaker), user: oneLine(user) },
      `Nothing to reset: ${bookmaker} is unknown. Asked by ${user}. Reason: ${reason}${hint}`,
    );
  }

  /** A trip of a new name stops nobody who calls the known one. */
  unknownTrip(bookmaker: string, hint: string): void {
    this.#warn(
      { code: LOG_CODES.trippedByHand, bookmaker: oneLine(bookmaker) },
      `${bookmaker} is new: nothing was known of it before this trip${hint}`,
    );
  }

  /** What the host's own code answers wrongly, once for each `what`. */
  misused(what: string, sentence: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#warn({ code: LOG_CODES.misused }, sentence);
  }

  loadFailed(error: unknown): void {
    const why = errorText(error);
    this.#warn(
      { code: LOG_CODES.misused, error: oneLine(why) },
      `getSystemLoad() failed, nothing is shed: ${why}`,
    );
  }

  #unusable(why: string): void {
    const isBroken = /^SQLITE_(?:CORRUPT|NOTADB)/.test(why);
    this.#logger[isBroken ? "fatal" : "error"](
      { code: LOG_CODES.store },
      `${PREFIX} The database cannot be used (${oneLine(why)}). Breakers work from memory; what they learn ends with the process until it can be written.`,
    );
  }

  #warn(fields: Record<string, unknown>, message: string): void {
    this.#logger.warn(fields, `${PREFIX} ${oneLine(message)}`);
  }
}
