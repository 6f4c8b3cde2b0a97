// Stands between a guard and its machine: gives every admission a ticket of its own, so that each
// can be told from all others, asks the oracle the same question, and compares what they say.
//
// The machine is the real one: its own methods are wrapped in place. What goes wrong is reported and
// never thrown, since an exception in here would be mistaken for a fault of the store or a classifier.

import { REFUSED, type BreakerMachine, type Instant } from "../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import { UNTRACKED } from "../../src/pipeline/orders.ts";
import type { Journal } from "./journal.ts";
import type { Ledger, Verdict } from "./ledger.ts";
import type { ExpectedAudit, Token } from "./oracle.ts";

export interface Watcher {
  readonly journal: Journal;
  /** Whether the machine may be read, to compare it with the oracle. */
  readonly compares: boolean;
  at(): Instant;
  /** The call that is being admitted. */
  calling(): Verdict | undefined;
  /** A machine is about to be asked for an admission, and has given one. */
  readonly asking?: (ledger: Ledger, nowMs: number) => void;
  readonly admitted?: (ledger: Ledger, verdict: Verdict | undefined, nowMs: number) => void;
  /** An order, or what a machine did of itself. */
  ordered(ledger: Ledger, audit: ExpectedAudit): void;
  restored(ledger: Ledger, snapshot: BreakerSnapshot): void;
}

interface Admitted {
  readonly inner: number;
  readonly token: Token | undefined;
  readonly call: Verdict | undefined;
  /** The epoch of a probe; undefined for any other call. */
  readonly probeOf: number | undefined;
  readonly atMs: number;
  isSettled: boolean;
}

/** Wraps the ledger's machine. */
export function watch(ledger: Ledger, watcher: Watcher): void {
  const { machine } = ledger;
  const { journal } = watcher;
  const admitted: Admitted[] = [];
  const real = {
    admit: machine.admit.bind(machine),
    settleOk: machine.settleOk.bind(machine),
    settleFailed: machine.settleFailed.bind(machine),
    settleIgnored: machine.settleIgnored.bind(machine),
    record: machine.record.bind(machine),
    trip: machine.trip.bind(machine),
    reset: machine.reset.bind(machine),
    restore: machine.restore.bind(machine),
  };

  const compare = (what: string): void => {
    if (ledger.oracle?.isUncertain === true) ledger.oracle = undefined;
    const audits = ledger.oracle?.audits.splice(0) ?? auditsOf(machine);
    for (const audit of audits) watcher.ordered(ledger, audit);
    if (watcher.compares) compareFacts(ledger, watcher.at(), what, journal);
  };

  const unknown = (what: string, ticket: number): void =>
    journal.break("every settlement has an admission", `${what} of ticket ${ticket}`);

  const told = (one: Admitted | undefined, as: NonNullable<Verdict["toldAs"]>): void => {
    if (one !== undefined) one.isSettled = true;
    const call = one?.call;
    if (call === undefined) return;
    call.told += 1;
    call.averageMs = machine.snapshot(watcher.at()).avgLatencyMs;
    call.toldAs = as;
    if (call.told > 1) journal.break("one verdict per ticket", `call ${call.id} told twice`);
  };

  const isLate = (what: string, isCounted: boolean, isExpected: boolean | undefined): void => {
    if (isExpected === undefined || isCounted === isExpected) return;
    journal.break(
      "late results change nothing",
      `${what}: counted ${isCounted}, expected ${isExpected}`,
    );
  };

  machine.admit = (nowMs) => {
    const at = watcher.at();
    watcher.asking?.(ledger, at.nowMs);
    const expected = ledger.oracle?.admit(at);
    const inner = real.admit(nowMs);
    const isLetIn = inner !== REFUSED;
    if (ledger.oracle !== undefined && isLetIn !== (expected !== undefined)) {
      const verdict = isLetIn ? "admitted" : "refused";
      journal.break(broken(ledger, isLetIn), `${ledger.name} ${verdict} while ${machine.state}`);
    }
    if (isLetIn && isLatched(ledger)) {
      journal.break("nothing is admitted while latched", `${ledger.name} while ${machine.state}`);
    }
    compare("admit");
    if (!isLetIn) return REFUSED;
    const call = watcher.calling();
    const probeOf = machine.state === "half-open" ? machine.epoch : undefined;
    const ticket =
      admitted.push({
        inner,
        token: expected,
        call,
        probeOf,
        atMs: at.nowMs,
        isSettled: false,
      }) - 1;
    if (probeOf !== undefined) countProbes(ledger, admitted, at.nowMs, journal);
    if (call !== undefined) call.ticket = ticket;
    watcher.admitted?.(ledger, call, at.nowMs);
    return ticket;
  };

  machine.settleOk = (ticket, latencyMs, nowMs, wallMs) => {
    const one = admitted[ticket];
    if (one === undefined) unknown("success", ticket);
    told(one, "ok");
    if (one?.call !== undefined) one.call.toldLatencyMs = latencyMs;
    const isCounted = real.settleOk(one?.inner ?? ticket, latencyMs, nowMs, wallMs);
    const isExpected =
      one?.token === undefined ? undefined : ledger.oracle?.ok(one.token, latencyMs, watcher.at());
    isLate("success", isCounted, isExpected);
    if (!(isExpected ?? isCounted)) ledger.tally.lateOk += 1;
    compare("success");
    return isCounted;
  };

  machine.settleFailed = (ticket, failure, latencyMs, at) => {
    const one = admitted[ticket];
    if (one === undefined) unknown("failure", ticket);
    told(one, "failed");
    if (one?.call !== undefined) {
      one.call.toldFailure = failure;
      one.call.toldLatencyMs = latencyMs;
    }
    const isCounted = real.settleFailed(one?.inner ?? ticket, failure, latencyMs, at);
    const isExpected =
      one?.token === undefined
        ? undefined
        : ledger.oracle?.failed(one.token, failure, latencyMs, watcher.at());
    isLate("failure", isCounted, isExpected);
    if (!(isExpected ?? isCounted)) ledger.tally.lateFailed += 1;
    compare("failure");
    return isCounted;
  };

  machine.settleIgnored = (ticket, nowMs) => {
    const one = admitted[ticket];
    // An endpoint's machine is told of a call that it was not asked about, and does nothing.
    if (one === undefined && ticket !== UNTRACKED) unknown("no vote", ticket);
    told(one, "ignored");
    real.settleIgnored(one?.inner ?? ticket, nowMs);
    if (one?.token !== undefined) ledger.oracle?.ignored(one.token, watcher.at());
    compare("no vote");
  };

  machine.record = (outcome, failure, latencyMs, at) => {
    real.record(outcome, failure, latencyMs, at);
    ledger.oracle?.record(outcome, failure, latencyMs, watcher.at());
    compare("record");
  };

  machine.trip = (order, at) => {
    real.trip(order, at);
    ledger.oracle?.trip(order.reason, order.actor, watcher.at());
    compare("trip");
  };

  machine.reset = (order, at) => {
    const verdict = real.reset(order, at);
    const isExpected = ledger.oracle?.reset(order.reason, order.actor, order.force, watcher.at());
    if (isExpected !== undefined && verdict.accepted !== isExpected) {
      journal.break("the cooldown runs from the trip", `reset accepted ${verdict.accepted}`);
    }
    compare("reset");
    return verdict;
  };

  machine.restore = (snapshot, at) => {
    real.restore(snapshot, at);
    ledger.oracle?.restore(snapshot, watcher.at());
    watcher.restored(ledger, snapshot);
    compare("restore");
  };
}

