// What spans cost a call: switched off after use, without an SDK, and with one that keeps no span.

import { TracerProvider } from "@opentelemetry/sdk-trace";
import { createSwitchgear, latching, type Upstream } from "../../../src/index.ts";
import { traceCalls } from "../../../src/telemetry/otel/index.ts";
import type { Case, CaseSet } from "./measure.ts";
import { fetchOdds, raw, sink } from "./raw.ts";

export function tracedSet(): CaseSet {
  const provider = new TracerProvider();
  const never = make(() => {});
  const ended = make((gear) => traceCalls(gear)());
  const noSdk = make((gear) => traceCalls(gear));
  const sdk = make((gear) => traceCalls(gear, { tracer: provider.getTracer("switchgear") }));
  return {
    cases: [
      raw,
      // A loop each: shared ones would share type feedback.
      {
        id: "sg.untraced",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await never.execute(fetchOdds);
        },
      },
      {
        id: "sg.traced.ended",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await ended.execute(fetchOdds);
        },
      },
      {
        id: "sg.traced.no-sdk",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await noSdk.execute(fetchOdds);
        },
      },
      {
        id: "sg.traced",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await sdk.execute(fetchOdds);
        },
      },
    ] satisfies Case[],
    close: () => provider.shutdown(),
  };
}

function make(trace: (gear: ReturnType<typeof createSwitchgear>) => unknown): Upstream {
  const gear = createSwitchgear({ upstreams: { draftkings: { breaker: latching() } } });
  trace(gear);
  return gear.upstream("draftkings");
}
