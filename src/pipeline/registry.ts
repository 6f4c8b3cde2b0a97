/// <reference lib="esnext.disposable" preserve="true" />

// Name → upstream, with what they share: store, deadlines, load sampler, listeners. Names come from
// a configuration, or from traffic where `otherUpstreams` allows it; the number is bounded either way.

import { adaptive } from "../core/breaker/adaptive/machine.ts";
import { InvalidOptionsError, UnknownUpstreamError } from "../core/errors.ts";
import type { EventType, RegistryEvent, StoreOperation } from "../core/events.ts";
import { reportersOf } from "../core/fleet/share.ts";
import { property, whenRejected } from "../core/foreign.ts";
import { checkOptions, show } from "../core/options.ts";
import { clampSystemLoad } from "../core/overload/load-shedder.ts";
import type { Random } from "../core/random.ts";
import { BreakerGuard } from "./breaker/guard.ts";
import { Complaints } from "./call/complaints.ts";
import { Watching } from "./call/watching.ts";
import { LimitGuard, type LimitGuardParts } from "./overload/guard.ts";
import { OVERFLOW_NAME } from "./call/stats.ts";
import { DeadlineQueue } from "./call/deadline.ts";
import { EndpointSet } from "./endpoints/set.ts";
import { Emitter, type Listener } from "./emitter.ts";
import { readReset, type ResetOrder } from "./orders.ts";
import { MonitorTasks, taskEvent } from "./tasks/monitor.ts";
import type { Keeper, StoreHealth } from "./breaker/keeper.ts";
import { Persistence } from "./breaker/persistence.ts";
import type { FleetStore } from "./fleet-port.ts";
import type { Fleet } from "./fleet/fleet.ts";
import { Replication } from "./fleet/replication.ts";
import { boundedName } from "./names.ts";
import { HISTORY_LIMIT_MAX, LOAD_DRIVERS } from "./ports.ts";
import type {
  AuditAction,
  AuditEntry,
  ChainReport,
  HistoryQuery,
  LoadDriver,
  LoadSampler,
  Scheduler,
  Store,
  StoredBreaker,
} from "./ports.ts";
import {
  compareUpstreams,
  registrySettings,
  upstreamSettings,
  type ConfigurationChange,
  type RegistryOptions,
  type RegistrySettings,
  type UpstreamOptions,
} from "./registry-options.ts";
import type { UpstreamStatus } from "./call/status.ts";
import type { CallWatcher } from "./call/watcher.ts";
import { Upstream, type UpstreamPorts } from "./call/upstream.ts";

export interface RegistryPorts {
  readonly scheduler: Scheduler;
  readonly store: Store | FleetStore;
  readonly sampler: LoadSampler;
  /** Where jitter is drawn from. */
  readonly random: Random;
  /** Shows what the host does wrong and no error can carry. */
  readonly warn: (sentence: string) => void;
}

/** How many of the longest unused are looked at for one that can be forgotten. */
const EVICTION_SCAN_MAX = 64;

const HISTORY_LIMIT_DEFAULT = 100;

