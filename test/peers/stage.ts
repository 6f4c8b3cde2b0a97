// The stage: the same scenario with Switchgear, opossum and cockatiel in the same part.
//
// Each plays a breaker that trips when more than half of the latest calls failed, waits, and tries
// one call: what all three can do, set up as their documentation says. A scenario that needs more,
// such as a saved state, asks who it is playing with.

import { test } from "node:test";
import assert from "node:assert/strict";
import {
  CircuitState,
  CountBreaker,
  ExponentialBackoff,
  SamplingBreaker,
  TimeoutStrategy,
  circuitBreaker,
  handleWhen,
  timeout,
  wrap,
  type CircuitBreakerPolicy,
} from "cockatiel";
import { createSwitchgear, memoryStore, slidingWindow } from "../../src/index.ts";
import type { SlidingWindowOptions, Store, Switchgear, Upstream } from "../../src/index.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { OpossumBreaker, type Opossum } from "./opossum.ts";
import { StageTime } from "./stage-time.ts";

export type SubjectName = "switchgear" | "opossum" | "cockatiel";

export type State = "closed" | "open" | "half-open" | "ramping";

export interface Setup {
  /** Fewest calls that are judged. Default 3. */
  readonly calls?: number;
  /** How long the window reaches back. Default a minute. cockatiel: by count only unless given. */
  readonly windowMs?: number;
  /** From the trip to the first probe. Default 1,000. */
  readonly cooldownMs?: number;
  /** Default none. */
  readonly deadlineMs?: number;
  /** Successes in a row that close it; as many probes run at once. Default 1. */
  readonly probes?: number;
  /** Errors that say nothing about the upstream. Default: whatever each thinks by itself. */
  readonly ignores?: (error: unknown) => boolean;
  /** Values that are failures. */
  readonly isBad?: (value: unknown) => boolean;
  /** Whether the wait is to be spread, where there is an option for it. */
  readonly spread?: boolean;
  /** How loaded the process is, for Switchgear's load shedder. Default 0. */
  readonly load?: number;
  /** What only Switchgear has. */
  readonly switchgear?: SlidingWindowOptions;
}

type Work = (signal: AbortSignal | undefined) => unknown;

export interface Guard {
  readonly state: State;
  call(work: Work, signal?: AbortSignal): Promise<unknown>;
  /** The thing itself, for what only one of them has. */
  readonly itself: { readonly upstream?: Upstream; readonly gear?: Switchgear } & {
    readonly opossum?: Opossum;
    readonly cockatiel?: CircuitBreakerPolicy;
  };
}

export interface Stage {
  readonly subject: SubjectName;
  readonly time: StageTime;
  guard(setup?: Setup, saved?: unknown): Guard;
}

export type Scenario<Seen> = (stage: Stage) => Promise<Seen>;

/** One row of the page, and its test. */
export interface Pitfall<Seen = unknown> {
  /** The test's name, and what Switchgear promises. */
  readonly promise: string;
  readonly pitfall: string;
  readonly scenario: Scenario<Seen>;
  /** What came of it. Absent: it has no such thing, so there is nothing to compare. */
  readonly seen: { readonly switchgear: Seen; readonly opossum?: Seen; readonly cockatiel?: Seen };
  /** The same in words, for the page. */
  readonly words: Readonly<Record<SubjectName, string>>;
}

/** Has the compiler hold what was seen against what the scenario answers. */
export function pitfall<Seen>(row: Pitfall<Seen>): Pitfall {
  return row;
}

export function testOf({ promise, scenario, seen }: Pitfall): void {
  test(promise, async () => {
    for (const subject of ["switchgear", "opossum", "cockatiel"] as const) {
      if (seen[subject] === undefined) continue;
      assert.deepEqual(await play(subject, scenario), seen[subject], subject);
    }
  });
}

async function play<Seen>(subject: SubjectName, scenario: Scenario<Seen>): Promise<Seen> {
  const time = new StageTime();
  const restore = time.install();
  try {
    return await scenario({
      subject,
      time,
      guard: (setup = {}, saved) => GUARDS[subject](setup, time, saved),
    });
  } finally {
    restore();
  }
}

