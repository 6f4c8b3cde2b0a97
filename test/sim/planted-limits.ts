// Bugs in how calls in flight are limited, planted for `planted.ts`.

import { ENDED_IGNORED, Limiter } from "../../src/core/overload/limiter.ts";
import { Permits } from "../../src/core/overload/permits.ts";
import { BreakerGuard } from "../../src/pipeline/breaker/guard.ts";
import { LimitGuard } from "../../src/pipeline/overload/guard.ts";
import { HeldPermit } from "../../src/pipeline/overload/held-permit.ts";
import { WaitingLine, type Waiting } from "../../src/pipeline/overload/waiting-line.ts";
import { replace } from "./replace.ts";
import type { Sabotage } from "./setting.ts";

const wants = ["limits", "bursts"] as const;

export const PLANTED_LIMITS: readonly Sabotage[] = [
  {
    name: "a call that timed out keeps its permit",
    wants,
    install: () => replace(Limiter.prototype, "leave", () => () => true),
  },
  {
    name: "what nobody hears of is in flight for ever",
    wants,
    install: () => replace(Permits.prototype, "expire", () => () => {}),
  },
  {
    name: "a call without a vote keeps its permit",
    wants,
    install: () =>
      replace(
        HeldPermit.prototype,
        "end",
        (end) =>
          function (this: HeldPermit, ending, ...rest): void {
            if (ending !== ENDED_IGNORED) end.call(this, ending, ...rest);
          },
      ),
  },
  {
    name: "a call that runs on after its deadline is forgotten",
    wants,
    install: () =>
      replace(
        LimitGuard.prototype,
        "outlived",
        () =>
          function (this: LimitGuard, permit, ending): void {
            this.settle(permit, ending, 0);
          },
      ),
  },
  {
    name: "the limiter's refusals feed the breaker",
    wants,
    install: () => {
      let isRefused = false;
      const mendHold = replace(
        LimitGuard.prototype,
        "hold",
        (hold) =>
          function (this: LimitGuard, ...args): HeldPermit | undefined {
            const held = hold.apply(this, args);
            isRefused = held === undefined;
            return held;
          },
      );
      const mendSettle = replace(
        BreakerGuard.prototype,
        "settleIgnored",
        (settleIgnored) =>
          function (this: BreakerGuard, ticket): void {
            if (!isRefused) settleIgnored.call(this, ticket);
            else this.settleOk(ticket, 0, 0);
            isRefused = false;
          },
      );
      return () => {
        mendHold();
        mendSettle();
      };
    },
  },
  {
    name: "every call is as critical as any",
    wants,
    install: () =>
      replace(
        Limiter.prototype,
        "admit",
        (admit) =>
          function (this: Limiter, tier, ...rest): number {
            const verdict = admit.call(this, tier, ...rest);
            const isFull = this.inFlight >= this.limit;
            return verdict >= 0 || isFull ? verdict : this.admitAnyway(tier, rest[0]);
          },
      ),
  },
  {
    name: "whoever was let in stands in line on",
    wants,
    install: () => {
      const lines = new WeakMap<WaitingLine, Waiting[]>();
      const mendAdd = replace(
        WaitingLine.prototype,
        "add",
        (add) =>
          function (this: WaitingLine, waiting): void {
            lines.set(this, [...(lines.get(this) ?? []), waiting]);
            add.call(this, waiting);
          },
      );
      const mendServe = replace(
        WaitingLine.prototype,
        "serve",
        () =>
          function (this: WaitingLine): void {
            for (const waiting of lines.get(this) ?? []) waiting.retry();
          },
      );
      return () => {
        mendAdd();
        mendServe();
      };
    },
  },
  {
    name: "whoever left the line stands in it again",
    wants,
    install: () =>
      replace(
        WaitingLine.prototype,
        "leave",
        (leave) =>
          function (this: WaitingLine, waiting): void {
            leave.call(this, waiting);
            this.add(waiting);
          },
      ),
  },
];
