// What a store last read from its file or wrote to it, and what a file that was reopened lacks of it.
// Each row has the number of the commit that wrote it: a file that gives an older one back has lost what
// was written since, a newer one is another process's, and one that changed under the same number is the
// work of a program or a person who counts none.

import type { StoredBreaker } from "../pipeline/ports.ts";
import { appendAudit, hasAudit, type WrittenAudit } from "./sqlite-chain.ts";
import { isRefusal } from "./sqlite-errors.ts";
import type { SqliteStatement } from "./sqlite-handle.ts";
import * as rows from "./sqlite-rows.ts";
import type { StoredRow } from "./sqlite-rows.ts";

type Prepare = (sql: string) => SqliteStatement;

/** Audits that are written again when the file lost them: what happened just before. */
export const AUDITS_MAX = 200;

export class Known {
  #rows = new Map<string, StoredRow>();
  readonly #audits: WrittenAudit[] = [];
  /** Upstreams whose rows the file refused when they were written back. */
  readonly #refused = new Set<string>();
  /** The highest number of a commit, by anybody. */
  revision = 0;

  get hasRefused(): boolean {
    return this.#refused.size > 0;
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }

  /**
   * Takes over what the file says, but for what it has lost; with `keeps` also what it does not say.
   * Gives whether it has lost anything.
   */
  read(found: readonly StoredRow[], keeps: boolean): boolean {
    const newest = found.reduce((most, { revision }) => Math.max(most, revision), 0);
    const isCounted = found.length === 0 || newest > 0;
    const isBehind = isCounted && newest < this.revision;
    const refused = [...this.#rows].filter(([upstream]) => this.#refused.has(upstream));
    const known = new Map(keeps || isBehind ? this.#rows : refused);
    let lacks = false;
    for (const row of found) {
      const { upstream } = row.stored;
      const before = this.#rows.get(upstream);
      const isLost = before !== undefined && row.revision > 0 && row.revision < before.revision;
      lacks ||= isLost;
      known.set(upstream, isLost ? before : isForeign(row, before) ? withoutPlaces(row) : row);
    }
    this.#rows = known;
    this.revision = Math.max(this.revision, newest);
    const names = new Set(found.map(({ stored }) => stored.upstream));
    const isMissing = (name: string): boolean => !names.has(name) && !this.#refused.has(name);
    return lacks || [...known.keys()].some(isMissing);
  }

  /** Whether a file that was opened anew has lost what it was given. */
  isLostIn(found: readonly StoredRow[], prepare: Prepare): boolean {
    const there = new Map(found.map(({ stored, revision }) => [stored.upstream, revision]));
    for (const [upstream, { revision }] of this.#rows) {
      if (this.#refused.has(upstream)) continue;
      const at = there.get(upstream);
      if (at === undefined || (at > 0 && at < revision)) return true;
    }
    const audit = this.#audits.at(-1);
    return audit !== undefined && !hasAudit(prepare, audit);
  }

  /** Audits, newest first, that others wrote and the file may be about to lose; what it lost already stays known. */
  remember(audits: readonly WrittenAudit[]): void {
    const there = new Set(audits.map(keyOf));
    const lost = this.#audits.filter((audit) => !there.has(keyOf(audit)));
    this.#audits.splice(0, this.#audits.length, ...audits.toReversed(), ...lost);
  }

  /** What is known is newer than what a broken file says. */
  salvage(found: readonly StoredRow[]): void {
    for (const row of found) {
      if (!this.#rows.has(row.stored.upstream)) this.#rows.set(row.stored.upstream, row);
    }
  }

  /** To be called inside a transaction. */
  write(
    prepare: Prepare,
    breakers: readonly StoredBreaker[],
    { wallMs, revision }: { readonly wallMs: number; readonly revision: number },
  ): readonly StoredRow[] {
    return breakers.map((stored) => {
      const params = rows.stateParams(stored, wallMs, revision);
      rows.mustChange(prepare(rows.UPSERT_STATE).run(...params), stored.upstream);
      return { stored, revision, print: rows.printOf(params) };
    });
  }

  /** What `write` gave, once it is committed. */
  wrote(written: readonly StoredRow[], audits: readonly WrittenAudit[], revision: number): void {
    for (const row of written) {
      this.#rows.set(row.stored.upstream, row);
      this.#refused.delete(row.stored.upstream);
    }
    this.revision = revision;
    this.#audits.push(...audits.slice(-AUDITS_MAX));
    this.#audits.splice(0, this.#audits.length - AUDITS_MAX);
  }

  /**
   * Writes what the file lacks; what it refuses holds back nothing else, and is tried again by
   * `restoreRefused`. To be called inside a transaction.
   */
  restore(prepare: Prepare, wallMs: number): void {
    this.#refused.clear();
    for (const upstream of this.#rows.keys()) this.#restoreRow(prepare, upstream, wallMs);
    const audits = this.#audits.slice();
    for (const audit of audits) {
      const isTaken = takes(() => {
        // At the end of the chain that is there, by whom and about what it was first written.
        if (!hasAudit(prepare, audit)) appendAudit(prepare, audit);
      });
      if (!isTaken) this.#audits.splice(this.#audits.indexOf(audit), 1);
    }
  }

  restoreRefused(prepare: Prepare, wallMs: number): void {
    const refused = Array.from(this.#refused);
    for (const upstream of refused) this.#restoreRow(prepare, upstream, wallMs);
  }

  #restoreRow(prepare: Prepare, upstream: string, wallMs: number): void {
    const row = this.#rows.get(upstream);
    this.#refused.delete(upstream);
    if (row === undefined) return;
    const { stored, revision } = row;
    const isTaken = takes(() => {
      prepare(rows.RESTORE_STATE).run(...rows.stateParams(stored, wallMs, revision));
    });
    if (!isTaken) this.#refused.add(upstream);
    // Dated anew where it was written: not to be taken for somebody else's change.
    this.#rows.set(upstream, { stored, revision, print: undefined });
  }

  all(): readonly StoredBreaker[] {
    return [...this.#rows.values()].map(({ stored }) => stored);
  }

  clear(): void {
    this.#rows.clear();
    this.#refused.clear();
    this.#audits.length = 0;
  }
}

function keyOf(audit: WrittenAudit): string {
  return JSON.stringify(rows.auditParams(audit).slice(0, 5));
}

function takes(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

function isForeign(row: StoredRow, before: StoredRow | undefined): boolean {
  if (row.revision === 0 || row.revision !== before?.revision) return false;
  return before.print !== undefined && before.print !== row.print;
}

function withoutPlaces({ stored, revision, print }: StoredRow): StoredRow {
  const { places: _places, ...rest } = stored;
  return { stored: rest, revision, print };
}
