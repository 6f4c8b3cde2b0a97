// How connections grow old on Bun, so that a name that moves is followed: `fetch` keeps a connection for as
// long as calls use it, and has no option for it (1.4.5). But a call that is sent with `Connection: close`
// takes a kept connection and ends it. So once in a while as many calls are sent so as there can be kept
// connections: the most that were under way at once since the last time.

import { AGE_MS_MAX_DEFAULT } from "../ports.ts";
import type { Destination } from "../route.ts";

class Aging {
  readonly #ageMsMax: number;
  #dueMs: number;
  #underWay = 0;
  #most = 0;
  /** Calls that are still to end a connection. */
  #left = 0;

  constructor(ageMsMax: number, nowMs: number) {
    this.#ageMsMax = ageMsMax;
    this.#dueMs = nowMs + ageMsMax;
  }

  /** A call begins; true when it is to end the connection that it takes. */
  begins(nowMs: number): boolean {
    if (nowMs >= this.#dueMs) {
      this.#left = Math.max(this.#most, 1);
      this.#most = this.#underWay;
      this.#dueMs = nowMs + this.#ageMsMax;
    }
    this.#underWay += 1;
    this.#most = Math.max(this.#most, this.#underWay);
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  ends(): void {
    this.#underWay -= 1;
  }
}

export class AgingTable {
  readonly #byKey = new Map<string, Aging>();

  of({ connectionKey, upstream }: Destination, nowMs: number): Aging {
    let found = this.#byKey.get(connectionKey);
    if (found === undefined) {
      found = new Aging(upstream.connection?.ageMsMax ?? AGE_MS_MAX_DEFAULT, nowMs);
      this.#byKey.set(connectionKey, found);
    }
    return found;
  }

  /** Forgets all others. */
  keep(destinations: Iterable<Destination>): void {
    const kept = new Set([...destinations].map((each) => each.connectionKey));
    for (const key of this.#byKey.keys()) if (!kept.has(key)) this.#byKey.delete(key);
  }
}

export type { Aging };
