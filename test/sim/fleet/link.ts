// One replica's connection to the store, as its client keeps it: asks, waits a while, connects again. A message that
// nobody waits for any more may still arrive, at the store that it was sent to.

import { StoreError } from "../../../src/core/errors.ts";
import type { FleetRow } from "../../../src/core/fleet/row.ts";
import type {
  ChainedAudit,
  ChainReport,
  FleetAnswer,
  FleetChange,
  FleetListener,
  FleetStore,
  ReplicaView,
} from "../../../src/pipeline/fleet-port.ts";
import type { HistoryQuery } from "../../../src/pipeline/ports.ts";
import type { ProcessClock } from "../timeline.ts";
import type { Network } from "./network.ts";
import type { ModelStore, Push } from "./store.ts";

const TIMEOUT_MS = 2000;
const CONNECT_MS = 500;
/** Until a connection that carries nothing is given up. */
const NOTICED_MS = 4000;

/** What the world wants to know of. */
export interface Watcher {
  committing(change: FleetChange): void;
  committed(change: FleetChange, before: FleetRow | undefined, answer: FleetAnswer): void;
  told(row: FleetRow): void;
  confirmed(change: FleetChange, answer: FleetAnswer): void;
}

export class Link implements FleetStore {
  readonly kind = "model";
  readonly location = "simulated";
  readonly replica: string;
  /** Questions under way. */
  readonly waiting = new Set<(error: StoreError) => void>();
  readonly #network: Network;
  readonly #clock: ProcessClock;
  readonly #watcher: Watcher;
  #listener: FleetListener | undefined;
  #store: ModelStore | undefined;
  #subscriber: ((push: Push) => void) | undefined;
  /** Pushes up to this number have arrived, or were asked for. */
  #base = 0;
  readonly #arrived = new Set<number>();
  #isClosed = false;

  constructor(network: Network, replica: string, clock: ProcessClock, watcher: Watcher) {
    this.#network = network;
    this.replica = replica;
    this.#clock = clock;
    this.#watcher = watcher;
  }

  get nowMs(): number {
    return this.#network.timeline.nowMs;
  }

  open(listener: FleetListener): void {
    this.#listener = listener;
    this.#network.links.add(this);
    this.#connectLater();
  }

