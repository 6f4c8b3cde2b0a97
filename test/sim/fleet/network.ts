// Between replicas and store: what may become of a message, who is cut off, and which store is asked.

import type { SeededRandom } from "../../../src/testing/index.ts";
import type { Timeline } from "../timeline.ts";
import type { Link } from "./link.ts";
import { ModelStore, type Push, type StoreRules } from "./store.ts";

/** Shares of messages, 0–1. */
export interface Weather {
  /** Typical time that one takes. */
  delayMs: number;
  /** Takes up to this long instead: longer than anybody waits for an answer. */
  late: number;
  lost: number;
  pushLost: number;
  pushTwice: number;
}

export const FAIR: Readonly<Weather> = { delayMs: 1, late: 0, lost: 0, pushLost: 0, pushTwice: 0 };

const LATE_MS = 6000;

/** Until the last connection to a leader that was replaced ends. */
const FENCED_MS = 3000;

export class Network {
  readonly weather: Weather = { ...FAIR };
  readonly cut = new Set<string>();
  readonly links = new Set<Link>();
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  store: ModelStore;
  /** As the follower has it. */
  #follower: ModelStore;
  isDown = false;
  /** Whether it answers questions, and refuses every change. */
  isReadOnly = false;
  /** Whether anything acknowledged was ever lost. */
  hasLost = false;
  readonly #rules: StoreRules;

  constructor(timeline: Timeline, random: SeededRandom, rules: StoreRules) {
    this.timeline = timeline;
    this.random = random;
    this.#rules = rules;
    this.store = new ModelStore(rules);
    this.#follower = this.store.copy();
  }

  reaches(replica: string): boolean {
    return !this.isDown && !this.cut.has(replica);
  }

  /** How long the next message takes; undefined where it is lost. */
  drawDelay(share: number): number | undefined {
    const { random, weather } = this;
    if (random.next() < share) return undefined;
    if (random.next() < weather.late) return random.next() * LATE_MS;
    return weather.delayMs * random.next() * 2;
  }

  /** Several times, or never. */
  deliver(push: Push, take: (push: Push) => void, afterMs: (ms: number, run: () => void) => void) {
    const { random, weather } = this;
    const copies = random.next() < weather.pushTwice ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const delayMs = this.drawDelay(weather.pushLost);
      if (delayMs !== undefined) afterMs(delayMs, () => take(push));
    }
  }

  /** The follower has all that was written until now. */
  replicate(): void {
    this.#follower = this.store.copy();
  }

  /** The follower leads. Who was connected to the other one goes on with it for a while. */
  failOver(): void {
    this.hasLost = true;
    this.store = this.#follower;
    this.replicate();
    for (const link of this.links) {
      this.timeline.after(this.random.next() * FENCED_MS, () => link.leave());
    }
  }

  /** Begins anew with nothing. */
  empty(): void {
    this.hasLost = true;
    this.store = new ModelStore(this.#rules);
    this.replicate();
    this.disconnect();
  }

  flush(): void {
    this.hasLost = true;
    this.store.flush();
    this.replicate();
  }

  disconnect(): void {
    for (const link of this.links) link.drop();
  }
}
