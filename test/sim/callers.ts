// Those who call upstreams, through `execute` and through `tryAcquire`, and everything that can go
// wrong with a call. What must become of each is written into its ledger as it happens.

import type { CallContext, CallOptions, Upstream } from "../../src/index.ts";
import { CRITICALITIES } from "../../src/core/overload/criticality.ts";
import type { Admitted, EndpointTarget } from "../../src/pipeline/call/admission.ts";
import {
  drawAnswer,
  drawOutcome,
  endingOf,
  GONE,
  GOOD,
  type Answer,
  type Health,
} from "./answers.ts";
import { answered, end, endingOfLeaver, refused } from "./answered.ts";
import { pick } from "./kinds.ts";
import { newCall, type Call, type Ledger } from "./ledger.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

/** A call that its adapter holds, to settle when it likes. */
interface Held {
  readonly call: Call;
  readonly process: Process;
  readonly admission: Admitted;
  isSettled: boolean;
}

/** Something that hangs, until the end. */
interface Hanging {
  readonly call: Call;
  readonly process: Process;
  readonly reject: (error: unknown) => void;
}

/** So many of those held last are still thought of. */
const HELD_MAX = 20;

export class Callers {
  readonly health: Health = { failing: 0, hanging: 0, latencyMs: 0 };
  /** Of endpoints that fare otherwise than the rest, by name. */
  readonly endpointHealth = new Map<string, Readonly<Health>>();
  readonly #setting: Setting;
  /** Calls without a wish of their own, answered well and at once. */
  isPlain = false;
  readonly #held: Held[] = [];
  readonly #hanging: Hanging[] = [];
  #calls = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  /** One call through `execute`. */
  execute(process: Process, upstream: Upstream, ledger: Ledger): Call {
    if (this.isPlain) return this.#execute(process, upstream, ledger, undefined, undefined);
    const { plan, random } = this.#setting;
    const isAborted = plan.has("signals") && random.integer(12) === 0;
    const hasSignal = isAborted || (plan.has("signals") && random.integer(3) === 0);
    const controller = hasSignal ? new AbortController() : undefined;
    const ownMs =
      plan.has("deadlines") && random.integer(2) === 0
        ? pick(random, [5, 20.5, 100, 2000])
        : undefined;
    if (isAborted) controller?.abort("changed its mind before");
    return this.#execute(process, upstream, ledger, controller, ownMs);
  }

