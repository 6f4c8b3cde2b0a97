// How long a name may be that is kept. Names of operations and of upstreams come from callers' requests where a
// host passes them on, and each is kept, logged and shown for as long as the process lives.

import { createHash } from "node:crypto";

/** A name of more UTF-16 units than this is cut, or refused where a person wrote it. */
export const NAME_LENGTH_MAX = 256;

/** With the hash 128 characters, which metrics show as they are. */
const LENGTH_KEPT = 111;

/** So many that nobody finds two names of which both are kept as one. */
const HASH_CHARACTERS = 16;

/** The name under which a name is kept: itself, unless it is too long. Different names stay different. */
export function boundedName(name: string): string {
  if (typeof name !== "string" || name.length <= NAME_LENGTH_MAX) return name;
  // UTF-16, in which lone surrogates differ.
  const bytes = Buffer.from(name, "utf16le");
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, HASH_CHARACTERS);
  // By way of bytes: a piece of a string keeps the whole of it.
  const kept = bytes.subarray(0, LENGTH_KEPT * 2).toString("utf16le");
  return `${kept}~${hash}`;
}
