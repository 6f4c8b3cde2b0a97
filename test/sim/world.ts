// A world from one seed: processes that share a store, callers, operators, an upstream whose health
// changes, and everything that goes wrong. One step is one thing that somebody does, and whatever
// comes of it before anybody does the next; then the invariants are looked at.
//
// It does not know what a breaker should do. The oracles know that, and `checks.ts` knows the rest.

import { toggleRefusal } from "./refusals.ts";
import { OVERFLOW_NAME } from "../../src/pipeline/call/stats.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { HEALTHY } from "./answers.ts";
import { Callers } from "./callers.ts";
import { checkProcess } from "./checks.ts";
import { pick } from "./kinds.ts";
import type { Ledger } from "./ledger.ts";
import { Listener } from "./listener.ts";
import { lose } from "./losses.ts";
import { Operators, type Actor } from "./operators.ts";
import { Process } from "./process.ts";
import type { Setting } from "./setting.ts";
import { drawBreaker, type Feature } from "./swarm.ts";

/** Turns of the microtask queue until nothing moves any more; the longest chain takes five. */
const TURNS = 8;

const AT_REST = Promise.resolve();

const MOMENTS_MS = [0, 0.25, 1, 2, 5, 10, 20, 50, 100, 250, 1000, 5000] as const;
const LONG_MOMENTS_MS = [15_000, 30_000, 60_000, 61_000] as const;

/** Names that nobody listed. */
const GUESTS = ["guest-1", "guest-2", "guest-3", "guest-4", "guest-5"];

export class World {
  readonly setting: Setting;
  readonly processes: Process[] = [];
  readonly callers: Callers;
  readonly operators: Operators;
  /** Switched off for the quiet end. */
  isTroubled = true;
  readonly #readRandom: SeededRandom;
  readonly #actions: readonly (readonly [number, () => void])[];
  readonly #weight: number;
  readonly #listener: Listener;
  #started = 0;

  constructor(setting: Setting) {
    this.setting = setting;
    this.callers = new Callers(setting);
    this.operators = new Operators(setting);
    const actorOf = (process: Process): Actor | undefined => this.#actorOf(process);
    this.#listener = new Listener(setting, this.callers, this.operators, actorOf);
    this.#readRandom = new SeededRandom(setting.seed ^ 0x5eed);
    this.#actions = this.#allActions();
    this.#weight = this.#actions.reduce((sum, [weight]) => sum + weight, 0);
    for (let n = 0; n < setting.plan.processes; n += 1) this.start(n);
  }

  get isOver(): boolean {
    return this.setting.journal.broken !== undefined;
  }

  /** All the steps, until they are done or a promise is broken. */
  async run(): Promise<void> {
    const { plan, random } = this.setting;
    for (let step = 0; step < plan.steps && !this.isOver; step += 1) {
      this.#act();
      await this.settle();
      if (random.integer(3) > 0) await this.advance(this.#drawWait());
    }
  }

  /** Lets this much time pass, and everything happen that is due on the way. */
  async advance(ms: number): Promise<void> {
    const { timeline } = this.setting;
    const endMs = timeline.nowMs + ms;
    for (;;) {
      const run = timeline.next(endMs);
      if (run === undefined) break;
      run();
      await this.settle();
      if (this.isOver) return;
    }
    timeline.nowMs = endMs;
    this.#check();
  }

  /** Lets all promises come to rest, buries the dead, and looks whether all is well. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) await AT_REST;
    for (const [index, process] of this.processes.entries()) {
      if (!process.isDying) continue;
      process.kill();
      this.start(index);
    }
    this.#check();
  }

  /** Starts the process of this place, anew if there was one. */
  start(index: number): void {
    const { setting } = this;
    this.#started += 1;
    setting.journal.note("start", index, this.#started);
    const isLoading = this.#draws("loadFaults", 3);
    if (this.#started > 1 && this.#draws("kindChanges", 2)) {
      setting.breakers["dk"] = drawBreaker(setting.random);
      setting.journal.note("kind", setting.breakers["dk"].kind);
    }
    const process = new Process(setting, this.#started, (store) => {
      store.failing.load = isLoading;
      store.failing.commit = isLoading;
    });
    process.onEvent = (event) =>
      this.isTroubled ? this.#listener.hear(process, event) : undefined;
    this.processes[index] = process;
    if (!isLoading) this.#checkRestored(process);
  }

  /** What was stored is there before the first call. */
  #checkRestored(process: Process): void {
    const { disk, journal, plan } = this.setting;
    const wallMs = process.clock.now();
    if (!plan.isDurable || !this.setting.reads) return;
    for (const [name, { stored }] of disk.rows) {
      const upstream = process.upstream(name);
      const { kind, tripped, manual, tripCount, trippedAt, lastError } = stored.snapshot;
      const found = upstream?.status();
      if (found === undefined) continue;
      process.takeMode(process.ledgers.get(name) as Ledger, found.mode);
      if (
        found.tripped === tripped &&
        found.manual === manual &&
        found.mode === stored.mode &&
        found.tripCount === tripCount &&
        found.trippedAt === (trippedAt === null ? null : Math.min(trippedAt, wallMs)) &&
        found.lastError === lastError &&
        // A count of one kind means nothing to another.
        (found.failureCount === 0 || found.kind === kind)
      ) {
        continue;
      }
      journal.break(
        "what was durable is there after a restart",
        `${name}: ${JSON.stringify(found)}, on disk ${JSON.stringify(stored)}`,
      );
    }
  }

