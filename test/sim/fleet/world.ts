// A simulated fleet: replicas that are called and ordered about, and everything that goes wrong between them.

import type { OperatorMode } from "../../../src/core/events.ts";
import { ResetDeniedError } from "../../../src/core/errors.ts";
import type { Upstream } from "../../../src/pipeline/call/upstream.ts";
import type { SeededRandom } from "../../../src/testing/index.ts";
import type { Journal } from "../journal.ts";
import { pick } from "../kinds.ts";
import type { Timeline } from "../timeline.ts";
import { checkReplica } from "./checks.ts";
import { Ledger, type Given } from "./ledger.ts";
import { FAIR, Network } from "./network.ts";
import { GUEST, type Feature, type FleetPlan } from "./plan.ts";
import { Replica } from "./replica.ts";
import type { StoreRules } from "./store.ts";

const MODES = ["normal", "shadow", "forced-closed"] as const satisfies OperatorMode[];

/** Turns of the microtask queue until nothing moves any more. */
const TURNS = 12;

const AT_REST = Promise.resolve();

const WAITS_MS = [0, 0.5, 1, 2, 3, 10, 50, 300, 1000, 3000, 6000] as const;

const DAY_MS = 86_400_000;

/** Longer than a report of one replica counts. */
const AGE_MS = 660_000;

const RECEIPTS_MS = 3000;

/** More than any kind here needs to open, or its probes to close it. */
const CALLS_MAX = 12;

export interface WorldParts {
  readonly seed: number;
  readonly random: SeededRandom;
  readonly timeline: Timeline;
  readonly journal: Journal;
  readonly plan: FleetPlan;
  readonly rules: StoreRules;
}

export class World {
  readonly parts: WorldParts;
  readonly network: Network;
  readonly ledger: Ledger;
  readonly replicas: Replica[] = [];
  /** Those that were killed. */
  readonly dead = new Set<Replica>();
  readonly #actions: readonly (readonly [number, () => void])[];
  readonly #weight: number;
  #started = 0;
  #orders = 0;

  constructor(parts: WorldParts) {
    this.parts = parts;
    const { journal, timeline } = parts;
    this.ledger = new Ledger(
      journal,
      () => timeline.nowMs,
      () => this.network.hasLost,
    );
    this.network = new Network(parts.timeline, parts.random, parts.rules);
    this.#drawWeather();
    for (let n = 0; n < parts.plan.replicas; n += 1) this.#start(n);
    this.#actions = this.#allActions();
    this.#weight = this.#actions.reduce((sum, [weight]) => sum + weight, 0);
  }

  get isOver(): boolean {
    return this.parts.journal.broken !== undefined;
  }

  async run(): Promise<void> {
    const { plan, random } = this.parts;
    // Nearly always somebody has connected before anything happens.
    await this.advance(random.integer(4) * 500);
    for (let step = 0; step < plan.steps && !this.isOver; step += 1) {
      this.#act();
      await this.settle();
      if (plan.has("ages") && random.integer(20) === 0) await this.#age();
      if (random.integer(3) > 0) await this.advance(pick(random, WAITS_MS));
    }
  }

  /** All that was wrong is well again, and nobody calls or orders any more. */
  async heal(): Promise<void> {
    const { network } = this;
    this.parts.journal.note("heal");
    Object.assign(network.weather, FAIR);
    network.isDown = false;
    network.isReadOnly = false;
    network.cut.clear();
    for (const [index, { isAlive }] of this.replicas.entries()) if (!isAlive) this.#start(index);
    // What is called is looked after.
    if (this.parts.plan.has("guests")) for (const { gear } of this.replicas) gear.upstream(GUEST);
    // The longest wait before another try, and a few beats.
    await this.advance(60_000);
  }

