// Every state of the sliding-window breaker against everything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { SlidingWindowOptions } from "../../../src/core/breaker/sliding-window/options.ts";
import { sanitiseSlidingWindow } from "../../../src/core/breaker/sliding-window/restore.ts";
import { BOOM, Rig, WEIGHTLESS } from "./sliding-window-harness.ts";

/** One slow or failed call of one trips; two probes close; each step of the ramp sees itself only. */
const OPTIONS: SlidingWindowOptions = {
  windowDurationMs: 9999,
  minimumCalls: 1,
  halfOpenMaxProbes: 2,
  slowCallMs: 100,
  ramping: true,
};

interface Situation {
  readonly rig: Rig;
  /** Of a call that this state let in, if it lets any in. */
  readonly own: Ticket;
  /** Of a call from before. */
  readonly late: Ticket;
}

function situation(prepare: (rig: Rig) => Ticket): Situation {
  const rig = new Rig(OPTIONS);
  // Its era ends here.
  const late = rig.admit();
  rig.reset();
  const own = prepare(rig);
  rig.drain();
  return { rig, own, late };
}

function tripped(rig: Rig): void {
  rig.failTimes(1);
  assert.equal(rig.state, "open");
}

const STATES = {
  closed: () => situation((rig) => rig.admit()),
  "open, waiting": () =>
    situation((rig) => {
      tripped(rig);
      return REFUSED;
    }),
  "open, due": () =>
    situation((rig) => {
      tripped(rig);
      rig.advance(15_000);
      return REFUSED;
    }),
  "open, by hand": () =>
    situation((rig) => {
      rig.trip();
      rig.advance(1_000_000);
      return REFUSED;
    }),
  "half-open, first probe": () =>
    situation((rig) => {
      tripped(rig);
      rig.advance(15_000);
      return rig.admit();
    }),
  "half-open, last probe": () =>
    situation((rig) => {
      tripped(rig);
      rig.advance(15_000);
      rig.okTimes(1);
      return rig.admit();
    }),
  ramping: () =>
    situation((rig) => {
      tripped(rig);
      rig.recover();
      assert.equal(rig.state, "ramping");
      return rig.admit();
    }),
  "ramping, last step": () =>
    situation((rig) => {
      tripped(rig);
      rig.recover();
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
  admit: ({ rig }: Situation) => rig.tryAdmit() !== REFUSED,
  "own ok": ({ rig, own }: Situation) => rig.ok(own),
  "own slow": ({ rig, own }: Situation) => rig.ok(own, 100),
  "own failed": ({ rig, own }: Situation) => rig.fail(own),
  "own without weight": ({ rig, own }: Situation) =>
    rig.machine.settleFailed(own, WEIGHTLESS, 100, rig.at),
  "own ignored": ({ rig, own }: Situation) => (rig.ignore(own), true),
  "late ok": ({ rig, late }: Situation) => rig.ok(late),
  "late failed": ({ rig, late }: Situation) => rig.fail(late),
  "late ignored": ({ rig, late }: Situation) => (rig.ignore(late), true),
  "direct ok": ({ rig }: Situation) => direct(rig, "ok", 5),
  "direct slow": ({ rig }: Situation) => direct(rig, "ok", 100),
  "direct failed": ({ rig }: Situation) => direct(rig, "failed", 5),
  "direct ignored": ({ rig }: Situation) => direct(rig, "ignored", 100),
  trip: ({ rig }: Situation) => (rig.trip(), true),
  reset: ({ rig }: Situation) => (rig.reset(), true),
  "restore closed": ({ rig }: Situation) => restore(rig, { tripped: false }),
  "restore ramping": ({ rig }: Situation) => restore(rig, { tripped: false, state: "ramping" }),
  "restore tripped": ({ rig }: Situation) => restore(rig, { tripped: true }),
};

type InputName = keyof typeof INPUTS;

function direct(rig: Rig, outcome: "ok" | "failed" | "ignored", latencyMs: number): boolean {
  rig.machine.record(outcome, outcome === "failed" ? BOOM : undefined, latencyMs, rig.at);
  return true;
}

function restore(rig: Rig, raw: object): boolean {
  rig.machine.restore(sanitiseSlidingWindow(raw, rig.wallMs, undefined), rig.at);
  return true;
}

/** State after it, with the cause of each transition; `no` before it where the answer is false. */
const SAME = "same";
type Row = Readonly<Record<InputName, string>>;

const NOT_IN_FLIGHT = {
  "own ok": "no same",
  "own slow": "no same",
  "own failed": "no same",
  "own without weight": "no same",
  "own ignored": SAME,
} as const;

const ANYWHERE = {
  "late ok": "no same",
  "late failed": "no same",
  "late ignored": SAME,
  "direct ignored": SAME,
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
  trip: "same, new epoch",
  reset: "closed: reset",
  "restore closed": "closed: restored",
  "restore ramping": "ramping: restored",
  "restore tripped": "same, new epoch",
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

const RAMPING: Row = {
  ...ANYWHERE,
  admit: "no same",
  "own ok": SAME,
  "own slow": "open: slow_calls",
  "own failed": "open: failures",
  "own without weight": SAME,
  "own ignored": SAME,
  "direct ok": SAME,
  "direct slow": "open: slow_calls",
  "direct failed": "open: failures",
  trip: "open: manual_trip",
  reset: "closed: reset",
  "restore closed": "closed: restored",
  "restore ramping": "same, new epoch",
  "restore tripped": "open: restored",
};

const TABLE: Readonly<Record<StateName, Row>> = {
  closed: {
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
    reset: "same, new epoch",
    "restore closed": SAME,
    "restore ramping": "ramping: restored",
    "restore tripped": "open: restored",
  },
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

for (const state of Object.keys(TABLE) as StateName[]) {
  for (const input of Object.keys(INPUTS) as InputName[]) {
    test(`${state}: ${input} → ${TABLE[state][input]}`, () => {
      const made = STATES[state]();
      const { machine } = made.rig;
      const { state: before, epoch } = machine;

      const answer = INPUTS[input](made);

      const causes = made.rig.causes();
      const isSame = machine.state === before;
      const result = isSame
        ? machine.epoch === epoch
          ? SAME
          : "same, new epoch"
        : `${machine.state}: ${causes.join(", ")}`;
      assert.equal(answer ? result : `no ${result}`, TABLE[state][input]);
      assert.equal(causes.length, isSame ? 0 : 1);
      // What it says of itself agrees with where it is.
      assert.equal(machine.isTripped, machine.state === "open" || machine.state === "half-open");
      assert.equal(made.rig.snapshot.tripped, machine.isTripped);
      assert.equal(made.rig.snapshot.state, machine.state);
      if (machine.state !== "closed") assert.equal(machine.hasFailures, true);
    });
  }
}
