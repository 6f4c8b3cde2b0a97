// A fixed number of workers and a first-in-first-out queue in front of them: what makes the bookmaker finite.
//
// A job that nobody waits for any more still takes its turn and its time: servers do not notice that a caller left.
// Timers of JavaScript fire late. A worker that goes straight on to the next job therefore counts from the moment
// the last one was due and not from when its timer fired; otherwise capacity would be lower than `workers / mean`.

export interface Job {
  /** A worker is free. Returns the service time in milliseconds, or `undefined` to hold the worker until `release`. */
  start(): number | undefined;
  /** The service time is over. Resolves when the worker may go on. */
  finish(): void | Promise<void>;
}

// A stall of the event loop longer than this is lost capacity, not work to be caught up in one burst.
const CATCH_UP_MS_MAX = 50;
// A queued job is small, but a test that forgets to stop must not fill the memory.
const QUEUE_MAX = 100_000;

export class Workers {
  readonly #count: number;
  #queue: Job[] = [];
  #head = 0;
  #busy = 0;
  #isClosed = false;
  readonly #held = new Set<Job>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(count: number) {
    this.#count = count;
  }

  get busy(): number {
    return this.#busy;
  }

  get queued(): number {
    return this.#queue.length - this.#head;
  }

  /** False when the queue is full. */
  submit(job: Job): boolean {
    if (this.queued >= QUEUE_MAX || this.#isClosed) return false;
    if (this.#busy < this.#count) {
      this.#busy += 1;
      this.#run(job, performance.now());
    } else {
      this.#queue.push(job);
    }
    return true;
  }

  /** Held jobs are asked again what they need. */
  release(): void {
    const held = [...this.#held];
    this.#held.clear();
    const nowMs = performance.now();
    for (const job of held) this.#run(job, nowMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#queue = [];
    this.#head = 0;
    this.#held.clear();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #run(job: Job, startMs: number): void {
    const serviceMs = job.start();
    if (serviceMs === undefined) {
      this.#held.add(job);
      return;
    }
    const dueMs = startMs + serviceMs;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        const finished = job.finish();
        if (finished === undefined) this.#next(dueMs);
        else void finished.then(() => this.#next(performance.now()));
      },
      Math.max(0, dueMs - performance.now()),
    );
    this.#timers.add(timer);
  }

  #next(dueMs: number): void {
    if (this.#isClosed) return;
    const job = this.#shift();
    if (job === undefined) this.#busy -= 1;
    else this.#run(job, Math.max(dueMs, performance.now() - CATCH_UP_MS_MAX));
  }

  #shift(): Job | undefined {
    const job = this.#queue[this.#head];
    if (job === undefined) return undefined;
    this.#head += 1;
    // `Array.shift` moves the whole queue on some engines; cutting off the used half now and then does not.
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return job;
  }
}
