// What operators type: `breaker.statusAll()` and its like, in Hyper-Bun's console. It prints, answers
// with the data, and a denied reset ends no session.

import { oneLine } from "../telemetry/log/escape.ts";
import { getCircuitBreaker } from "./instance.ts";
import type { ProductionCircuitBreaker, ResetOptions } from "./production-circuit-breaker.ts";
import type { BookmakerStatus } from "./status.ts";

export interface BreakerConsole {
  /** Prints and gives all bookmakers. */
  statusAll(): BookmakerStatus[];
  /** Prints and gives one; null when nothing was ever recorded of it. */
  status(bookmaker: string): BookmakerStatus | null;
  getStatus(bookmaker: string): BookmakerStatus | null;
  /** As `("draftkings", "why", true)` or with `{ reason, user, force }`. False when it was denied. */
  reset(bookmaker: string, reason?: string | ResetOptions, force?: boolean): boolean;
  trip(bookmaker: string, reason?: string, user?: string): void;
  isTripped(bookmaker: string): boolean;
  callApi<T>(
    bookmaker: string,
    fn: () => T | PromiseLike<T>,
    operation?: string,
    estimatedLoad?: number,
  ): Promise<T>;
}

interface Holder {
  breaker?: unknown;
  mlgs?: Record<string, unknown> | null | undefined;
}

/**
 * Defines `breaker`, `mlgs.breaker` and `mlgs.circuitBreaker` as globals; what else `mlgs` holds stays.
 * To be called after whatever assigns `mlgs`. Default breaker: the process's own.
 */
export function installConsole(breaker?: ProductionCircuitBreaker): BreakerConsole {
  const commands = consoleOf(() => breaker ?? getCircuitBreaker());
  const holder = globalThis as Holder;
  holder.breaker = commands;
  holder.mlgs ??= {};
  Object.assign(holder.mlgs, { breaker: commands, circuitBreaker: commands });
  return commands;
}

function consoleOf(current: () => ProductionCircuitBreaker): BreakerConsole {
  const status = (bookmaker: string): BookmakerStatus | null => {
    const found = current().getStatus(bookmaker);
    if (found === null) print(`${oneLine(bookmaker)}: nothing recorded`);
    else printTable([found]);
    return found;
  };
  return {
    statusAll() {
      const all = current().getAllStatus();
      if (all.length === 0) print("no bookmaker recorded");
      else printTable(all);
      return all;
    },
    status,
    getStatus: status,
    reset(bookmaker, reason, force) {
      const given: ResetOptions =
        typeof reason === "object" ? (reason ?? {}) : { reason, force: force === true };
      try {
        current().reset(bookmaker, { ...given, user: given.user ?? process.env["USER"] });
      } catch (error) {
        print(oneLine(error instanceof Error ? error.message : String(error)));
        return false;
      }
      status(bookmaker);
      return true;
    },
    trip(bookmaker, reason, user) {
      current().trip(bookmaker, reason, user ?? process.env["USER"]);
      status(bookmaker);
    },
    isTripped: (bookmaker) => current().isTripped(bookmaker),
    callApi: (bookmaker, fn, operation = "console", estimatedLoad = 1) =>
      current().callApi(bookmaker, fn, { operation, estimatedLoad }),
  };
}

/** Longer words would break the table; all of them are in the data. */
const ERROR_WIDTH = 60;

function printTable(statuses: readonly BookmakerStatus[]): void {
  const rows = statuses.map((status) => ({
    bookmaker: oneLine(status.bookmaker).slice(0, ERROR_WIDTH),
    tripped: status.tripped,
    failureCount: `${status.failureCount}/${status.failureThreshold}`,
    lastError: status.lastError === null ? "-" : oneLine(status.lastError).slice(0, ERROR_WIDTH),
    avgLatency: status.avgLatency === null ? "-" : `${Math.round(status.avgLatency)} ms`,
  }));
  const { Bun } = globalThis as BunHolder;
  // oxlint-disable-next-line no-console -- a console is what this is for
  if (Bun === undefined) console.table(rows);
  else print(Bun.inspect.table(rows));
}

interface BunHolder {
  readonly Bun?: { readonly inspect: { table(rows: readonly object[]): string } };
}

function print(text: string): void {
  // oxlint-disable-next-line no-console -- a console is what this is for
  console.log(text);
}
