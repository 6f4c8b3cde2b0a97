// The endpoints of one upstream in one process, as the world sees them: a ledger for each, and which of
// them was chosen when. Each choice is held against the rules of preference, told from lists.

import type { EndpointSet } from "../../src/pipeline/endpoints/set.ts";
import { AdaptiveOracle } from "./adaptive-oracle.ts";
import type { EndpointBreakerPlan } from "./kinds.ts";
import type { Journal } from "./journal.ts";
import type { Ledger, Verdict } from "./ledger.ts";

export interface EndpointsPlan {
  readonly names: readonly string[];
  readonly breaker: EndpointBreakerPlan;
}

/** After so many choices of others a degraded endpoint has its turn. */
const TURN_AFTER = 10;

/** One endpoint at the moment of a choice. */
interface View {
  readonly name: string;
  readonly wouldAdmit: boolean;
  readonly isTripped: boolean;
  readonly isHealthy: boolean;
  readonly underWay: number;
  inFlight: number;
  /** How many choices there had been when it was chosen last. */
  readonly chosenAt: number;
}

interface Canary {
  readonly ledger: Ledger;
  readonly epoch: number;
  readonly atMs: number;
  readonly verdict: Verdict;
}

export class Endpoints {
  readonly plan: EndpointsPlan;
  readonly ledgers: Ledger[] = [];
  readonly #journal: Journal;
  readonly #set: () => EndpointSet | undefined;
  readonly #chosen: string[] = [];
  readonly #canaries: Canary[] = [];

  constructor(plan: EndpointsPlan, journal: Journal, set: () => EndpointSet | undefined) {
    this.plan = plan;
    this.#journal = journal;
    this.#set = set;
  }

  ledger(name: string | undefined): Ledger | undefined {
    return this.ledgers.find((ledger) => ledger.name === name);
  }

  /** An endpoint's machine is about to be asked to let a call in. */
  choosing({ name }: Ledger, nowMs: number): void {
    const views = this.#views(nowMs);
    this.#chosen.push(name);
    if (views === undefined) return;
    if (!views.some((view) => view.name === name && view.wouldAdmit)) {
      this.#journal.break("no endpoint is called against its breaker", name);
      return;
    }
    this.#compare(preferred(views, this.#chosen.length - 1), name, views);
  }

  /** It was let in. */
  chosen(ledger: Ledger, verdict: Verdict | undefined, nowMs: number): void {
    const { machine } = ledger;
    if (verdict === undefined) {
      this.#journal.break("every choice is for a call", ledger.name);
    } else if (machine.state === "half-open") {
      this.#canaries.push({ ledger, epoch: machine.epoch, atMs: nowMs, verdict });
    }
  }

  /** A call goes to an endpoint that was not asked. */
  forced({ name }: Ledger, mode: string, nowMs: number): void {
    // The call is counted already.
    const views = this.#views(nowMs);
    for (const view of views ?? []) if (view.name === name) view.inFlight -= 1;
    this.#chosen.push(name);
    if (mode === "normal") {
      this.#journal.break("no endpoint is called against its breaker", `${name}, unasked`);
    }
    if (views === undefined) return;
    if (views.some(({ wouldAdmit }) => wouldAdmit)) {
      this.#journal.break("an endpoint that may be called is preferred", `${name}, unasked`);
    }
    this.#compare(least(views, [busy, waited]), name, views);
  }

