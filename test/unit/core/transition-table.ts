// Every state of a breaker against everything that can happen to it, held to a table.

import assert from "node:assert/strict";
import { test } from "node:test";
import { REFUSED, type BreakerMachine, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../../src/core/breaker/snapshot.ts";
import { WEIGHTLESS, type Rig } from "./rig.ts";

type AnyRig = Rig<BreakerSnapshot, BreakerMachine>;

export interface Situation<OneRig = AnyRig> {
  readonly rig: OneRig;
  /** Of a call that this state let in, if it lets any in. */
  readonly own: Ticket;
  /** Of a call from before. */
  readonly late: Ticket;
}

/** Answers whether it was let in, or counted. */
export type Input<OneRig = AnyRig> = (made: Situation<OneRig>) => boolean;

/** What happens to all kinds; results are slow where slowness is told of, or could only do harm. */
export function commonInputs(slowMs: number) {
  const slow = { latencyMs: slowMs };
  return {
    admit: ({ rig }) => rig.tryAdmit() !== REFUSED,
    "own ok": ({ rig, own }) => rig.ok(own),
    "own slow": ({ rig, own }) => rig.ok(own, slowMs),
    "own failed": ({ rig, own }) => rig.fail(own),
    "own without weight": ({ rig, own }) =>
      rig.machine.settleFailed(own, WEIGHTLESS, slowMs, rig.at),
    "own ignored": ({ rig, own }) => (rig.ignore(own), true),
    "late ok": ({ rig, late }) => rig.ok(late, slowMs),
    "late failed": ({ rig, late }) => rig.fail(late, slow),
    "late ignored": ({ rig, late }) => (rig.ignore(late), true),
    "direct ok": ({ rig }) => (rig.direct("ok"), true),
    "direct slow": ({ rig }) => (rig.direct("ok", slowMs), true),
    "direct failed": ({ rig }) => (rig.direct("failed"), true),
    "direct ignored": ({ rig }) => (rig.direct("ignored", slowMs), true),
    trip: ({ rig }) => (rig.tripByHand(), true),
    reset: ({ rig }) => (rig.reset(), true),
    "restore tripped": ({ rig }) => (rig.restore({ tripped: true }), true),
  } as const satisfies Readonly<Record<string, Input>>;
}

/** Where nothing changes but, perhaps, what is counted. */
export const SAME = "same";
/** Where what was in flight becomes worthless, though the state is the same. */
export const SAME_NEW_EPOCH = "same, new epoch";

/** Results of before a reset mean nothing to any state. */
export const ANYWHERE = {
  "late ok": "no same",
  "late failed": "no same",
  "late ignored": SAME,
  "direct ignored": SAME,
} as const;

/** A call of before a reset, then whatever leads to the state. */
export function situation<OneRig extends AnyRig>(
  rig: OneRig,
  prepare: (rig: OneRig) => Ticket,
): Situation<OneRig> {
  const late = rig.admit();
  rig.reset();
  const own = prepare(rig);
  rig.drain();
  return { rig, own, late };
}

export interface TransitionTable<OneRig, State extends string, InputName extends string> {
  readonly states: Readonly<Record<State, () => Situation<OneRig>>>;
  readonly inputs: Readonly<Record<InputName, Input<OneRig>>>;
  /** State after it, with the cause of its transition; `no` before it where the answer is false. */
  readonly table: Readonly<Record<State, Readonly<Record<InputName, string>>>>;
  /** The machine's own name for a state in which nothing speaks against the upstream. */
  readonly closed: string;
  readonly tripped: readonly string[];
  /** What else holds after a transition. */
  readonly check?: (made: Situation<OneRig>, before: Before, result: string) => void;
}

export interface Before {
  readonly state: string;
  readonly epoch: number;
}

export function testTransitions<
  OneRig extends AnyRig,
  State extends string,
  InputName extends string,
>({
  states,
  inputs,
  table,
  closed,
  tripped,
  check,
}: TransitionTable<OneRig, State, InputName>): void {
  for (const state of Object.keys(states) as State[]) {
    for (const input of Object.keys(inputs) as InputName[]) {
      test(`${state}: ${input} → ${table[state][input]}`, () => {
        const made = states[state]();
        const { machine } = made.rig;
        const before = { state: machine.state, epoch: machine.epoch };

        const answer = inputs[input](made);

        const causes = made.rig.causes();
        const isSame = machine.state === before.state;
        const same = machine.epoch === before.epoch ? SAME : SAME_NEW_EPOCH;
        const result = isSame ? same : `${machine.state}: ${causes.join(", ")}`;
        assert.equal(answer ? result : `no ${result}`, table[state][input]);
        assert.equal(causes.length, isSame ? 0 : 1);
        check?.(made, before, result);
        // What it says of itself agrees with where it is.
        const { snapshot } = made.rig;
        assert.equal(machine.isTripped, tripped.includes(machine.state));
        assert.equal(snapshot.tripped, machine.isTripped);
        if ("state" in snapshot) assert.equal(snapshot.state, machine.state);
        if (machine.state !== closed) assert.equal(machine.hasFailures, true);
      });
    }
  }
}
