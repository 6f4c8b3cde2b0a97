// Says that a bookmaker is back: once, with the first success after a reset that ended a trip, by a
// person here or in another process. A re-test that closes a breaker says so by itself.

import type { Switchgear, Upstream } from "../index.ts";
import { BreakerLog, type PinoLike } from "../telemetry/log/lines.ts";

export class Recoveries {
  readonly #gear: Switchgear;
  readonly #log: BreakerLog;
  /** By bookmaker, what ends the waiting for a success; one each. */
  readonly #awaited = new Map<string, () => void>();

  constructor(gear: Switchgear, logger: PinoLike) {
    this.#gear = gear;
    this.#log = new BreakerLog(logger);
    gear.on("transition", ({ upstream, to, cause }) => {
      this.#forget(upstream);
      // `restored` is what another process did.
      if (to === "closed" && (cause === "reset" || cause === "restored")) this.#await(upstream);
    });
  }

  /** A success that was recorded without a call. */
  recorded({ name }: Upstream, latencyMs: number): void {
    if (this.#awaited.has(name)) this.#tell(name, latencyMs);
  }

  /** Only then are its calls listened to: each costs an event. */
  #await(name: string): void {
    const upstream = this.#gear.find(name);
    if (upstream === undefined) return;
    let { lateOk } = upstream.counters;
    const end = upstream.on("settled", ({ outcome, latencyMs }) => {
      if (outcome !== "ok") return;
      // A success of a call from before the reset speaks of another time.
      if (upstream.counters.lateOk === lateOk) this.#tell(name, latencyMs);
      ({ lateOk } = upstream.counters);
    });
    this.#awaited.set(name, end);
  }

  #tell(upstream: string, latencyMs: number): void {
    this.#forget(upstream);
    this.#log.recovery({ upstream, latencyMs });
  }

  #forget(name: string): void {
    this.#awaited.get(name)?.();
    this.#awaited.delete(name);
  }
}
