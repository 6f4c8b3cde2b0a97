// Lines to a descriptor whose reader may be slow, stuck or gone, or whose disk is full. None of it is
// felt by whoever logs: what cannot be written waits in a bounded buffer, what does not fit there is
// dropped in one piece, and once all that waited is written a line says how many are missing.
//
// pino's own sonic-boom would not do: its asynchronous writes hold a thread that Node waits for at its
// exit, its synchronous ones sleep while a pipe is full, and its flush at an exit never ends on a full
// disk.

import { fstatSync, write, writeSync } from "node:fs";

export interface Descriptor {
  readonly fd: number;
  /**
   * Whether a write may block, as one to a file does: a thread writes. Where it answers EAGAIN instead,
   * lines are written as they come.
   */
  readonly blocks: boolean;
}

export interface LogHealth {
  /** False while writing fails: the reader is gone, the disk is full. */
  readonly isUp: boolean;
  /** Since the start, because the reader was too slow or writing failed. */
  readonly linesDropped: number;
}

export interface OutputOptions {
  readonly descriptor: Descriptor;
  /** Told of the first failure, and of the first after it worked again. */
  readonly onFailure?: ((error: Error) => void) | undefined;
  /** Monotonic. Default `performance.now`. */
  readonly nowMs?: (() => number) | undefined;
}

/** Some 900 lines: a reader that starts anew misses none of them, and no container feels it. */
export const WAITING_BYTES_MAX = 256 * 1024;

/** A pipe that is full is tried again after this, so that a reader that reads misses no line. */
const FULL_AGAIN_MS = 1;

/** It doubles up to here while nobody reads: ten system calls a second. */
const FULL_AGAIN_MS_MAX = 100;

/** The disk may have room again, and a named pipe a reader. */
const FAILED_AGAIN_MS = 10_000;

/** An ending process waits so long for a reader that is slow, or for a thread. */
const END_MS_MAX = 250;

/** Who asks beyond these while a pipe is full is not kept waiting. */
const FLUSHES_MAX = 100;

/** What stands in the log where lines are missing. */
export function gapMessage(dropped: number): string {
  const lines = dropped === 1 ? "1 log line is" : `${dropped} log lines are`;
  return `${lines} missing here: not written in time`;
}

export class BoundedOutput {
  /** The line that tells how many are missing; without it nothing does. */
  gapLine: ((dropped: number) => string) | undefined;
  readonly #descriptor: Descriptor;
  readonly #onFailure: (error: Error) => void;
  readonly #nowMs: () => number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Taken from those that wait, and not yet written to its end. */
  #chunk: Buffer | undefined;
  #isThreadAtWork = false;
  /** Of the file, once the thread has written. */
  #sizeAfter = 0;
  /** Set while a full pipe is to be tried again. */
  #fullTimer: ReturnType<typeof setTimeout> | undefined;
  #fullAgainMs = FULL_AGAIN_MS;
  /** Set while writing fails. */
  #failedAgainAtMs: number | undefined;
  #isUp = true;
  #dropped = 0;
  /** Of them those that no line has told of. Nothing is taken before that line. */
  #gap = 0;
  #flushes: (() => void)[] = [];

  constructor({ descriptor, onFailure = () => {}, nowMs }: OutputOptions) {
    this.#descriptor = descriptor;
    this.#onFailure = onFailure;
    this.#nowMs = nowMs ?? (() => performance.now());
  }

  health(): LogHealth {
    return { isUp: this.#isUp, linesDropped: this.#dropped };
  }

  write(line: string): void {
    if (this.#failedAgainAtMs !== undefined && this.#nowMs() >= this.#failedAgainAtMs) {
      this.#failedAgainAtMs = undefined;
      this.#drain();
    }
    if (this.#failedAgainAtMs !== undefined || this.#gap > 0) {
      this.#drop(1);
      return;
    }
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.#drop(1);
    } else {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    }
    if (!this.#isThreadAtWork && this.#fullTimer === undefined) this.#drain();
  }

  /** Calls back once nothing waits, which is at once where writing fails. pino's name for it. */
  flush(done: () => void = () => {}): void {
    if (this.#isSettled() || this.#flushes.length >= FLUSHES_MAX) done();
    else this.#flushes.push(done);
  }

  /**
   * The last moment of the process: what waits is written as far as its bound allows. Nothing calls back
   * any more, and Bun would not wait for a thread.
   */
  end(): void {
    const asleep = new Int32Array(new SharedArrayBuffer(4));
    for (let ms = 0; ms < END_MS_MAX && !this.#isSettled(); ms += 1) {
      if (ms > 0) Atomics.wait(asleep, 0, 0, 1);
      if (!this.#isThreadAtWork) this.#writeAll();
      else if (fstatSync(this.#descriptor.fd).size >= this.#sizeAfter) {
        this.#isThreadAtWork = false;
        this.#chunk = undefined;
        this.#writeAll();
      }
    }
  }

  #isSettled(): boolean {
    return (
      this.#failedAgainAtMs !== undefined ||
      (this.#chunk === undefined && this.#waiting.length === 0 && this.#gap === 0)
    );
  }

  #drain(): void {
    if (this.#descriptor.blocks) this.#letThreadWrite();
    else this.#writeAll();
  }

  #writeAll(): void {
    try {
      while ((this.#chunk ??= this.#nextChunk()) !== undefined) {
        this.#advance(writeSync(this.#descriptor.fd, this.#chunk));
      }
      this.#tellSettled();
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException);
    }
  }

  #letThreadWrite(): void {
    const { fd } = this.#descriptor;
    this.#chunk ??= this.#nextChunk();
    if (this.#chunk === undefined) {
      this.#tellSettled();
      return;
    }
    try {
      this.#sizeAfter = fstatSync(fd).size + this.#chunk.length;
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException);
      return;
    }
    this.#isThreadAtWork = true;
    write(fd, this.#chunk, (error, count) => {
      this.#isThreadAtWork = false;
      if (error === null) {
        this.#advance(count);
        this.#drain();
      } else this.#failed(error);
    });
  }

  #nextChunk(): Buffer | undefined {
    if (this.#waiting.length === 0) {
      const gap = this.#gap;
      this.#gap = 0;
      return gap === 0 || this.gapLine === undefined ? undefined : Buffer.from(this.gapLine(gap));
    }
    const lines = this.#waiting;
    const bytes = this.#waitingBytes;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return lines.length === 1 ? lines[0] : Buffer.concat(lines, bytes);
  }

  #advance(count: number): void {
    this.#isUp = true;
    this.#fullAgainMs = FULL_AGAIN_MS;
    this.#chunk = count === this.#chunk?.length ? undefined : this.#chunk?.subarray(count);
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (error.code === "EAGAIN") {
      this.#tryAgainSoon();
      return;
    }
    // What was begun is kept, so that no line is torn.
    this.#drop(this.#waiting.length);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#failedAgainAtMs = this.#nowMs() + FAILED_AGAIN_MS;
    this.#tellSettled();
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#onFailure(error);
  }

  #tryAgainSoon(): void {
    clearTimeout(this.#fullTimer);
    this.#fullTimer = setTimeout(() => {
      this.#fullTimer = undefined;
      this.#drain();
    }, this.#fullAgainMs);
    this.#fullTimer.unref();
    this.#fullAgainMs = Math.min(this.#fullAgainMs * 2, FULL_AGAIN_MS_MAX);
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#gap += lines;
  }

  #tellSettled(): void {
    for (const done of this.#flushes.splice(0)) done();
  }
}
