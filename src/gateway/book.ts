// What all calls of one gateway share: the clock, the deadlines, and the list of those under way.

import type { Scheduler, Clock } from "../core/clock.ts";
import { DeadlineQueue } from "../pipeline/call/deadline.ts";
import type { Ending } from "./ending.ts";
import type { AccessEntry, GatewayOptions } from "./ports.ts";
import { PROBLEM_REASONS, type Problem, type ProblemReason } from "./problem.ts";
import type { Destination } from "./route.ts";

/** A call, as the book knows it. */
export interface OpenCall {
  /** Where the book keeps it. */
  place: number;
  /** Whether it waits on without its caller. */
  readonly isWitness: boolean;
  end(ending: Ending): void;
}

export class CallBook {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  /** Our own answers, counted from 0 on. */
  readonly answers = new Map<ProblemReason, number>(PROBLEM_REASONS.map((reason) => [reason, 0]));
  /**
   * Each call knows its place. A `Set` on Bun is taken to link its dead entries to later ones, as
   * the deadline queue did: see there for what that cost.
   */
  readonly #open: OpenCall[] = [];
  readonly #onAccess: GatewayOptions["onAccess"];
  #onIdle: (() => void) | undefined;
  #isStopping = false;

  constructor(scheduler: Scheduler, onAccess: GatewayOptions["onAccess"]) {
    this.clock = scheduler;
    this.deadlines = new DeadlineQueue(scheduler);
    this.#onAccess = onAccess;
  }

  get size(): number {
    return this.#open.length;
  }

  /** Answers the call's place, by which it is taken out again. */
  opened(call: OpenCall): number {
    return this.#open.push(call) - 1;
  }

  closed(call: OpenCall): void {
    const last = this.#open.pop();
    if (last !== undefined && last !== call) {
      this.#open[call.place] = last;
      last.place = call.place;
    }
    if (this.#open.length === 0) this.#onIdle?.();
  }

  /** Whether calls may still wait on without their callers. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Resolves true when no call is left, false after `graceMs`. Nobody waits for a witness. */
  async drained(graceMs: number): Promise<boolean> {
    this.#isStopping = true;
    for (const call of this.#open.slice()) if (call.isWitness) call.end("stopping");
    if (this.#open.length === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), Math.max(0, graceMs));
    this.#onIdle = () => resolve(true);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#onIdle = undefined;
    }
  }

  abortAll(): void {
    // A copy: calls leave the list as they end.
    for (const call of this.#open.slice()) call.end("stopping");
  }

  get hasListener(): boolean {
    return this.#onAccess !== undefined;
  }

  /** An answer of our own to a call that was not admitted. */
  refused(
    method: string,
    answer: Problem,
    destination: Destination | undefined,
    operation: string | null,
  ): void {
    this.answered(answer.reason);
    if (this.#onAccess === undefined) return;
    this.report({
      upstream: destination?.upstream.name ?? null,
      operation,
      method,
      status: answer.status,
      outcome: "refused",
      reason: answer.reason,
      latencyMs: 0,
      durationMs: 0,
      criticality: null,
    });
  }

  answered(reason: ProblemReason): void {
    this.answers.set(reason, (this.answers.get(reason) ?? 0) + 1);
  }

  report(entry: AccessEntry): void {
    try {
      this.#onAccess?.(entry);
    } catch {
      // A log that cannot be written must not take the call with it.
    }
  }
}
