// The machines of endpoints: real ones, each watched, with an oracle and a chance of its own.

import type { AdaptiveMachine, AdaptivePolicy } from "../../src/core/breaker/adaptive/machine.ts";
import type { MachinePorts } from "../../src/core/breaker/machine.ts";
import type { UpstreamOptions } from "../../src/pipeline/registry-options.ts";
import type { Endpoints } from "./endpoints.ts";
import { Ledger } from "./ledger.ts";
import { machineRandoms, type Setting } from "./setting.ts";
import type { ProcessClock } from "./timeline.ts";
import { watch } from "./watch.ts";

export function endpointOptions(
  setting: Setting,
  clock: ProcessClock,
  endpoints: Endpoints,
): Partial<UpstreamOptions> {
  const { names, breaker } = endpoints.plan;
  const endpointBreaker: AdaptivePolicy = {
    ...breaker.policy,
    createMachine: (ports) => createMachine(setting, clock, endpoints, ports),
  };
  return { endpoints: names, endpointBreaker };
}

function createMachine(
  setting: Setting,
  clock: ProcessClock,
  endpoints: Endpoints,
  ports: MachinePorts | undefined,
): AdaptiveMachine {
  const { names, breaker } = endpoints.plan;
  const [random, twin] = machineRandoms(setting);
  const machine = breaker.policy.createMachine({ ...ports, random });
  setting.sabotage?.machine?.(machine, clock);
  // They are made in the order of the listing.
  const name = names[endpoints.ledgers.length] ?? "one too many";
  const ledger = new Ledger(name, breaker, machine, breaker.oracle(twin, clock.monotonic()));
  endpoints.ledgers.push(ledger);
  watch(ledger, {
    journal: setting.journal,
    compares: setting.reads,
    at: () => ({ nowMs: clock.monotonic(), wallMs: clock.now() }),
    calling: () => setting.calling?.atEndpoint,
    asking: (of, nowMs) => endpoints.choosing(of, nowMs),
    admitted: (of, verdict, nowMs) => {
      const { calling } = setting;
      if (calling !== undefined) calling.endpoint = of;
      endpoints.chosen(of, verdict, nowMs);
    },
    // What happens to an endpoint is neither stored nor audited.
    ordered: () => {},
    restored: () => {},
  });
  return machine;
}
