// What is wrong with the store at this moment, and when it is asked again: ever more rarely, and not by all replicas at once.

import { errorText } from "../../core/classify.ts";
import type { EventOf, RegistryEvent, StoreOperation } from "../../core/events.ts";
import type { Random } from "../../core/random.ts";
import { StoreFaults, type StoreErrorCount } from "../breaker/store-faults.ts";
import type { Scheduler, Timer } from "../ports.ts";

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 15_000;

export interface TroublePorts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly emit: (event: RegistryEvent) => void;
  /** It may be asked again. */
  readonly retry: () => void;
}

export class Trouble {
  readonly #ports: TroublePorts;
  readonly #faults: StoreFaults;
  #timer: Timer | undefined = undefined;
  #retryMs = RETRY_MS_MIN;
  #isFailing = false;
  #isClosed = false;

  constructor(ports: TroublePorts) {
    this.#ports = ports;
    this.#faults = new StoreFaults(ports.scheduler, ports.emit);
  }

  /** Since the last failure nothing has shown that it works. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** It is not asked before a while has passed. */
  get isPausing(): boolean {
    return this.#timer !== undefined;
  }

  get errors(): readonly StoreErrorCount[] {
    return [...this.#faults.counts.values()];
  }

  get standing(): readonly EventOf<"store-error">[] {
    return this.#faults.standing;
  }

  get lastError(): string | null {
    return this.#faults.lastError;
  }

  begin(op: StoreOperation, error: unknown): void {
    if (this.#isClosed) return;
    this.#isFailing = true;
    this.#faults.addTrouble(op, faultOf(error));
    if (this.#timer !== undefined) return;
    const { scheduler, random, retry } = this.#ports;
    // Replicas that lost the store together must not come back together.
    const delayMs = this.#retryMs * (0.5 + random.next());
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
    this.#timer = scheduler.setTimer(() => {
      this.#timer = undefined;
      retry();
    }, delayMs);
  }

  /** It works. Where orders still wait, whether they are taken is yet to be seen: the next failure waits as long. */
  end(isAllTold: boolean): void {
    if (isAllTold) this.#retryMs = RETRY_MS_MIN;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#faults.recovered();
    const { scheduler, emit } = this.#ports;
    emit({ type: "store-recovered", at: scheduler.now(), pending: 0 });
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }
}

export function codeOf(error: unknown): string {
  const code = (error as { readonly storeCode?: unknown } | null)?.storeCode;
  return typeof code === "string" ? code : "UNKNOWN";
}

function faultOf(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly concerns: "store";
} {
  return { code: codeOf(error), message: errorText(error), concerns: "store" };
}
