// One process of a world: a real registry on a clock and a store of its own, with everything that
// watches it. It can be killed at any moment; what is left of it then is what it had stored.

import type { BreakerPolicy, Instant, MachinePorts } from "../../src/core/breaker/machine.ts";
import { sanitiseSnapshot } from "../../src/core/breaker/restore.ts";
import type { EventType, OperatorMode, SwitchgearEvent } from "../../src/core/events.ts";
import { createSwitchgear, type Switchgear, type Upstream } from "../../src/index.ts";
import type { EndpointSet } from "../../src/pipeline/endpoints/set.ts";
import type { StoreChange, StoredBreaker } from "../../src/pipeline/ports.ts";
import type { UpstreamOptions } from "../../src/pipeline/registry-options.ts";
import { Audits } from "./audits.ts";
import { classifiersOf } from "./answers.ts";
import { NO_ORDER, ProcessStore, type Orders, type Row } from "./disk.ts";
import { endpointOptions } from "./endpoint-machines.ts";
import { Endpoints } from "./endpoints.ts";
import { pick, type BreakerPlan } from "./kinds.ts";
import { Ledger, type Call } from "./ledger.ts";
import type { ExpectedAudit } from "./oracle.ts";
import { MASKED } from "./swarm.ts";
import { checkForgotten } from "./checks.ts";
import { compareOrders, learn, takeMode, takeOver } from "./orders.ts";
import { LimitLedger } from "./limits.ts";
import { machineRandoms, type Setting } from "./setting.ts";
import { ProcessClock } from "./timeline.ts";
import { watch } from "./watch.ts";

export const EVENT_TYPES: readonly EventType[] = [
  "transition",
  "trip",
  "reset",
  "reset-denied",
  "recovery",
  "refused",
  "settled",
  "mode",
  "store-error",
  "store-recovered",
  "endpoint",
];

/** How far the clocks of two processes may be apart. */
const SKEW_MS = 5 * 3_600_000;

const MODE_ACTIONS = { normal: "NORMAL", shadow: "SHADOW", "forced-closed": "FORCE_CLOSED" };

/** A stall sooner after another one is part of it. */
const AWAKE_MS = 10;

export class Process {
  readonly number: number;
  readonly clock: ProcessClock;
  readonly store: ProcessStore;
  readonly gear: Switchgear;
  readonly ledgers = new Map<string, Ledger>();
  readonly #guests = new Map<string, Upstream>();
  /** By upstream. */
  readonly endpoints = new Map<string, Endpoints>();
  /** Calls that may still change something. */
  readonly calls = new Set<Call>();
  readonly listenerErrors = { expected: 0 };
  /** Whether its first read of the store failed. */
  isLateLoader = false;
  isDying = false;
  isClosed = false;
  /** Wants to be told of every event, once the registry stands. */
  onEvent: ((event: SwitchgearEvent) => unknown) | undefined = undefined;
  #stall: { readonly fromMs: number; readonly isFirst: boolean } | undefined = undefined;
  readonly #setting: Setting;
  readonly #audits: Audits;
  /** The unlisted name that is being asked for, and those that a read of the store will ask for. */
  #asked: string | undefined = undefined;
  /** The ledger that the newest one took the place of. */
  #before: Ledger | undefined = undefined;
  #adopted: string[] = [];
  #handed: ReadonlyMap<string, Row> = new Map();

