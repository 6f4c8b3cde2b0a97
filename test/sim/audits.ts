// The audits that one process owes, in the order in which their reasons happened.

import type { AuditEntry } from "../../src/pipeline/ports.ts";
import type { Journal } from "./journal.ts";

interface Expected {
  readonly upstream: string;
  /** What is known of it beforehand. */
  readonly audit: Partial<AuditEntry>;
}

export class Audits {
  readonly #journal: Journal;
  readonly #process: number;
  readonly #expected: Expected[] = [];
  #committed = 0;

  constructor(journal: Journal, process: number) {
    this.#journal = journal;
    this.#process = process;
  }

  get pending(): number {
    return this.#expected.length - this.#committed;
  }

  expect(upstream: string, audit: Partial<AuditEntry>): void {
    this.#expected.push({ upstream, audit });
  }

  committed(entry: AuditEntry): void {
    const { upstream, action, actor, reason } = entry;
    this.#journal.note("audited", this.#process, upstream, action, actor, reason);
    const expected = this.#expected[this.#committed];
    this.#committed += 1;
    if (expected !== undefined && matches(expected, entry)) return;
    this.#journal.break(
      "the audit is what was ordered, in order",
      `${action} of ${upstream} by ${actor}, expected ${expected?.audit.action ?? "none"} of ${expected?.upstream ?? "none"} by ${expected?.audit.actor ?? "nobody"}`,
    );
  }
}

function matches({ upstream, audit }: Expected, entry: AuditEntry): boolean {
  return (
    upstream === entry.upstream &&
    audit.action === entry.action &&
    audit.actor === entry.actor &&
    (audit.reason === undefined || audit.reason === entry.reason)
  );
}
