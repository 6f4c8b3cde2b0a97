// Names as errors show them. Names come from callers' requests: a newline in one would forge a line, an escape
// sequence would speak to a terminal, and a long one would bury the sentence that it stands in.

import { oneLine } from "./one-line.ts";

/** Longer ones were cut where calls are admitted; what is not yet admitted is cut here. */
const CHARACTERS_MAX = 256;

/** What is left of a longer one. */
const CHARACTERS_SHOWN = 128;

/** The name on one line, and not too long of one. */
export function shownName(name: string): string {
  return oneLine(cut(name));
}

/** The same in quotation marks; what is no name at all as it is. */
export function quotedName(name: unknown): string {
  // JSON leaves some of what terminals act on.
  if (typeof name === "string") return oneLine(JSON.stringify(cut(name)));
  return typeof name === "object" && name !== null ? "an object" : oneLine(String(name));
}

function cut(name: string): string {
  return name.length <= CHARACTERS_MAX ? name : `${name.slice(0, CHARACTERS_SHOWN)}…`;
}

/**
 * `shownName` for those who show the same name again and again: a refusal costs little more than its sentence, and
 * to look for what must be escaped would be a tenth of it.
 */
export class ShownName {
  #name = "";
  #shown = "";

  of(name: string): string {
    if (name !== this.#name) {
      this.#shown = shownName(name);
      this.#name = name;
    }
    return this.#shown;
  }
}