function broken(ledger: Ledger, isLetIn: boolean): string {
  if (!isLetIn) return "what may pass is admitted";
  if (ledger.machine.state === "half-open") return "no more probes than leases";
  return ledger.machine.state === "ramping" ? "a ramp admits its share" : "no call while open";
}

/** Counted from the outside, for every kind: who was let in to probe, and has neither answered nor lost its lease. */
function countProbes(
  { plan, name, machine }: Ledger,
  admitted: readonly Admitted[],
  nowMs: number,
  journal: Journal,
): void {
  const underWay = admitted.filter(
    ({ probeOf, isSettled, atMs }) =>
      probeOf === machine.epoch && !isSettled && nowMs < atMs + plan.probes.leaseMs,
  ).length;
  if (underWay <= plan.probes.most) return;
  journal.break("no more probes than leases", `${name}: ${underWay} of ${plan.probes.most}`);
}

/** By what it was ordered, whatever its machine says. */
function isLatched({ orders, plan }: Ledger): boolean {
  if (orders.newest.kind !== "trip") return false;
  return plan.needsPerson || orders.person.sequence === orders.newest.sequence;
}

function compareFacts(
  { machine, oracle, name }: Ledger,
  at: Instant,
  what: string,
  to: Journal,
): void {
  if (oracle === undefined) return;
  const snapshot = { ...machine.snapshot(at), state: machine.state } as Record<string, unknown>;
  for (const [fact, expected] of Object.entries(oracle.facts(at))) {
    const found =
      fact === "cooldownRemainingMs"
        ? machine.cooldownRemainingMs(at)
        : fact === "waitMs"
          ? expected === null
            ? null
            : machine.refusal(at).retryAfterMs
          : textOf(snapshot[fact]);
    if (isSame(found, expected, oracle.tolerance ?? 0)) continue;
    to.break(
      `the machine agrees with its model`,
      `${name} after ${what}: ${fact} is ${String(found)}, expected ${String(expected)}`,
    );
  }
}

function textOf(value: unknown): unknown {
  return Array.isArray(value) ? value.join(",") : value;
}

function isSame(found: unknown, expected: unknown, tolerance: number): boolean {
  if (Object.is(found, expected)) return true;
  if (typeof found !== "number" || typeof expected !== "number") return false;
  return Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected));
}

/** Where there is no oracle the machine's own events must do. */
function auditsOf(machine: BreakerMachine): ExpectedAudit[] {
  return machine.events.flatMap((event): ExpectedAudit[] => {
    if (event.type === "trip") return [{ action: "TRIP", actor: event.actor }];
    if (event.type === "reset" || event.type === "recovery") {
      return [{ action: "RESET", actor: event.actor }];
    }
    return event.type === "reset-denied" ? [{ action: "RESET_DENIED", actor: event.actor }] : [];
  });
}