const GUARDS: Readonly<
  Record<SubjectName, (setup: Setup, time: StageTime, saved: unknown) => Guard>
> = { switchgear: switchgearGuard, opossum: opossumGuard, cockatiel: cockatielGuard };

function switchgearGuard(setup: Setup, time: StageTime, saved: unknown): Guard {
  const { ignores, isBad, calls = 3, windowMs = 60_000, probes = 1 } = setup;
  const breaker = slidingWindow({
    minimumCalls: calls,
    windowDurationMs: windowMs,
    openDurationMs: setup.cooldownMs ?? 1000,
    openDurationJitter: setup.spread === true ? 0.25 : 0,
    halfOpenMaxProbes: probes,
    halfOpenSuccesses: probes,
    ...setup.switchgear,
  });
  const gear = createSwitchgear({
    upstreams: {
      dk: {
        breaker,
        deadlineMs: setup.deadlineMs,
        classifyError: ignores && ((error) => (ignores(error) ? "ignored" : "failed")),
        classifyResult: isBad && ((value) => (isBad(value) ? "failure" : "success")),
      },
    },
    clock: time,
    random: setup.spread === true ? chance : { next: () => 0.5 },
    sampler: { systemLoad: () => setup.load ?? 0 },
    store: (saved as Store | undefined) ?? memoryStore(),
  });
  const upstream = gear.upstream("dk");
  return {
    itself: { upstream, gear },
    get state() {
      return upstream.state() as State;
    },
    call: (work, signal) => upstream.execute((context) => work(context.signal), { signal }),
  };
}

/** One for all guards of all scenarios: what matters is that each draws another number. */
const chance = new SeededRandom(1);

function opossumGuard(setup: Setup, _time: StageTime, saved: unknown): Guard {
  const { ignores } = setup;
  const opossum = new OpossumBreaker((work: Work, signal?: AbortSignal) => work(signal), {
    timeout: setup.deadlineMs ?? false,
    volumeThreshold: setup.calls ?? 3,
    rollingCountTimeout: setup.windowMs ?? 60_000,
    resetTimeout: setup.cooldownMs ?? 1000,
    ...(ignores === undefined ? {} : { errorFilter: ignores }),
    ...(saved as object | undefined),
  });
  return {
    itself: { opossum },
    get state() {
      if (opossum.opened) return "open";
      return opossum.halfOpen ? "half-open" : "closed";
    },
    call: (work, signal) => opossum.fire(work, signal),
  };
}

function cockatielGuard(setup: Setup, _time: StageTime, saved: unknown): Guard {
  const { calls = 3, cooldownMs = 1000, windowMs, probes = 1, deadlineMs } = setup;
  const handled = handleWhen((error) => setup.ignores?.(error) !== true);
  const policy =
    setup.isBad === undefined
      ? handled
      : handled.orWhenResult((value) => setup.isBad?.(value) === true);
  const cockatiel = circuitBreaker(policy, {
    halfOpenAfter:
      setup.spread === true ? new ExponentialBackoff({ initialDelay: cooldownMs }) : cooldownMs,
    halfOpenSampling: { calls: probes, threshold: 0 },
    breaker:
      windowMs === undefined
        ? new CountBreaker({ threshold: 0.5, size: 100, minimumNumberOfCalls: calls })
        : new SamplingBreaker({
            threshold: 0.5,
            duration: windowMs,
            minimumRps: (calls * 1000) / windowMs,
          }),
    initialState: saved,
  });
  const whole =
    deadlineMs === undefined
      ? cockatiel
      : wrap(cockatiel, timeout(deadlineMs, TimeoutStrategy.Aggressive));
  return {
    itself: { cockatiel },
    get state() {
      return COCKATIEL_STATES[cockatiel.state];
    },
    call: (work, signal) => whole.execute((context) => work(context.signal), signal),
  };
}

const COCKATIEL_STATES: Readonly<Record<CircuitState, State>> = {
  [CircuitState.Closed]: "closed",
  [CircuitState.Open]: "open",
  [CircuitState.HalfOpen]: "half-open",
  [CircuitState.Isolated]: "open",
};
