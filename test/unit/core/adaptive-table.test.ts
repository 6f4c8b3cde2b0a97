// Every state of the adaptive breaker against everything that can happen to it.

import assert from "node:assert/strict";
import type { AdaptiveOptions } from "../../../src/core/breaker/adaptive/options.ts";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import { createRig, type AdaptiveRig } from "./adaptive-harness.ts";
import {
  ANYWHERE,
  commonInputs,
  SAME,
  SAME_NEW_EPOCH,
  situation,
  testTransitions,
  type Input,
  type Situation,
} from "./transition-table.ts";

/** One failure degrades, two trip; so does a slow call when half of them failed. Both canaries count. */
const OPTIONS: AdaptiveOptions = {
  failureThreshold: 1,
  adaptive: false,
  canaryCount: 2,
  cooldownMs: 1000,
  minHealthScore: 0.46,
};

const SLOW_MS = 9000;

function from(prepare: (rig: AdaptiveRig) => Ticket): () => Situation<AdaptiveRig> {
  return () => situation(createRig(OPTIONS), prepare);
}

function tripped(rig: AdaptiveRig): void {
  rig.failTimes(2);
  assert.equal(rig.state, "cooling-down");
}

const STATES = {
  healthy: from((rig) => rig.admit()),
  degraded: from((rig) => {
    rig.failTimes(1);
    return rig.admit();
  }),
  "degraded, nearly well": from((rig) => {
    rig.failTimes(1);
    rig.okTimes(2);
    assert.equal(rig.state, "degraded");
    return rig.admit();
  }),
  "cooling-down, waiting": from((rig) => {
    tripped(rig);
    return REFUSED;
  }),
  "cooling-down, due": from((rig) => {
    tripped(rig);
    rig.advance(1000);
    return REFUSED;
  }),
  "cooling-down, by hand": from((rig) => {
    rig.tripByHand();
    rig.advance(1_000_000);
    return REFUSED;
  }),
  "half-open, first canary": from((rig) => {
    tripped(rig);
    rig.advance(1000);
    return rig.admit();
  }),
  "half-open, last canary": from((rig) => {
    tripped(rig);
    rig.advance(1000);
    rig.okTimes(1);
    return rig.admit();
  }),
};

type StateName = keyof typeof STATES;

const INPUTS = {
  ...commonInputs(SLOW_MS),
  look: ({ rig }) => rig.machine.wouldAdmit(rig.nowMs),
  "own slow and failed": ({ rig, own }) => rig.fail(own, { latencyMs: SLOW_MS }),
  "restore healthy": ({ rig }) => (rig.restore({ tripped: false }), true),
  "restore degraded": ({ rig }) => (rig.restore({ tripped: false, state: "degraded" }), true),
} as const satisfies Readonly<Record<string, Input<AdaptiveRig>>>;

type InputName = keyof typeof INPUTS;

type Row = Readonly<Record<InputName, string>>;

const HEALTHY: Row = {
  ...ANYWHERE,
  "own without weight": SAME,
  "own ignored": SAME,
  admit: SAME,
  look: SAME,
  "own ok": SAME,
  "own slow": SAME,
  "own failed": "degraded: failures",
  "own slow and failed": "degraded: health_score",
  "direct ok": SAME,
  "direct slow": SAME,
  "direct failed": "degraded: failures",
  trip: "cooling-down: manual_trip",
  reset: SAME_NEW_EPOCH,
  "restore healthy": SAME,
  "restore degraded": "degraded: restored",
  "restore tripped": "cooling-down: restored",
};

const DEGRADED: Row = {
  ...HEALTHY,
  "own slow": "cooling-down: health_score",
  "own failed": "cooling-down: failures",
  "own slow and failed": "cooling-down: failures",
  "direct slow": "cooling-down: health_score",
  "direct failed": "cooling-down: failures",
  reset: "healthy: reset",
  "restore healthy": "healthy: restored",
  "restore degraded": SAME_NEW_EPOCH,
};

const COOLING: Row = {
  ...ANYWHERE,
  "own ignored": SAME,
  admit: "no same",
  look: "no same",
  "own ok": "no same",
  "own slow": "no same",
  "own failed": "no same",
  "own slow and failed": "no same",
  "own without weight": "no same",
  "direct ok": SAME,
  "direct slow": SAME,
  "direct failed": SAME,
  trip: SAME_NEW_EPOCH,
  reset: "healthy: reset",
  "restore healthy": "healthy: restored",
  "restore degraded": "degraded: restored",
  "restore tripped": SAME_NEW_EPOCH,
};

const HALF_OPEN: Row = {
  ...COOLING,
  admit: SAME,
  look: SAME,
  "own ok": SAME,
  "own slow": SAME,
  "own failed": "cooling-down: probe_failed",
  "own slow and failed": "cooling-down: probe_failed",
  "own without weight": SAME,
  trip: "cooling-down: manual_trip",
  "restore tripped": "cooling-down: restored",
};

const TABLE: Readonly<Record<StateName, Row>> = {
  healthy: HEALTHY,
  degraded: DEGRADED,
  "degraded, nearly well": {
    ...DEGRADED,
    "own ok": "healthy: recovered",
    "direct ok": "healthy: recovered",
    // One in a row is none of two, and three of four are well enough.
    "own slow": SAME,
    "direct slow": SAME,
    "own failed": SAME,
    "direct failed": SAME,
    "own slow and failed": "cooling-down: health_score",
  },
  "cooling-down, waiting": COOLING,
  "cooling-down, due": { ...COOLING, admit: "half-open: probe_due", look: SAME },
  "cooling-down, by hand": COOLING,
  "half-open, first canary": HALF_OPEN,
  // One slot is kept by the success, the other by the canary.
  "half-open, last canary": {
    ...HALF_OPEN,
    admit: "no same",
    look: "no same",
    "own ok": "degraded: probe_succeeded",
    "own slow": "degraded: probe_succeeded",
  },
};

testTransitions({
  states: STATES,
  inputs: INPUTS,
  table: TABLE,
  closed: "healthy",
  tripped: ["cooling-down", "half-open"],
  check({ rig: { machine } }, before, result) {
    // A mark alone leaves the epoch as it is; everything else begins another.
    const isMark = /: (?:failures|health_score|recovered)$/.test(result);
    const staysOpen = !machine.isTripped && before.state !== "half-open";
    if (machine.state === before.state) return;
    assert.equal(machine.epoch > before.epoch, !(isMark && staysOpen));
  },
});
