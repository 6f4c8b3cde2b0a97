// The drop-in on a virtual clock, with everything it tells kept, on handles of every driver there is.

import { DatabaseSync } from "node:sqlite";
import {
  ProductionCircuitBreaker,
  type ForeignDatabase,
  type ProductionCircuitBreakerOptions,
} from "../../src/hyper-bun/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";

export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface Dropped {
  readonly breaker: ProductionCircuitBreaker;
  readonly clock: VirtualClock;
  readonly db: DatabaseSync;
  readonly metrics: RecordedMetrics;
  readonly logs: LogLine[];
  /** Messages of the lines with this code, oldest first. */
  logged(code: string): string[];
  /** `ACTION user reason`, oldest first. */
  audits(bookmaker?: string): string[];
}

/** Counters added up and gauges as last told, by `name{label=value}`. */
export class RecordedMetrics {
  readonly counters = new Map<string, number>();
  readonly gauges = new Map<string, number>();
  gaugeCalls = 0;

  counter(name: string, value: number, labels: Record<string, string> = {}): void {
    const key = seriesOf(name, labels);
    this.counters.set(key, (this.counters.get(key) ?? 0) + value);
  }

  gauge(name: string, value: number, labels: Record<string, string> = {}): void {
    this.gaugeCalls += 1;
    this.gauges.set(seriesOf(name, labels), value);
  }
}

function seriesOf(name: string, labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return `${name}{${pairs.join(",")}}`;
}

export function recordingLogger(lines: LogLine[]): {
  [Level in "fatal" | "error" | "warn" | "info"]: (
    fields: Record<string, unknown>,
    message: string,
  ) => void;
} {
  const level = (name: string) => (fields: Record<string, unknown>, message: string) =>
    void lines.push({ level: name, fields, message });
  return { fatal: level("fatal"), error: level("error"), warn: level("warn"), info: level("info") };
}

export function drop(
  settings: {
    readonly threshold?: number;
    readonly resetTimeoutMs?: number;
    readonly cooldownMs?: number;
    readonly db?: DatabaseSync;
    readonly clock?: VirtualClock;
    readonly options?: ProductionCircuitBreakerOptions;
  } = {},
): Dropped {
  const clock = settings.clock ?? new VirtualClock();
  const db = settings.db ?? new DatabaseSync(":memory:");
  const metrics = new RecordedMetrics();
  const logs: LogLine[] = [];
  const { threshold, resetTimeoutMs, cooldownMs } = settings;
  const breaker = new ProductionCircuitBreaker(db, metrics, threshold, resetTimeoutMs, cooldownMs, {
    clock,
    logger: recordingLogger(logs),
    ...settings.options,
  });
  breaker.getSystemLoad = () => 0;
  return {
    breaker,
    clock,
    db,
    metrics,
    logs,
    logged: (code) => logs.filter(({ fields }) => fields["code"] === code).map((l) => l.message),
    audits: (bookmaker) =>
      db
        .prepare("SELECT * FROM circuit_breaker_audit ORDER BY id")
        .all()
        .filter((row) => bookmaker === undefined || row["bookmaker"] === bookmaker)
        .map((row) => `${String(row["action"])} ${String(row["user"])} ${String(row["reason"])}`),
  };
}

export async function fail(
  { breaker }: Dropped,
  times: number,
  bookmaker = "dk",
  message = "boom",
): Promise<void> {
  for (let n = 0; n < times; n += 1) await breaker.recordFailure(bookmaker, message);
}

/** A call that the test ends when it likes. */
export function openCall({ breaker }: Dropped, bookmaker = "dk") {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const call = breaker.callApi(bookmaker, () => promise, { operation: "odds", estimatedLoad: 1 });
  const settled = call.catch(() => {});
  return {
    promise: call,
    async resolve(value?: unknown): Promise<void> {
      resolve(value);
      await settled;
    },
    async reject(error: unknown): Promise<void> {
      reject(error);
      await settled;
    },
  };
}

export interface Driver {
  readonly name: string;
  open(path: string): ForeignDatabase & { close(): unknown };
}

/**
 * Better-sqlite3 is a native addon and not installed here: what it does otherwise than `node:sqlite` is
 * done by this double. It refuses `run` where rows come back and `all` where none do, and names
 * `inTransaction`, `name` and `safeIntegers` its own way.
 */
class BetterSqliteDouble {
  readonly #db: DatabaseSync;
  readonly name: string;

  constructor(path: string) {
    this.#db = new DatabaseSync(path);
    this.name = path;
  }

  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  exec(sql: string): this {
    named(() => this.#db.exec(sql));
    return this;
  }

  prepare(sql: string) {
    const statement = named(() => this.#db.prepare(sql));
    const givesRows = /^\s*(?:SELECT|PRAGMA)/i.test(sql);
    type Params = (string | number | null)[];
    return {
      run: (...params: Params) => {
        if (givesRows) throw new TypeError("This statement returns data. Use get(), all(), or…");
        return named(() => statement.run(...params));
      },
      get: (...params: Params) => {
        if (!givesRows) throw new TypeError("This statement does not return data. Use run()…");
        return named(() => statement.get(...params));
      },
      all: (...params: Params) => {
        if (!givesRows) throw new TypeError("This statement does not return data. Use run()…");
        return named(() => statement.all(...params));
      },
      safeIntegers: (enabled = true) => statement.setReadBigInts(enabled),
    };
  }

  close(): void {
    this.#db.close();
  }
}

/** By a word of the message. */
const EXTENDED_CODES: readonly (readonly [word: string, code: string])[] = [
  ["readonly", "SQLITE_READONLY_DIRECTORY"],
  ["locked", "SQLITE_BUSY_RECOVERY"],
  ["constraint failed", "SQLITE_CONSTRAINT_CHECK"],
];

/** Its errors carry the extended code's name and no number. */
function named<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    const { message } = error as Error;
    const code = EXTENDED_CODES.find(([word]) => message.includes(word))?.[1] ?? "SQLITE_ERROR";
    throw Object.assign(new Error(message), { code });
  }
}

async function bunDriver(): Promise<Driver> {
  const { Database } = await import("bun:sqlite");
  return { name: "bun:sqlite", open: (path) => new Database(path, { create: true }) };
}

export const DRIVERS: readonly Driver[] = [
  { name: "node:sqlite", open: (path) => new DatabaseSync(path) },
  { name: "better-sqlite3 (a double)", open: (path) => new BetterSqliteDouble(path) },
  ...("Bun" in globalThis ? [await bunDriver()] : []),
];
