// What the world knows of one breaker in one process: its oracle, the orders it was given, and what
// became of every call. The invariants hold the real thing against it.

import type { BreakerMachine, Failure, Ticket } from "../../src/core/breaker/machine.ts";
import type { OperatorMode } from "../../src/core/events.ts";
import { NO_ORDER, type Orders, type Row } from "./disk.ts";
import type { BreakerPlan } from "./kinds.ts";
import type { Oracle } from "./oracle.ts";

export type Ending = "ok" | "failed" | "timeout" | "ignored";

/** One call, from the asking to what its caller and its breaker got. */
export interface Call {
  readonly id: number;
  readonly ledger: Ledger;
  readonly startMs: number;
  readonly deadlineMs: number | undefined;
  readonly controller: AbortController | undefined;
  /** Whether it was let in; undefined until that is known. */
  admitted: boolean | undefined;
  /** Whether the machine itself let it in, and with what. */
  ticket: Ticket | undefined;
  /** How it must count; undefined while it lasts. */
  ending: Ending | undefined;
  endedMs: number;
  /** What a failure must weigh; undefined for its policy's own weight. */
  weight: number | undefined;
  /** As given by whoever settled it. */
  latencyMs: number | undefined;
  /** How often the machine was told, and what. */
  told: number;
  toldAs: "ok" | "failed" | "ignored" | undefined;
  toldFailure: Failure | undefined;
  toldLatencyMs: number;
  /** Whether the upstream still works on it. */
  isRunning: boolean;
  /** How often its promise settled, and with what. */
  answers: number;
  expected: { readonly kind: "value" | "error"; readonly value: unknown } | undefined;
}

export function newCall(
  id: number,
  ledger: Ledger,
  startMs: number,
  deadlineMs: number | undefined,
  controller: AbortController | undefined,
): Call {
  return {
    id,
    ledger,
    startMs,
    deadlineMs,
    controller,
    admitted: undefined,
    ticket: undefined,
    ending: undefined,
    endedMs: 0,
    weight: undefined,
    latencyMs: undefined,
    told: 0,
    toldAs: undefined,
    toldFailure: undefined,
    toldLatencyMs: 0,
    isRunning: false,
    answers: 0,
    expected: undefined,
  };
}

export interface Tally {
  ok: number;
  failed: number;
  timeout: number;
  ignored: number;
  inFlight: number;
  abandoned: number;
  lateOk: number;
  lateFailed: number;
  refused: Map<string, number>;
}

export class Ledger {
  readonly name: string;
  readonly plan: BreakerPlan;
  readonly machine: BreakerMachine;
  readonly oracle: Oracle | undefined;
  readonly orders: Orders = { newest: NO_ORDER, person: NO_ORDER, modeSequence: 0 };
  mode: OperatorMode = "normal";
  /** The row that was last handed to this process. */
  seen: Row | undefined = undefined;
  /** Whether it ever took over a stored state. */
  isRestored = false;
  /** Whether some call ended either as a timeout or as ignored, and nobody could tell. */
  isUncertain = false;
  readonly tally: Tally = {
    ok: 0,
    failed: 0,
    timeout: 0,
    ignored: 0,
    inFlight: 0,
    abandoned: 0,
    lateOk: 0,
    lateFailed: 0,
    refused: new Map(),
  };

  constructor(
    name: string,
    plan: BreakerPlan,
    machine: BreakerMachine,
    oracle: Oracle | undefined,
  ) {
    this.name = name;
    this.plan = plan;
    this.machine = machine;
    this.oracle = oracle;
  }

  countRefusal(reason: string): void {
    this.tally.refused.set(reason, (this.tally.refused.get(reason) ?? 0) + 1);
  }
}
