// Planted bugs of adaptive breakers, of endpoints, of a breaker's change of kind, and of forgetting.

import { AdaptiveMachine } from "../../src/core/breaker/adaptive/machine.ts";
import { Canaries } from "../../src/core/breaker/adaptive/canaries.ts";
import { Ewma } from "../../src/core/window/ewma.ts";
import { LatencyWindow } from "../../src/core/window/latency-window.ts";
import { OutcomeWindow } from "../../src/core/window/outcome-window.ts";
import { BreakerGuard } from "../../src/pipeline/breaker/guard.ts";
import { EndpointSet } from "../../src/pipeline/endpoints/set.ts";
import type { StoredBreaker } from "../../src/pipeline/ports.ts";
import { Upstream } from "../../src/pipeline/call/upstream.ts";
import { replace, replaceGetter } from "./replace.ts";
import type { Sabotage } from "./setting.ts";

/** Spoils what a guard takes over from a breaker of another kind. */
function replaceForeign(spoil: (guard: BreakerGuard, stored: StoredBreaker) => StoredBreaker) {
  return replace(
    BreakerGuard.prototype,
    "restore",
    (restore) =>
      function (this: BreakerGuard, stored): void {
        const isForeign = stored.snapshot.kind !== this.policy.kind;
        restore.call(this, isForeign ? spoil(this, stored) : stored);
      },
  );
}

export const PLANTED_ENDPOINTS: readonly Sabotage[] = [
  {
    name: "a failed canary is none",
    install: () =>
      replace(
        Canaries.prototype,
        "count",
        (count) =>
          function (this: Canaries): ReturnType<Canaries["count"]> {
            return count.call(this, true);
          },
      ),
  },
  {
    name: "what was before a cooldown speaks for an endpoint after it",
    install: () => replace(OutcomeWindow.prototype, "clear", () => () => {}),
  },
  {
    name: "the error rate knows failures only",
    install: () =>
      replace(
        Ewma.prototype,
        "add",
        (add) =>
          function (this: Ewma, sample): void {
            if (sample > 0) add.call(this, sample);
          },
      ),
  },
  {
    name: "an average latency rises only",
    install: () =>
      replace(
        LatencyWindow.prototype,
        "add",
        (add) =>
          function (this: LatencyWindow, latencyMs): void {
            if (latencyMs >= this.mean) add.call(this, latencyMs);
          },
      ),
  },
  {
    name: "a cooldown is over whenever somebody asks",
    install: () =>
      replace(
        AdaptiveMachine.prototype,
        "wouldAdmit",
        () =>
          function (this: AdaptiveMachine): boolean {
            return true;
          },
      ),
  },
  {
    name: "nobody tries an endpoint that was set aside",
    install: () =>
      replace(
        AdaptiveMachine.prototype,
        "wouldAdmit",
        () =>
          function (this: AdaptiveMachine): boolean {
            return !this.isTripped;
          },
      ),
  },
  {
    name: "an endpoint is called though none may be",
    install: () =>
      replace(
        EndpointSet.prototype,
        "choose",
        (choose) =>
          function (this: EndpointSet): ReturnType<EndpointSet["choose"]> {
            return choose.call(this, true);
          },
      ),
  },
  {
    name: "a call is sent elsewhere than where it was let in",
    install: () =>
      replace(
        EndpointSet.prototype,
        "choose",
        (choose) =>
          function (this: EndpointSet, isForced): ReturnType<EndpointSet["choose"]> {
            const choice = choose.call(this, isForced);
            const endpoint = this.endpoints.find((one) => one !== choice?.endpoint);
            return choice === undefined || endpoint === undefined
              ? choice
              : { ...choice, endpoint };
          },
      ),
  },
  {
    name: "a call is refused while an endpoint is left",
    install: () =>
      replace(
        EndpointSet.prototype,
        "choose",
        (choose) =>
          function (this: EndpointSet, isForced): ReturnType<EndpointSet["choose"]> {
            const isAnyTripped = this.endpoints.some(({ machine }) => machine.isTripped);
            return isAnyTripped && isForced !== true ? undefined : choose.call(this, isForced);
          },
      ),
  },
  {
    name: "a call that finds no endpoint is told to come too late",
    wants: ["endpoints", "bursts"],
    install: () =>
      replace(
        EndpointSet.prototype,
        "soonestMs",
        (soonestMs) =>
          function (this: EndpointSet): number | undefined {
            const ms = soonestMs.call(this);
            return ms === undefined ? undefined : ms + 1000;
          },
      ),
  },
  {
    name: "the first of the idle endpoints takes all calls",
    install: () =>
      replace(
        EndpointSet.prototype,
        "choose",
        (choose) =>
          function (this: EndpointSet, isForced): ReturnType<EndpointSet["choose"]> {
            for (const endpoint of this.endpoints) endpoint.chosenAt = 0;
            return choose.call(this, isForced);
          },
      ),
  },
  {
    name: "a degraded endpoint never has its turn",
    install: () =>
      replace(
        EndpointSet.prototype,
        "choose",
        (choose) =>
          function (this: EndpointSet, isForced): ReturnType<EndpointSet["choose"]> {
            const healthy = this.endpoints.some(({ machine }) => machine.state === "healthy");
            for (const endpoint of healthy ? this.endpoints : []) {
              if (endpoint.machine.state === "degraded") endpoint.chosenAt = Infinity;
            }
            return choose.call(this, isForced);
          },
      ),
  },
  {
    name: "a call without a vote stays at its endpoint",
    install: () => replace(EndpointSet.prototype, "settleIgnored", () => () => {}),
  },
  {
    name: "an endpoint hears of each success twice",
    install: () =>
      replace(
        EndpointSet.prototype,
        "settleOk",
        (settleOk) =>
          function (this: EndpointSet, endpoint, ...args): void {
            settleOk.call(this, endpoint, ...args);
            endpoint.inFlight += 1;
            settleOk.call(this, endpoint, ...args);
          },
      ),
  },
  {
    name: "a failure is its upstream's alone",
    install: () =>
      replace(
        EndpointSet.prototype,
        "settleFailed",
        () =>
          function (this: EndpointSet, endpoint): void {
            endpoint.inFlight -= 1;
          },
      ),
  },
  {
    name: "a reset leaves the endpoints as they are",
    install: () => replace(EndpointSet.prototype, "resetAll", () => () => {}),
  },
  {
    name: "a breaker of another kind starts anew",
    install: () =>
      replaceForeign((guard, stored) => ({ ...stored, snapshot: guard.toStored().snapshot })),
  },
  {
    name: "a change of kind forgets that a person tripped it",
    install: () =>
      replaceForeign((_guard, stored) => ({
        ...stored,
        snapshot: { ...stored.snapshot, manual: false },
      })),
  },
  {
    name: "a count means the same to every kind",
    wants: ["kindChanges", "crashes", "bursts"],
    install: () =>
      replaceForeign((guard, stored) => ({
        ...stored,
        snapshot: { ...stored.snapshot, kind: guard.policy.kind } as StoredBreaker["snapshot"],
      })),
  },
  {
    name: "whoever has waited longest is forgotten",
    install: () => replaceGetter(Upstream.prototype, "isIdle", () => true),
  },
];