  constructor(setting: Setting, number: number, prepare: (store: ProcessStore) => void) {
    this.#setting = setting;
    this.number = number;
    this.#audits = new Audits(setting.journal, number, setting.plan.has("refusals"));
    const { plan, timeline, disk, random } = setting;
    // Fractions that binary numbers hold exactly: rounding is the code's own affair.
    const aheadMs = plan.has("skews") ? pick(random, [0, SKEW_MS, -SKEW_MS]) : 0;
    this.clock = new ProcessClock(timeline, random.integer(4) * 1000.25, aheadMs);
    this.store = new ProcessStore(disk, plan.isDurable, {
      ordersOf: (stored, there) => this.#ordersOf(stored, there),
      sanitise: (stored) => this.#sanitise(stored),
      read: (rows) => this.#read(rows),
      committed: (change) => this.#committed(change),
      die: () => (this.isDying = true),
    });
    prepare(this.store);
    this.isLateLoader = this.store.failing.load;
    setting.sabotage?.store?.(this.store);
    const { guest, guestsMax } = plan;
    const { breakers } = setting;
    this.gear = createSwitchgear({
      upstreams: Object.fromEntries(
        Object.entries(breakers).map(([name, breaker]) => [name, this.#upstream(breaker, name)]),
      ),
      ...(guest === undefined ? {} : { otherUpstreams: this.#upstream(guest) }),
      limits: { operations: 2, ...(guestsMax === undefined ? {} : { upstreams: guestsMax }) },
      store: this.store,
      clock: this.clock,
      sampler: { systemLoad: () => this.#sample() },
    });
    for (const name of Object.keys(plan.limits)) {
      const guard = this.gear.upstream(name).limits;
      const ledger = this.ledgers.get(name);
      if (guard !== undefined && ledger !== undefined) {
        ledger.limits = new LimitLedger(setting, guard, this.clock);
      }
    }
    for (const type of EVENT_TYPES) {
      this.gear.on(type, (event) => {
        this.#compareRefusal(event);
        if (event.type === "store-error" && event.audit !== undefined) {
          this.#audits.refused(event.audit);
        }
        return this.onEvent?.(event);
      });
    }
  }

  get isAlive(): boolean {
    return !this.clock.isDead;
  }

  get isStalled(): boolean {
    return this.clock.stalledUntilMs > this.#setting.timeline.nowMs;
  }

  /** Stands still for this long. */
  stall(ms: number): void {
    const { nowMs } = this.#setting.timeline;
    this.#stall = { fromMs: nowMs, isFirst: this.awakeMs > AWAKE_MS };
    this.clock.stalledUntilMs = nowMs + ms;
  }

  /**
   * Whether it stood still when this was due, in its own time, for so long afterwards that the
   * passing of the time says nothing. A loop that stalls again and again has no such excuse.
   */
  sleptThrough(dueMs: number, durationMs: number): boolean {
    if (this.#stall?.isFirst !== true) return false;
    const { nowMs } = this.#setting.timeline;
    const dueWorldMs = nowMs - (this.clock.monotonic() - dueMs);
    const lateMs = this.clock.stalledUntilMs - dueWorldMs;
    return dueWorldMs > this.#stall.fromMs && lateMs > Math.max(50, (durationMs + 1) / 10) + 1;
  }

  /** How long ago it last woke up from standing still; infinite if it never did. */
  get awakeMs(): number {
    const { stalledUntilMs } = this.clock;
    return stalledUntilMs === 0
      ? Number.POSITIVE_INFINITY
      : this.#setting.timeline.nowMs - stalledUntilMs;
  }

  /** Undefined for a name that nobody guards. Throws what the registry throws when it should not. */
  upstream(name: string): Upstream | undefined {
    const { plan, journal } = this.#setting;
    const isGuarded = Object.hasOwn(plan.breakers, name) || plan.guest !== undefined;
    const before = this.#asked;
    this.#asked = name;
    try {
      const upstream = this.gear.upstream(name);
      this.#met(name, upstream);
      if (!isGuarded) journal.break("unknown names are refused", name);
      return upstream;
    } catch (error) {
      if (isGuarded) journal.break("known names are known", `${name}: ${String(error)}`);
      return undefined;
    } finally {
      this.#asked = before;
    }
  }

  /**
   * Reads without a look for what other processes ordered: from inside of a method of the store nobody looks.
   * What is read between the steps would else be somebody of the world who looks.
   */
  peek(read: () => void): void {
    let thrown: unknown;
    let isDone = false;
    this.store.peek = () => {
      isDone = true;
      try {
        read();
      } catch (error) {
        // Else it would pass for a fault of the store.
        thrown = error;
      }
    };
    this.gear.history({ limit: 1 });
    this.store.peek = undefined;
    if (thrown !== undefined) throw thrown;
    // Asked from inside of one of the store's methods already.
    if (!isDone) read();
  }

  /** The upstream of a ledger, which is read and not asked for: that might make it, or spare it. */
  held(name: string): Upstream | undefined {
    const isListed = Object.hasOwn(this.#setting.plan.breakers, name);
    return isListed ? this.gear.upstream(name) : this.#guests.get(name);
  }

  #met(name: string, upstream: Upstream): void {
    if (Object.hasOwn(this.#setting.plan.breakers, name)) return;
    const isNew = this.#guests.get(upstream.name) !== upstream;
    this.#guests.set(upstream.name, upstream);
    const ledger = this.ledgers.get(name);
    if (!isNew || ledger === undefined) return;
    if (upstream.name === name) {
      if (this.#before !== undefined) checkForgotten(this.#setting, this.#before, this.#instant());
      this.#before = undefined;
      return;
    }
    // There was no room for it: what was made is for all who find none.
    ledger.name = upstream.name;
    this.ledgers.set(ledger.name, ledger);
    if (this.#before === undefined) this.ledgers.delete(name);
    else this.ledgers.set(name, this.#before);
  }

  /** An operator's order about the mode is about to be given. */
  orderMode(ledger: Ledger, mode: OperatorMode, actor: string, reason: string): void {
    ledger.mode = mode;
    ledger.orders.modeSequence = this.#setting.sequence += 1;
    ledger.orders.modeWallMs = this.#setting.timeline.wallMs;
    this.#audits.expect(ledger.name, { action: MODE_ACTIONS[mode] as "NORMAL", actor, reason });
  }

  get pendingAudits(): number {
    return this.#audits.pending;
  }

  kill(): void {
    this.clock.isDead = true;
    this.store.isDead = true;
    this.calls.clear();
  }

  #sample(): number {
    if (this.#setting.load < 0) throw new Error("no sample");
    return this.#setting.load;
  }

  #upstream(plan: BreakerPlan, name?: string): UpstreamOptions {
    const world = this.#setting.plan;
    const policy: BreakerPolicy = {
      ...plan.policy,
      createMachine: (ports) => this.#createMachine(plan, name ?? this.#nameOfNew(), ports),
    };
    return {
      breaker: policy,
      deadlineMs: name === undefined ? undefined : world.deadlinesMs[name],
      limit: name === undefined ? undefined : world.limits[name],
      ...classifiersOf(world),
      ...this.#endpointOptions(name),
    };
  }

  #endpointOptions(name: string | undefined): Partial<UpstreamOptions> {
    const plan = name === undefined ? undefined : this.#setting.plan.endpoints[name];
    if (name === undefined || plan === undefined) return {};
    const set = (): EndpointSet | undefined => this.gear.upstream(name).endpoints;
    const endpoints = new Endpoints(plan, this.#setting.journal, set);
    this.endpoints.set(name, endpoints);
    return endpointOptions(this.#setting, this.clock, endpoints);
  }

  #compareRefusal(event: SwitchgearEvent): void {
    if (event.type !== "refused" || event.reason !== "no_endpoint") return;
    const endpoints = this.endpoints.get(event.upstream);
    endpoints?.stranded(event.retryAfterMs, this.clock.monotonic());
    if (this.held(event.upstream)?.mode === "normal" && endpoints !== undefined) return;
    this.#setting.journal.break("nobody is refused for nothing", `${event.upstream}: no endpoint`);
  }

  #createMachine(
    plan: BreakerPlan,
    name: string,
    ports?: MachinePorts,
  ): ReturnType<BreakerPolicy["createMachine"]> {
    const [random, twin] = machineRandoms(this.#setting);
    const nowMs = ports?.nowMs ?? this.clock.monotonic();
    const machine = plan.policy.createMachine({ ...ports, random, nowMs });
    this.#setting.sabotage?.machine?.(machine, this.clock);
    const ledger = new Ledger(name, plan, machine, plan.oracle(twin, nowMs));
    ledger.seen = this.#handed.get(name);
    this.#before = this.ledgers.get(name);
    this.ledgers.set(name, ledger);
    watch(ledger, {
      journal: this.#setting.journal,
      compares: this.#setting.reads,
      at: () => this.#instant(),
      calling: () => this.#setting.calling,
      ordered: (of, audit) => this.#ordered(of, audit),
      restored: (of, snapshot) => {
        takeOver(this.#setting, of, snapshot);
      },
    });
    return machine;
  }

  /** Which unlisted name a machine is made for. */
  #nameOfNew(): string {
    const isForgotten = this.#setting.plan.guestsMax !== undefined;
    if (this.#asked !== undefined && (isForgotten || !this.ledgers.has(this.#asked))) {
      return this.#asked;
    }
    while (this.ledgers.has(this.#adopted[0] ?? "")) this.#adopted.shift();
    return this.#adopted.shift() ?? "__overflow__";
  }

  #instant(): Instant {
    return { nowMs: this.clock.monotonic(), wallMs: this.clock.now() };
  }

  #ordered(ledger: Ledger, { action, actor, reason }: ExpectedAudit): void {
    this.#audits.expect(ledger.name, {
      action,
      actor,
      ...(reason === undefined ? {} : { reason }),
    });
    if (action === "RESET_DENIED") return;
    const { orders } = ledger;
    const kind = action === "TRIP" ? "trip" : "reset";
    // By the clock of the world: the processes' own ones may be wrong.
    const { wallMs } = this.#setting.timeline;
    orders.newest = { kind, sequence: (this.#setting.sequence += 1), wallMs };
    if (actor !== "system") orders.person = orders.newest;
  }

  #sanitise(stored: StoredBreaker): StoredBreaker {
    const { kind } = stored.snapshot;
    const snapshot = sanitiseSnapshot(kind, { ...stored.snapshot }, this.clock.now(), undefined);
    return { ...stored, snapshot };
  }

  #read(rows: readonly Row[]): void {
    this.#handed = new Map(rows.map((row) => [row.stored.upstream, row]));
    // Listed upstreams stand before the store is read; guests are made by the reading.
    this.#adopted = [...this.#handed.keys()];
    for (const [name, row] of this.#handed) {
      const ledger = this.ledgers.get(name);
      if (ledger === undefined) continue;
      ledger.seen = row;
      if (!this.#setting.disk.forked.has(name)) learn(ledger, row);
    }
  }

  #ordersOf(stored: StoredBreaker, there: Row | undefined): Readonly<Orders> {
    const { journal, disk, plan } = this.#setting;
    const ledger = this.ledgers.get(stored.upstream);
    if (ledger === undefined) {
      journal.break("only what exists is stored", stored.upstream);
      return { newest: NO_ORDER, person: NO_ORDER, modeSequence: 0, modeWallMs: 0 };
    }
    this.takeMode(ledger, stored.mode);
    const countsTrips = !this.isLateLoader || !MASKED.tripCountsOfLateLoads;
    if (there !== undefined && !disk.forked.has(stored.upstream)) {
      compareOrders(journal, plan, ledger, there, { stored, countsTrips });
    }
    return { ...ledger.orders };
  }

  /** A mode that nobody ordered here came with a row. */
  takeMode(ledger: Ledger, mode: OperatorMode): void {
    takeMode(this.#setting.journal, ledger, mode);
  }

  #committed({ breakers, audits }: StoreChange): void {
    const { journal } = this.#setting;
    for (const { upstream, mode, snapshot } of breakers) {
      journal.note("stored", this.number, upstream, mode, snapshot.tripped, snapshot.failureCount);
    }
    for (const entry of audits) this.#audits.committed(entry);
  }
}
