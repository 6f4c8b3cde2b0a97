// A few replicas on one line of time, with the model store between them and a network that does as the test says.

import { latching } from "../../../../src/index.ts";
import { STORE_RULES, type ModelStore } from "../../../sim/fleet/store.ts";
import { Link } from "../../../sim/fleet/link.ts";
import { Network } from "../../../sim/fleet/network.ts";
import { ProcessClock, Timeline } from "../../../sim/timeline.ts";
import type { SwitchgearEvent } from "../../../../src/core/events.ts";
import type { FleetChange } from "../../../../src/pipeline/fleet-port.ts";
import type { Fleet } from "../../../../src/pipeline/fleet/fleet.ts";
import { Switchgear } from "../../../../src/pipeline/registry.ts";
import type { UpstreamOptions } from "../../../../src/pipeline/registry-options.ts";
import { SeededRandom } from "../../../../src/testing/index.ts";

export interface TestReplica {
  readonly clock: ProcessClock;
  readonly link: Link;
  readonly gear: Switchgear;
  readonly fleet: Fleet;
  /** All that it asked the store to take, again where it was sent again. */
  readonly changes: FleetChange[];
  readonly events: SwitchgearEvent[];
}

export class TestFleet {
  readonly timeline = new Timeline();
  readonly network = new Network(this.timeline, new SeededRandom(1), STORE_RULES);

  get store(): ModelStore {
    return this.network.store;
  }

  start(
    name: string,
    upstreams: readonly string[] = ["dk"],
    limit = 100,
    aheadMs = 0,
    mode?: UpstreamOptions["mode"],
  ): TestReplica {
    const clock = new ProcessClock(this.timeline, 0, aheadMs);
    const changes: FleetChange[] = [];
    const link = new Link(this.network, name, clock, {
      committing: (change) => void changes.push(change),
      committed: () => {},
      told: () => {},
      confirmed: () => {},
    });
    const breaker = latching({ failureThreshold: 1, cooldownMs: 0 });
    const options: UpstreamOptions = { breaker, mode };
    const gear = new Switchgear(
      {
        upstreams: Object.fromEntries(upstreams.map((upstream) => [upstream, options])),
        otherUpstreams: options,
        limits: { upstreams: limit },
      },
      {
        scheduler: clock,
        store: link,
        sampler: { systemLoad: () => 0 },
        random: new SeededRandom(name.length + name.charCodeAt(0)),
        warn: () => {},
      },
    );
    const events: SwitchgearEvent[] = [];
    gear.on("store-error", (event) => void events.push(event));
    gear.on("store-recovered", (event) => void events.push(event));
    return { clock, link, gear, fleet: gear.fleet as Fleet, changes, events };
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.timeline.nowMs + ms;
    await atRest();
    for (;;) {
      const run = this.timeline.next(endMs);
      if (run === undefined) break;
      run();
      await atRest();
    }
    this.timeline.nowMs = endMs;
  }
}

export async function atRest(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
}
