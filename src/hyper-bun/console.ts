// What operators type: `breaker.statusAll()` and its like, in Hyper-Bun's console. It prints, answers
// with the data, and a denied reset ends no session.

import { oneLine } from "../telemetry/log/escape.ts";
import { getCircuitBreaker } from "./instance.ts";
import type { ResetOptions } from "./arguments.ts";
import type { ProductionCircuitBreaker } from "./production-circuit-breaker.ts";
import type { BookmakerStatus } from "./status.ts";

export interface BreakerConsole {
  /** Prints and gives all bookmakers. */
  statusAll(): BookmakerStatus[];
  /** Prints and gives one; null when nothing was ever recorded of it, with the nearest known name. */
  status(bookmaker: string): BookmakerStatus | null;
  getStatus(bookmaker: string): BookmakerStatus | null;
  /**
   * As `("draftkings", "why", true)` or with `{ reason, user, force }`. False when it was denied, or
   * nobody knows the bookmaker.
   */
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
    if (!isName(bookmaker, "status")) return null;
    const found = current().getStatus(bookmaker);
    if (found === null) print(`${oneLine(bookmaker)}: nothing recorded${hint(bookmaker)}`);
    else printTable([found]);
    return found;
  };
  const hint = (bookmaker: string): string => oneLine(current().hintFor(bookmaker));
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
      if (!isName(bookmaker, "reset")) return false;
      const given: ResetOptions =
        typeof reason === "object" ? (reason ?? {}) : { reason, force: force === true };
      try {
        const user = given.user ?? process.env["USER"];
        if (!current().reset(bookmaker, { ...given, user })) {
          print(`Nothing to reset: ${oneLine(bookmaker)} is unknown${hint(bookmaker)}`);
          return false;
        }
      } catch (error) {
        print(oneLine(error instanceof Error ? error.message : String(error)));
        return false;
      }
      status(bookmaker);
      return true;
    },
    trip(bookmaker, reason, user) {
      if (!isName(bookmaker, "trip")) return;
      const isNew = current().getStatus(bookmaker) === null;
      const meant = hint(bookmaker);
      current().trip(bookmaker, reason, user ?? process.env["USER"]);
      if (isNew) {
        const name = oneLine(bookmaker);
        print(`${name} is new: nothing was known of it before this trip${meant}`);
      }
      status(bookmaker);
    },
    isTripped(bookmaker) {
      if (!isName(bookmaker, "isTripped")) return false;
      if (current().getStatus(bookmaker) === null) {
        print(`${oneLine(bookmaker)}: nothing recorded${hint(bookmaker)}`);
      }
      return current().isTripped(bookmaker);
    },
    callApi: (bookmaker, fn, operation = "console", estimatedLoad = 1) =>
      current().callApi(bookmaker, fn, { operation, estimatedLoad }),
  };
}

/** A person who left the name out is told what to type; a stack would say less. */
function isName(bookmaker: unknown, command: string): bookmaker is string {
  if (typeof bookmaker === "string" && bookmaker !== "") return true;
  print(
    `breaker.${command}() needs a bookmaker's name, such as breaker.${command}("draftkings"); breaker.statusAll() shows all`,
  );
  return false;
}

/** Longer words would break the table; all of them are in the data. */
const ERROR_WIDTH = 60;
const USER_WIDTH = 20;

function printTable(statuses: readonly BookmakerStatus[]): void {
  const rows = statuses.map((status) => ({
    bookmaker: oneLine(status.bookmaker).slice(0, ERROR_WIDTH),
    tripped: status.tripped,
    failureCount: `${status.failureCount}/${status.failureThreshold}`,
    lastError: status.lastError === null ? "-" : oneLine(status.lastError).slice(0, ERROR_WIDTH),
    avgLatency: status.avgLatency === null ? "-" : `${Math.round(status.avgLatency)} ms`,
    lastReset: resetOf(status),
  }));
  const { Bun } = globalThis as BunHolder;
  // oxlint-disable-next-line no-console -- a console is what this is for
  if (Bun === undefined) console.table(rows);
  else print(Bun.inspect.table(rows));
}

/** When, by whom and why. */
function resetOf({ lastResetAt, lastResetBy, lastResetReason }: BookmakerStatus): string {
  if (lastResetAt === null) return "-";
  const at = new Date(lastResetAt).toISOString().slice(0, 19).replace("T", " ");
  const by = oneLine(lastResetBy ?? "unknown").slice(0, USER_WIDTH);
  return `${at} by ${by}: ${oneLine(lastResetReason ?? "-").slice(0, ERROR_WIDTH)}`;
}

interface BunHolder {
  readonly Bun?: { readonly inspect: { table(rows: readonly object[]): string } };
}

function print(text: string): void {
  // oxlint-disable-next-line no-console -- a console is what this is for
  console.log(text);
}
