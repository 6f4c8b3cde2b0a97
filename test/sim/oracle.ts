// What a breaker should do, told naively. An oracle is asked everything that its machine is asked,
// at the same moments, and their answers are compared. It reads the clock itself: whether a machine
// may be told a wrong time, because it does not look at it, is one of the questions.

import type { Failure, Instant } from "../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import type { OutcomeKind } from "../../src/core/outcome.ts";

/** What an oracle remembers of one admission. Opaque to everybody else. */
export type Token = object;

/** Who should be found in the audit for what the breaker just did. */
export interface ExpectedAudit {
  readonly action: "TRIP" | "RESET" | "RESET_DENIED";
  readonly actor: string;
  /** Undefined where the machine words it. */
  readonly reason?: string;
}

/** What can be compared, by name; the names are those of the machine's snapshot. */
export type Facts = Readonly<Record<string, string | number | boolean | null>>;

export interface Oracle {
  /** What happened since it was last emptied. */
  readonly audits: ExpectedAudit[];
  /** Closed, or with calls let in as calls and not as probes. */
  readonly isTripped: boolean;
  readonly manual: boolean;
  /** Facts may differ by this share of themselves; none where it is not given. */
  readonly tolerance?: number;
  /** Whether it can no longer say what is right. */
  readonly isUncertain?: boolean;
  /** Undefined when the call must be refused. */
  admit(at: Instant): Token | undefined;
  /** False when the result is late. */
  ok(token: Token, latencyMs: number, at: Instant): boolean;
  failed(token: Token, failure: Failure, latencyMs: number, at: Instant): boolean;
  ignored(token: Token, at: Instant): void;
  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void;
  trip(reason: string, actor: string, at: Instant): void;
  /** Whether the reset must be accepted. */
  reset(reason: string, actor: string, force: boolean, at: Instant): boolean;
  restore(snapshot: BreakerSnapshot, at: Instant): void;
  facts(at: Instant): Facts;
}

/** Both machines weigh the newest sample so; a late one must not be seen in it. */
const LATENCY_ALPHA = 0.2;

export class Average {
  value: number | null = null;

  add(latencyMs: number): void {
    if (!(latencyMs >= 0 && latencyMs < Number.POSITIVE_INFINITY)) return;
    this.value =
      this.value === null ? latencyMs : this.value + LATENCY_ALPHA * (latencyMs - this.value);
  }
}