  async commit(change: FleetChange): Promise<FleetAnswer> {
    this.#watcher.committing(change);
    const answer = await this.#ask((store) => {
      this.#refuseWrites();
      const before = store.rows.get(change.upstream);
      const answered = store.commit(change, this.replica, this.#network.timeline.nowMs);
      this.#watcher.committed(change, before, answered);
      return answered;
    });
    this.#watcher.told(answer.row);
    this.#watcher.confirmed(change, answer);
    return answer;
  }

  async read(upstreams: readonly string[]): Promise<readonly (FleetRow | undefined)[]> {
    const rows = await this.#ask((store) => store.read(upstreams));
    for (const row of rows) if (row !== undefined) this.#watcher.told(row);
    return rows;
  }

  restore(rows: readonly FleetRow[]): Promise<void> {
    return this.#ask((store) => {
      this.#refuseWrites();
      store.restore(rows);
    });
  }

  confirm(change: string, by: string): void {
    const { random, weather } = this.#network;
    if (random.next() < weather.pushLost) return;
    for (const link of this.#network.links) {
      const delayMs = this.#network.drawDelay(weather.lost);
      if (delayMs !== undefined) link.#afterMs(delayMs, () => link.#listener?.received(change, by));
    }
  }

  async present(view: ReplicaView["breakers"]): Promise<readonly ReplicaView[]> {
    const { nowMs } = this.#network.timeline;
    const { pushes, views } = await this.#ask((store) => ({
      views: store.present(this.replica, view, nowMs),
      pushes: store.pushes,
    }));
    let hasAll = pushes >= this.#base;
    for (let n = this.#base + 1; n <= pushes && hasAll; n += 1) hasAll = this.#arrived.has(n);
    this.#base = pushes;
    for (const n of this.#arrived) if (n <= pushes) this.#arrived.delete(n);
    if (!hasAll) this.#listener?.missed();
    return views;
  }

  history(upstreams: readonly string[], { limit }: HistoryQuery): Promise<ChainedAudit[]> {
    return this.#ask((store) => store.history(upstreams, limit));
  }

  turn(upstream: string, when: Parameters<FleetStore["turn"]>[1]): Promise<number> {
    return this.#ask((store) => store.turn(upstream, when, this.#network.timeline.nowMs));
  }

  verify(upstream: string): Promise<ChainReport> {
    return this.#ask((store) => {
      const rows = store.audits.get(upstream)?.length ?? 0;
      return { upstream, rows, isShortened: false, brokenAt: undefined };
    });
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.drop();
    this.#network.links.delete(this);
    return Promise.resolve();
  }

  /** The connection ends, and both know it. */
  drop(): void {
    if (this.#store === undefined) return;
    this.#unsubscribe();
    const error = new StoreError("CLOSED", "the connection was lost");
    for (const give of this.waiting) give(error);
    if (this.#isClosed) return;
    this.#listener?.failed(error);
    this.#connectLater();
  }

  /** Nothing goes through any more; it takes a while until that is noticed. */
  cutOff(): void {
    const store = this.#store;
    this.#afterMs(NOTICED_MS * this.#network.random.next(), () => {
      if (this.#store === store && !this.#network.reaches(this.replica)) this.drop();
    });
  }

  /** Its store leads no more. */
  leave(): void {
    if (this.#store !== this.#network.store) this.drop();
  }

  /** Its process is dead: what it has sent may arrive all the same. */
  kill(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#network.links.delete(this);
  }

  #unsubscribe(): void {
    if (this.#subscriber !== undefined) this.#store?.subscribers.delete(this.#subscriber);
    this.#store = undefined;
  }

  #afterMs(delayMs: number, run: () => void): void {
    this.#network.timeline.after(delayMs, run, this.#clock);
  }

  #connectLater(): void {
    this.#afterMs(1 + this.#network.random.next() * CONNECT_MS, () => this.#connect());
  }

  #connect(): void {
    if (this.#isClosed || this.#store !== undefined) return;
    if (!this.#network.reaches(this.replica)) {
      this.#listener?.failed(new StoreError("ECONNREFUSED", "nobody answers"));
      this.#connectLater();
      return;
    }
    const { store } = this.#network;
    this.#store = store;
    this.#base = store.pushes;
    this.#arrived.clear();
    const subscriber = (push: Push): void => {
      if (!this.#network.reaches(this.replica)) return;
      const take = (taken: Push): void => {
        if (this.#subscriber === subscriber && this.#store === store) this.#take(taken);
      };
      this.#network.deliver(push, take, (ms, run) => this.#afterMs(ms, run));
    };
    this.#subscriber = subscriber;
    store.subscribers.add(subscriber);
    this.#listener?.connected();
  }

  #take({ number, row, receipt }: Push): void {
    this.#arrived.add(number);
    this.#watcher.told(row);
    this.#listener?.changed(row, receipt);
  }

  #refuseWrites(): void {
    if (this.#network.isReadOnly) throw new StoreError("READONLY", "it takes no changes");
  }

  #ask<Answer>(serve: (store: ModelStore) => Answer): Promise<Answer> {
    const store = this.#store;
    const network = this.#network;
    if (store === undefined) {
      return Promise.reject(new StoreError("OFFLINE", "there is no connection"));
    }
    const answer = Promise.withResolvers<Answer>();
    const end = (): void => {
      this.waiting.delete(give);
      timer.cancel();
    };
    const give = (error: StoreError): void => {
      end();
      answer.reject(error);
    };
    this.waiting.add(give);
    const timer = this.#clock.setTimer(
      () => give(new StoreError("TIMEOUT", "no answer in time")),
      TIMEOUT_MS,
    );
    const thereMs = network.drawDelay(network.weather.lost);
    if (thereMs === undefined) return answer.promise;
    network.timeline.after(thereMs, () => {
      if (!network.reaches(this.replica)) return;
      const result = attempt(() => serve(store));
      const backMs = network.drawDelay(network.weather.lost);
      if (backMs === undefined) return;
      this.#afterMs(backMs, () => {
        if (!this.waiting.has(give) || !network.reaches(this.replica)) return;
        end();
        if (result.error === undefined) answer.resolve(result.value);
        else answer.reject(result.error);
      });
    });
    return answer.promise;
  }
}

function attempt<Value>(run: () => Value): { readonly value?: Value; readonly error?: StoreError } {
  try {
    return { value: run() };
  } catch (error) {
    if (error instanceof StoreError) return { error };
    throw error;
  }
}
