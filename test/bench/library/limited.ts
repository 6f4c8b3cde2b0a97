// What a limiter adds to a call that it lets in, and what a refusal of its costs.

import {
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  type LimitPolicy,
  type Upstream,
} from "../../../src/index.ts";
import type { Case, CaseSet } from "./measure.ts";
import { fetchOdds, raw, sink } from "./raw.ts";

function upstreamWith(limit: LimitPolicy | undefined, deadlineMs?: number): Upstream {
  return createSwitchgear({
    upstreams: { draftkings: { breaker: latching(), limit, deadlineMs } },
  }).upstream("draftkings");
}

function executing(id: string, upstream: Upstream): Case {
  return {
    id,
    async run(calls) {
      for (let n = 0; n < calls; n += 1) sink.value = await upstream.execute(fetchOdds);
    },
  };
}

function acquiring(id: string, upstream: Upstream): Case {
  return {
    id,
    run(calls) {
      for (let n = 0; n < calls; n += 1) {
        const admission = upstream.tryAcquire();
        if (!admission.admitted) throw new Error("refused while there is room");
        admission.settle({ outcome: "ok" });
      }
    },
  };
}

const DEADLINE_MS = 2000;

export function limitedSet(): CaseSet {
  const full = upstreamWith(fixedLimit(1));
  if (!full.tryAcquire().admitted) throw new Error("refused while there is room");
  return {
    cases: [
      raw,
      executing("sg.unlimited", upstreamWith(undefined)),
      executing("sg.limit.fixed", upstreamWith(fixedLimit(100))),
      executing("sg.limit.adaptive", upstreamWith(adaptiveLimit())),
      executing("sg.unlimited.deadline", upstreamWith(undefined, DEADLINE_MS)),
      executing("sg.limit.adaptive.deadline", upstreamWith(adaptiveLimit(), DEADLINE_MS)),
      acquiring("sg.unlimited.tryAcquire", upstreamWith(undefined)),
      acquiring("sg.limit.adaptive.tryAcquire", upstreamWith(adaptiveLimit())),
      {
        id: "sg.limit.refused",
        run(calls) {
          for (let n = 0; n < calls; n += 1) {
            const admission = full.tryAcquire();
            if (admission.admitted) throw new Error("admitted over the limit");
            if (admission.reason === "limit") sink.count += 1;
          }
        },
      },
    ],
  };
}
