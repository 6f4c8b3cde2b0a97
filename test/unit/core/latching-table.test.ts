// Every state of the latching breaker against everything that can happen to it.

import { LatchingMachine } from "../../../src/core/breaker/latching/machine.ts";
import {
  latchingSettings,
  type LatchingOptions,
} from "../../../src/core/breaker/latching/options.ts";
import { sanitiseLatching } from "../../../src/core/breaker/latching/restore.ts";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { LatchingSnapshot } from "../../../src/core/breaker/snapshot.ts";
import { Rig } from "./rig.ts";
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

type LatchingRig = Rig<LatchingSnapshot, LatchingMachine>;

/** One failure trips; a probe is due after the cooldown, and its lease is longer than either. */
const OPTIONS: LatchingOptions = {
  failureThreshold: 1,
  cooldownMs: 500,
  recovery: "single-probe",
  resetTimeoutMs: 1000,
  probeLeaseMs: 2000,
};

const SLOW_MS = 9000;

function from(
  prepare: (rig: LatchingRig) => Ticket,
  options: LatchingOptions = OPTIONS,
): () => Situation<LatchingRig> {
  const settings = latchingSettings(options);
  return () => {
    const rig = new Rig<LatchingSnapshot, LatchingMachine>({
      create: () => new LatchingMachine(settings),
      sanitise: sanitiseLatching,
      latencyMs: 5,
    });
    return situation(rig, prepare);
  };
}

const STATES = {
  closed: from((rig) => rig.admit()),
  "open, waiting": from((rig) => {
    rig.failTimes(1);
    return REFUSED;
  }),
  "open, due": from((rig) => {
    rig.failTimes(1);
    rig.advance(1000);
    return REFUSED;
  }),
  "open, by hand": from((rig) => {
    rig.tripByHand();
    rig.advance(1_000_000);
    return REFUSED;
  }),
  "open, for a person to reset": from(
    (rig) => {
      rig.failTimes(1);
      rig.advance(1_000_000);
      return REFUSED;
    },
    { ...OPTIONS, recovery: "manual" },
  ),
  "half-open": from((rig) => {
    rig.failTimes(1);
    rig.advance(1000);
    return rig.admit();
  }),
  "half-open, lease over": from((rig) => {
    rig.failTimes(1);
    rig.advance(1000);
    const probe = rig.admit();
    rig.advance(2000);
    return probe;
  }),
};

type StateName = keyof typeof STATES;

const INPUTS = {
  ...commonInputs(SLOW_MS),
  reset: ({ rig }) =>
    rig.machine.reset({ reason: "done", actor: "ann", force: false }, rig.at).accepted,
  "forced reset": ({ rig }) => (rig.reset(true), true),
  "restore closed": ({ rig }) => (rig.restore({ tripped: false }), true),
} as const satisfies Readonly<Record<string, Input<LatchingRig>>>;

type InputName = keyof typeof INPUTS;

type Row = Readonly<Record<InputName, string>>;

const TRIPPED = {
  ...ANYWHERE,
  "direct ok": SAME,
  "direct slow": SAME,
  "direct failed": SAME,
  "forced reset": "closed: reset",
  "restore closed": "closed: restored",
} as const;

const OPEN: Row = {
  ...TRIPPED,
  admit: "no same",
  "own ok": "no same",
  "own slow": "no same",
  "own failed": "no same",
  "own without weight": "no same",
  "own ignored": SAME,
  trip: SAME_NEW_EPOCH,
  reset: "closed: reset",
  "restore tripped": SAME_NEW_EPOCH,
};

const HALF_OPEN: Row = {
  ...TRIPPED,
  admit: "no same",
  "own ok": "closed: probe_succeeded",
  "own slow": "closed: probe_succeeded",
  "own failed": "open: probe_failed",
  // Anything but a success re-arms the wait.
  "own without weight": "open: probe_failed",
  "own ignored": "open: probe_ignored",
  trip: "open: manual_trip",
  reset: "closed: reset",
  "restore tripped": "open: restored",
};

const TABLE: Readonly<Record<StateName, Row>> = {
  closed: {
    ...ANYWHERE,
    admit: SAME,
    "own ok": SAME,
    "own slow": SAME,
    "own failed": "open: failures",
    "own without weight": SAME,
    "own ignored": SAME,
    "direct ok": SAME,
    "direct slow": SAME,
    "direct failed": "open: failures",
    trip: "open: manual_trip",
    reset: SAME_NEW_EPOCH,
    "forced reset": SAME_NEW_EPOCH,
    "restore closed": SAME_NEW_EPOCH,
    "restore tripped": "open: restored",
  },
  "open, waiting": { ...OPEN, reset: "no same" },
  "open, due": { ...OPEN, admit: "half-open: probe_due" },
  "open, by hand": OPEN,
  "open, for a person to reset": OPEN,
  "half-open": HALF_OPEN,
  "half-open, lease over": { ...HALF_OPEN, admit: "no open: probe_lease_expired" },
};

testTransitions({
  states: STATES,
  inputs: INPUTS,
  table: TABLE,
  closed: "closed",
  tripped: ["open", "half-open"],
});
