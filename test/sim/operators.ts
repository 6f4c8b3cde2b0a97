// The people of a world, who give orders, and its troubles, which ask nobody.

import type { OperatorMode, Upstream } from "../../src/index.ts";
import { pick } from "./kinds.ts";
import type { Ledger } from "./ledger.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

/** One upstream in one process: what an order or a call goes to. */
export interface Actor {
  readonly process: Process;
  readonly upstream: Upstream;
  readonly ledger: Ledger;
}

export class Operators {
  readonly #setting: Setting;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  trip({ process, upstream }: Actor): void {
    const { journal, sequence } = this.#setting;
    journal.note("trip", process.number, upstream.name);
    upstream.trip({ reason: `maintenance ${sequence}`, actor: "ann" });
  }

  reset({ process, upstream }: Actor): void {
    const { journal, random, sequence, plan } = this.#setting;
    const force = random.integer(2) === 0;
    journal.note("reset", process.number, upstream.name, force);
    try {
      upstream.reset({ reason: `well again ${sequence}`, actor: "bob", force });
      const unwell = upstream.endpoints?.endpoints.find(
        ({ machine }) => machine.state !== "healthy",
      );
      if (unwell !== undefined && !plan.has("reentrantListeners")) {
        journal.break("a reset is for the endpoints, too", unwell.name);
      }
    } catch (error) {
      journal.note("denied", (error as Error).message);
      if (force) journal.break("force overrides the cooldown", upstream.name);
    }
  }

  /** Somebody stops one endpoint, or starts it again. */
  orderEndpoint({ process, upstream }: Actor, order: "trips" | "resets"): void {
    const { journal, random } = this.#setting;
    const names = process.endpoints.get(upstream.name)?.plan.names ?? [];
    const name = names[random.integer(Math.max(1, names.length))];
    if (name === undefined) return;
    journal.note("endpoint", process.number, order, name);
    if (order === "trips") upstream.endpoints?.trip(name, { reason: "maintenance", actor: "ann" });
    else upstream.endpoints?.reset(name, { reason: "well again", actor: "bob" });
  }

  setMode(actor: Actor): void {
    const modes: readonly [OperatorMode, ...OperatorMode[]] = ["normal", "shadow", "forced-closed"];
    this.order(actor, pick(this.#setting.random, modes));
  }

  order({ process, upstream, ledger }: Actor, mode: OperatorMode): void {
    const order = { mode, actor: "cyd", reason: `mode ${this.#setting.sequence}` };
    this.#setting.journal.note("mode", process.number, upstream.name, mode);
    process.orderMode(ledger, mode, order.actor, order.reason);
    upstream.setMode(order);
  }

  /** Somebody sets the wall clock. */
  jump(sign: 1 | -1): void {
    const { journal, random, timeline } = this.#setting;
    const ms = sign * pick(random, [1, 500, 61_000, 3_600_000]);
    journal.note("wall clock", ms);
    timeline.jumpWall(ms);
  }

  /** The event loop stands still. */
  stall(process: Process): void {
    const ms = pick(this.#setting.random, [40, 60, 200, 2500]);
    this.#setting.journal.note("stall", process.number, ms);
    process.stall(ms);
  }

  /** The store begins to fail, or works again, or fails once. */
  fault({ store, number }: Process, operation: "commit" | "poll" | "load"): void {
    const { random, journal } = this.#setting;
    const isOnce = random.integer(3) === 0;
    store.throwsOddly = random.integer(5) === 0;
    if (isOnce) store.failOnce = 1;
    else store.failing[operation] = !store.failing[operation];
    journal.note("store", number, operation, isOnce, store.failing[operation]);
  }

  crash(process: Process): void {
    this.#setting.journal.note("crash", process.number);
    process.isDying = true;
  }
}
