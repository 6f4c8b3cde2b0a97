// Names as label values. Names come from configurations, libraries and HTTP headers, so they may be
// of any length and hold anything; a label value is bounded, printable and well-formed Unicode.

import { createHash } from "node:crypto";

/** The common case, which is its own label value. */
const PLAIN = /^[\x20-\x7e]{1,128}$/;

const CODE_POINTS_MAX = 128;

/**
 * Prometheus can be told to refuse a whole scrape for one label value of more than so many bytes;
 * our monitor says 256. The suffix must fit too.
 */
const BYTES_MAX = 240;

const HASH_CHARACTERS = 8;

// A newline is legal and escaped by every exporter; other control characters break terminals and
// some parsers. Lone surrogates have no UTF-8.
// oxlint-disable-next-line no-control-regex -- they are what it looks for
const UNPRINTABLE = /[\0-\t\v-\x1f\x7f]/g;

/** The label value of a name. A name that had to be changed is told from its like by a hash. */
export function labelValue(name: string): string {
  if (PLAIN.test(name)) return name;
  const printable = name.toWellFormed().replace(UNPRINTABLE, "\ufffd");
  const short = cut(printable);
  return short === name ? name : `${short}~${hashOf(name)}`;
}

function cut(text: string): string {
  let codePoints = 0;
  let bytes = 0;
  let length = 0;
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    codePoints += 1;
    bytes += utf8Bytes(codePoint);
    if (codePoints > CODE_POINTS_MAX || bytes > BYTES_MAX) break;
    length += character.length;
  }
  return text.slice(0, length);
}

function utf8Bytes(codePoint: number): number {
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x1_0000 ? 3 : 4;
}

function hashOf(name: string): string {
  // UTF-16, in which lone surrogates differ.
  const hash = createHash("sha256").update(Buffer.from(name, "utf16le"));
  return hash.digest("hex").slice(0, HASH_CHARACTERS);
}
