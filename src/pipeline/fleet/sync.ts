// Reads what is stored: all of it after every connection, since nobody knows what was missed and what was lost.

export interface SyncPorts {
  /** All that concern this replica. */
  readonly names: () => string[];
  /** Takes over what is stored of them, and writes back what is missing there. */
  readonly read: (names: readonly string[]) => Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Upstreams read with one question. */
const READ_MAX = 500;

export class Sync {
  readonly #ports: SyncPorts;
  readonly #asked = new Set<string>();
  #isAllAsked = false;
  #isRunning = false;
  #isSynced = false;

  constructor(ports: SyncPorts) {
    this.#ports = ports;
  }

  /** Whether all was read since the connection was made. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Whether something is to be read, or being read. */
  get isDue(): boolean {
    return this.#isRunning || this.#isAllAsked || this.#asked.size > 0;
  }

  /** What was read before was another connection's, and maybe another store's. */
  restart(): void {
    this.outdate();
    this.resume();
  }

  /** It is not what is stored any more. All is read when it is resumed. */
  outdate(): void {
    this.#isSynced = false;
    this.#isAllAsked = true;
  }

  readAll(): void {
    this.#isAllAsked = true;
    this.resume();
  }

  /** Of a store that was not read yet they are read with all others. */
  readSome(names: Iterable<string>): void {
    if (!this.#isSynced && !this.#isRunning) return;
    for (const name of names) this.#asked.add(name);
    this.resume();
  }

  /** After a failure. */
  resume(): void {
    if (!this.#isRunning && this.isDue) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isAllAsked || this.#asked.size > 0) {
        const names = this.#isAllAsked ? this.#ports.names() : [...this.#asked];
        this.#isAllAsked = false;
        this.#asked.clear();
        for (let from = 0; from < names.length; from += READ_MAX) {
          await this.#ports.read(names.slice(from, from + READ_MAX));
        }
      }
      this.#isSynced = true;
      this.#isRunning = false;
      this.#ports.done();
    } catch (error) {
      this.#isAllAsked = true;
      this.#isRunning = false;
      this.#ports.failed(error);
    }
  }
}
