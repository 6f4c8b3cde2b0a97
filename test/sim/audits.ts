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
  /** Passed over by those that came after them: the store must have refused them, and it must be told. */
  readonly #missing: Expected[] = [];
  #committed = 0;

  readonly #mayRefuse: boolean;

  constructor(journal: Journal, process: number, mayRefuse: boolean) {
    this.#mayRefuse = mayRefuse;
    this.#journal = journal;
    this.#process = process;
  }

  get pending(): number {
    return this.#expected.length - this.#committed + this.#missing.length;
  }

  expect(upstream: string, audit: Partial<AuditEntry>): void {
    this.#expected.push({ upstream, audit });
  }

  committed(entry: AuditEntry): void {
    const { upstream, action, actor, reason } = entry;
    this.#journal.note("audited", this.#process, upstream, action, actor, reason);
    const ahead = this.#expected.slice(this.#committed).findIndex((one) => matches(one, entry));
    if (this.#mayRefuse && ahead > 0) {
      this.#missing.push(...this.#expected.slice(this.#committed, this.#committed + ahead));
      this.#committed += ahead;
    }
    const expected = this.#expected[this.#committed];
    this.#committed += 1;
    if (expected !== undefined && matches(expected, entry)) return;
    this.#journal.break(
      "the audit is what was ordered, in order",
      `${action} of ${upstream} by ${actor}, expected ${expected?.audit.action ?? "none"} of ${expected?.upstream ?? "none"} by ${expected?.audit.actor ?? "nobody"}`,
    );
  }

  /** The store refused it for good, and that was told. */
  refused(entry: Pick<AuditEntry, "upstream" | "actor" | "reason"> & { action: string }): void {
    this.#journal.note("refused audit", this.#process, entry.upstream, entry.action);
    const index = this.#missing.findIndex((one) => matches(one, entry));
    if (index >= 0) {
      this.#missing.splice(index, 1);
      return;
    }
    const waiting = this.#expected.findIndex(
      (one, at) => at >= this.#committed && matches(one, entry),
    );
    if (waiting >= 0) this.#expected.splice(waiting, 1);
    else {
      this.#journal.break(
        "only what was ordered is refused",
        `${entry.action} of ${entry.upstream} by ${entry.actor}`,
      );
    }
  }
}

function matches(
  { upstream, audit }: Expected,
  entry: Pick<AuditEntry, "upstream" | "actor" | "reason"> & { readonly action: string },
): boolean {
  return (
    upstream === entry.upstream &&
    audit.action === entry.action &&
    audit.actor === entry.actor &&
    (audit.reason === undefined || audit.reason === entry.reason)
  );
}
