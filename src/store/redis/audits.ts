// The stream of an upstream's audits, as entries and as a chain.

import { AUDIT_ACTIONS, type AuditAction, type AuditEntry } from "../../pipeline/ports.ts";
import type { ChainedAudit, ChainReport } from "../../pipeline/fleet-port.ts";
import { auditDigest, CHAIN_START, chainHash } from "../audit-chain.ts";
import { numberOf, parsed } from "./fields.ts";

/** One entry of the stream; what cannot be read is undefined. */
export interface StreamRow {
  /** Of the store's own clock, and never twice: the order in which they were written. */
  readonly id: string;
  readonly audit: ChainedAudit | undefined;
  readonly before: string;
  /** What follows from what stands in it. */
  readonly expectedHash: string;
}

/** What the script is told of each: content and digest. */
export function auditArguments(audits: readonly AuditEntry[], replica: string): string[] {
  return audits.flatMap((audit) => {
    const { upstream, action, reason, actor, at, forced } = audit;
    const content = JSON.stringify([upstream, action, reason, actor, at, forced]);
    return [content, auditDigest(audit, replica)];
  });
}

export function streamRows(answer: unknown): StreamRow[] {
  if (!Array.isArray(answer)) return [];
  return answer.flatMap((entry: unknown) => {
    if (!Array.isArray(entry)) return [];
    const [id, flat] = entry as unknown[];
    return typeof id === "string" && Array.isArray(flat) ? [streamRow(id, flat)] : [];
  });
}

function streamRow(id: string, flat: readonly unknown[]): StreamRow {
  const fields = new Map<unknown, unknown>();
  for (let index = 0; index + 1 < flat.length; index += 2) fields.set(flat[index], flat[index + 1]);
  const replica = textOf(fields.get("r"));
  const version = numberOf(fields.get("v"));
  const hash = textOf(fields.get("h"));
  const before = textOf(fields.get("b"));
  const entry = entryOf(parsed(fields.get("a")));
  if (entry === undefined) return { id, audit: undefined, before, expectedHash: "" };
  return {
    id,
    audit: { ...entry, replica, version, hash },
    before,
    expectedHash: chainHash(before, auditDigest(entry, replica), version),
  };
}

function entryOf(content: unknown): AuditEntry | undefined {
  if (!Array.isArray(content)) return undefined;
  const [upstream, action, reason, actor, at, forced] = content as unknown[];
  const isEntry =
    typeof upstream === "string" &&
    isAction(action) &&
    typeof reason === "string" &&
    typeof actor === "string" &&
    typeof at === "number" &&
    typeof forced === "boolean";
  return isEntry ? { upstream, action, reason, actor, at, forced } : undefined;
}

function isAction(value: unknown): value is AuditAction {
  return AUDIT_ACTIONS.some((action) => action === value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Newer first. */
export function compareIds(a: string, b: string): number {
  const [aMs = "", aCount = ""] = a.split("-");
  const [bMs = "", bCount = ""] = b.split("-");
  return Number(bMs) - Number(aMs) || Number(bCount) - Number(aCount);
}

/** Reads a chain from its first row on; `end` says what was found. */
export class ChainWalk {
  readonly #upstream: string;
  #rows = 0;
  #last: string | undefined = undefined;
  #isShortened = false;
  #broken: ChainReport["brokenAt"] = undefined;
  #hasSeenEnd = false;
  /** What the store says the newest row's hash is, when the walk began. */
  readonly #end: string;

  constructor(upstream: string, end: string) {
    this.#upstream = upstream;
    this.#end = end;
    this.#hasSeenEnd = end === CHAIN_START;
  }

  take({ audit, before, expectedHash }: StreamRow): void {
    this.#rows += 1;
    const hash = audit?.hash;
    if (hash === this.#end) this.#hasSeenEnd = true;
    if (this.#broken !== undefined) return;
    if (audit === undefined) this.#breakAt("it cannot be read");
    else if (audit.upstream !== this.#upstream) this.#breakAt("it is of another upstream");
    else if (this.#last !== undefined && before !== this.#last) {
      this.#breakAt("it does not follow from the row before it: one was changed, added or deleted");
    } else if (hash !== expectedHash) this.#breakAt("its content is not what was written");
    if (this.#last === undefined) this.#isShortened = before !== CHAIN_START;
    this.#last = hash ?? "";
  }

  report(): ChainReport {
    const isCut = this.#broken === undefined && !this.#hasSeenEnd;
    if (isCut) {
      const why = "the newest row is not the last that was written: rows after it were deleted";
      this.#broken = { row: this.#rows, why };
    }
    return {
      upstream: this.#upstream,
      rows: this.#rows,
      isShortened: this.#isShortened,
      brokenAt: this.#broken,
    };
  }

  #breakAt(why: string): void {
    this.#broken = { row: this.#rows, why };
  }
}
