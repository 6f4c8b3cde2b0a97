// The limiter around one place that calls go to: an upstream, or one of its endpoints. It hands out permits,
// counts who was let in and who was not, and brings each permit home, whichever way its call ends.
//
// Nothing in here is evidence for a breaker: what the limiter refuses never reaches one.

import { CRITICALITIES, type Tier } from "../../core/overload/criticality.ts";
import type { LimitPolicy } from "../../core/overload/limit-policy.ts";
import {
  REFUSED_DEADLINE,
  REFUSED_PRIORITY,
  TRIALS,
  type Ending,
  type Limiter,
} from "../../core/overload/limiter.ts";
import type { Clock } from "../ports.ts";
import type { LimitReason } from "./limit-reasons.ts";
import { HeldPermit, type PermitOffice } from "./held-permit.ts";
import { WaitingLine } from "./waiting-line.ts";

/** Calls of one tier. */
export interface TierCounts {
  admitted: number;
  readonly refused: Record<LimitReason, number>;
  /** Those that would have been refused and were let in, by an operator's order. */
  wouldRefuse: number;
}

export interface LimitGuardParts {
  /** Whose place it takes: what was counted goes on, what was learnt does not. */
  readonly before?: LimitGuard | undefined;
  /** Whether what the one before let in went to the same place, and takes room there until it ends. */
  readonly isSamePlace?: boolean;
  /** Told once of each change of the limiter's `isHung`, at the end of a call. */
  readonly onHung?: ((guard: LimitGuard, isHung: boolean) => void) | undefined;
}

/** 0.1 s is the least. */
function seconds(ms: number): string {
  return `${Math.max(1, Math.round(ms / 100)) / 10} s`;
}

/** Refusals between two looks at the clock, at most. */
const UNTIMED_MAX = 15;

export class LimitGuard implements PermitOffice {
  readonly policy: LimitPolicy;
  readonly deadlineMs: number | undefined;
  /** Calls of the most critical tier that wait for room. */
  readonly line: WaitingLine;
  /** By tier. */
  readonly counts: readonly TierCounts[];
  /** Why the last call was refused; read at once by the one who asked. */
  refusedFor: LimitReason = "limit";
  readonly #limiter: Limiter;
  readonly #clock: Clock;
  #untimedLeft = 0;
  /** Whose calls in flight take room here, too: a reload buys no second set of connections. */
  #earlier: LimitGuard | undefined = undefined;
  /** Permits of calls that are owed nothing at the moment; undefined before the first. */
  #unowed: Set<HeldPermit> | undefined = undefined;
  readonly #onHung: LimitGuardParts["onHung"];
  #isToldHung = false;

