// Those who call upstreams, through `execute` and through `tryAcquire`, and everything that can go
// wrong with a call. What must become of each is written into its ledger as it happens.

import { isRefused } from "../../src/core/errors.ts";
import type { CallContext, CallOptions, Upstream } from "../../src/index.ts";
import type { Admitted } from "../../src/pipeline/admission.ts";
import { drawAnswer, drawOutcome, endingOf, GOOD, type Answer, type Health } from "./answers.ts";
import { pick } from "./kinds.ts";
import { newCall, type Call, type Ending, type Ledger } from "./ledger.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";
import { MASKED } from "./swarm.ts";

/** A call that its adapter holds, to settle when it likes. */
interface Held {
  readonly call: Call;
  readonly process: Process;
  readonly admission: Admitted;
  isSettled: boolean;
}

const HELD_MAX = 20;

export class Callers {
  readonly health: Health = { failing: 0, hanging: 0, latencyMs: 0 };
  readonly #setting: Setting;
  /** Calls without a wish of their own, answered well and at once. */
  isPlain = false;
  readonly #held: Held[] = [];
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
      ...(this.isPlain ? {} : this.#options()),
      ...(controller === undefined ? {} : { signal: controller.signal }),
      ...(ownMs === undefined ? {} : { deadlineMs: ownMs }),
    };
    const promise = this.#asking(call, () =>
      upstream.execute((context) => this.#serve(process, call, context), options),
    );
    if (isAborted) call.expected = { kind: "error", value: "changed its mind before" };
    else if (call.admitted === undefined) call.admitted = false;
    promise.then(
      (value) => this.#answered(process, call, "value", value),
      (error: unknown) => this.#answered(process, call, "error", error),
    );
    return call;
  }

  /** One call through `tryAcquire`; it is settled later, or never. */
  acquire(process: Process, upstream: Upstream, ledger: Ledger): void {
    const call = this.#call(process, ledger, Infinity, undefined);
    const admission = this.#asking(call, () => upstream.tryAcquire(this.#options()));
    call.admitted = admission.admitted;
    if (admission.admitted) {
      this.#begin(process, call);
      this.#held.push({ call, process, admission, isSettled: false });
      if (this.#held.length > HELD_MAX) this.#held.shift();
    } else this.#refused(process, call, admission.reason);
  }

  /** Settles one that is held, or one that was settled before. */
  settle(): void {
    const { random, plan, journal } = this.#setting;
    const held = this.#held[random.integer(Math.max(1, this.#held.length))];
    if (held === undefined || !held.process.isAlive || held.process.isStalled) return;
    if (held.isSettled && !plan.has("doubleSettle")) return;
    const { outcome, ending } = drawOutcome(this.#setting.random, this.#setting.plan, this.health);
    journal.note("settle", held.call.id, outcome.outcome, held.isSettled);
    if (!held.isSettled) {
      held.isSettled = true;
      held.call.weight = outcome.weight;
      held.call.latencyMs = outcome.latencyMs;
      this.#end(held.process, held.call, ending);
    }
    held.admission.settle(outcome);
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
    this.#end(process, call, "ignored");
    call.expected = { kind: "error", value: "changed its mind" };
    if (call.isRunning) call.ledger.tally.abandoned += 1;
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

  #options(): CallOptions {
    const { random, plan } = this.#setting;
    const operation = pick(random, [undefined, "odds", "bets", "more"]);
    return {
      ...(operation === undefined ? {} : { operation }),
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

  #begin(process: Process, call: Call): void {
    this.#setting.journal.note("begin", process.number, call.ledger.name, call.id);
    call.ledger.tally.inFlight += 1;
    process.calls.add(call);
  }

  #end(process: Process, call: Call, ending: Ending): void {
    const { tally } = call.ledger;
    call.ending = ending;
    call.endedMs = process.clock.monotonic();
    tally.inFlight -= 1;
    tally[ending] += 1;
  }

  /** The upstream's side of a call. */
  #serve(process: Process, call: Call, context: CallContext): unknown {
    const { random, plan } = this.#setting;
    // From here on it is no longer this call that is being admitted.
    this.#setting.calling = undefined;
    call.admitted = true;
    this.#begin(process, call);
    // A signal that somebody looks at is another one than a signal that nobody does.
    if (random.integer(4) === 0) void context.signal.aborted;
    if (random.next() < this.health.hanging) {
      call.isRunning = true;
      return new Promise(() => {});
    }
    const answer = this.isPlain ? GOOD : drawAnswer(random, plan, this.health);
    const { latencyMs } = this.health;
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
      return;
    }
    call.expected = { kind: answer.isError ? "error" : "value", value: answer.value };
    this.#end(process, call, endingOf(this.#setting.plan, answer));
  }

  /** The caller's promise settles. */
  #answered(process: Process, call: Call, kind: "value" | "error", value: unknown): void {
    if (!process.isAlive) return;
    const { journal } = this.#setting;
    const isOurs = kind === "error" && isRefused(value) && !("look" in value);
    const reason = isOurs ? value.reason : undefined;
    journal.note("answered", call.id, kind, reason);
    call.answers += 1;
    if (call.answers > 1) journal.break("a promise settles once", `call ${call.id}`);
    if (reason === "deadline") this.#expired(process, call);
    else if (reason !== undefined) this.#refused(process, call, reason);
    else if (call.expected?.kind !== kind || call.expected.value !== value) {
      journal.break(
        "a caller gets what the upstream said",
        `call ${call.id}: ${kind} ${String(value)}, expected ${call.expected?.kind ?? "nothing"}`,
      );
    }
  }

  #refused(process: Process, call: Call, reason: string): void {
    const { journal, load } = this.#setting;
    journal.note("refused", process.number, call.ledger.name, call.id, reason);
    call.ledger.countRefusal(reason);
    if (call.admitted === true) journal.break("a refused call never runs", `call ${call.id}`);
    if (reason === "closing" ? !process.isClosed : reason === "load_shed" && load <= 0.85) {
      journal.break("nobody is refused for nothing", `call ${call.id}: ${reason}`);
    }
    const isBreaker = reason !== "closing" && reason !== "load_shed";
    if (isBreaker && call.ticket !== undefined) {
      journal.break("nobody is refused for nothing", `call ${call.id} held a ticket`);
    }
    // A probe that was lent before the shedding goes back without a vote.
    if (call.ticket !== undefined && call.toldAs !== "ignored") {
      journal.break(
        "our own refusals are no evidence",
        `call ${call.id}: ${call.toldAs ?? "kept"}`,
      );
    }
  }

  #expired(process: Process, call: Call): void {
    const { journal } = this.#setting;
    const { deadlineMs, startMs, ending } = call;
    const nowMs = process.clock.monotonic();
    if (deadlineMs === undefined || ending !== undefined || nowMs < startMs + deadlineMs) {
      journal.break("deadlines are kept", `call ${call.id} expired at ${nowMs - startMs} ms`);
      return;
    }
    const isExcused = process.sleptThrough(startMs + deadlineMs, deadlineMs);
    const isMasked = MASKED.callsDuringExpiry && this.#setting.plan.has("reentrantListeners");
    if (isExcused && !isMasked && call.toldAs === "failed") {
      journal.break("a stall of ours is no evidence", `call ${call.id} counted as a timeout`);
    }
    // After a stall nobody knows whose fault the time was.
    const wasStalled =
      process.clock.stalledUntilMs >= this.#setting.timeline.nowMs - 2 - deadlineMs;
    const isIgnored = wasStalled && call.toldAs !== "failed";
    if (isIgnored && call.ticket === undefined) {
      // Nothing was told that would tell the two apart.
      call.ledger.isUncertain = true;
    }
    this.#end(process, call, isIgnored ? "ignored" : "timeout");
    if (call.isRunning) call.ledger.tally.abandoned += 1;
  }
}
