// What tests of the sliding-window breaker share.

import {
  slidingWindow,
  type SlidingWindowMachine,
} from "../../../src/core/breaker/sliding-window/machine.ts";
import type { SlidingWindowMetrics } from "../../../src/core/breaker/sliding-window/metrics.ts";
import type { SlidingWindowOptions } from "../../../src/core/breaker/sliding-window/options.ts";
import { sanitiseSlidingWindow } from "../../../src/core/breaker/sliding-window/restore.ts";
import type { SlidingWindowSnapshot } from "../../../src/core/breaker/sliding-window/snapshot.ts";
import type { Random } from "../../../src/core/random.ts";
import { Rig } from "./rig.ts";

export type SlidingWindowRig = Rig<SlidingWindowSnapshot, SlidingWindowMachine>;

export function createRig(options: SlidingWindowOptions = {}, random?: Random): SlidingWindowRig {
  const policy = slidingWindow(options);
  return new Rig({
    create: (ports) => policy.createMachine(ports),
    sanitise: sanitiseSlidingWindow,
    latencyMs: 5,
    random,
  });
}

export function metricsOf(rig: SlidingWindowRig): SlidingWindowMetrics {
  return rig.machine.metrics(rig.at);
}

/** Through open and two probes, to wherever that leads. */
export function recover(rig: SlidingWindowRig): void {
  rig.wait();
  rig.okTimes(2);
}