  constructor(
    policy: LimitPolicy,
    deadlineMs: number | undefined,
    clock: Clock,
    { before, onHung, isSamePlace = false }: LimitGuardParts = {},
  ) {
    this.policy = policy;
    this.deadlineMs = deadlineMs;
    this.#onHung = onHung;
    this.#clock = clock;
    // Shared: calls that the one before let in may yet be refused when they are resumed.
    this.counts =
      before?.counts ??
      CRITICALITIES.map(() => ({
        admitted: 0,
        refused: { limit: 0, priority: 0, no_time: 0 },
        wouldRefuse: 0,
      }));
    const nowMs = clock.monotonic();
    this.#limiter = policy.createLimiter({ nowMs, phaseMs: clock.now() - nowMs, deadlineMs });
    if (isSamePlace && policy.kind === "fixed") this.#earlier = before;
    this.line = new WaitingLine(() => this.#limiter.queueMax);
  }

  /** What it measured, for reading; as of now, though nobody may have called for long. */
  get limiter(): Readonly<Limiter> {
    this.#limiter.look(this.#clock.monotonic());
    return this.#limiter;
  }

  /** A permit for one call, or undefined; then `refusedFor` says why. */
  hold(tier: Tier, nowMs: number, remainingMs: number): HeldPermit | undefined {
    const limiter = this.#limiter;
    if (limiter.isFrozen) limiter.thaw(nowMs);
    this.excuse(nowMs);
    if (this.#isFullOfEarlier()) {
      this.refusedFor = "limit";
      return undefined;
    }
    const verdict = limiter.admit(tier, nowMs, remainingMs);
    if (verdict >= 0) {
      // Where there was room there may be more: the next call need not ask whether it can be refused untimed.
      this.#untimedLeft = 0;
      (this.counts[tier] as TierCounts).admitted += 1;
      return new HeldPermit(this, tier, verdict);
    }
    this.#untimedLeft = UNTIMED_MAX;
    this.refusedFor =
      verdict === REFUSED_PRIORITY
        ? "priority"
        : verdict === REFUSED_DEADLINE
          ? "no_time"
          : "limit";
    return undefined;
  }

  /** Calls in flight, those included that were let in under earlier options and still count. */
  get inFlight(): number {
    return this.limiter.inFlight + (this.#earlier?.inFlight ?? 0);
  }

  #isFullOfEarlier(): boolean {
    if (this.#earlier === undefined) return false;
    const earlier = this.#earlier.inFlight;
    if (earlier === 0) this.#earlier = undefined;
    const { inFlight, limit } = this.#limiter;
    return earlier > 0 && inFlight + earlier >= limit;
  }

  /** Permits kept for a tier from the less critical ones, as of now. */
  reserveOf(tier: Tier): number {
    return this.#limiter.reserveOf(tier, this.#clock.monotonic());
  }

  /** When a refused caller may come back, milliseconds; an estimate. */
  get retryAfterMs(): number {
    return this.#limiter.retryAfterMs();
  }

  /** Why there is no room, where it is not that the upstream has as much to do as it can. */
  get whyFull(): string | undefined {
    const { spaceMs, inFlight, unended, limit } = this.#limiter;
    if (unended >= limit) return `${unended} calls that nobody waits for have not ended`;
    if (inFlight >= limit) return undefined;
    const earlier = this.#earlier?.inFlight ?? 0;
    if (earlier > 0) return `${earlier} calls from before the last reload have not ended`;
    if (spaceMs === 0) return undefined;
    return `its last answers came too late, and one call each ${seconds(spaceMs)} is let in`;
  }

  /** Longest that a call may wait for room, milliseconds. */
  get waitMsMax(): number {
    return this.#limiter.queueMsMax;
  }

  /** Refuses without a look at the clock, where that is sure, and at most so often in a row. */
  refuseUntimed(tier: Tier, remainingMs: number): boolean {
    if (this.#untimedLeft === 0 || !this.#limiter.refuseUntimed(tier, remainingMs)) return false;
    this.#untimedLeft -= 1;
    this.refusedFor = "limit";
    return true;
  }

  /** The call that `hold` has just refused waits for room, and asks again. */
  asksAgain(tier: Tier): void {
    this.#limiter.asksAgain(tier);
  }

  /** Counts a refusal that stands: one that waits for room is none yet. */
  countRefusal(tier: Tier, reason: LimitReason): void {
    const { refused } = this.counts[tier] as TierCounts;
    // By name: a key that is only known when it is used costs a tenth of a refusal.
    if (reason === "limit") refused.limit += 1;
    else if (reason === "priority") refused.priority += 1;
    else refused.no_time += 1;
  }

  /** For a call that `hold` has refused and an operator's order lets in. */
  holdAnyway(tier: Tier, nowMs: number): HeldPermit {
    const counts = this.counts[tier] as TierCounts;
    counts.wouldRefuse += 1;
    counts.admitted += 1;
    return new HeldPermit(this, tier, this.#limiter.admitAnyway(tier, nowMs));
  }

  /** Its breaker opened: what still comes back says nothing of the load. Ends with the next call let in. */
  freeze(): void {
    this.#limiter.freeze();
  }

  /** A permit for a call that had one before, and gave it back; undefined when there is no room for it any more. */
  holdAgain(tier: Tier, nowMs: number): number | undefined {
    const limiter = this.#limiter;
    this.excuse(nowMs);
    const hasRoom = limiter.inFlight < limiter.limit && !this.#isFullOfEarlier();
    if (hasRoom) return limiter.admitAnyway(tier, nowMs);
    this.refusedFor = "limit";
    this.countRefusal(tier, "limit");
    return undefined;
  }

  /** Whether a call is in flight until the last byte of its answer: so many connections are what was bought. */
  get holdsToEnd(): boolean {
    return this.policy.kind === "fixed";
  }

  /** A permit in place of one whose call goes on after this ending; nobody can take the room in between. */
  renew(permit: number, tier: Tier, ending: Ending, nowMs: number, latencyMs?: number): number {
    this.#limiter.settle(permit, ending, nowMs, latencyMs);
    return this.#limiter.admitAnyway(tier, nowMs);
  }

  /** The upstream owes this call nothing for now: that it is silent is no hang. */
  owesNothing(held: HeldPermit): void {
    (this.#unowed ??= new Set()).add(held);
  }

  /** It is owed an answer again, or has ended. */
  owesAgain(held: HeldPermit): void {
    this.#unowed?.delete(held);
  }

  /** While hardly anybody is owed an answer, that none comes is no silence. To be called before the limiter looks. */
  excuse(nowMs: number): void {
    const unowed = this.#unowed;
    if (unowed === undefined) return;
    const limiter = this.#limiter;
    if (unowed.size > 0 && limiter.inFlight - unowed.size < TRIALS) limiter.excuse(nowMs);
  }

  settle(permit: number, ending: Ending, nowMs: number, latencyMs?: number): void {
    this.#limiter.settle(permit, ending, nowMs, latencyMs);
    if (this.line.length > 0) this.line.serve();
    if (this.#limiter.isHung !== this.#isToldHung) this.#tellHung();
  }

  outlived(permit: number, ending: Ending, nowMs: number): void {
    this.#limiter.outlived(permit, ending, nowMs);
    if (this.#limiter.isHung !== this.#isToldHung) this.#tellHung();
  }

  leave(permit: number, ending: Ending, nowMs: number): void {
    this.#limiter.leave(permit, ending, nowMs);
    if (this.#limiter.isHung !== this.#isToldHung) this.#tellHung();
  }

  /** Not while a call is let in, where a listener that calls back in would be in the middle of it. */
  #tellHung(): void {
    this.#isToldHung = !this.#isToldHung;
    this.#onHung?.(this, this.#isToldHung);
  }
}
