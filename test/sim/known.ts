// What a handle last read or wrote, as the SQLite store remembers it: what a file that it finds to be
// another one lacks of this, or has from an older commit, is written back.

import type { AuditEntry, StoreChange } from "../../src/pipeline/ports.ts";
import type { DiskFile, Row } from "./disk.ts";

/** As in SQLite: audits that are written again. */
const AUDITS_MAX = 200;

export class Known {
  readonly rows = new Map<string, Row>();
  readonly #audits: AuditEntry[] = [];
  /** The highest number of a commit, by anybody. */
  revision = 0;

  read(file: DiskFile): void {
    for (const [name, row] of file.rows) {
      if (row.revision >= (this.rows.get(name)?.revision ?? 0)) this.rows.set(name, row);
      this.revision = Math.max(this.revision, row.revision);
    }
  }

  remember(audits: readonly AuditEntry[]): void {
    this.#audits.push(...audits);
    this.#audits.splice(0, this.#audits.length - AUDITS_MAX);
  }

  /** The number of a commit that is about to be written. */
  next(file: DiskFile, { breakers }: StoreChange): number {
    const newest = [...file.rows.values()].map(({ revision }) => revision);
    return Math.max(this.revision, ...newest) + (breakers.length > 0 ? 1 : 0);
  }

  /** Whether the file lacked anything. */
  restore(file: DiskFile): boolean {
    let lacked = false;
    for (const [name, row] of this.rows) {
      if ((file.rows.get(name)?.revision ?? 0) >= row.revision) continue;
      file.rows.set(name, row);
      lacked = true;
    }
    for (const audit of this.#audits) {
      if (file.audits.includes(audit)) continue;
      file.audits.push(audit);
      lacked = true;
    }
    return lacked;
  }
}
