// Every state of the adaptive breaker against everything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdaptiveOptions } from "../../../src/core/breaker/adaptive/options.ts";
import { sanitiseAdaptive } from "../../../src/core/breaker/adaptive/restore.ts";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import { BOOM, Rig, WEIGHTLESS } from "./adaptive-harness.ts";

/** One failure degrades, two trip; so does a slow call when half of them failed. Both canaries count. */
const OPTIONS: AdaptiveOptions = {
  failureThreshold: 1,
  adaptive: false,
  canaryCount: 2,
  cooldownMs: 1000,
  minHealthScore: 0.46,
};

const SLOW_MS = 9000;

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
  rig.failTimes(2);
  assert.equal(rig.state, "cooling-down");
}

const STATES = {
  healthy: () => situation((rig) => rig.admit()),
  degraded: () =>
    situation((rig) => {
      rig.failTimes(1);
      return rig.admit();
    }),
  "degraded, nearly well": () =>
    situation((rig) => {
      rig.failTimes(1);
      rig.okTimes(2);
      assert.equal(rig.state, "degraded");
      return rig.admit();
    }),
  "cooling-down, waiting": () =>
    situation((rig) => {
      tripped(rig);
      return REFUSED;
    }),
  "cooling-down, due": () =>
    situation((rig) => {
      tripped(rig);
      rig.advance(1000);
      return REFUSED;
    }),
  "cooling-down, by hand": () =>
    situation((rig) => {
      rig.trip();
      rig.advance(1_000_000);
      return REFUSED;
    }),
  "half-open, first canary": () =>
    situation((rig) => {
      tripped(rig);
      rig.advance(1000);
      return rig.admit();
    }),
  "half-open, last canary": () =>
    situation((rig) => {
      tripped(rig);
      rig.advance(1000);
      rig.okTimes(1);
      return rig.admit();
    }),
};

type StateName = keyof typeof STATES;

const INPUTS = {
  admit: ({ rig }: Situation) => rig.tryAdmit() !== REFUSED,
  look: ({ rig }: Situation) => rig.machine.wouldAdmit(rig.nowMs),
  "own ok": ({ rig, own }: Situation) => rig.ok(own),
  "own slow": ({ rig, own }: Situation) => rig.ok(own, SLOW_MS),
  "own failed": ({ rig, own }: Situation) => rig.fail(own),
  "own slow and failed": ({ rig, own }: Situation) => rig.fail(own, SLOW_MS),
  "own without weight": ({ rig, own }: Situation) =>
    rig.machine.settleFailed(own, WEIGHTLESS, SLOW_MS, rig.at),
  "own ignored": ({ rig, own }: Situation) => (rig.ignore(own), true),
  "late ok": ({ rig, late }: Situation) => rig.ok(late, SLOW_MS),
  "late failed": ({ rig, late }: Situation) => rig.fail(late, SLOW_MS),
  "late ignored": ({ rig, late }: Situation) => (rig.ignore(late), true),
  "direct ok": ({ rig }: Situation) => direct(rig, "ok", Number.NaN),
  "direct slow": ({ rig }: Situation) => direct(rig, "ok", SLOW_MS),
  "direct failed": ({ rig }: Situation) => direct(rig, "failed", Number.NaN),
  "direct ignored": ({ rig }: Situation) => direct(rig, "ignored", SLOW_MS),
  trip: ({ rig }: Situation) => (rig.trip(), true),
  reset: ({ rig }: Situation) => (rig.reset(), true),
  "restore healthy": ({ rig }: Situation) => restore(rig, { tripped: false }),
  "restore degraded": ({ rig }: Situation) => restore(rig, { tripped: false, state: "degraded" }),
  "restore tripped": ({ rig }: Situation) => restore(rig, { tripped: true }),
};

type InputName = keyof typeof INPUTS;

function direct(rig: Rig, outcome: "ok" | "failed" | "ignored", latencyMs: number): boolean {
  rig.machine.record(outcome, outcome === "failed" ? BOOM : undefined, latencyMs, rig.at);
  return true;
}

function restore(rig: Rig, raw: object): boolean {
  rig.machine.restore(sanitiseAdaptive(raw, rig.wallMs, undefined), rig.at);
  return true;
}

/** State after it, with the cause of each transition; `no` before it where the answer is false. */
const SAME = "same";
type Row = Readonly<Record<InputName, string>>;

const ANYWHERE = {
  "late ok": "no same",
  "late failed": "no same",
  "late ignored": SAME,
  "direct ignored": SAME,
  "own without weight": SAME,
  "own ignored": SAME,
} as const;

const HEALTHY: Row = {
  ...ANYWHERE,
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
  reset: "same, new epoch",
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
  "restore degraded": "same, new epoch",
};

const COOLING: Row = {
  ...ANYWHERE,
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
  trip: "same, new epoch",
  reset: "healthy: reset",
  "restore healthy": "healthy: restored",
  "restore degraded": "degraded: restored",
  "restore tripped": "same, new epoch",
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
      // A mark alone leaves the epoch as it is; everything else begins another.
      const isMark = /: (?:failures|health_score|recovered)$/.test(result);
      const staysOpen = !machine.isTripped && before !== "half-open";
      if (!isSame) assert.equal(machine.epoch > epoch, !(isMark && staysOpen));
      // What it says of itself agrees with where it is.
      assert.equal(
        machine.isTripped,
        machine.state === "cooling-down" || machine.state === "half-open",
      );
      assert.equal(made.rig.snapshot.tripped, machine.isTripped);
      assert.equal(made.rig.snapshot.state, machine.state);
      if (machine.state !== "healthy") assert.equal(machine.hasFailures, true);
    });
  }
}
