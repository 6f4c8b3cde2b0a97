// What hosts do wrong with a call that is under way, said once: refusing it is too late, guessing is worse,
// and a sentence for every call would be a flood.

/** Kinds of complaints of one registry; the names in them may come from traffic. */
const COMPLAINTS_MAX = 100;

export class Complaints {
  readonly #say: (sentence: string) => void;
  readonly #said = new Set<string>();

  constructor(say: (sentence: string) => void) {
    this.#say = say;
  }

  /** Says it unless the same was said of this upstream. */
  tell(upstream: string, about: string, sentence: string): void {
    const key = `${about} ${upstream}`;
    if (this.#said.has(key) || this.#said.size >= COMPLAINTS_MAX) return;
    this.#said.add(key);
    try {
      this.#say(`${upstream}: ${sentence}`);
    } catch {
      // A host that forbids warnings must not lose its calls for them.
    }
  }
}
