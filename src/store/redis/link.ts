// Keeps one line to the server: whenever it is lost, another one is made, after pauses that grow and differ between
// replicas, so that those that lost the server together do not come back together.

import type { StoreError } from "../../core/errors.ts";
import { redisError, toStoreError, type ErrorSubject } from "./errors.ts";
import type { Line } from "./wire.ts";

const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 5000;

/** A line that lived this long was a good one: the pauses begin anew. */
const GOOD_MS = 5000;

export interface LinkPorts<L extends Line> {
  /** Makes a line that is ready. `lost` is called when it is no more. */
  readonly dial: (lost: (error: StoreError) => void) => Promise<L>;
  readonly up: () => void;
  readonly down: (error: StoreError) => void;
  readonly subject: ErrorSubject;
}

export class Link<L extends Line> {
  readonly #ports: LinkPorts<L>;
  #line: L | undefined = undefined;
  #error: StoreError | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #pauseMs = PAUSE_MS_MIN;
  #upMs = 0;
  /** Which line is meant: an older one says nothing any more. */
  #era = 0;
  #isClosed = false;

  constructor(ports: LinkPorts<L>) {
    this.#ports = ports;
  }

  get line(): L | undefined {
    return this.#line;
  }

  /** Why there is none. */
  get error(): StoreError {
    const { subject } = this.#ports;
    if (this.#isClosed) return redisError("REDIS_CLOSED", subject, "a command");
    return this.#error ?? redisError("REDIS_UNREACHABLE", subject, "a command", "connecting");
  }

  open(): void {
    void this.#dial();
  }

  /** Leaves this line for another one, as when it leads to who is no master any more. */
  renew(error: StoreError): void {
    const line = this.#line;
    if (line === undefined || this.#isClosed) return;
    line.destroy();
    this.#lost(this.#era, error);
  }

  close(): void {
    this.#isClosed = true;
    this.#era += 1;
    clearTimeout(this.#timer);
    this.#line?.destroy();
    this.#line = undefined;
  }

  async #dial(): Promise<void> {
    this.#era += 1;
    const era = this.#era;
    try {
      const line = await this.#ports.dial((error) => this.#lost(era, error));
      if (this.#era !== era || this.#isClosed) {
        line.destroy();
        return;
      }
      this.#line = line;
      this.#upMs = performance.now();
      this.#ports.up();
    } catch (error) {
      this.#lost(era, toStoreError(error, this.#ports.subject, "connecting"));
    }
  }

  #lost(era: number, error: StoreError): void {
    if (this.#era !== era || this.#isClosed) return;
    this.#era += 1;
    const isGood = this.#line !== undefined && performance.now() - this.#upMs >= GOOD_MS;
    if (isGood) this.#pauseMs = PAUSE_MS_MIN;
    this.#line = undefined;
    this.#error = error;
    const delayMs = this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
    this.#timer = setTimeout(() => void this.#dial(), delayMs).unref();
    this.#ports.down(error);
  }
}