  #execute(
    process: Process,
    upstream: Upstream,
    ledger: Ledger,
    controller: AbortController | undefined,
    ownMs: number | undefined,
  ): Call {
    const usualMs = this.#setting.plan.deadlinesMs[ledger.name];
    const shortestMs = Math.min(ownMs ?? Infinity, usualMs ?? Infinity);
    const call = this.#call(process, ledger, shortestMs, controller);
    const isAborted = controller?.signal.aborted === true;
    const options: CallOptions = {
      ...(this.isPlain ? {} : this.#options(ledger)),
      ...(controller === undefined ? {} : { signal: controller.signal }),
      ...(ownMs === undefined ? {} : { deadlineMs: ownMs }),
    };
    const promise = this.#asking(call, () =>
      upstream.execute((context) => this.#serve(process, call, context), options),
    );
    if (isAborted) call.expected = { kind: "error", value: "changed its mind before" };
    else if (call.admitted === undefined) call.admitted = false;
    promise.then(
      (value) => answered(this.#setting, process, call, "value", value),
      (error: unknown) => answered(this.#setting, process, call, "error", error),
    );
    return call;
  }

  /** One call through `tryAcquire`; it is settled later, or never. */
  acquire(process: Process, upstream: Upstream, ledger: Ledger): void {
    const call = this.#call(process, ledger, Infinity, undefined);
    const admission = this.#asking(call, () => upstream.tryAcquire(this.#options(ledger)));
    call.admitted = admission.admitted;
    if (admission.admitted) {
      this.#begin(process, call, admission.endpoint);
      this.#held.push({ call, process, admission, isSettled: false });
    } else refused(this.#setting, process, call, admission.reason);
  }

  /** Settles one that is held, or one that was settled before. */
  settle(): void {
    const { random, plan, journal } = this.#setting;
    const latest = this.#held.slice(-HELD_MAX);
    const held = latest[random.integer(Math.max(1, latest.length))];
    if (held === undefined || !held.process.isAlive || held.process.isStalled) return;
    if (held.isSettled && !plan.has("doubleSettle")) return;
    const { outcome, ending } = drawOutcome(random, plan, this.#healthOf(held.call));
    journal.note("settle", held.call.id, outcome.outcome, held.isSettled);
    if (!held.isSettled) {
      held.isSettled = true;
      held.call.weight = outcome.weight;
      held.call.latencyMs = outcome.latencyMs;
      end(held.process, held.call, ending);
    }
    held.admission.settle(outcome);
  }

  /** Whatever is still held or hangs comes to an end, without a vote. */
  finish(): void {
    for (const held of this.#held) {
      if (held.isSettled || !held.process.isAlive) continue;
      held.isSettled = true;
      end(held.process, held.call, "ignored");
      held.admission.settle({ outcome: "ignored" });
    }
    for (const { call, process, reject } of this.#hanging) {
      if (!process.isAlive) continue;
      this.#deliver(process, call, GONE);
      reject(GONE.value);
    }
  }

  record(upstream: Upstream): void {
    const { outcome } = drawOutcome(this.#setting.random, this.#setting.plan, this.health);
    this.#setting.journal.note("record", upstream.name, outcome.outcome);
    upstream.record(outcome);
  }

  /** A caller of this process gives up. */
  abort(process: Process): void {
    const waiting = [...process.calls].filter(
      ({ controller, ending, admitted }) =>
        controller !== undefined && ending === undefined && admitted === true,
    );
    const call = waiting[this.#setting.random.integer(Math.max(1, waiting.length))];
    if (call === undefined) return;
    this.#setting.journal.note("abort", call.id);
    end(process, call, endingOfLeaver(this.#setting, process, call));
    call.expected = { kind: "error", value: "changed its mind" };
    if (call.isRunning) call.ledger.tally.abandoned += 1;
    else call.ledger.limits?.leftUnheard();
    call.controller?.abort("changed its mind");
  }

  #call(
    process: Process,
    ledger: Ledger,
    deadlineMs: number,
    controller: AbortController | undefined,
  ): Call {
    this.#calls += 1;
    const startMs = process.clock.monotonic();
    const isBounded = deadlineMs !== Infinity;
    return newCall(this.#calls, ledger, startMs, isBounded ? deadlineMs : undefined, controller);
  }

  #options({ limits }: Ledger): CallOptions {
    const { random, limitRandom, plan } = this.#setting;
    const criticality =
      limits === undefined ? undefined : pick(limitRandom, [undefined, ...CRITICALITIES]);
    const operation = pick(random, [undefined, "odds", "bets", "more"]);
    return {
      ...(operation === undefined ? {} : { operation }),
      ...(criticality === undefined ? {} : { criticality }),
      ...(plan.has("shedding") ? { load: pick(random, [0, 100, 101, 500, Number.NaN]) } : {}),
    };
  }

  /** Asks with the call named, so that the machine's admission can be told to be this call's. */
  #asking<Result>(call: Call, ask: () => Result): Result {
    const { calling } = this.#setting;
    this.#setting.calling = call;
    try {
      return ask();
    } finally {
      this.#setting.calling = calling;
    }
  }

  #begin(process: Process, call: Call, target: EndpointTarget | undefined): void {
    const { journal } = this.#setting;
    journal.note("begin", process.number, call.ledger.name, call.id, target?.name);
    call.ledger.tally.inFlight += 1;
    process.calls.add(call);
    const endpoints = process.endpoints.get(call.ledger.name);
    const ledger = endpoints?.ledger(target?.name);
    if (ledger?.name !== target?.name || (call.endpoint ?? ledger) !== ledger) {
      journal.break("a call goes where it was let in", `${call.id} went to ${target?.name}`);
    }
    if (ledger === undefined) return;
    ledger.tally.inFlight += 1;
    if (call.endpoint !== undefined) return;
    // Another process's order may have come with the very call.
    const mode = process.held(call.ledger.name)?.mode ?? "normal";
    process.takeMode(call.ledger, mode);
    endpoints?.forced(ledger, mode, process.clock.monotonic());
    call.endpoint = ledger;
  }

  #healthOf({ endpoint }: Call): Readonly<Health> {
    return this.endpointHealth.get(endpoint?.name ?? "") ?? this.health;
  }

  /** The upstream's side of a call. */
  #serve(process: Process, call: Call, context: CallContext): unknown {
    const { random, plan } = this.#setting;
    // From here on it is no longer this call that is being admitted.
    this.#setting.calling = undefined;
    call.admitted = true;
    this.#begin(process, call, context.endpoint);
    const health = this.#healthOf(call);
    // A signal that somebody looks at is another one than a signal that nobody does.
    if (random.integer(4) === 0) void context.signal.aborted;
    if (random.next() < health.hanging) {
      call.isRunning = true;
      return new Promise((_resolve, reject) => this.#hanging.push({ call, process, reject }));
    }
    const answer = this.isPlain ? GOOD : drawAnswer(random, plan, health);
    const { latencyMs } = health;
    if (latencyMs === 0) return this.#answerNow(process, call, answer);
    call.isRunning = true;
    const delayMs = Math.ceil(latencyMs * (0.5 + random.next()) * 4) / 4;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#setting.timeline.after(
      delayMs,
      () => {
        this.#deliver(process, call, answer);
        if (answer.isError) reject(answer.value);
        else resolve(answer.value);
      },
      process.clock,
    );
    return promise;
  }

  #answerNow(process: Process, call: Call, answer: Answer): unknown {
    this.#deliver(process, call, answer);
    const way = this.#setting.random.integer(3);
    if (answer.isError) {
      if (way === 0) return Promise.reject(answer.value);
      throw answer.value;
    }
    if (way === 0) return answer.value;
    if (way === 1) return Promise.resolve(answer.value);
    // Somebody else's promise, which calls back at once, and twice.
    return {
      // oxlint-disable-next-line unicorn/no-thenable
      then(done: (value: unknown) => void): void {
        done(answer.value);
        done("a second answer");
      },
    };
  }

  /** The answer arrives: if nobody has ended the call before, it does now. */
  #deliver(process: Process, call: Call, answer: Answer): void {
    this.#setting.journal.note("answer", call.id, answer.value.look);
    const wasRunning = call.isRunning;
    call.isRunning = false;
    if (call.ending !== undefined) {
      if (wasRunning) call.ledger.tally.abandoned -= 1;
      // It may have heeded its abort.
      if (answer.isError) call.ledger.limits?.leftUnheard();
      return;
    }
    call.expected = { kind: answer.isError ? "error" : "value", value: answer.value };
    const ending = endingOf(this.#setting.plan, answer);
    // A value that stands for a timeout is no answer; one that is left out of the count is.
    end(process, call, ending, answer.isError ? ending === "failed" : ending !== "timeout");
  }
}
