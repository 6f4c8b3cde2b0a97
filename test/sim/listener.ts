// The listener of every event of a world: it notes them, sometimes throws, and sometimes calls back in.

import type { SwitchgearEvent } from "../../src/core/events.ts";
import type { Callers } from "./callers.ts";
import type { Actor, Operators } from "./operators.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

/** One that calls back in causes events of its own; somewhere it must end. */
const DEPTH_MAX = 2;

export class Listener {
  readonly #setting: Setting;
  readonly #callers: Callers;
  readonly #operators: Operators;
  readonly #actorOf: (process: Process) => Actor | undefined;
  #depth = 0;

  constructor(
    setting: Setting,
    callers: Callers,
    operators: Operators,
    actorOf: (process: Process) => Actor | undefined,
  ) {
    this.#setting = setting;
    this.#callers = callers;
    this.#operators = operators;
    this.#actorOf = actorOf;
  }

  hear(process: Process, event: SwitchgearEvent): unknown {
    if (!process.isAlive) return undefined;
    const { journal, random, plan } = this.#setting;
    journal.note(`heard ${event.type}`, process.number, "upstream" in event ? event.upstream : "");
    const isDeepEnough = this.#depth >= DEPTH_MAX || !plan.has("reentrantListeners");
    if (!isDeepEnough && random.integer(4) === 0) {
      this.#depth += 1;
      this.#reenter(process);
      this.#depth -= 1;
    }
    if (!plan.has("throwingListeners") || random.integer(5) > 0) return undefined;
    process.listenerErrors.expected += 1;
    if (random.integer(2) === 0) throw new Error("a listener's own fault");
    return Promise.reject(new Error("a listener's own fault, later"));
  }

  #reenter(process: Process): void {
    const actor = this.#actorOf(process);
    if (actor === undefined) return;
    const { upstream, ledger } = actor;
    switch (this.#setting.random.integer(7)) {
      case 0:
        this.#operators.trip(actor);
        break;
      case 1:
        this.#operators.reset(actor);
        break;
      case 2:
        this.#operators.setMode(actor);
        break;
      case 3:
        this.#callers.record(upstream);
        break;
      case 4:
        this.#callers.acquire(process, upstream, ledger);
        break;
      case 5:
        process.gear.flush();
        break;
      default:
        this.#callers.execute(process, upstream, ledger);
    }
  }
}
