// A fleet's store as it ought to be: the pure functions of row.ts, and nothing between a question and its answer.
// What the scripts of a real one do is held to this. It can be copied, as a follower copies its leader.

import { createHash } from "node:crypto";
import {
  compareBreakers,
  compareModes,
  isBehind,
  isInForce,
  mergeRows,
  nextVersion,
  seenOf,
  versionOf,
  type BreakerPart,
  type FleetRow,
} from "../../../src/core/fleet/row.ts";
import { StoreError } from "../../../src/core/errors.ts";
import {
  BEHIND,
  type ChainedAudit,
  type FleetAnswer,
  type FleetChange,
  type ReplicaView,
} from "../../../src/pipeline/fleet-port.ts";
import type { AuditEntry } from "../../../src/pipeline/ports.ts";

/** What may be spoilt, to see whether it is noticed. */
export const STORE_RULES = {
  isInForce,
  isBehind,
  mergeRows,
  nextVersion,
  /** Whether a change that comes again counts once. */
  dedupes: true,
  /** Whether what is written back keeps its version. */
  keepsVersions: true,
  /** Whether what one replica reports again counts once. */
  countsReplicas: true,
  /** A report counts for so long, unless it comes again. */
  reportMs: 600_000,
};

export type StoreRules = typeof STORE_RULES;

const FAR = 1_000_000;

export interface Push {
  /** One higher than the one before it. */
  readonly number: number;
  readonly row: FleetRow;
  readonly receipt: string | undefined;
}

export interface WrittenAudit extends AuditEntry {
  readonly replica: string;
  readonly version: number;
}

export class ModelStore {
  rows = new Map<string, FleetRow>();
  /** By upstream, oldest first. */
  audits = new Map<string, WrittenAudit[]>();
  /** How many rows were pushed: whoever got fewer has missed some. */
  pushes = 0;
  readonly subscribers = new Set<(push: Push) => void>();
  #answers = new Map<string, boolean>();
  /** When replicas have reported that their breaker tripped by itself, where a quorum is asked for. */
  readonly #reports = new Map<string, Map<string, number>>();
  readonly #turns = new Map<string, number>();
  readonly #views = new Map<string, { readonly breakers: ReplicaView["breakers"]; atMs: number }>();
  readonly #rules: StoreRules;

  constructor(rules: StoreRules = STORE_RULES) {
    this.#rules = rules;
  }

  /** Throws `StoreError` of the code `BEHIND` where it lacks what the giver has seen: it lost something. */
  commit(change: FleetChange, replica: string, nowMs: number): FleetAnswer {
    const { upstream, id, seen, breaker, mode, audits, wantsReceipts } = change;
    const stored = this.rows.get(upstream);
    const before: FleetRow = stored ?? { upstream, breaker: undefined, mode: undefined };
    const answered = this.#rules.dedupes ? this.#answers.get(id) : undefined;
    if (answered !== undefined) return { isInForce: answered, row: before };
    if (this.#rules.isBehind(stored, seen)) {
      throw new StoreError(BEHIND, `what ${replica} has seen of ${upstream} is not stored here`);
    }

    const version = this.#rules.nextVersion(stored, seen);
    let part: BreakerPart | undefined;
    if (breaker !== undefined) {
      const { isByPerson, isTrip, snapshot } = breaker;
      if (
        this.#isReported(upstream, replica, nowMs, breaker) &&
        this.#rules.isInForce(before.breaker, { isByPerson, isTrip, seen })
      ) {
        const order = { id, version, isTrip };
        part = { person: isByPerson ? order : before.breaker?.person, order, snapshot };
      }
    }
    const row: FleetRow = {
      upstream,
      breaker: part ?? before.breaker,
      mode: mode === undefined ? before.mode : { order: { id, version, isTrip: false }, ...mode },
    };
    const isChanged = part !== undefined || mode !== undefined;
    const answer = { isInForce: isChanged || breaker === undefined, row };
    this.#answers.set(id, answer.isInForce);
    this.#write(upstream, audits, { replica, version: versionOf(row) });
    if (isChanged) this.#put(row, wantsReceipts ? id : undefined);
    return answer;
  }

  read(upstreams: readonly string[]): (FleetRow | undefined)[] {
    return upstreams.map((name) => this.rows.get(name));
  }

