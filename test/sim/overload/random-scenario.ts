// Scenarios that nobody thought of: upstreams of any size and speed, steps, ramps and bursts of load,
// slowdowns, one replica or several.

import { SeededRandom } from "../../../src/testing/index.ts";
import type { Scenario } from "./scenarios.ts";

export interface RandomScenario extends Scenario {
  /** Calls a second that the upstream serves when well. */
  readonly capacity: number;
  readonly slowdown: number;
}

const SPIKE_MS = 5000;
const LASTS_MS = 15_000;
/** Events that one run may take: heavier worlds are scaled down in rate and workers alike. */
const PER_SECOND_MAX = 10_000;

export function randomScenario(seed: number): RandomScenario {
  const random = new SeededRandom(seed);
  const between = (from: number, to: number): number =>
    from * Math.exp(random.next() * Math.log(to / from));
  const oneOf = <Kind>(...kinds: readonly Kind[]): Kind =>
    kinds[random.integer(kinds.length)] as Kind;

  const meanMs = between(2, 500);
  // One that serves nobody in time is another test's.
  const deadlineMs = Math.max(between(200, 5000), 5 * meanMs);
  const step = between(2, 100);
  const load = between(0.5, 10);
  const workers = Math.max(
    1,
    Math.min(Math.round(between(1, 200)), (PER_SECOND_MAX / load / 1000) * meanMs),
  );
  const whole = Math.max(1, Math.round(workers));
  const capacity = (whole / meanMs) * 1000;
  const spike = capacity * load;
  const base = Math.min(spike / step, 0.7 * capacity);
  const shape = oneOf("step", "ramp", "bursts");
  const slowdown = oneOf(1, 1, between(1.5, 10));
  const slowFromMs = SPIKE_MS + random.next() * LASTS_MS * 0.5;
  const slowToMs = slowFromMs + LASTS_MS * 0.3;
  const top = between(0.02, 0.4);
  const second = (1 - top) * random.next();
  const burstMs = between(200, 3000);

  return {
    name: `seed ${seed}`,
    about: [
      `${whole} workers of ${meanMs.toFixed(0)} ms serve ${capacity.toFixed(0)}/s`,
      `deadline ${deadlineMs.toFixed(0)} ms`,
      `${shape} from ${base.toFixed(0)} to ${spike.toFixed(0)}/s`,
      `${slowdown.toFixed(1)}× slower for ${((slowToMs - slowFromMs) / 1000).toFixed(1)} s`,
    ].join(", "),
    capacity,
    slowdown,
    spikeMs: SPIKE_MS,
    endMs: SPIKE_MS + LASTS_MS,
    deadlineMs,
    replicas: oneOf(1, 1, 2, 4, 8),
    shares: [top, second, 1 - top - second],
    perSecond: (nowMs) => {
      const sinceMs = nowMs - SPIKE_MS;
      if (sinceMs < 0) return base;
      if (shape === "step") return spike;
      if (shape === "ramp") return base + (spike - base) * Math.min(1, sinceMs / (LASTS_MS / 2));
      return Math.floor(sinceMs / burstMs) % 2 === 0 ? spike : base;
    },
    capability: (nowMs) => ({
      workers: whole,
      meanMs: nowMs >= slowFromMs && nowMs < slowToMs ? meanMs * slowdown : meanMs,
      hangsUntilMs: 0,
    }),
  };
}
