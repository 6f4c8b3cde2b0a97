// A store as a host may have written it, held to the contract of ports.ts: what it throws becomes a
// fault, what it hands over is read and not believed, and a promise is no answer.
//
// A store that answers with promises has written nothing when it returns. Its rejections are taken, so
// that they do not end the process, and what it was given is not called durable.

import { errorText } from "../../core/classify.ts";
import { InvalidOptionsError, StoreError, type StoreConcern } from "../../core/errors.ts";
import { show } from "../../core/options.ts";
import type {
  AuditEntry,
  ChainReport,
  HistoryQuery,
  Store,
  StoreChange,
  StoredBreaker,
} from "../ports.ts";
import { isPlace, readAudits, readBreakers, readReport, type ReadRows } from "./stored-rows.ts";

/** A method answered with a promise. */
export const STORE_ASYNC = "STORE_ASYNC";

/** A method answered with something else than it must, or rows were no rows. */
export const STORE_CONTRACT = "STORE_CONTRACT";

type Operation = "load" | "commit" | "poll" | "history" | "close";

const METHODS = ["load", "commit", "history", "close"] as const;

/** A failure in words that can be kept, whatever was thrown. */
export interface StoreFault {
  readonly code: string;
  readonly message: string;
  readonly concerns: StoreConcern;
}

export class CheckedStore {
  readonly kind: string;
  readonly location: string;
  /** Whether state outlives the process there. */
  readonly isDurable: boolean;
  /** Whether other processes can write there. */
  readonly polls: boolean;
  /** One of its methods is under way: what it orders of its own registry is written afterwards. */
  isBusy = false;
  readonly #store: Store;
  readonly #onUnreadable: (operation: Operation, fault: StoreFault) => void;

  /** Throws `InvalidOptionsError` for what is no store at all. */
  constructor(store: Store, onUnreadable: (operation: Operation, fault: StoreFault) => void) {
    if (!METHODS.every((method) => quietly(() => hasMethod(store, method)) === true)) {
      const fault = `store must be a store, with the methods ${METHODS.join(", ")}, not ${show(store)}`;
      throw new InvalidOptionsError("createSwitchgear", [fault]);
    }
    this.#store = store;
    this.#onUnreadable = onUnreadable;
    this.kind = textOr(
      quietly(() => store.kind),
      "unknown",
    );
    this.location = textOr(
      quietly(() => store.location),
      "unknown",
    );
    this.isDurable = quietly(() => store.durable) === true;
    this.polls = quietly(() => hasMethod(store, "poll")) === true;
  }

  get recoveredFrom(): string | null {
    const path = quietly(() => this.#store.recoveredFrom);
    return path === undefined || path === null ? null : textOr(path, "unknown");
  }

  /** Undefined where it keeps no order of writing. */
  get revision(): number | undefined {
    const revision: unknown = quietly(() => this.#store.revision);
    return isPlace(revision) ? revision : undefined;
  }

  load(wallMs: number): readonly StoredBreaker[] {
    const answer = this.#ask("load", () => this.#store.load());
    if (!isList(answer)) throw broken("load", this.location, "a list of breakers", answer);
    return this.#readable("load", readBreakers(answer, wallMs));
  }

  commit(change: StoreChange): void {
    this.#ask("commit", () => this.#store.commit(change));
  }

  /** Undefined when nobody else wrote. */
  poll(wallMs: number): readonly StoredBreaker[] | undefined {
    const answer = this.#ask("poll", () => this.#store.poll?.());
    if (answer === undefined || answer === null) return undefined;
    if (isList(answer)) return this.#readable("poll", readBreakers(answer, wallMs));
    throw broken("poll", this.location, "a list of breakers, or undefined", answer);
  }

  history(query: HistoryQuery): readonly AuditEntry[] {
    const answer = this.#ask("history", () => this.#store.history(query));
    if (!isList(answer)) throw broken("history", this.location, "a list of audits", answer);
    return this.#readable("history", readAudits(answer, query.limit));
  }

  /** Undefined where it keeps no chain. */
  verify(upstream: string): ChainReport | undefined {
    if (quietly(() => hasMethod(this.#store, "verify")) !== true) return undefined;
    const answer = this.#ask("history", () => this.#store.verify?.(upstream));
    const report = quietly(() => readReport(upstream, answer));
    if (report !== undefined) return report;
    throw broken("verify", this.location, "a report of the chain", answer);
  }

  close(): void {
    this.#ask("close", () => this.#store.close());
  }

  #ask(operation: Operation, work: () => unknown): unknown {
    const wasBusy = this.isBusy;
    this.isBusy = true;
    try {
      const answer = work();
      if (isPromise(answer)) {
        const message = `${operation} of ${this.location} answered with a promise: a store's methods must be done when they return`;
        throw new StoreError(STORE_ASYNC, message);
      }
      return answer;
    } finally {
      this.isBusy = wasBusy;
    }
  }

  #readable<Row>(operation: Operation, { rows, unreadable }: ReadRows<Row>): readonly Row[] {
    if (unreadable === 0) return rows;
    const message = `${operation} of ${this.location}: ${unreadable} of ${rows.length + unreadable} rows cannot be read; the others were taken`;
    this.#onUnreadable(operation, { code: STORE_CONTRACT, message, concerns: "store" });
    return rows;
  }
}

/** Whether an error says that the store does not keep the contract: trying again changes nothing. */
export function isBreach(code: string): boolean {
  return code === STORE_ASYNC || code === STORE_CONTRACT;
}

/** By its fields and not by its class: an error may come from another copy of this package. */
export function faultOf(error: unknown): StoreFault {
  const message = errorText(error);
  const thrown = error as Partial<Record<"storeCode" | "concerns", unknown>> | null | undefined;
  const storeCode = quietly(() => thrown?.storeCode);
  const concerns = quietly(() => thrown?.concerns);
  if (typeof storeCode !== "string") return { code: "UNKNOWN", message, concerns: "either" };
  const isKnown = concerns === "change" || concerns === "either";
  return { code: storeCode, message, concerns: isKnown ? concerns : "store" };
}

function broken(
  operation: Operation | "verify",
  location: string,
  wants: string,
  answer: unknown,
): StoreError {
  const message = `${operation} of ${location} must answer with ${wants}, not ${show(answer)}`;
  return new StoreError(STORE_CONTRACT, message);
}

function isList(value: unknown): value is readonly unknown[] {
  return quietly(() => Array.isArray(value)) === true;
}

/** Takes the rejection of a promise, so that it ends no process. */
function isPromise(value: unknown): boolean {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  try {
    const { then } = value as { readonly then?: unknown };
    if (typeof then !== "function") return false;
    const left: unknown = then.call(value, ignore, ignore);
    // An own `then` may be an async function.
    if (left instanceof Promise) left.catch(ignore);
  } catch {
    // It has a `then` that throws: no answer either.
  }
  return true;
}

function ignore(): void {
  // What comes of it is told by its code alone.
}

function hasMethod(store: Store, name: keyof Store): boolean {
  return typeof store[name] === "function";
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

/** What a stranger's getter gives; undefined where it throws. */
function quietly<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
