// What tests of the adaptive breaker share.

import assert from "node:assert/strict";
import { adaptive, type AdaptiveMachine } from "../../../src/core/breaker/adaptive/machine.ts";
import type { AdaptiveOptions } from "../../../src/core/breaker/adaptive/options.ts";
import { sanitiseAdaptive } from "../../../src/core/breaker/adaptive/restore.ts";
import type { AdaptiveSnapshot } from "../../../src/core/breaker/adaptive/snapshot.ts";
import type { Random } from "../../../src/core/random.ts";
import { Rig } from "./rig.ts";

/** What the source system does: its numbers are what the specification's tables show. */
export const SOURCE: AdaptiveOptions = { adaptiveFloor: 1 };

export type AdaptiveRig = Rig<AdaptiveSnapshot, AdaptiveMachine>;

export function createRig(options: AdaptiveOptions = {}, random?: Random): AdaptiveRig {
  const policy = adaptive(options);
  return new Rig({
    create: (ports) => policy.createMachine(ports),
    sanitise: sanitiseAdaptive,
    latencyMs: Number.NaN,
    random,
  });
}

/** Evidence without an admission: `S` for each success, `F` for each failure. */
export function record(rig: AdaptiveRig, results: string, latencyMs?: number): void {
  for (const result of results) rig.direct(result === "S" ? "ok" : "failed", latencyMs);
}

/** The numbers of the results, from 1, at which the state changed, and to what. */
export function trace(rig: AdaptiveRig, results: string): string[] {
  const seen: string[] = [];
  let before = rig.state;
  for (const [index, result] of [...results].entries()) {
    record(rig, result);
    if (rig.state !== before) seen.push(`${index + 1} ${rig.state}`);
    before = rig.state;
  }
  return seen;
}

/** To the tolerance of the specification's tables. */
export function near(actual: number, expected: number, tolerance = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}
