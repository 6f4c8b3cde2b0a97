// Bugs that the field has, or that are one forgotten line away, planted into the real code while it
// runs. A simulator that does not find them finds nothing: each must be found, and the code without
// them must pass the same seeds.
//
// Machines are spoiled through their public methods, as they were before anybody watched them, the
// pipeline and the parts of machines through their classes' prototypes, the store through its handle.
// No source is edited. Those of adaptive breakers and endpoints are in `planted-endpoints.ts`.

import { REFUSED, type BreakerMachine, type Ticket } from "../../src/core/breaker/machine.ts";
import { AdmittedCall } from "../../src/pipeline/call/admissions.ts";
import { BoundedCall } from "../../src/pipeline/call/bounded-call.ts";
import { BreakerGuard } from "../../src/pipeline/breaker/guard.ts";
import { Emitter } from "../../src/pipeline/emitter.ts";
import { Persistence } from "../../src/pipeline/breaker/persistence.ts";
import type { StoreChange } from "../../src/pipeline/ports.ts";
import { Switchgear } from "../../src/pipeline/registry.ts";
import { Settlement } from "../../src/pipeline/call/settlement.ts";
import { Upstream } from "../../src/pipeline/call/upstream.ts";
import { PLANTED_ENDPOINTS } from "./planted-endpoints.ts";
import { PLANTED_LIMITS } from "./planted-limits.ts";
import { PLANTED_STORE } from "./planted-store.ts";
import { replace } from "./replace.ts";
import type { Sabotage } from "./setting.ts";
import { ProcessClock } from "./timeline.ts";

/** How far apart two epochs' tickets are. */
const EPOCH_STEPS = { latching: 2, "sliding-window": 2 ** 20, adaptive: 2 ** 20 };

function epochOf(ticket: Ticket, machine: BreakerMachine): number {
  return Math.floor(ticket / EPOCH_STEPS[machine.kind]);
}

