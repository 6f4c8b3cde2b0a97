// One process of a fleet: a real registry on a clock and a connection of its own, and what it was told.

import { mergeRows, type FleetRow } from "../../../src/core/fleet/row.ts";
import type { Fleet } from "../../../src/pipeline/fleet/fleet.ts";
import type { AuditEntry } from "../../../src/pipeline/ports.ts";
import { Switchgear } from "../../../src/pipeline/registry.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { ProcessClock } from "../timeline.ts";
import type { Ledger } from "./ledger.ts";
import { Link } from "./link.ts";
import type { Network } from "./network.ts";
import { GUEST, KINDS, reportersWanted, type FleetPlan } from "./plan.ts";

const DAY_MS = 86_400_000;

export class Replica {
  readonly name: string;
  readonly clock: ProcessClock;
  readonly link: Link;
  readonly gear: Switchgear;
  /** All that reached it, put together. */
  readonly told = new Map<string, FleetRow>();
  /** Persons' orders that it was told of. */
  readonly toldPersons = new Set<string>();
  /** Whether it refused when last looked at. */
  readonly wasTripped = new Map<string, boolean>();
  /** Whether a person held it then. */
  readonly wasHeld = new Map<string, boolean>();
  /** Closed here since then, and by whom. */
  readonly closers = new Map<string, "person" | "itself">();
  /** The newest order that was known when it last closed by itself. */
  readonly recoveredFrom = new Map<string, string | undefined>();
  readonly versions = new Map<string, number>();

  constructor(
    place: { readonly name: string; readonly network: Network; readonly seed: number },
    plan: FleetPlan,
    ledger: Ledger,
  ) {
    const { name, network, seed } = place;
    const random = new SeededRandom(seed);
    this.name = name;
    const aheadMs = (random.integer(7) - 3) * DAY_MS;
    this.clock = new ProcessClock(network.timeline, random.integer(4) * 1000.25, aheadMs);
    this.link = new Link(network, name, this.clock, {
      committing: (change) => ledger.committing(this, change),
      committed: (change, before, answer) => ledger.committed(this, change, { before, answer }),
      told: (row) => this.#learn(row),
      confirmed: (change, answer) => ledger.confirmed(this, change, answer),
    });
    const listed = plan.upstreams.filter((upstream) => upstream !== GUEST);
    this.gear = new Switchgear(
      {
        upstreams: Object.fromEntries(
          listed.map((one) => [one, { breaker: policyOf(one), share: plan.share }]),
        ),
        otherUpstreams: { breaker: policyOf("latch") },
      },
      {
        scheduler: this.clock,
        store: this.link,
        sampler: { systemLoad: () => 0 },
        random,
        warn: () => {},
      },
    );
    const audit = (action: AuditEntry["action"], event: OwnAffair): void =>
      ledger.happened(this, { ...event, action, forced: false });
    this.gear.on("trip", (event) => event.manual || audit("TRIP", event));
    this.gear.on("recovery", (event) => {
      this.closers.set(event.upstream, "itself");
      this.recoveredFrom.set(event.upstream, this.told.get(event.upstream)?.breaker?.order.id);
      audit("RESET", event);
    });
    this.gear.on("transition", ({ upstream, to, cause }) => {
      if (cause !== "restored" || (to !== "open" && to !== "cooling-down")) return;
      ledger.openedWith(this, upstream, reportersWanted(upstream, plan.share));
    });
  }

  get fleet(): Fleet {
    return this.gear.fleet as Fleet;
  }

  get isAlive(): boolean {
    return !this.clock.isDead;
  }

  get isStalled(): boolean {
    return this.clock.stalledUntilMs > this.link.nowMs;
  }

  kill(): void {
    this.clock.isDead = true;
    this.link.kill();
  }

  #learn(row: FleetRow): void {
    // Of a guest nothing is kept before it is called.
    if (this.gear.find(row.upstream) === undefined) return;
    const before = this.told.get(row.upstream);
    this.told.set(row.upstream, before === undefined ? row : mergeRows(before, row));
    const person = row.breaker?.person;
    if (person !== undefined) this.toldPersons.add(person.id);
  }
}

type OwnAffair = Pick<AuditEntry, "upstream" | "reason" | "actor" | "at">;

function policyOf(name: string) {
  const policy = KINDS[name];
  if (policy === undefined) throw new Error(`no kind ${name}`);
  return policy;
}
