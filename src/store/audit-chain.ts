// The chain of one upstream's audits: each row has the hash of the row before it in its own, so that one that is
// changed, left out or put in between later is found. It finds what was done by somebody who did not write the
// rest anew, too; whoever can do that can only be found by a hash that stands elsewhere, such as in the log.

import { createHash } from "node:crypto";
import type { AuditEntry } from "../pipeline/ports.ts";

/** What stands before the first row. */
export const CHAIN_START = "";

/** A row's content, in 64 hexadecimal digits. */
export function auditDigest(
  { upstream, action, reason, actor, at, forced }: AuditEntry,
  { replica, version }: { readonly replica: string; readonly version: number },
): string {
  const content = [upstream, action, reason, actor, at, forced, replica, version];
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

/** SHA-1, since it is what a Redis script has; what is hashed is a SHA-256 each. */
export function chainHash(before: string, digest: string): string {
  return createHash("sha1").update(`${before}\n${digest}`).digest("hex");
}