  restore(rows: readonly FleetRow[]): void {
    for (const row of rows) {
      const stored = this.rows.get(row.upstream);
      const empty = { upstream: row.upstream, breaker: undefined, mode: undefined };
      const given = this.#rules.keepsVersions ? row : raised(row, stored);
      const merged = this.#rules.mergeRows(stored ?? empty, given);
      const isNew =
        compareBreakers(merged.breaker, stored?.breaker) !== 0 ||
        compareModes(merged.mode, stored?.mode) !== 0;
      if (isNew) this.#put(merged, undefined);
    }
  }

  turn(
    upstream: string,
    when: { readonly inMs: number; readonly spacingMs: number; readonly windowMs: number },
    nowMs: number,
  ): number {
    const due = nowMs + when.inMs;
    const next = Math.max(due, (this.#turns.get(upstream) ?? 0) + when.spacingMs);
    const turn = next > due + when.windowMs ? due : next;
    this.#turns.set(upstream, turn);
    return turn - due;
  }

  present(replica: string, breakers: ReplicaView["breakers"], nowMs: number): ReplicaView[] {
    this.#views.set(replica, { breakers, atMs: nowMs });
    return [...this.#views].map(([name, view]) => ({
      replica: name,
      ageMs: nowMs - view.atMs,
      breakers: view.breakers,
    }));
  }

  /** Newest first. */
  history(upstreams: readonly string[], limit: number): ChainedAudit[] {
    const found: ChainedAudit[] = [];
    for (const name of upstreams) {
      let hash = "";
      for (const audit of this.audits.get(name) ?? []) {
        hash = createHash("sha1").update(hash).update(JSON.stringify(audit)).digest("hex");
        found.push({ ...audit, hash });
      }
    }
    return found.toSorted((a, b) => b.at - a.at || b.version - a.version).slice(0, limit);
  }

  /** As it stands now, with nobody listening. */
  copy(): ModelStore {
    const copy = new ModelStore(this.#rules);
    copy.rows = new Map(this.rows);
    copy.audits = new Map([...this.audits].map(([name, audits]) => [name, [...audits]]));
    copy.#answers = new Map(this.#answers);
    copy.pushes = this.pushes;
    return copy;
  }

  /** As `FLUSHALL` does: those who listen still do. */
  flush(): void {
    this.rows.clear();
    this.audits.clear();
    this.#answers.clear();
    this.#views.clear();
    this.#reports.clear();
    this.#turns.clear();
    // Counted from where nobody has counted yet: whoever listens sees that it is another count.
    this.pushes += FAR;
  }

  #isReported(
    upstream: string,
    replica: string,
    nowMs: number,
    { isByPerson, isTrip, reporters }: NonNullable<FleetChange["breaker"]>,
  ): boolean {
    if (isByPerson) this.#reports.delete(upstream);
    if (isByPerson || reporters <= 1) return true;
    const reports = this.#reports.get(upstream) ?? new Map<string, number>();
    this.#reports.set(upstream, reports);
    for (const [reporter, atMs] of reports) {
      if (atMs + this.#rules.reportMs <= nowMs) reports.delete(reporter);
    }
    const reporter = this.#rules.countsReplicas ? replica : `${replica} ${reports.size}`;
    if (isTrip) reports.set(reporter, nowMs);
    else reports.delete(reporter);
    return reports.size >= reporters === isTrip;
  }

  #write(
    upstream: string,
    audits: readonly AuditEntry[],
    by: { readonly replica: string; readonly version: number },
  ): void {
    if (audits.length === 0) return;
    const written = this.audits.get(upstream) ?? [];
    written.push(...audits.map((audit) => ({ ...audit, ...by })));
    this.audits.set(upstream, written);
  }

  #put(row: FleetRow, receipt: string | undefined): void {
    this.rows.set(row.upstream, row);
    this.pushes += 1;
    for (const subscriber of this.subscribers) {
      subscriber({ number: this.pushes, row, receipt });
    }
  }
}

/** Spoilt: as if it had been ordered now. */
function raised(row: FleetRow, stored: FleetRow | undefined): FleetRow {
  const { breaker } = row;
  if (breaker === undefined) return row;
  const order = { ...breaker.order, version: nextVersion(stored, seenOf(row)) };
  const isByPerson = breaker.person?.id === order.id;
  return { ...row, breaker: { ...breaker, order, person: isByPerson ? order : breaker.person } };
}