export class Switchgear implements AsyncDisposable {
  readonly #emitter = new Emitter();
  readonly #persistence: Keeper;
  /** The other replicas, where the store is one that is shared over a network; else undefined. */
  readonly fleet: Fleet | undefined;
  readonly #ports: RegistryPorts;
  readonly #upstreamPorts: UpstreamPorts;
  readonly #limits: RegistrySettings["limits"];
  readonly #other: UpstreamOptions | undefined;
  readonly #listed = new Map<string, Upstream>();
  /** In order of use, the longest unused first. */
  readonly #unlisted = new Map<string, Upstream>();
  /** Listed once, and no longer: they come back as they went. */
  readonly #retired = new Map<string, Upstream>();
  #options: RegistryOptions;
  readonly #guards = new WeakMap<Upstream, BreakerGuard>();
  readonly #emitters = new WeakMap<Upstream, Emitter>();
  readonly #closers = new Set<() => unknown>();
  #overflow: Upstream | undefined = undefined;
  #monitors: MonitorTasks | undefined = undefined;
  #evicted = 0;
  readonly #gate: { isClosing: boolean; watcher: CallWatcher | undefined } = {
    isClosing: false,
    watcher: undefined,
  };

  constructor(options: RegistryOptions, ports: RegistryPorts) {
    const { limits, loadShedding } = registrySettings(options);
    this.#options = options;
    this.#ports = ports;
    this.#limits = limits;
    this.#other = options.otherUpstreams;
    const complaints = new Complaints(ports.warn);
    this.#upstreamPorts = {
      clock: ports.scheduler,
      deadlines: new DeadlineQueue(ports.scheduler),
      sampler: ports.sampler,
      loadShedding,
      gate: this.#gate,
      complaints,
      watching: new Watching(complaints),
    };
    const keeper = this.#keeperOf(ports);
    this.#persistence = keeper;
    this.fleet = keeper instanceof Replication ? keeper.fleet : undefined;
    for (const [name, upstream] of Object.entries(options.upstreams ?? {})) {
      this.#listed.set(name, this.#create(name, upstream));
    }
    // What is stored is known before the first call and the first scrape.
    this.#persistence.load();
  }

  /** The upstream of this name. Throws `UnknownUpstreamError` when it is neither listed nor allowed. */
  upstream(name: string): Upstream {
    const listed = this.#listed.get(name);
    if (listed !== undefined) return listed;
    if (this.#other === undefined || typeof name !== "string" || name === "") {
      throw new UnknownUpstreamError(boundedName(name), [...this.#listed.keys()]);
    }
    const kept = boundedName(name);
    const known = this.#unlisted.get(kept);
    if (known === undefined) return this.#admitName(kept, this.#other);
    this.#unlisted.delete(kept);
    this.#unlisted.set(kept, known);
    return known;
  }

  /** The upstream of this name if it exists; asking creates none. */
  find(name: string): Upstream | undefined {
    this.#persistence.poll(this.#ports.scheduler.monotonic());
    return this.#listed.get(name) ?? this.#unlisted.get(boundedName(name));
  }

  /** All upstreams, sorted by name. */
  upstreams(): Upstream[] {
    // Another process's order shows in what is read, not only in what is called.
    this.#persistence.poll(this.#ports.scheduler.monotonic());
    const overflow = this.#overflow === undefined ? [] : [this.#overflow];
    return [...this.#listed.values(), ...this.#unlisted.values(), ...overflow].toSorted(byName);
  }

  /** All upstreams, the listed ones first, unsorted: for metrics, which read them all at each scrape. */
  *eachUpstream(): Generator<Upstream> {
    this.#persistence.poll(this.#ports.scheduler.monotonic());
    yield* this.#listed.values();
    yield* this.#unlisted.values();
    if (this.#overflow !== undefined) yield this.#overflow;
  }

  /**
   * Lists these upstreams in place of those before; calls under way end as they began. One that is listed
   * still keeps its handle, state, counts and listeners; a breaker that is given another policy stays
   * tripped if it was. One that is new takes over what is stored of it. One that is no longer listed is
   * neither told of nor counted, and comes back as it went, tripped or not. All or nothing: throws
   * `InvalidOptionsError` with every fault.
   */
  configure(upstreams: Readonly<Record<string, UpstreamOptions>>): ConfigurationChange {
    const before = this.#options.upstreams ?? {};
    const options = { ...this.#options, upstreams };
    registrySettings(options);
    this.#options = options;
    const change = compareUpstreams(before, upstreams);
    for (const name of change.removed) this.#retire(name);
    for (const name of change.changed) this.#reconfigure(name, before[name], upstreams[name]);
    const fresh = new Set<string>();
    for (const name of change.added) {
      if (!this.#bringBack(name, upstreams[name])) fresh.add(name);
    }
    if (fresh.size > 0) this.#persistence.loadAgain(fresh);
    return change;
  }

  /** The state of all upstreams, sorted by name. */
  statuses(): UpstreamStatus[] {
    return this.upstreams().map((upstream) => upstream.status());
  }

  /**
   * Who did what, newest first. `limit` 1–1000, default 100. Of a fleet what was ordered in this process;
   * `readHistory` asks the store.
   */
  history(
    query: { readonly upstream?: string; readonly limit?: number } = {},
  ): readonly AuditEntry[] {
    return this.#persistence.history(readQuery(query));
  }

  /** The same as the store has it, of a fleet what all replicas have done; what this one knows while it is away. */
  async readHistory(
    query: { readonly upstream?: string; readonly limit?: number } = {},
  ): Promise<readonly AuditEntry[]> {
    const read = readQuery(query);
    try {
      return (await this.fleet?.history(read)) ?? this.#persistence.history(read);
    } catch {
      // It was told by the store's health.
      return this.#persistence.history(read);
    }
  }

  /**
   * Reads all stored audits of an upstream, and tells where one was changed, deleted, put in or moved since it
   * was written; undefined where the store keeps no chain of them. A database in a file is read at once: the
   * process does nothing else for about a second for each 100 000 audits of the upstream. Rejects with
   * `StoreError` when they cannot be read.
   */
  async verifyHistory(upstream: string): Promise<ChainReport | undefined> {
    if (typeof upstream !== "string" || upstream === "") {
      const fault = `upstream must be a name, not ${show(upstream)}`;
      throw new InvalidOptionsError("verifyHistory", [fault]);
    }
    const name = boundedName(upstream);
    if (this.fleet !== undefined) return this.fleet.verify(name);
    // Whoever asks from inside of one of the store's own methods waits until that one is done.
    await Promise.resolve();
    return this.#persistence.verify?.(name);
  }

  /**
   * Audits a reset of a name that nobody guards: it changed nothing, and was ordered all the same. Answers
   * what was audited.
   */
  auditUnmetReset(upstream: string, order: ResetOrder): AuditEntry {
    if (typeof upstream !== "string" || upstream === "") {
      throw new InvalidOptionsError("reset", [`upstream must be a name, not ${show(upstream)}`]);
    }
    const { reason, actor } = readReset(upstream, order);
    const at = this.#ports.scheduler.now();
    const audit = {
      upstream: boundedName(upstream),
      action: "RESET",
      reason,
      actor,
      at,
      forced: false,
    } as const;
    this.#persistence.saveAudit(audit);
    return audit;
  }

  /**
   * Calls `listener` on every event of this type of any upstream, and of the store. Whoever comes to listen to
   * `store-error` while the store fails is told so before this returns: it may have failed from the start.
   */
  on<Type extends EventType>(type: Type, listener: Listener<Type>): () => void {
    const standing = type === "store-error" ? this.#persistence.standingErrors : [];
    return this.#emitter.on(type, listener, standing);
  }

  /** How the store does; `ok` false means that memory holds what disk does not. */
  storeHealth(): StoreHealth {
    return this.#persistence.health();
  }

  /** Counts for metrics. */
  counters(): {
    readonly storeErrors: readonly { op: StoreOperation; code: string; count: number }[];
    /** Audits that the store refused, by action. */
    readonly auditsRefused: ReadonlyMap<AuditAction, number>;
    readonly listenerErrors: number;
    readonly evicted: number;
    /** Undefined as long as nobody monitors. */
    readonly tasks:
      { readonly started: number; readonly active: number; readonly orphaned: number } | undefined;
  } {
    return {
      tasks: this.#monitors,
      storeErrors: this.#persistence.errors,
      auditsRefused: this.#persistence.auditsRefused,
      listenerErrors: this.#emitter.errors,
      evicted: this.#evicted,
    };
  }

  /** 0–1, as the load shedder sees it; 0 when the sampler fails. */
  systemLoad(): number {
    try {
      const load: unknown = this.#ports.sampler.systemLoad();
      whenRejected(load);
      return clampSystemLoad(load as number);
    } catch {
      return 0;
    }
  }

  /** What system load is made of most; null where nothing is, or where the sampler does not know. */
  loadDriver(): LoadDriver | null {
    const driver = property(this.#ports.sampler, "driver");
    return LOAD_DRIVERS.find((one) => one === driver) ?? null;
  }

  /** Watches every call from now on, as a tracer does; undefined ends that. One at a time. */
  watchCalls(watcher: CallWatcher | undefined): void {
    this.#gate.watcher = watcher;
  }

  /** Monitoring tasks, by the endpoint that each is for; `close` ends them, and lets none start after it. */
  get monitors(): MonitorTasks {
    if (this.#monitors !== undefined) return this.#monitors;
    this.#monitors = new MonitorTasks({
      scheduler: this.#ports.scheduler,
      onEvent: (event) => this.#emitter.emit(taskEvent(event, this.#ports.scheduler.now())),
    });
    if (this.#gate.isClosing) void this.#monitors.close();
    return this.#monitors;
  }

  /** Whether `close` was called. */
  get isClosing(): boolean {
    return this.#gate.isClosing;
  }

  /** Writes what waits to be written. False when the store still fails. */
  flush(): boolean {
    return this.#persistence.flush();
  }

  /**
   * Calls `listener` once, when `close` is called, before the store is closed: for adapters that have something
   * left to tell. What it throws, or rejects with, goes no further. The answer ends the subscription.
   */
  onClose(listener: () => unknown): () => void {
    // Each has one of its own, as listeners of events have.
    const entry = (): unknown => listener();
    this.#closers.add(entry);
    return () => void this.#closers.delete(entry);
  }

  /**
   * Admits nothing more, writes what waits and closes the store. Calls in flight end as they would
   * have, deadlines included; what they tell the breaker is no longer stored. Monitoring tasks are
   * ended, which takes seven seconds where they heed nothing. Closing twice is fine.
   */
  async close(): Promise<void> {
    this.#gate.isClosing = true;
    for (const closer of this.#closers) {
      this.#closers.delete(closer);
      this.#emitter.contain(closer);
    }
    const closed = this.#persistence.close();
    await this.#monitors?.close();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #keeperOf({ store, scheduler, random }: RegistryPorts): Keeper {
    const emit = (event: RegistryEvent): void => this.#emitter.emit(event);
    if (!isFleetStore(store)) {
      return new Persistence(store, scheduler, {
        emit,
        adopt: (stored, isOurPast) => this.#adopt(stored, isOurPast),
      });
    }
    return new Replication(store, {
      scheduler,
      random,
      emit,
      breakerOf: (name) => {
        const own = name === OVERFLOW_NAME ? this.#overflow : this.#retired.get(name);
        const known = this.#listed.get(name) ?? this.#unlisted.get(name) ?? own;
        return known === undefined ? undefined : this.#guards.get(known);
      },
      breakers: () => this.#breakers(),
    });
  }

  *#breakers(): Generator<BreakerGuard> {
    for (const known of [this.#listed, this.#unlisted, this.#retired]) {
      for (const upstream of known.values()) {
        const guard = this.#guards.get(upstream);
        if (guard !== undefined) yield guard;
      }
    }
  }

  #retire(name: string): void {
    const upstream = this.#listed.get(name);
    if (upstream === undefined) return;
    this.#listed.delete(name);
    this.#retired.set(name, upstream);
  }

  /** Lists the name; true when it was listed before, or called without being listed. */
  #bringBack(name: string, options: UpstreamOptions | undefined): boolean {
    if (options === undefined) return true;
    const known = this.#retired.get(name) ?? this.#unlisted.get(name);
    this.#retired.delete(name);
    this.#unlisted.delete(name);
    this.#listed.set(name, known ?? this.#create(name, options));
    if (known !== undefined) this.#reconfigure(name, undefined, options);
    return known !== undefined;
  }

  #reconfigure(
    name: string,
    before: UpstreamOptions | undefined,
    options: UpstreamOptions | undefined,
  ): void {
    const upstream = this.#listed.get(name);
    if (upstream === undefined || options === undefined) return;
    const guard = this.#guards.get(upstream);
    const emitter = this.#emitters.get(upstream);
    if (guard === undefined || emitter === undefined) return;
    if (guard.policy !== options.breaker) guard.changePolicy(options.breaker);
    guard.configureShare(reportersOf(name, options.share));
    if (before?.mode !== options.mode) guard.configureMode(options.mode ?? "normal");
    const endpoints = this.#endpointsOf(name, options, emitter, upstream.endpoints);
    const limits = this.#limitsOf(name, options, emitter, upstream.limits);
    upstream.configure({ ...upstreamSettings(options), limits }, endpoints);
  }

  #create(name: string, options: UpstreamOptions): Upstream {
    const emitter = new Emitter(this.#emitter);
    const guard = new BreakerGuard(name, options.breaker, options.mode ?? "normal", {
      clock: this.#ports.scheduler,
      random: this.#ports.random,
      persistence: this.#persistence,
      emitter,
    });
    guard.configureShare(reportersOf(name, options.share));
    const upstream = new Upstream(
      guard,
      emitter,
      {
        ...upstreamSettings(options),
        operationsMax: this.#limits.operations,
        limits: this.#limitsOf(name, options, emitter, undefined),
      },
      this.#upstreamPorts,
      this.#endpointsOf(name, options, emitter),
    );
    this.#guards.set(upstream, guard);
    this.#emitters.set(upstream, emitter);
    return upstream;
  }

  #endpointsOf(
    upstream: string,
    options: UpstreamOptions,
    emitter: Emitter,
    before?: EndpointSet,
  ): EndpointSet | undefined {
    const { endpoints, endpointBreaker } = options;
    if (endpoints === undefined) return undefined;
    const { scheduler, random } = this.#ports;
    const set: EndpointSet = new EndpointSet(
      {
        endpoints: endpoints.map((one) =>
          typeof one === "string" ? { name: one, url: one } : one,
        ),
        policy: endpointBreaker ?? adaptive(),
        before,
        limits: (endpoint, known, isSamePlace) =>
          this.#limiterOf(options, isSamePlace, {
            before: known,
            onHung: limitTeller(upstream, endpoint, emitter, scheduler),
          }),
        onEvent: (endpoint, event) => {
          if (event.type !== "transition") return;
          const { from, to, cause } = event;
          const stats = set.getEndpointStats(endpoint);
          if (stats === undefined) return;
          const at = scheduler.now();
          Object.freeze(stats);
          emitter.emit({ type: "endpoint", upstream, endpoint, from, to, cause, stats, at });
        },
      },
      { clock: scheduler, random },
    );
    return set;
  }

  /** Of an upstream that is one place; where there are several, each has its own. */
  #limitsOf(
    name: string,
    options: UpstreamOptions,
    emitter: Emitter,
    before: LimitGuard | undefined,
  ): LimitGuard | undefined {
    if (options.endpoints !== undefined) return undefined;
    const onHung = limitTeller(name, undefined, emitter, this.#ports.scheduler);
    return this.#limiterOf(options, true, { before, onHung });
  }

  /** What was learnt stays, unless it was learnt under other options, or of another place. */
  #limiterOf(
    { limit, deadlineMs: ownMs, limitDeadlineMs: deadlineMs = ownMs }: UpstreamOptions,
    isSamePlace: boolean,
    parts: LimitGuardParts,
  ): LimitGuard | undefined {
    if (limit === undefined) return undefined;
    const { before } = parts;
    const isSame = isSamePlace && before?.policy === limit && before.deadlineMs === deadlineMs;
    if (isSame) return before;
    return new LimitGuard(limit, deadlineMs, this.#ports.scheduler, { ...parts, isSamePlace });
  }

  #admitName(name: string, options: UpstreamOptions): Upstream {
    if (this.#unlisted.size >= this.#limits.upstreams && !this.#evictOne()) {
      // Every one of them holds evidence: forgetting any would unlatch it. The rest share one.
      return (this.#overflow ??= this.#create(OVERFLOW_NAME, options));
    }
    const upstream = this.#create(name, options);
    this.#unlisted.set(name, upstream);
    // What a fleet knows of it is read when it is first called.
    if (this.fleet !== undefined) this.#persistence.loadAgain([name]);
    return upstream;
  }

  #evictOne(): boolean {
    let scanned = 0;
    for (const [name, upstream] of this.#unlisted) {
      if (upstream.isIdle) {
        this.#unlisted.delete(name);
        this.#evicted += 1;
        return true;
      }
      scanned += 1;
      if (scanned >= EVICTION_SCAN_MAX) return false;
    }
    return false;
  }

  /** Takes over what a previous process left of a name, and what another one did to all others. */
  #adopt(stored: readonly StoredBreaker[], isOurPast: (name: string) => boolean): void {
    const taken: BreakerGuard[] = [];
    for (const entry of stored) {
      const { upstream: name } = entry;
      const kept = boundedName(name);
      const known = this.#listed.get(name) ?? this.#unlisted.get(kept) ?? this.#retired.get(name);
      // A row of an upstream that the configuration no longer names stays in the store, untouched.
      if (known === undefined && this.#other === undefined) continue;
      const guard = this.#guards.get(known ?? this.upstream(name));
      if (guard === undefined) continue;
      const isFirst = isOurPast(name) ? guard.isUnordered : guard.isPristine && known === undefined;
      if (isFirst) guard.restore(entry);
      else guard.adopt(entry);
      taken.push(guard);
    }
    // Told when all are taken over: what a listener orders must not write over a row yet to come.
    for (const guard of taken) guard.announce();
  }
}

