// The right of one call to be in flight, and what may become of it: of a call that ends for its caller its function may
// run on, its upstream may work on unheard, its answer may be read slowly, and its caller may be waited for.

import type { Ticket } from "../../core/breaker/machine.ts";
import type { Tier } from "../../core/overload/criticality.ts";
import {
  ENDED_FAILED,
  ENDED_IGNORED,
  ENDED_OK,
  ENDED_TIMEOUT,
  type Ending,
} from "../../core/overload/limiter.ts";
import { UNTRACKED } from "../orders.ts";
import type { LimitReason } from "./limit-reasons.ts";

/** Who gave the permit, and takes it back: the guard. */
export interface PermitOffice {
  /** Why the last call was refused. */
  readonly refusedFor: LimitReason;
  /** When a refused caller may come back, milliseconds. */
  readonly retryAfterMs: number;
  readonly whyFull: string | undefined;
  /** Whether a call is in flight until the last byte of its answer. */
  readonly holdsToEnd: boolean;
  settle(permit: number, ending: Ending, nowMs: number, latencyMs?: number): void;
  outlived(permit: number, ending: Ending, nowMs: number): void;
  leave(permit: number, ending: Ending, nowMs: number): void;
  renew(permit: number, tier: Tier, ending: Ending, nowMs: number, latencyMs?: number): number;
  holdAgain(tier: Tier, nowMs: number): number | undefined;
  excuse(nowMs: number): void;
  owesNothing(held: HeldPermit): void;
  owesAgain(held: HeldPermit): void;
}

/** Its function has ended, or was never begun. */
const ENDED_HERE = 0;
/** Ended for its caller; its function runs on, and will say when it ends. */
const RUNS_ON = 1;
/** Ended for its caller; nobody will hear when the upstream is done with it. */
const UNHEARD = 2;
/** Of a fixed limit: the answer has begun, and the rest of it comes at its reader's pace. */
const IS_READ = 3;
/** Given back while its caller is waited for. */
const GIVEN_BACK = 4;
/** Its caller sends a request of which the upstream has the beginning. */
const IS_SENT = 5;
type Whereabouts = 0 | 1 | 2 | 3 | 4 | 5;

/** Tells the limiter that the upstream is alive, and nothing of how fast it is. */
const ALIVE = ENDED_FAILED;

/** It is also all that such a call has beside its breaker's ticket, where the upstream is one place: one object for both. */
export class HeldPermit {
  readonly office: PermitOffice;
  readonly #tier: Tier;
  #permit: number;
  #whereabouts: Whereabouts = ENDED_HERE;

  constructor(office: PermitOffice, tier: Tier, permit: number) {
    this.office = office;
    this.#tier = tier;
    this.#permit = permit;
  }

  get held(): this {
    return this;
  }

  get endpoint(): undefined {
    return undefined;
  }

  get ticket(): Ticket {
    return UNTRACKED;
  }

  get watched(): undefined {
    return undefined;
  }

  /** Its caller is not ready: nothing is in flight. Of one that `hasBegun` to send a connection is, and stays. */
  giveBack(nowMs: number, hasBegun = false): void {
    const { office } = this;
    if (this.#whereabouts === IS_READ || (hasBegun && office.holdsToEnd)) return;
    this.#isOwed(nowMs);
    this.#whereabouts = GIVEN_BACK;
    office.settle(this.#permit, ENDED_IGNORED, nowMs);
  }

  /**
   * Its caller is ready, or with `isSending` has begun to send what is passed on as it comes. False when there is no
   * room any more.
   */
  takeAgain(nowMs: number, isSending = false): boolean {
    if (this.#whereabouts === IS_READ) return true;
    this.#isOwed(nowMs);
    if (this.#whereabouts === GIVEN_BACK) {
      const permit = this.office.holdAgain(this.#tier, nowMs);
      if (permit === undefined) return false;
      this.#permit = permit;
    }
    this.#whereabouts = isSending ? IS_SENT : ENDED_HERE;
    if (isSending) this.office.owesNothing(this);
    return true;
  }

  /** From here on its upstream is waited for, or it is over. */
  #isOwed(nowMs: number): void {
    if (this.#whereabouts !== IS_SENT && this.#whereabouts !== IS_READ) return;
    this.office.excuse(nowMs);
    this.office.owesAgain(this);
  }

  /** Told before the call ends for its caller, where its function may not have ended. */
  leaves(isRunning: boolean): void {
    if (this.#whereabouts === IS_READ) return;
    this.office.owesAgain(this);
    this.#whereabouts = isRunning ? RUNS_ON : UNHEARD;
  }

  /** A good answer has begun, after so long; how fast the rest is read is its reader's affair. */
  answers(nowMs: number, latencyMs: number): void {
    if (!this.office.holdsToEnd) {
      this.end(ENDED_OK, nowMs, latencyMs);
      return;
    }
    this.#permit = this.office.renew(this.#permit, this.#tier, ENDED_OK, nowMs, latencyMs);
    this.#whereabouts = IS_READ;
    this.office.owesNothing(this);
  }

  /** The call has ended for its caller, and took its upstream so long. */
  end(ending: Ending, nowMs: number, latencyMs?: number): void {
    const { office } = this;
    if (this.#whereabouts === ENDED_HERE && ending !== ENDED_TIMEOUT) {
      office.settle(this.#permit, ending, nowMs, latencyMs);
      return;
    }
    this.#isOwed(nowMs);
    if (this.#whereabouts === IS_READ) {
      // Its answer was counted when it began.
      office.settle(this.#permit, ending <= ENDED_FAILED ? ALIVE : ENDED_IGNORED, nowMs);
      return;
    }
    if (this.#whereabouts === RUNS_ON) office.outlived(this.#permit, ending, nowMs);
    else if (this.#whereabouts === UNHEARD || ending === ENDED_TIMEOUT) {
      office.leave(this.#permit, ending, nowMs);
    } else office.settle(this.#permit, ending, nowMs, latencyMs);
  }

  /**
   * The function of a call that had ended for its caller has ended. One that rejects has heeded the abort, and
   * of its upstream nothing is known.
   */
  stopped(isFulfilled: boolean, nowMs: number): void {
    if (isFulfilled) this.office.settle(this.#permit, ENDED_OK, nowMs);
    else this.office.leave(this.#permit, ENDED_IGNORED, nowMs);
  }
}