  #act(): void {
    let left = this.setting.random.next() * this.#weight;
    for (const [weight, action] of this.#actions) {
      left -= weight;
      if (left >= 0) continue;
      action();
      return;
    }
  }

  #allActions(): (readonly [number, () => void])[] {
    const { plan } = this.setting;
    const actions: (readonly [number, () => void])[] = [
      [12, () => this.#call(1)],
      [2, () => this.#changeHealth()],
    ];
    const add = (feature: Feature, weight: number, action: () => void): void => {
      if (plan.has(feature)) actions.push([weight, action]);
    };
    add("bursts", 3, () => this.#call(2 + this.setting.random.integer(8)));
    add("acquire", 5, () => this.#onActor((actor) => this.#acquire(actor)));
    add("acquire", 5, () => this.callers.settle());
    add("records", 3, () => this.#onActor(({ upstream }) => this.callers.record(upstream)));
    add("signals", 3, () => this.#onProcess((process) => this.callers.abort(process)));
    add("trips", 2, () => this.#onActor((actor) => this.operators.trip(actor)));
    if (Object.values(plan.endpoints).some(Boolean)) {
      const orders = ["trips", "resets"] as const;
      actions.push([3, () => this.#call(8)], [3, () => this.#changeHealth()]);
      for (const order of orders) add(order, 1, () => this.#onEndpoint(order));
    }
    add("resets", 2, () => this.#onActor((actor) => this.operators.reset(actor)));
    add("modes", 1, () => this.#onActor((actor) => this.operators.setMode(actor)));
    add("unknownNames", 1, () => this.#onProcess((process) => void process.upstream("nobody")));
    add("shedding", 1, () => (this.setting.load = pick(this.setting.random, [0, 0.85, 0.9, -1])));
    add("wallForward", 1, () => this.operators.jump(1));
    add("wallBack", 1, () => this.operators.jump(-1));
    add("stalls", 3, () => this.#onProcess((process) => this.operators.stall(process)));
    add("commitFaults", 3, () =>
      this.#onProcess((process) => this.operators.fault(process, "commit")),
    );
    add("pollFaults", 2, () => this.#onProcess((process) => this.operators.fault(process, "poll")));
    add("loadFaults", 2, () => this.#onProcess((process) => this.operators.fault(process, "load")));
    add("refusals", 3, () => toggleRefusal(this.setting));
    add("losses", 2, () => this.#onProcess((process) => lose(this.setting, process)));
    add("races", 4, () => this.#onProcess((process) => this.#race(process)));
    add("crashes", 2, () => this.#onProcess((process) => this.operators.crash(process)));
    add("crashesInCommit", 1, () =>
      this.#onProcess((process) => {
        process.store.crashInCommit = pick(this.setting.random, ["before", "after"]);
      }),
    );
    return actions;
  }

  /** Another process gives an order between this one's next look at the store and its write. */
  #race(process: Process): void {
    const { random } = this.setting;
    const another = this.processes[random.integer(this.processes.length)];
    const isTrip = random.integer(2) === 0;
    process.store.race = () => {
      const isAwake = another?.isAlive === true && !another.isStalled && !another.isDying;
      if (!this.isTroubled || !isAwake || another === process) return;
      // One at a time: whoever races is not raced with.
      another.store.race = undefined;
      const actor = this.actor(another, "dk");
      if (actor === undefined) return;
      if (isTrip) this.operators.trip(actor);
      else this.operators.reset(actor);
    };
  }

  #drawWait(): number {
    const { random, timeline, plan, breakers } = this.setting;
    const way = random.integer(10);
    if (way < 6) return pick(random, MOMENTS_MS);
    // To the very moment when something is due.
    if (way < 8) return Math.max(0, (timeline.nextMs ?? timeline.nowMs) - timeline.nowMs);
    if (way === 8) return pick(random, LONG_MOMENTS_MS);
    const moments = [breakers["dk"], plan.endpoints["dk"]?.breaker].flatMap(
      (breaker) => breaker?.momentsMs ?? [],
    );
    return moments[random.integer(moments.length)] ?? 0;
  }

  #draws(feature: Feature, oneIn: number): boolean {
    if (!this.isTroubled || !this.setting.plan.has(feature)) return false;
    return this.setting.random.integer(oneIn) === 0;
  }

  #onProcess(act: (process: Process) => void): void {
    const process = this.processes[this.setting.random.integer(this.processes.length)];
    if (process !== undefined && !process.isStalled) act(process);
  }

  #onActor(act: (actor: Actor) => void): void {
    this.#onProcess((process) => {
      const actor = this.#actorOf(process);
      if (actor !== undefined) act(actor);
    });
  }

  #actorOf(process: Process): Actor | undefined {
    const { random, plan } = this.setting;
    const listed = Object.keys(plan.breakers);
    const guests = plan.guestsMax === undefined ? GUESTS.slice(0, 2) : GUESTS;
    const names = plan.guest === undefined ? listed : [...listed, ...guests];
    return this.actor(process, names[random.integer(names.length)] ?? "dk");
  }

  actor(process: Process, name: string): Actor | undefined {
    const isShared = name === OVERFLOW_NAME;
    const upstream = isShared ? process.held(name) : process.upstream(name);
    const ledger = process.ledgers.get(upstream?.name ?? name);
    return upstream === undefined || ledger === undefined
      ? undefined
      : { process, upstream, ledger };
  }

  #call(times: number): void {
    this.#onActor(({ process, upstream, ledger }) => {
      for (let n = 0; n < times; n += 1) this.callers.execute(process, upstream, ledger);
    });
  }

  #onEndpoint(order: "trips" | "resets"): void {
    this.#onActor((actor) => this.operators.orderEndpoint(actor, order));
  }

  #acquire({ process, upstream, ledger }: Actor): void {
    this.callers.acquire(process, upstream, ledger);
  }

  #changeHealth(): void {
    const { random, journal, plan } = this.setting;
    const health = pick(random, [
      HEALTHY,
      { failing: 1, hanging: 0, latencyMs: 0 },
      { failing: 1, hanging: 0, latencyMs: 20 },
      { failing: 0.5, hanging: 0, latencyMs: 10 },
      { failing: 0.3, hanging: 0.3, latencyMs: 5 },
      { failing: 0, hanging: 0, latencyMs: 150 },
      { failing: 0, hanging: 1, latencyMs: 5 },
    ]);
    const names = Object.values(plan.endpoints).flatMap((endpoints) => endpoints?.names ?? []);
    const name = names[random.integer(names.length + 1)];
    if (name === undefined) Object.assign(this.callers.health, health);
    else this.callers.endpointHealth.set(name, health);
    journal.note("health", name, health.failing, health.hanging, health.latencyMs);
  }

  #check(): void {
    for (const process of this.processes) checkProcess(this.setting, process);
    if (this.setting.reads) this.#readAtRandom();
  }

  /** Reads change nothing, whoever reads, and however often. */
  #readAtRandom(): void {
    if (this.#readRandom.integer(4) > 0) return;
    const process = this.processes[this.#readRandom.integer(this.processes.length)];
    process?.peek(() => {
      for (const name of process.ledgers.keys()) {
        const upstream = process.held(name);
        void [upstream?.state(), upstream?.isTripped, upstream?.isIdle, upstream?.mode];
        void [upstream?.snapshot(), upstream?.status()];
      }
    });
    void process?.gear.systemLoad();
  }
}
