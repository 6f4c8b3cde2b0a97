// What happened, as a digest of everything and, where asked for, as lines to read. The digest is
// the same on every runtime, so that a difference of one event in a thousand is seen.

export interface Broken {
  /** The promise that was not kept. */
  readonly invariant: string;
  readonly detail: string;
  readonly atMs: number;
}

/** Enough to see what led to it. */
const LINES_MAX = 400;

export class Journal {
  readonly lines: string[] = [];
  /** The first promise broken; what follows a broken one says little. */
  broken: Broken | undefined = undefined;
  readonly #traces: boolean;
  readonly #nowMs: () => number;
  #hash = 0x811c9dc5;
  #events = 0;

  constructor(traces: boolean, nowMs: () => number) {
    this.#traces = traces;
    this.#nowMs = nowMs;
  }

  /** Notes an event. The values belong to the digest, in their order. */
  note(what: string, ...values: readonly (string | number | boolean | null | undefined)[]): void {
    this.#events += 1;
    this.#mixNumber(this.#nowMs());
    this.#mixText(what);
    for (const value of values) {
      if (typeof value === "number") this.#mixNumber(value);
      else this.#mixText(String(value));
    }
    if (!this.#traces) return;
    this.lines.push(`${String(this.#nowMs()).padStart(9)} ms  ${what} ${values.join(" ")}`);
    if (this.lines.length > LINES_MAX) this.lines.shift();
  }

  break(invariant: string, detail: string): void {
    this.broken ??= { invariant, detail, atMs: this.#nowMs() };
  }

  get digest(): string {
    return `${this.#events.toString(36)}-${(this.#hash >>> 0).toString(16).padStart(8, "0")}`;
  }

  // FNV-1a, over quarters of a millisecond for times.
  #mixNumber(value: number): void {
    this.#hash = Math.imul(this.#hash ^ ((value * 4) | 0), 0x01000193);
  }

  #mixText(text: string): void {
    let hash = this.#hash;
    for (let index = 0; index < text.length; index += 1) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    }
    this.#hash = hash;
  }
}