  /** A call was refused because no endpoint was left. */
  stranded(retryAfterMs: number | undefined, nowMs: number): void {
    const views = this.#views(nowMs);
    const open = views?.filter(({ wouldAdmit }) => wouldAdmit).map(({ name }) => name) ?? [];
    if (open.length > 0) {
      this.#journal.break("no call is stranded while an endpoint is left", open.join(", "));
    }
    if (views === undefined) return;
    const waits = this.ledgers.flatMap(({ oracle }) => (oracle as AdaptiveOracle).waitMs(nowMs));
    const soonestMs = waits.length === 0 ? undefined : Math.min(...waits);
    if (soonestMs === retryAfterMs) return;
    if (Math.abs((soonestMs ?? -1) - (retryAfterMs ?? -1)) < 1e-6) return;
    this.#journal.break(
      "a stranded call is told when to come again",
      `${retryAfterMs} ms, expected ${soonestMs} ms`,
    );
  }

  /** Between the steps: counted from the outside, and what would be done, not done. */
  check(nowMs: number): void {
    for (const { name, tally, machine, oracle } of this.ledgers) {
      const stats = this.#set()?.getEndpointStats(name);
      const same = (what: string, found: unknown, expected: unknown): void => {
        if (found === expected) return;
        const detail = `${name}: ${what} ${String(found)}, expected ${String(expected)}`;
        this.#journal.break("every call is counted at its endpoint", detail);
      };
      same("in flight", stats?.inFlight, tally.inFlight);
      same("late successes", stats?.lateOk, tally.lateOk);
      same("late failures", stats?.lateFailed, tally.lateFailed);
      if (!(oracle instanceof AdaptiveOracle)) continue;
      same("would admit", machine.wouldAdmit?.(nowMs), oracle.wouldAdmit(nowMs));
    }
  }

  #compare(expected: readonly View[], name: string, views: readonly View[]): void {
    if (expected.some((view) => view.name === name)) return;
    const names = expected.map((view) => view.name).join(" or ");
    this.#journal.break(
      "the preferred endpoint is called",
      `${name}, expected ${names} of ${JSON.stringify(views)}`,
    );
  }

  /** Undefined once an oracle is at a loss. */
  #views(nowMs: number): readonly View[] | undefined {
    const views: View[] = [];
    for (const { name, oracle } of this.ledgers) {
      if (!(oracle instanceof AdaptiveOracle)) return undefined;
      views.push({
        name,
        wouldAdmit: oracle.wouldAdmit(nowMs),
        isTripped: oracle.isTripped,
        isHealthy: oracle.state === "healthy",
        underWay: this.#underWay(name, nowMs),
        // Its own count, which is compared with ours whenever everything is at rest.
        inFlight: this.#set()?.getEndpointStats(name)?.inFlight ?? 0,
        chosenAt: this.#chosen.lastIndexOf(name) + 1,
      });
    }
    return views;
  }

  #underWay(name: string, nowMs: number): number {
    const { leaseMs } = this.plan.breaker.probes;
    return this.#canaries.filter(
      ({ ledger, epoch, atMs, verdict }) =>
        ledger.name === name &&
        epoch === ledger.machine.epoch &&
        verdict.told === 0 &&
        nowMs < atMs + leaseMs,
    ).length;
  }
}

const busy = ({ inFlight }: View): number => inFlight;
const waited = ({ chosenAt }: View): number => chosenAt;
const probed = ({ underWay }: View): number => underWay;

/** Those that are least by the first measure, among them by the second, and so on. */
function least(
  views: readonly View[],
  measures: readonly ((view: View) => number)[],
): readonly View[] {
  return measures.reduce((left, measure) => {
    const smallest = Math.min(...left.map(measure));
    return left.filter((view) => measure(view) === smallest);
  }, views);
}

function preferred(views: readonly View[], choices: number): readonly View[] {
  const open = views.filter(({ wouldAdmit }) => wouldAdmit);
  const canaries = open.filter(({ isTripped }) => isTripped);
  const ordinary = open.filter(({ isTripped }) => !isTripped);
  const healthy = ordinary.filter(({ isHealthy }) => isHealthy);
  const turns = ordinary.filter(
    ({ isHealthy, chosenAt }) => !isHealthy && choices - chosenAt >= TURN_AFTER,
  );
  const idle = canaries.filter(({ underWay }) => underWay === 0);
  if (ordinary.length === 0) return least(canaries, [probed, busy, waited]);
  if (idle.length > 0) return least(idle, [busy, waited]);
  if (healthy.length > 0 && turns.length > 0) return least(turns, [waited]);
  return least(healthy.length > 0 ? healthy : ordinary, [busy, waited]);
}
