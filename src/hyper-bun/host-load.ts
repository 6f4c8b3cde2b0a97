// The load that the host measures in its own way: `getSystemLoad()` may be anything of the host's. One
// that throws or answers what is no load sheds nothing, and is told of.

import type { LoadSampler } from "../index.ts";
import { whenRejected } from "../core/foreign.ts";
import type { HostLog } from "./host-log.ts";
import { shown } from "./outcomes.ts";

/** A sampler that fails would fail at every heavy call. */
const WARNING_MS = 60_000;

export class HostLoad implements LoadSampler {
  readonly #measure: () => unknown;
  readonly #log: HostLog;
  readonly #now: () => number;
  #warningDue = Number.NEGATIVE_INFINITY;

  constructor(measure: () => unknown, log: HostLog, now: () => number) {
    this.#measure = measure;
    this.#log = log;
    this.#now = now;
  }

  systemLoad(): number {
    let load: unknown;
    try {
      load = this.#measure();
    } catch (error) {
      const now = this.#now();
      if (now >= this.#warningDue) this.#log.loadFailed(error);
      this.#warningDue = Math.max(this.#warningDue, now + WARNING_MS);
      return 0;
    }
    return typeof load === "number" && load >= 0 && load <= 1 ? load : this.#wrong(load);
  }

  #wrong(load: unknown): number {
    const isHigh = typeof load === "number" && load > 1;
    // Nobody else waits for it: a rejection would end the process.
    whenRejected(load);
    const counted = isHigh ? "which counts as 1" : "so that nothing is shed";
    this.#log.misused(
      isHigh ? "getSystemLoad above 1" : "getSystemLoad",
      `getSystemLoad() answered ${shown(load)}, ${counted}: it must answer a number from 0 to 1 at once`,
    );
    return isHigh ? 1 : 0;
  }
}
