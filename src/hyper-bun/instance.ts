// The one breaker of a process, for all who import it: made at the first asking, found by everybody
// after that, in duplicate copies of this module and after a hot reload too.

import { labelValue } from "../telemetry/series/label.ts";
import { escaped, gaugesClient } from "./gauges.ts";
import { ProductionCircuitBreaker } from "./production-circuit-breaker.ts";
import type { BookmakerStatus } from "./status.ts";

const BREAKER = Symbol.for("switchgear.hyper-bun.breaker");

interface Holder {
  [BREAKER]?: ProductionCircuitBreaker | undefined;
}

const DATABASE_PATH = "./data/circuit_breaker.db";

/**
 * The process's breaker, on the database at `CIRCUIT_BREAKER_DB` (default `./data/circuit_breaker.db`,
 * its folder made when missing), with the map that Hyper-Bun's exporter prints as its metrics client.
 */
export function getCircuitBreaker(): ProductionCircuitBreaker {
  return ((globalThis as Holder)[BREAKER] ??= new ProductionCircuitBreaker(
    process.env["CIRCUIT_BREAKER_DB"] || DATABASE_PATH,
    gaugesClient(),
  ));
}

/** Printed: the first thousand, and a thousand tripped ones beyond them (G-7). */
const PRINTED_MAX = 1000;

/**
 * The state of all bookmakers, for the exporter, which prints their names as they come: here they are
 * label values, escaped and bounded, in name and in number. Those are among them of which only refused
 * calls are known: the exporter prints nothing at all without a bookmaker, not even sheds. Never throws. It makes the breaker when nobody has:
 * a trip from before a restart must show in the very first scrape, or its alert ends with each deploy.
 */
export function getCircuitBreakerStatus(): BookmakerStatus[] {
  try {
    const all = getCircuitBreaker().getExportedStatus();
    const extra = all.slice(PRINTED_MAX).filter(({ tripped }) => tripped);
    return [...all.slice(0, PRINTED_MAX), ...extra.slice(0, PRINTED_MAX)].map((status) =>
      Object.assign(status, { bookmaker: escaped(labelValue(status.bookmaker)) }),
    );
  } catch {
    return [];
  }
}

/** Puts a breaker with other settings in place, best before the first asking. The old one stays open. */
export function setCircuitBreaker(breaker: ProductionCircuitBreaker): void {
  (globalThis as Holder)[BREAKER] = breaker;
}

/** Writes what waits, lets go of the database and forgets the breaker. Nothing happens without one. */
export async function closeCircuitBreaker(): Promise<void> {
  const holder = globalThis as Holder;
  const breaker = holder[BREAKER];
  holder[BREAKER] = undefined;
  await breaker?.close();
}