  async advance(ms: number): Promise<void> {
    const { timeline } = this.parts;
    const endMs = timeline.nowMs + ms;
    for (;;) {
      const run = timeline.next(endMs);
      if (run === undefined) break;
      run();
      await this.settle();
      if (this.isOver) return;
    }
    timeline.nowMs = endMs;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) await AT_REST;
    for (const replica of this.replicas) if (replica.isAlive) checkReplica(this, replica);
  }

  /** One opens, and another one when nobody remembers that. */
  async #age(): Promise<void> {
    for (const ms of [AGE_MS, 0]) {
      this.#onOne((replica, upstream) => this.#callOften(replica, upstream, "failed"));
      await this.settle();
      await this.advance(ms);
    }
  }

  #start(index: number): void {
    const { plan, journal, seed } = this.parts;
    this.#started += 1;
    journal.note("start", `r${index}`, this.#started);
    const place = { name: `r${index}`, network: this.network, seed: seed * 97 + this.#started };
    this.replicas[index] = new Replica(place, plan, this.ledger);
  }

  #act(): void {
    let left = this.parts.random.next() * this.#weight;
    for (const [weight, action] of this.#actions) {
      left -= weight;
      if (left >= 0) continue;
      action();
      return;
    }
  }

  #allActions(): (readonly [number, () => void])[] {
    const { network } = this;
    const { plan, random, timeline } = this.parts;
    const actions: (readonly [number, () => void])[] = [];
    const add = (feature: Feature, weight: number, action: () => void): void => {
      if (plan.has(feature)) actions.push([weight, () => (this.#note(feature), action())]);
    };
    const someCut = (): string => `r${random.integer(plan.replicas)}`;
    add("calls", 10, () => this.#onOne((replica, upstream) => this.#call(replica, upstream)));
    add("calls", 4, () =>
      this.#onOne((replica, upstream) => this.#callOften(replica, upstream, "failed")),
    );
    add("shares", 4, () =>
      this.#onOne((replica, upstream) => this.#callOften(replica, upstream, "ok")),
    );
    add("trips", 5, () =>
      this.#onOne((replica, upstream) => this.#order(replica, upstream, "trip")),
    );
    add("resets", 6, () =>
      this.#onOne((replica, upstream) => this.#order(replica, upstream, "reset")),
    );
    add("modes", 3, () =>
      this.#onOne((replica, upstream) => this.#order(replica, upstream, "mode")),
    );
    for (const feature of ["delays", "late", "losses", "pushLosses", "pushTwice"] as const) {
      add(feature, 0.5, () => this.#drawWeather());
    }
    add("cuts", 2, () => this.#cut(someCut()));
    add("cuts", 2, () => network.cut.delete(someCut()));
    add("drops", 1, () => this.#onReplica((replica) => replica.link.drop()));
    add("outages", 1, () => this.#outage());
    add("outages", 1, () => (network.isDown = false));
    add("readOnly", 1, () => (network.isReadOnly = !network.isReadOnly));
    add("kills", 1, () => this.#onReplica((replica) => this.#kill(replica)));
    add("kills", 1, () => this.#startDead());
    add("stalls", 1, () =>
      this.#onReplica(({ clock }) => {
        clock.stalledUntilMs = timeline.nowMs + random.integer(8000);
      }),
    );
    add("wallJumps", 1, () => timeline.jumpWall((random.integer(7) - 3) * DAY_MS));
    add("empties", 1, () => network.empty());
    add("flushes", 1, () => network.flush());
    add("failOvers", 1, () => network.failOver());
    if (plan.has("failOvers")) actions.push([3, () => network.replicate()]);
    return actions;
  }

  #note(what: string): void {
    this.parts.journal.note(what);
  }

  #drawWeather(): void {
    const { plan, random } = this.parts;
    const { weather } = this.network;
    const share = (feature: Feature, most: number): number =>
      plan.has(feature) && random.integer(2) === 0 ? random.next() * most : 0;
    weather.delayMs = plan.has("delays") ? pick(random, [1, 20, 300]) : 1;
    weather.late = share("late", 0.3);
    weather.lost = share("losses", 0.4);
    weather.pushLost = share("pushLosses", 0.8);
    weather.pushTwice = share("pushTwice", 0.8);
  }

  #cut(name: string): void {
    this.network.cut.add(name);
    for (const { link } of this.replicas) if (link.replica === name) link.cutOff();
  }

  #outage(): void {
    this.network.isDown = true;
    this.network.disconnect();
  }

  #kill(replica: Replica): void {
    this.parts.journal.note("kill", replica.name);
    replica.kill();
    this.dead.add(replica);
  }

  #startDead(): void {
    const index = this.replicas.findIndex(({ isAlive }) => !isAlive);
    if (index >= 0) this.#start(index);
  }

  #onReplica(act: (replica: Replica) => void): void {
    const replica = this.replicas[this.parts.random.integer(this.replicas.length)];
    if (replica?.isAlive === true && !replica.isStalled) act(replica);
  }

  #onOne(act: (replica: Replica, upstream: Upstream) => void): void {
    const { upstreams } = this.parts.plan;
    const name = upstreams[this.parts.random.integer(upstreams.length)] as string;
    this.#onReplica((replica) => act(replica, replica.gear.upstream(name)));
  }

  /** One that answers at once. Whoever is admitted is so before anybody could have waited. */
  #call(
    replica: Replica,
    upstream: Upstream,
    outcome: "ok" | "failed" = this.parts.random.integer(3) === 0 ? "ok" : "failed",
  ): void {
    const { journal } = this.parts;
    const before = upstream.isTripped;
    const admission = upstream.tryAcquire();
    journal.note("call", replica.name, upstream.name, admission.admitted, outcome);
    if (before && upstream.name === "latch" && upstream.mode === "normal" && admission.admitted) {
      journal.break("what is latched admits nobody", `${replica.name} ${upstream.name}`);
    }
    if (!admission.admitted) return;
    if (outcome === "ok") admission.settle({ outcome });
    else admission.settle({ outcome, error: "503" });
  }

  /** So many that it opens, or, where its probes are due, closes. */
  #callOften(replica: Replica, upstream: Upstream, outcome: "ok" | "failed"): void {
    for (let n = 0; n < CALLS_MAX; n += 1) this.#call(replica, upstream, outcome);
  }

  #order(replica: Replica, upstream: Upstream, kind: Given["kind"]): void {
    const { random, journal, plan } = this.parts;
    this.#orders += 1;
    const reason = `o${this.#orders}`;
    const known = new Set(replica.toldPersons);
    journal.note("order", replica.name, upstream.name, kind, reason);
    this.ledger.give({ reason, upstream: upstream.name, kind, replica, known });
    const by = { reason, actor: "ops" };
    if (kind === "trip") upstream.trip(by);
    else if (kind === "mode") upstream.setMode({ mode: pick(random, MODES), ...by });
    else if (!this.#reset(upstream, by)) this.ledger.given.delete(reason);
    else replica.closers.set(upstream.name, "person");
    if (!plan.has("receipts")) return;
    void replica.fleet.receipts(upstream.name, RECEIPTS_MS).then((receipts) => {
      if (receipts?.isStored !== true || receipts.missing.length > 0) return;
      if (kind !== "mode" && this.ledger.given.has(reason)) this.ledger.received(reason);
    });
  }

  #reset(upstream: Upstream, by: { readonly reason: string; readonly actor: string }): boolean {
    try {
      upstream.reset({ ...by, force: this.parts.random.integer(8) > 0 });
      return true;
    } catch (error) {
      if (error instanceof ResetDeniedError) return false;
      throw error;
    }
  }
}