function limitTeller(
  upstream: string,
  endpoint: string | undefined,
  emitter: Emitter,
  clock: Scheduler,
): LimitGuardParts["onHung"] {
  return ({ limiter }, isHung) => {
    const { limit, inFlight } = limiter;
    emitter.emit({ type: "limit", upstream, endpoint, isHung, limit, inFlight, at: clock.now() });
  };
}

function byName(a: Upstream, b: Upstream): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function isFleetStore(store: Store | FleetStore): store is FleetStore {
  return typeof (store as Partial<FleetStore> | null | undefined)?.open === "function";
}

/** Asked wrongly, the store would refuse, and it would look like a fault of the store's. */
function readQuery(query: { readonly upstream?: string; readonly limit?: number }): HistoryQuery {
  checkOptions("history", query, { limit: { is: "any" }, upstream: { is: "any" } });
  const { limit = HISTORY_LIMIT_DEFAULT, upstream } = query;
  const faults = [
    ...(typeof limit === "number" && !Number.isNaN(limit)
      ? []
      : [`limit must be a number, not ${show(limit)}`]),
    ...(upstream === undefined || typeof upstream === "string"
      ? []
      : [`upstream must be a name, not ${show(upstream)}`]),
  ];
  if (faults.length > 0) throw new InvalidOptionsError("history", faults);
  return {
    limit: Math.min(Math.max(1, Math.floor(limit)), HISTORY_LIMIT_MAX),
    ...(upstream === undefined ? {} : { upstream: boundedName(upstream) }),
  };
}
