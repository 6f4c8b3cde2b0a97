// What is checked, line by line, with seconds since the start: `ok`, or what was wrong. A story is a row of checks of
// which each needs the one before; one that fails ends its story and no other.

export interface Line {
  /** Since the cluster was asked for. */
  readonly atMs: number;
  readonly tookMs: number;
  readonly story: string;
  readonly what: string;
}

export class Checks {
  readonly lines: Line[] = [];
  readonly #startedMs = performance.now();
  readonly #onFailure: () => Promise<string>;
  #story = "";
  passed = 0;
  failed = 0;

  /** `onFailure` says what may help to understand one. */
  constructor(onFailure: () => Promise<string>) {
    this.#onFailure = onFailure;
  }

  /** Answers whether all of it was as it should be. */
  async story(name: string, tell: () => Promise<void>): Promise<boolean> {
    this.#story = name;
    console.log(`\n== ${name}`);
    try {
      await tell();
      return true;
    } catch (error) {
      // Between two checks: it has failed all the same.
      if (!(error instanceof Told))
        await this.#fail("goes on to the end", error, performance.now());
      return false;
    }
  }

  async check<Found>(what: string, look: () => Promise<Found> | Found): Promise<Found> {
    const startedMs = performance.now();
    try {
      const found = await look();
      this.passed += 1;
      this.#tell("ok  ", what, startedMs);
      return found;
    } catch (error) {
      await this.#fail(what, error, startedMs);
      throw new Told();
    }
  }

  async #fail(what: string, error: unknown, startedMs: number): Promise<void> {
    this.failed += 1;
    this.#tell("FAIL", what, startedMs);
    console.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    console.log(await this.#onFailure());
  }

  #tell(verdict: string, what: string, startedMs: number): void {
    const nowMs = performance.now();
    const line = {
      atMs: nowMs - this.#startedMs,
      tookMs: nowMs - startedMs,
      story: this.#story,
      what,
    };
    this.lines.push(line);
    console.log(
      `${seconds(line.atMs).padStart(7)} s  ${verdict} ${what} (${seconds(line.tookMs)} s)`,
    );
  }
}

class Told extends Error {}

export function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