export const PLANTED: readonly Sabotage[] = [
  {
    name: "a late success is counted",
    machine: (machine) => {
      const settleOk = machine.settleOk.bind(machine);
      const record = machine.record.bind(machine);
      machine.settleOk = (ticket, latencyMs, nowMs, wallMs) => {
        if (settleOk(ticket, latencyMs, nowMs, wallMs)) return true;
        record("ok", undefined, latencyMs, { nowMs, wallMs: wallMs ?? 0 });
        return true;
      };
    },
  },
  {
    name: "an ignored probe keeps its slot",
    machine: (machine) => {
      machine.settleIgnored = () => {};
    },
  },
  {
    name: "a reset begins no epoch",
    machine: (machine) => {
      const reset = machine.reset.bind(machine);
      const settleOk = machine.settleOk.bind(machine);
      const settleFailed = machine.settleFailed.bind(machine);
      let before = 0;
      let after = 0;
      machine.reset = (order, at) => {
        const { epoch, isTripped } = machine;
        const verdict = reset(order, at);
        if (!isTripped) [before, after] = [epoch, machine.epoch];
        return verdict;
      };
      const moved = (ticket: Ticket): Ticket =>
        after > before && epochOf(ticket, machine) === before
          ? ticket + (after - before) * EPOCH_STEPS[machine.kind]
          : ticket;
      machine.settleOk = (ticket, latencyMs, nowMs, wallMs) =>
        settleOk(moved(ticket), latencyMs, nowMs, wallMs);
      machine.settleFailed = (ticket, failure, latencyMs, at) =>
        settleFailed(moved(ticket), failure, latencyMs, at);
    },
  },
  {
    name: "a lease never ends",
    machine: (machine) => {
      const admit = machine.admit.bind(machine);
      let halfOpenMs = 0;
      machine.admit = (nowMs) => {
        if (machine.state !== "half-open") halfOpenMs = nowMs;
        return admit(halfOpenMs);
      };
    },
  },
  {
    name: "one probe too many",
    machine: (machine) => {
      const admit = machine.admit.bind(machine);
      let extra = -1;
      machine.admit = (nowMs) => {
        const ticket = admit(nowMs);
        if (ticket !== REFUSED || machine.state !== "half-open") return ticket;
        if (extra === machine.epoch) return REFUSED;
        extra = machine.epoch;
        return machine.epoch * EPOCH_STEPS[machine.kind] + 1;
      };
    },
  },
  {
    name: "a window outlives the recovery",
    machine: (machine) => {
      const settleOk = machine.settleOk.bind(machine);
      const settleFailed = machine.settleFailed.bind(machine);
      const record = machine.record.bind(machine);
      const failed: Parameters<BreakerMachine["record"]>[] = [];
      machine.settleFailed = (ticket, failure, latencyMs, at) => {
        const isCounted = settleFailed(ticket, failure, latencyMs, at);
        if (isCounted) failed.push(["failed", failure, latencyMs, at]);
        return isCounted;
      };
      machine.settleOk = (ticket, latencyMs, nowMs, wallMs) => {
        const wasTripped = machine.isTripped;
        const isCounted = settleOk(ticket, latencyMs, nowMs, wallMs);
        if (wasTripped && !machine.isTripped) {
          for (const one of failed.splice(0)) record(...one);
        }
        return isCounted;
      };
    },
  },
  {
    name: "stragglers extend the cooldown",
    machine: (machine) => {
      const settleFailed = machine.settleFailed.bind(machine);
      const cooldownRemainingMs = machine.cooldownRemainingMs.bind(machine);
      const reset = machine.reset.bind(machine);
      let stragglerMs = Number.NEGATIVE_INFINITY;
      machine.settleFailed = (ticket, failure, latencyMs, at) => {
        const isCounted = settleFailed(ticket, failure, latencyMs, at);
        if (!isCounted && machine.isTripped) stragglerMs = at.nowMs;
        return isCounted;
      };
      machine.cooldownRemainingMs = (at) =>
        cooldownRemainingMs(at) + (at.nowMs - stragglerMs < 1000 ? 1000 : 0);
      machine.reset = (order, at) => {
        const remainingMs = machine.cooldownRemainingMs(at);
        if (remainingMs <= 0 || order.force) return reset(order, at);
        machine.events.push({ type: "reset-denied", remainingMs, ...order });
        return { accepted: false, remainingMs };
      };
    },
  },
  {
    name: "a restart forgets that a person tripped it",
    machine: (machine) => {
      const restore = machine.restore.bind(machine);
      machine.restore = (snapshot, at) => restore({ ...snapshot, manual: false }, at);
    },
  },
  {
    name: "a read moves the state",
    machine: (machine) => {
      const snapshot = machine.snapshot.bind(machine);
      const admit = machine.admit.bind(machine);
      const settleIgnored = machine.settleIgnored.bind(machine);
      machine.snapshot = (at) => {
        if (machine.state === "open") {
          const ticket = admit(at.nowMs);
          if (ticket !== REFUSED) settleIgnored(ticket, at.nowMs);
        }
        return snapshot(at);
      };
    },
  },
  {
    name: "our own refusals are evidence",
    machine: (machine) => {
      const admit = machine.admit.bind(machine);
      const record = machine.record.bind(machine);
      machine.admit = (nowMs) => {
        const ticket = admit(nowMs);
        const failure = { weightThousandths: 1000, message: "refused" };
        if (ticket === REFUSED) record("failed", failure, 0, { nowMs, wallMs: nowMs });
        return ticket;
      };
    },
  },
  {
    name: "a trip is stored after it returned",
    store: (store) => {
      const commit = store.commit.bind(store);
      let waiting: StoreChange | undefined;
      store.commit = (change) => {
        if (waiting !== undefined) commit(waiting);
        waiting = change;
      };
    },
  },
  {
    name: "an audit is lost when the store fails",
    install: () =>
      replace(
        Persistence.prototype,
        "saveNow",
        (saveNow) =>
          function (this: Persistence, upstream, audit): void {
            saveNow.call(this, upstream, this.health().ok ? audit : undefined);
          },
      ),
  },
  {
    name: "a denied reset is not audited",
    install: () => replace(Persistence.prototype, "saveAudit", () => () => {}),
  },
  {
    name: "a second settlement counts",
    install: () => {
      const first = new WeakMap<AdmittedCall, Parameters<Settlement["settle"]>>();
      const owners = new WeakMap<AdmittedCall, Settlement>();
      const settling: AdmittedCall[] = [];
      const mendCall = replace(
        AdmittedCall.prototype,
        "settle",
        (settle) =>
          function (this: AdmittedCall, outcome): void {
            const known = first.get(this);
            if (known !== undefined) {
              const [operation, ticket, startMs] = known;
              owners.get(this)?.settle(operation, ticket, startMs, outcome);
              return;
            }
            settling.push(this);
            settle.call(this, outcome);
            settling.length = 0;
          },
      );
      const mendSettlement = replace(
        Settlement.prototype,
        "settle",
        (settle) =>
          function (this: Settlement, ...args): void {
            const call = settling.pop();
            if (call !== undefined) {
              first.set(call, args);
              owners.set(call, this);
            }
            settle.apply(this, args);
          },
      );
      return () => {
        mendCall();
        mendSettlement();
      };
    },
  },
  {
    name: "an abort counts as a failure",
    install: () =>
      replace(
        Settlement.prototype,
        "aborted",
        () =>
          function (this: Settlement, call): void {
            this.failed(call, "the caller went away");
          },
      ),
  },
  {
    name: "a caller who leaves an upstream that answers nobody is no evidence",
    install: () =>
      replace(
        Settlement.prototype,
        "aborted",
        () =>
          function (this: Settlement, { operation, ticket, startMs, extra }): void {
            this.settle(operation, ticket, startMs, { outcome: "ignored" }, extra);
          },
      ),
  },
  {
    name: "a caller's limit counts, however short",
    wants: ["deadlines"],
    install: () =>
      replace(
        Settlement.prototype,
        "expired",
        (expired) =>
          function (this: Settlement, call, stalled): Error {
            return expired.call(this, { ...call, deadlineMs: Infinity }, stalled);
          },
      ),
  },
  {
    name: "an abort stays in flight",
    install: () =>
      replace(
        Settlement.prototype,
        "aborted",
        (aborted) =>
          function (this: Settlement, call, reason): void {
            aborted.call(this, call, reason);
            this.books.inFlight += 1;
          },
      ),
  },
  {
    name: "a stall counts as the upstream's timeout",
    wants: ["deadlines", "stalls"],
    install: () =>
      replace(
        Settlement.prototype,
        "expired",
        (expired) =>
          function (this: Settlement, call): Error {
            return expired.call(this, call, false);
          },
      ),
  },
  {
    name: "a deadline ends nothing",
    install: () => replace(BoundedCall.prototype, "expire", () => () => {}),
  },
  {
    name: "whatever is polled is taken over",
    install: () =>
      replace(
        BreakerGuard.prototype,
        "adopt",
        () =>
          function (this: BreakerGuard, stored): void {
            this.restore(stored);
          },
      ),
  },
  {
    name: "a breaker holds a timer",
    machine: (_machine, clock) => {
      const again = (): void => void clock.setTimer(again, 20_000);
      again();
    },
  },
  {
    name: "nobody tries a failed store again",
    install: () =>
      replace(
        ProcessClock.prototype,
        "setTimer",
        (setTimer) =>
          function (this: ProcessClock, callback, delayMs) {
            // The pauses between the tries: a quarter of a second, doubled each time.
            const isPause = delayMs >= 250 && delayMs !== 1000 && Number.isInteger(delayMs / 250);
            return setTimer.call(this, isPause ? () => {} : callback, delayMs);
          },
      ),
  },
  {
    name: "a restart forgets the mode",
    install: () =>
      replace(
        BreakerGuard.prototype,
        "restore",
        (restore) =>
          function (this: BreakerGuard, stored): void {
            restore.call(this, { ...stored, mode: "normal" });
          },
      ),
  },
  {
    name: "a call without a vote is a failure",
    install: () =>
      replace(
        BreakerGuard.prototype,
        "settleIgnored",
        () =>
          function (this: BreakerGuard, ticket): void {
            this.settleFailed(ticket, { weightThousandths: 1000, message: "ignored" }, 0, 0);
          },
      ),
  },
  {
    name: "an adapter's weight is not heeded",
    install: () =>
      replace(
        Settlement.prototype,
        "failureOf",
        (failureOf) =>
          function (this: Settlement, { weight: _weight, ...outcome }) {
            return failureOf.call(this, outcome);
          },
      ),
  },
  {
    name: "a latency is counted from somewhere else",
    install: () =>
      replace(
        BreakerGuard.prototype,
        "settleOk",
        (settleOk) =>
          function (this: BreakerGuard, ticket, latencyMs, nowMs): void {
            settleOk.call(this, ticket, latencyMs + 1, nowMs);
          },
      ),
  },
  {
    name: "a listener's error is counted nowhere",
    install: () =>
      replace(
        Emitter.prototype,
        "on",
        (on) =>
          function (this: Emitter, type, listener) {
            const quiet: typeof listener = (event) => {
              try {
                return listener(event);
              } catch {
                return undefined;
              }
            };
            return on.call(this, type, quiet as never);
          },
      ),
  },
  {
    name: "a value is copied on its way",
    install: () =>
      replace(
        Upstream.prototype,
        "execute",
        (execute) =>
          function (this: Upstream, fn, options) {
            return execute
              .call(this, fn, options)
              .then((value) => ({ ...(value as object) }) as never);
          },
      ),
  },
  {
    name: "a closing registry admits",
    install: () =>
      replace(
        Switchgear.prototype,
        "close",
        () =>
          function (this: Switchgear): Promise<void> {
            this.flush();
            return Promise.resolve();
          },
      ),
  },
  ...PLANTED_ENDPOINTS,
  ...PLANTED_LIMITS,
  ...PLANTED_STORE,
];
