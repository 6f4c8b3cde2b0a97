// Text that strangers wrote, made fit for one line of a log or of an error: upstreams' errors, callers' operation
// names, operators' reasons. A newline in them would forge a line; an escape sequence would speak to
// the reader's terminal; a direction mark would show another text than the one that is there.

// C0 and C1 controls, DEL, line and paragraph separators, and the marks that turn the direction.
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- they are what it looks for
  /[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text on one line, with what cannot be shown written as an escape. */
export function oneLine(text: string): string {
  return text.toWellFormed().replace(UNSAFE, escape);
}

function escape(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
