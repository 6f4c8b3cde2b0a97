// A machine that recovers by itself and its model, led through the same steps; they must answer alike.

import assert from "node:assert/strict";
import {
  REFUSED,
  type BreakerMachine,
  type Instant,
  type Ticket,
} from "../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import type { MachineEvent } from "../../src/core/events.ts";

export const WALL_MS = 1_800_000_000_000;

export type Step =
  | { readonly do: "admit" | "trip" | "reset" | "restart" }
  | { readonly do: "directOk" | "directFailed"; readonly latencyMs: number; readonly times: number }
  | {
      readonly do: "ok" | "failed" | "ignored";
      /** Of the calls under way, counted round and round. */
      readonly which: number;
      readonly latencyMs: number;
      readonly weight: number;
      readonly retryAfterMs: number | undefined;
    }
  | { readonly do: "wait"; readonly ms: number };

interface ModelFailure {
  readonly message: string;
  readonly weight: number;
  readonly retryAfterMs: number | undefined;
}

interface Model<ModelTicket> {
  readonly state: string;
  readonly tripped: boolean;
  admit(nowMs: number): ModelTicket | undefined;
  ok(ticket: ModelTicket, latencyMs: number, nowMs: number): boolean;
  failed(ticket: ModelTicket, failure: ModelFailure, latencyMs: number, nowMs: number): boolean;
  ignored(ticket: ModelTicket): void;
  directOk(latencyMs: number, nowMs: number): void;
  directFailed(failure: ModelFailure, latencyMs: number, nowMs: number): void;
  trip(reason: string, nowMs: number): void;
  reset(nowMs: number): void;
  restart(nowMs: number): void;
}

interface Call<ModelTicket> {
  readonly ticket: Ticket;
  readonly model: ModelTicket;
}

export type Transition = Extract<MachineEvent, { readonly type: "transition" }>;

interface Twins<Snapshot, Machine, ItsModel> {
  readonly model: ItsModel;
  create(): Machine;
  sanitise(raw: object, wallMs: number, updatedAt: unknown): Snapshot;
  /** Whether storing it loses nothing: dates are whole milliseconds. */
  canRestart(nowMs: number): boolean;
}

export class Pair<
  Snapshot extends BreakerSnapshot,
  Machine extends BreakerMachine<Snapshot>,
  ModelTicket,
  ItsModel extends Model<ModelTicket>,
