import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bookmakerView } from "../../../src/admin/views.ts";
import { statusSchema } from "../../../src/cli/breaker-commands.ts";
import { explain, type Explanation } from "../../../src/cli/explain.ts";
import {
  adaptive,
  adaptiveLimit,
  createSwitchgear,
  latching,
  slidingWindow,
  type Switchgear,
  type UpstreamOptions,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

function world(options: UpstreamOptions) {
  const clock = new VirtualClock();
  const gear = createSwitchgear({ upstreams: { dk: { deadlineMs: 1000, ...options } }, clock });
  const upstream = gear.upstream("dk");
  const settle = (outcome: "ok" | "failed", count: number): void => {
    for (let n = 0; n < count; n += 1) {
      const call = upstream.tryAcquire();
      if (call.admitted) call.settle({ outcome });
    }
  };
  return { clock, gear, upstream, settle, told: () => told(gear, clock) };
}

/** Through the API's own shape, as the command gets it. */
function told(gear: Switchgear, clock: VirtualClock): Explanation {
  const view: unknown = JSON.parse(JSON.stringify(bookmakerView(gear.upstream("dk").status())));
  return explain(statusSchema.parse(view), clock.now());
}

describe("explain", () => {
  test("a closed one: how far it is from tripping, and nothing to do", () => {
    const { settle, told } = world({ breaker: latching({ failureThreshold: 10 }) });
    settle("failed", 3);
    assert.deepEqual(told(), {
      bookmaker: "dk",
      state: "closed",
      why: null,
      calls: "let in",
      changes: "3 of the 10 failures in a row at which it trips",
      next: null,
      runbook: null,
    });
  });

  test("a latching one that tripped: a person alone, in the cooldown with force", () => {
    const { clock, settle, told } = world({
      breaker: latching({ failureThreshold: 10, cooldownMs: 60_000 }),
    });
    settle("failed", 10);
    clock.advance(12_000);
    const { state, why, calls, changes, next, runbook } = told();
    assert.equal(state, "TRIPPED for 12 s");
    assert.match(why ?? "", /^10 failures, and it trips at 10/);
    assert.match(calls, /every call is refused at once/);
    assert.equal(changes, "a reset by a person alone, which needs --force for 48 s more");
    assert.match(next ?? "", /then: switchgear reset dk --reason '…'$/);
    assert.equal(runbook, "CircuitBreakerTripped");
    clock.advance(60_000);
    assert.equal(told().changes, "a reset by a person alone");
  });

  test("a latching one that sends a single probe: when, and that nobody has to do anything", () => {
    const { clock, settle, told } = world({
      breaker: latching({ failureThreshold: 3, recovery: "single-probe", resetTimeoutMs: 30_000 }),
    });
    settle("failed", 3);
    clock.advance(10_000);
    assert.match(told().changes, /^in 20 s probes look whether the bookmaker is back; or a reset/);
    assert.match(told().next ?? "", /^nothing, unless/);
  });

  test("one that was tripped by hand: whom to ask first", () => {
    const { upstream, told } = world({ breaker: slidingWindow() });
    upstream.trip({ actor: "ann", reason: "odds are wrong" });
    const { state, next, changes } = told();
    assert.match(state, /^TRIPPED by hand/);
    assert.match(changes, /^a reset by a person alone/);
    assert.match(next ?? "", /^ask whoever tripped it/);
  });

  test("a sliding window: by which rule, when it probes, how far it has come back", () => {
    const { clock, settle, upstream, told } = world({
      breaker: slidingWindow({ openDurationMs: 15_000, ramping: true }),
    });
    settle("ok", 5);
    settle("failed", 30);
    clock.advance(5000);
    const open = told();
    assert.match(open.state, /^TRIPPED for 5 s$/);
    assert.match(open.why ?? "", /^its rule .+: \d+\.\d %, and it trips at 50\.0 %/);
    assert.match(open.changes, /^in 10 s probes look whether the bookmaker is back; or a reset/);
    assert.equal(open.runbook, "CircuitBreakerWindowOpen");
    clock.advance(11_000);
    for (let n = 0; n < 20 && upstream.status().state !== "closed"; n += 1) {
      settle("ok", 10);
      const { state } = upstream.status();
      if (state === "half-open") assert.match(told().state, /^HALF-OPEN/);
      if (told().state === "coming back") {
        assert.match(told().calls, /^\d+ % are let in$/);
        return;
      }
      clock.advance(1000);
    }
    assert.fail(`it never came back by and by: ${told().state}`);
  });

  test("endpoints: health of each, and none that is left", () => {
    const { settle, told } = world({
      breaker: adaptive(),
      endpoints: ["eu", "us"],
      endpointBreaker: adaptive({ failureThreshold: 2 }),
    });
    assert.match(told().why ?? "", /^eu healthy, health 1\.00; us healthy/);
    settle("failed", 40);
    const { state, why, runbook, next } = told();
    assert.match(state, /^NO ENDPOINT/);
    assert.match(why ?? "", /eu cooling-down.*us cooling-down/);
    assert.equal(runbook, "CircuitBreakerNoEndpoint");
    assert.match(next ?? "", /switchgear reset dk/);
  });

  test("an operator's mode: that it does not protect, and how it ends", () => {
    const { upstream, told } = world({ breaker: latching() });
    upstream.setMode({ mode: "shadow", actor: "ann", reason: "migration" });
    const { state, calls, next, runbook } = told();
    assert.match(state, /^in the mode shadow/);
    assert.match(calls, /^all are let in/);
    assert.match(next ?? "", /switchgear mode dk normal --reason '…'$/);
    assert.equal(runbook, "SwitchgearModeForgotten");
  });

  test("a limiter that waits for a bookmaker that hangs", () => {
    const { clock, upstream, told } = world({ breaker: latching(), limit: adaptiveLimit() });
    for (let n = 0; n < 4; n += 1) upstream.tryAcquire();
    clock.advance(950);
    upstream.tryAcquire();
    const { why, calls, runbook } = told();
    assert.match(why ?? "", /none has come back for half a deadline/);
    assert.match(calls, /^as many as its limiter lets in: \d+ at once$/);
    assert.equal(runbook, "CircuitBreakerLimitAtFloor");
  });

  test("names that a shell would read otherwise are quoted", () => {
    const clock = new VirtualClock();
    const name = "it's $HOME";
    const gear = createSwitchgear({ upstreams: { [name]: { breaker: latching() } }, clock });
    gear.upstream(name).trip({ actor: "ann", reason: "x" });
    const view: unknown = JSON.parse(JSON.stringify(bookmakerView(gear.upstream(name).status())));
    const { next } = explain(statusSchema.parse(view), clock.now());
    assert.match(next ?? "", /switchgear reset 'it'\\''s \$HOME' --reason/);
  });
});
