// The chain of one upstream's audits: each row has the hash of the row before it in its own, so that one that is
// changed, left out or put in between later is found. It finds what was done by somebody who did not write the
// rest anew, too; whoever can do that can only be found by a hash that stands elsewhere, such as in the log.

import { hash } from "node:crypto";
import type { AuditEntry } from "../pipeline/ports.ts";

/** What stands before the first row. */
export const CHAIN_START = "";

/** What somebody knows before the store has handed out a version, in 64 hexadecimal digits. */
export function auditDigest(
  { upstream, action, reason, actor, at, forced }: AuditEntry,
  replica: string,
): string {
  const content = [upstream, action, reason, actor, at, forced, replica];
  return hash("sha256", JSON.stringify(content));
}

/** SHA-1, since it is what a Redis script has; what people wrote is in a SHA-256. */
export function chainHash(before: string, digest: string, version: number): string {
  return hash("sha1", `${before}\n${digest}\n${version}`);
}