> {
  machine: Machine;
  readonly model: ItsModel;
  nowMs = 0;
  readonly #twins: Twins<Snapshot, Machine, ItsModel>;
  #calls: Call<ModelTicket>[] = [];
  #state: string;

  constructor(twins: Twins<Snapshot, Machine, ItsModel>) {
    this.#twins = twins;
    this.model = twins.model;
    this.machine = twins.create();
    this.#state = this.machine.state;
  }

  get at(): Instant {
    return { nowMs: this.nowMs, wallMs: WALL_MS + this.nowMs };
  }

  /** Answers with the call that the step settled, if it settled one. */
  take(step: Step, message: string): Call<ModelTicket> | undefined {
    const { machine, model, nowMs, at } = this;
    switch (step.do) {
      case "admit":
        this.admit();
        break;
      case "ok":
      case "failed":
      case "ignored":
        return this.#settle(step, message);
      case "wait":
        this.nowMs += step.ms;
        break;
      case "directOk":
        for (let n = 0; n < step.times; n += 1) {
          machine.record("ok", undefined, step.latencyMs, at);
          model.directOk(step.latencyMs, nowMs);
        }
        break;
      case "directFailed":
        for (let n = 0; n < step.times; n += 1) {
          machine.record("failed", { weightThousandths: 1000, message }, step.latencyMs, at);
          const told = { message, weight: 1000, retryAfterMs: undefined };
          model.directFailed(told, step.latencyMs, nowMs);
        }
        break;
      case "trip":
        machine.trip({ reason: message, actor: "ann" }, at);
        model.trip(message, nowMs);
        break;
      case "reset":
        machine.reset({ reason: message, actor: "ann", force: false }, at);
        model.reset(nowMs);
        break;
      case "restart":
        if (this.#twins.canRestart(nowMs)) this.#restart();
        break;
      default:
        step satisfies never;
    }
    return undefined;
  }

  admit(): Ticket {
    const ticket = this.machine.admit(this.machine.admitNeedsTime ? this.nowMs : 0);
    const expected = this.model.admit(this.nowMs);
    assert.equal(ticket === REFUSED, expected === undefined, "admission");
    assert.ok(Number.isSafeInteger(ticket));
    if (expected !== undefined) this.#calls.push({ ticket, model: expected });
    return ticket;
  }

  /** One event for each change of state, and each leads from where the last one ended. */
  transitions(): Transition[] {
    const { machine, model } = this;
    const seen = machine.events.splice(0).filter((event) => event.type === "transition");
    for (const event of seen) {
      assert.equal(event.from, this.#state);
      assert.notEqual(event.to, this.#state);
      this.#state = event.to;
    }
    assert.equal(machine.state, this.#state);
    assert.equal(machine.state, model.state, "state");
    assert.equal(machine.isTripped, model.tripped);
    return seen;
  }

  #settle(
    step: Extract<Step, { readonly which: number }>,
    message: string,
  ): Call<ModelTicket> | undefined {
    const { machine, model, nowMs, at } = this;
    const [call] = this.#calls.splice(step.which % this.#calls.length, 1);
    if (call === undefined) return undefined;
    const { latencyMs, weight, retryAfterMs } = step;
    if (step.do === "ok") {
      assert.equal(
        machine.settleOk(call.ticket, latencyMs, nowMs, at.wallMs),
        model.ok(call.model, latencyMs, nowMs),
        "late ok",
      );
    } else if (step.do === "ignored") {
      machine.settleIgnored(call.ticket, nowMs);
      model.ignored(call.model);
    } else {
      const failure = { weightThousandths: weight, message, retryAfterMs };
      assert.equal(
        machine.settleFailed(call.ticket, failure, latencyMs, at),
        model.failed(call.model, { message, weight, retryAfterMs }, latencyMs, nowMs),
        "late failure",
      );
    }
    return call;
  }

  #restart(): void {
    const { at } = this;
    const snapshot = this.machine.snapshot(at);
    const raw = JSON.parse(JSON.stringify(snapshot)) as object;
    const stored = this.#twins.sanitise(raw, at.wallMs, undefined);
    assert.deepEqual(stored, snapshot, "what is sane is stored as it is");
    this.machine = this.#twins.create();
    this.machine.restore(stored, at);
    this.model.restart(this.nowMs);
    this.#state = this.machine.state;
    this.machine.events.length = 0;
    this.#calls = [];
  }
}

/** Leads a machine through calls, lost ones among them; answers what time it is then. */
export function disturb(
  machine: BreakerMachine,
  steps: readonly (Step | { readonly do: "look" })[],
): number {
  let nowMs = 0;
  const tickets: Ticket[] = [];
  for (const step of steps) {
    if (step.do === "wait") nowMs += step.ms;
    else if (step.do === "admit") {
      const ticket = machine.admit(nowMs);
      if (ticket !== REFUSED) tickets.push(ticket);
    } else if ("which" in step && tickets.length > 0) {
      const [ticket = REFUSED] = tickets.splice(step.which % tickets.length, 1);
      const failure = { weightThousandths: 1000, message: "m" };
      const at = { nowMs, wallMs: WALL_MS + nowMs };
      if (step.do === "ok") machine.settleOk(ticket, step.latencyMs, nowMs);
      else if (step.do === "failed") machine.settleFailed(ticket, failure, step.latencyMs, at);
    }
  }
  return nowMs;
}
