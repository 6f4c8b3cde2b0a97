// What the world knows of one breaker in one process: its oracle, the orders it was given, and what
// became of every call. The invariants hold the real thing against it.

import type { AdaptiveMachine } from "../../src/core/breaker/adaptive/machine.ts";
import type { BreakerMachine, Failure, Ticket } from "../../src/core/breaker/machine.ts";
import type { OperatorMode } from "../../src/core/events.ts";
import { NO_ORDER, type Orders, type Row } from "./disk.ts";
import type { BreakerPlan } from "./kinds.ts";
import type { LimitLedger } from "./limits.ts";
import type { Oracle } from "./oracle.ts";

export type Ending = "ok" | "failed" | "timeout" | "ignored";

/** What one machine, an upstream's or an endpoint's, was told of a call. */
export interface Verdict {
  readonly id: number;
  /** Whether the machine itself let it in, and with what. */
  ticket: Ticket | undefined;
  /** How often the machine was told, and what. */
  told: number;
  toldAs: "ok" | "failed" | "ignored" | undefined;
  toldFailure: Failure | undefined;
  toldLatencyMs: number;
  /** What answers took on average, as the machine had it when it was told. */
  averageMs: number | null;
}

/** One call, from the asking to what its caller and its breaker got. */
export interface Call extends Verdict {
  readonly ledger: Ledger;
  /** When it was called; of one that waited for room, when that was decided, and what was left. */
  startMs: number;
  deadlineMs: number | undefined;
  readonly controller: AbortController | undefined;
  /** Whether it was let in; undefined until that is known. */
  admitted: boolean | undefined;
  /** Where it goes, and what is told there; of an upstream without endpoints it is never told. */
  endpoint: Ledger | undefined;
  readonly atEndpoint: Verdict;
  /** How it must count; undefined while it lasts. */
  ending: Ending | undefined;
  endedMs: number;
  /** What a failure must weigh; undefined for its policy's own weight. */
  weight: number | undefined;
  /** As given by whoever settled it. */
  latencyMs: number | undefined;
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
    ...newVerdict(id),
    ledger,
    startMs,
    deadlineMs,
    controller,
    admitted: undefined,
    endpoint: undefined,
    atEndpoint: newVerdict(id),
    ending: undefined,
    endedMs: 0,
    weight: undefined,
    latencyMs: undefined,
    isRunning: false,
    answers: 0,
    expected: undefined,
  };
}

function newVerdict(id: number): Verdict {
  return {
    id,
    ticket: undefined,
    told: 0,
    toldAs: undefined,
    toldFailure: undefined,
    toldLatencyMs: 0,
    averageMs: null,
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
  name: string;
  readonly plan: BreakerPlan;
  readonly machine: BreakerMachine & Partial<Pick<AdaptiveMachine, "wouldAdmit">>;
  /** Undefined for a kind without one, and once it has become uncertain. */
  oracle: Oracle | undefined;
  readonly orders: Orders = { newest: NO_ORDER, person: NO_ORDER, modeSequence: 0, modeWallMs: 0 };
  mode: OperatorMode = "normal";
  /** Undefined where nothing limits the calls in flight. */
  limits: LimitLedger | undefined = undefined;
  /** The row that was last handed to this process. */
  seen: Row | undefined = undefined;
  /** When the upstream last answered anybody in this process. */
  answeredMs = Number.NEGATIVE_INFINITY;
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
    machine: BreakerMachine & Partial<Pick<AdaptiveMachine, "wouldAdmit">>,
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
