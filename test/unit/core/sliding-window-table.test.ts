// Every state of the sliding-window breaker against everything that can happen to it.

import assert from "node:assert/strict";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { SlidingWindowOptions } from "../../../src/core/breaker/sliding-window/options.ts";
import { createRig, recover, type SlidingWindowRig } from "./sliding-window-harness.ts";
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

/** One slow or failed call of one trips; two probes close; each step of the ramp sees itself only. */
const OPTIONS: SlidingWindowOptions = {
  windowDurationMs: 9999,
  minimumCalls: 1,
  halfOpenMaxProbes: 2,
  slowCallMs: 100,
  ramping: true,
};

function from(prepare: (rig: SlidingWindowRig) => Ticket): () => Situation<SlidingWindowRig> {
  return () => situation(createRig(OPTIONS), prepare);
}

function tripped(rig: SlidingWindowRig): void {
  rig.failTimes(1);
  assert.equal(rig.state, "open");
}

const STATES = {
  closed: from((rig) => rig.admit()),
  "open, waiting": from((rig) => {
    tripped(rig);
    return REFUSED;
  }),
  "open, due": from((rig) => {
    tripped(rig);
    rig.advance(15_000);
    return REFUSED;
  }),
  "open, by hand": from((rig) => {
    rig.tripByHand();
    rig.advance(1_000_000);
    return REFUSED;
  }),
  "half-open, first probe": from((rig) => {
    tripped(rig);
    rig.advance(15_000);
    return rig.admit();
  }),
  "half-open, last probe": from((rig) => {
    tripped(rig);
    rig.advance(15_000);
    rig.okTimes(1);
    return rig.admit();
  }),
  ramping: from((rig) => {
    tripped(rig);
    recover(rig);
    assert.equal(rig.state, "ramping");
    return rig.admit();
  }),
  "ramping, last step": from((rig) => {
    tripped(rig);
    recover(rig);
    for (let step = 0; step < 3; step += 1) {
      rig.advance(10_000);
      rig.okTimes(1);
    }
    rig.advance(10_000);
    return rig.admit();
  }),
};

type StateName = keyof typeof STATES;

const INPUTS = {
  ...commonInputs(100),
  "restore closed": ({ rig }) => (rig.restore({ tripped: false }), true),
  "restore ramping": ({ rig }) => (rig.restore({ tripped: false, state: "ramping" }), true),
} as const satisfies Readonly<Record<string, Input<SlidingWindowRig>>>;

type InputName = keyof typeof INPUTS;

type Row = Readonly<Record<InputName, string>>;

const NOT_IN_FLIGHT = {
  "own ok": "no same",
  "own slow": "no same",
  "own failed": "no same",
  "own without weight": "no same",
  "own ignored": SAME,
} as const;

const TRIPPED = {
  ...ANYWHERE,
  "direct ok": SAME,
  "direct slow": SAME,
  "direct failed": SAME,
} as const;

const OPEN: Row = {
  ...TRIPPED,
  ...NOT_IN_FLIGHT,
  admit: "no same",
  trip: SAME_NEW_EPOCH,
  reset: "closed: reset",
  "restore closed": "closed: restored",
  "restore ramping": "ramping: restored",
  "restore tripped": SAME_NEW_EPOCH,
};

const HALF_OPEN: Row = {
  ...TRIPPED,
  admit: SAME,
  "own ok": SAME,
  "own slow": "open: probe_failed",
  "own failed": "open: probe_failed",
  "own without weight": SAME,
  "own ignored": SAME,
  trip: "open: manual_trip",
  reset: "closed: reset",
  "restore closed": "closed: restored",
  "restore ramping": "ramping: restored",
  "restore tripped": "open: restored",
};

const CLOSED: Row = {
  ...ANYWHERE,
  admit: SAME,
  "own ok": SAME,
  "own slow": "open: slow_calls",
  "own failed": "open: failures",
  "own without weight": SAME,
  "own ignored": SAME,
  "direct ok": SAME,
  "direct slow": "open: slow_calls",
  "direct failed": "open: failures",
  trip: "open: manual_trip",
  reset: SAME_NEW_EPOCH,
  "restore closed": SAME,
  "restore ramping": "ramping: restored",
  "restore tripped": "open: restored",
};

const RAMPING: Row = {
  ...CLOSED,
  admit: "no same",
  reset: "closed: reset",
  "restore closed": "closed: restored",
  "restore ramping": SAME_NEW_EPOCH,
};

const TABLE: Readonly<Record<StateName, Row>> = {
  closed: CLOSED,
  "open, waiting": OPEN,
  "open, due": { ...OPEN, admit: "half-open: probe_due" },
  "open, by hand": OPEN,
  "half-open, first probe": HALF_OPEN,
  // One slot is kept by the success, the other by the probe.
  "half-open, last probe": {
    ...HALF_OPEN,
    admit: "no same",
    "own ok": "ramping: probe_succeeded",
  },
  ramping: RAMPING,
  "ramping, last step": {
    ...RAMPING,
    "own ok": "closed: ramp_completed",
    "direct ok": "closed: ramp_completed",
  },
};

testTransitions({
  states: STATES,
  inputs: INPUTS,
  table: TABLE,
  closed: "closed",
  tripped: ["open", "half-open"],
});
