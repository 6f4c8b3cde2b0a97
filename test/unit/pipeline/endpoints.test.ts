// The endpoints of one upstream: preference, canaries beside healthy ones, counting, and listeners.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdaptiveOptions } from "../../../src/core/breaker/adaptive/options.ts";
import { adaptive } from "../../../src/core/breaker/adaptive/machine.ts";
import type { MachineEvent } from "../../../src/core/events.ts";
import { Endpoint } from "../../../src/pipeline/endpoints/endpoint.ts";
import {
  EndpointSet,
  type EndpointChoice,
  type EndpointSetOptions,
} from "../../../src/pipeline/endpoints/set.ts";
import { SeededRandom, VirtualClock } from "../../../src/testing/index.ts";

const BOOM = { weightThousandths: 1000, message: "boom" };
const WEIGHTLESS = { weightThousandths: 0, message: "quota" };

class Rig {
  readonly clock = new VirtualClock();
  readonly told: string[] = [];
  readonly set: EndpointSet;

  constructor(
    names: readonly string[] = ["a", "b", "c"],
    options: Partial<EndpointSetOptions> = {},
    breaker: AdaptiveOptions = {},
  ) {
    this.set = new EndpointSet(
      {
        endpoints: names.map((name) => ({ name, url: `http://${name}` })),
        policy: adaptive({ adaptive: false, failureThreshold: 1, cooldownMs: 1000, ...breaker }),
        onEvent: (endpoint, event) => this.told.push(`${endpoint} ${wordsOf(event)}`),
        ...options,
      },
      { clock: this.clock },
    );
  }

  choose(): EndpointChoice {
    const choice = this.set.choose();
    assert.ok(choice, "no endpoint");
    return choice;
  }

  names(times: number): string {
    return Array.from({ length: times }, () => this.choose().endpoint.name).join("");
  }

  ok({ endpoint, ticket }: EndpointChoice, latencyMs?: number): void {
    this.set.settleOk(endpoint, ticket, latencyMs, this.clock.monotonic());
  }

  fail({ endpoint, ticket }: EndpointChoice, failure = BOOM, latencyMs?: number): void {
    const at = { nowMs: this.clock.monotonic(), wallMs: this.clock.now() };
    this.set.settleFailed(endpoint, ticket, failure, latencyMs, at);
  }

  ignore({ endpoint, ticket }: EndpointChoice): void {
    this.set.settleIgnored(endpoint, ticket, this.clock.monotonic());
  }

  /** One failure degrades, a second one cools down. */
  degrade(name: string): void {
    this.set.record(name, "failed");
    assert.equal(this.set.getEndpointState(name), "degraded");
  }

  coolDown(name: string): void {
    this.set.record(name, "failed");
    this.set.record(name, "failed");
    assert.equal(this.set.getEndpointState(name), "cooling-down");
  }

  stats(name: string) {
    const stats = this.set.getEndpointStats(name);
    assert.ok(stats);
    return stats;
  }
}

function wordsOf(event: MachineEvent): string {
  return event.type === "transition" ? `${event.from} → ${event.to}` : event.type;
}

test("idle equals share the load in turn", () => {
  const rig = new Rig();
  const chosen: string[] = [];
  for (let n = 0; n < 9; n += 1) {
    const choice = rig.choose();
    chosen.push(choice.endpoint.name);
    rig.ok(choice);
  }
  assert.equal(chosen.join(""), "abcabcabc");
  assert.equal(rig.choose().endpoint.url, "http://a");
});

test("the fewest under way goes first, whoever has waited longest", () => {
  const rig = new Rig();
  const [a, , c] = [rig.choose(), rig.choose(), rig.choose()];
  rig.ok(c);
  assert.equal(rig.choose().endpoint.name, "c");
  rig.ok(a);
  assert.equal(rig.choose().endpoint.name, "a");
});

test("healthy before degraded, however busy; degraded when no other is left", () => {
  const rig = new Rig();
  rig.degrade("a");
  assert.equal(rig.names(6), "bcbcbc");
  rig.set.trip("b");
  rig.set.trip("c");
  assert.equal(rig.names(2), "aa");
});

test("none is chosen while all cool down, and the soonest time says how long", () => {
  const rig = new Rig();
  assert.equal(rig.set.soonestMs(), 0);
  rig.coolDown("a");
  rig.clock.advance(300);
  rig.coolDown("b");
  rig.set.trip("c");
  assert.equal(rig.set.choose(), undefined);
  assert.equal(rig.set.soonestMs(), 700);
  rig.clock.advance(700);
  assert.equal(rig.set.soonestMs(), 0);
  assert.equal(rig.choose().endpoint.name, "a");
});

test("only people can help where all were tripped by hand", () => {
  const rig = new Rig(["a"]);
  rig.set.trip("a");
  rig.clock.advance(1e9);
  assert.equal(rig.set.soonestMs(), undefined);
  assert.equal(rig.set.choose(), undefined);
  assert.equal(new Rig([]).set.choose(), undefined);
});

test("forced, a call goes somewhere, is under way, and counts for nothing", () => {
  const rig = new Rig();
  for (const name of ["a", "b", "c"]) rig.set.trip(name);
  const choices = [0, 1, 2].map(() => {
    const choice = rig.set.choose(true);
    assert.ok(choice);
    return choice;
  });
  assert.deepEqual(
    choices.map(({ endpoint }) => endpoint.name),
    ["a", "b", "c"],
  );
  const [first, second, third] = choices;
  assert.ok(first && second && third);
  assert.equal(rig.stats("a").inFlight, 1);
  rig.fail(first);
  rig.ok(second, Number.NaN);
  rig.ignore(third);
  for (const name of ["a", "b", "c"]) {
    const { inFlight, failures, lateOk, lateFailed, invalidSamples } = rig.stats(name);
    assert.deepEqual([inFlight, failures, lateOk, lateFailed, invalidSamples], [0, 0, 0, 0, 0]);
  }
  // Forced or not, who is well goes first and is counted.
  rig.set.reset("b");
  const well = rig.set.choose(true);
  assert.equal(well?.endpoint.name, "b");
  assert.ok(well !== undefined && well.ticket >= 0);
});

test("one whose cooldown is over gets one canary at a time beside healthy ones", () => {
  const rig = new Rig();
  rig.coolDown("a");
  assert.equal(rig.names(2), "bc");
  rig.clock.advance(1000);
  const canary = rig.choose();
  assert.equal(canary.endpoint.name, "a");
  assert.equal(rig.names(4), "bcbc");
  rig.ok(canary);
  assert.equal(rig.choose().endpoint.name, "a");
});

test("a degraded one gets a turn when it was passed over ten times, and heals by it", () => {
  const rig = new Rig(["a", "b"]);
  rig.ok(rig.choose());
  rig.degrade("a");
  rig.set.record("a", "ok");
  const chosen: string[] = [];
  for (let n = 0; n < 22; n += 1) {
    const choice = rig.choose();
    chosen.push(choice.endpoint.name);
    if (n < 11) rig.ok(choice);
  }
  assert.equal(rig.set.getEndpointState("a"), "healthy");
  assert.equal(chosen.slice(0, 11).join(""), "bbbbbbbbbba");
});

test("of two that were passed over, the one that has waited longer has the turn", () => {
  const rig = new Rig(["a", "b", "c"], {}, { minHealthScore: 1, failureThreshold: 99 });
  // Anything slower than nothing degrades at this least health, and the next would trip it.
  rig.set.record("a", "ok", 1);
  rig.set.record("b", "ok", 1);
  assert.equal(rig.names(25), `${"c".repeat(10)}ab${"c".repeat(9)}abcc`);
});

test("one that is healthy and busy has no turn: it is not set aside", () => {
  const rig = new Rig(["a", "b"]);
  for (let n = 0; n < 40; n += 1) rig.set.acquire("a");
  assert.equal(rig.names(30), "b".repeat(30));
});

test("turns are given by how long they were waited for", () => {
  const rig = new Rig();
  for (const name of ["b", "a"]) rig.set.acquire(name)?.release();
  rig.degrade("a");
  rig.degrade("b");
  for (let n = 0; n < 12; n += 1) rig.set.acquire("c");
  assert.equal(rig.names(3), "bac");
});

test("where all are degraded, the fewest under way decides, however long one was passed over", () => {
  const rig = new Rig(["a", "b"]);
  for (let n = 0; n < 40; n += 1) rig.set.acquire("a");
  rig.degrade("a");
  rig.degrade("b");
  assert.equal(rig.names(30), "b".repeat(30));
});

test("people's words are kept, and bounded", () => {
  const { set } = new Rig(["a"]);
  set.trip("a", { reason: "x".repeat(5000), actor: "ann" });
  assert.equal(set.refusal("a").lastError?.length, 1024);
  set.reset("a", { reason: "y".repeat(5000) });
  assert.equal(set.getEndpointState("a"), "healthy");
});

test("without the trickle a degraded one gets no turn", () => {
  const rig = new Rig(["a", "b"], { canaryTrickle: false });
  rig.degrade("a");
  assert.equal(rig.names(30), "b".repeat(30));
});

test("its recovery does not depend on the others failing", () => {
  const rig = new Rig();
  rig.coolDown("a");
  rig.clock.advance(1000);
  for (let n = 0; n < 40; n += 1) rig.ok(rig.choose());
  assert.equal(rig.set.getEndpointState("a"), "healthy");
  assert.deepEqual(rig.told, [
    "a healthy → degraded",
    "a degraded → cooling-down",
    "a trip",
    "a cooling-down → half-open",
    "a half-open → degraded",
    "a recovery",
    "a degraded → healthy",
  ]);
});

test("a canary that never answers does not block the next for ever", () => {
  const rig = new Rig(["a", "b"], {}, { canaryLeaseMs: 500 });
  rig.coolDown("a");
  rig.clock.advance(1000);
  assert.equal(rig.names(3), "abb");
  rig.clock.advance(500);
  assert.equal(rig.names(2), "ab");
});

test("each endpoint that is due gets its own canary", () => {
  const rig = new Rig();
  rig.coolDown("a");
  rig.coolDown("b");
  rig.clock.advance(1000);
  assert.equal(rig.names(4), "abcc");
});

test("of two that are due, the one without a canary is next, stragglers or not", () => {
  const rig = new Rig();
  rig.set.acquire("a");
  rig.set.acquire("a");
  rig.coolDown("a");
  rig.coolDown("b");
  rig.clock.advance(1000);
  assert.equal(rig.names(3), "bac");
});

test("stragglers of before the cooldown do not keep a canary away", () => {
  const rig = new Rig(["a", "b"]);
  assert.equal(rig.names(2), "ab");
  rig.coolDown("a");
  rig.clock.advance(1000);
  assert.equal(rig.choose().endpoint.name, "a");
});

test("without the trickle, canaries wait until nothing else is left", () => {
  const rig = new Rig(["a", "b"], { canaryTrickle: false });
  rig.coolDown("a");
  rig.clock.advance(1000);
  assert.equal(rig.names(5), "bbbbb");
  rig.set.trip("b");
  assert.equal(rig.choose().endpoint.name, "a");
});

test("where none is healthy or degraded, each takes canaries up to its slots, spread evenly", () => {
  const rig = new Rig(["a", "b"], {}, { canaryCount: 2 });
  rig.coolDown("a");
  rig.coolDown("b");
  rig.clock.advance(1000);
  assert.equal(rig.names(4), "abab");
  assert.equal(rig.set.choose(), undefined);
});

test("counts what is under way, what failed, what came late and what was no latency", () => {
  const rig = new Rig(["a"], {}, { failureThreshold: 3 });
  const calls = [0, 1, 2, 3, 4].map(() => rig.choose());
  const [ok, failed, weightless, ignored, late] = calls;
  assert.ok(ok && failed && weightless && ignored && late);
  assert.equal(rig.stats("a").inFlight, 5);
  rig.ok(ok, -1);
  rig.fail(failed, BOOM, Number.NaN);
  rig.fail(weightless, WEIGHTLESS);
  rig.ignore(ignored);
  assert.equal(rig.stats("a").inFlight, 1);
  assert.equal(rig.stats("a").failures, 1);
  assert.equal(rig.stats("a").invalidSamples, 2);
  assert.equal(rig.stats("a").totalAttempts, 2);
  rig.set.trip("a");
  rig.fail(late);
  assert.deepEqual(
    [rig.stats("a").lateFailed, rig.stats("a").lateOk, rig.stats("a").failures],
    [1, 0, 1],
  );
});

test("failures are counted for good, and the last opening is dated", () => {
  const rig = new Rig(["a"]);
  assert.equal(rig.stats("a").lastOpenedAt, null);
  rig.set.record("a", "failed");
  rig.set.record("a", "ok");
  rig.clock.advance(5000);
  rig.set.record("a", "failed");
  rig.set.record("a", "failed");
  const openedAt = rig.clock.now();
  rig.clock.advance(900);
  rig.set.resetAll();
  assert.equal(rig.stats("a").failures, 3);
  assert.equal(rig.stats("a").lastOpenedAt, openedAt);
  assert.equal(rig.stats("a").state, "healthy");
});

test("a listener that throws or rejects is counted, and nothing else happens", async () => {
  let isAsync = false;
  const rig = new Rig(["a"], {
    onEvent: () => {
      if (isAsync) return Promise.reject(new Error("later"));
      throw new Error("now");
    },
  });
  rig.coolDown("a");
  assert.equal(rig.set.listenerErrors, 3);
  isAsync = true;
  rig.set.reset("a");
  await new Promise(setImmediate);
  assert.equal(rig.set.listenerErrors, 5);
  assert.equal(rig.set.getEndpointState("a"), "healthy");
});

test("a listener may call back in: each event is told once, to a state that is final", () => {
  const told: string[] = [];
  const rig = new Rig(["a"], {
    onEvent: (endpoint, event) => {
      told.push(wordsOf(event));
      if (event.type === "transition") {
        assert.equal(rig.set.getEndpointState(endpoint), event.to);
        if (event.to === "cooling-down") rig.set.reset("a");
      }
    },
  });
  rig.set.record("a", "failed");
  rig.set.record("a", "failed");
  assert.deepEqual(told, [
    "healthy → degraded",
    "degraded → cooling-down",
    "cooling-down → healthy",
    "reset",
    "trip",
  ]);
});

test("without a listener nothing is kept for it", () => {
  const set = new EndpointSet(
    { endpoints: [{ name: "a" }], policy: adaptive({ failureThreshold: 1 }) },
    { clock: new VirtualClock() },
  );
  set.record("a", "failed");
  assert.equal(set.endpoints[0]?.machine.events.length, 0);
  assert.equal(set.endpoints[0]?.url, "a");
});

test("the cooldown is spread by the chance that is handed in", () => {
  const set = new EndpointSet(
    { endpoints: [{ name: "a" }], policy: adaptive({ failureThreshold: 1, cooldownMs: 1000 }) },
    { clock: new VirtualClock(), random: new SeededRandom(1) },
  );
  set.record("a", "failed");
  set.record("a", "failed");
  const expected = 1000 * (1 + 0.3 * (2 * new SeededRandom(1).next() - 1));
  assert.ok(Math.abs((set.soonestMs() ?? 0) - expected) < 1e-6);
});

test("a permit counts once, by whichever verb comes first", () => {
  const rig = new Rig(["a"], {}, { failureThreshold: 9 });
  const permit = rig.set.acquire("a");
  assert.equal(permit?.endpoint, "a");
  permit?.failure(5, new Error("refused"));
  permit?.success(5);
  permit?.release();
  assert.equal(rig.stats("a").failures, 1);
  assert.equal(rig.stats("a").totalAttempts, 1);
  assert.equal(rig.stats("a").inFlight, 0);
  assert.equal(rig.set.refusal("a").lastError, "refused");
  {
    using unused = rig.set.acquire("a");
    assert.ok(unused);
    assert.equal(rig.stats("a").inFlight, 1);
  }
  assert.equal(rig.stats("a").inFlight, 0);
});

test("a permit for a canary is refused when its slots are taken", () => {
  const rig = new Rig(["a"], {}, { canaryCount: 1 });
  rig.coolDown("a");
  assert.equal(rig.set.acquire("a"), null);
  assert.equal(rig.set.refusal("a").retryAfterMs, 1000);
  rig.clock.advance(1000);
  const permit = rig.set.acquire("a");
  assert.equal(rig.set.acquire("a"), null);
  assert.equal(rig.set.refusal("a").reason, "half_open_limit");
  permit?.success(1);
  assert.equal(rig.set.getEndpointState("a"), "degraded");
});

test("results without a permit are the verdicts of the slots that were given away, oldest first", () => {
  const rig = new Rig(["a"], {}, { canaryLeaseMs: 500 });
  rig.coolDown("a");
  rig.clock.advance(1000);
  rig.set.record("a", "ok");
  assert.equal(rig.stats("a").state, "cooling-down");
  for (let n = 0; n < 3; n += 1) assert.ok(rig.set.isAvailable("a"));
  rig.clock.advance(500);
  // The first has lost its slot to this one.
  assert.ok(rig.set.isAvailable("a"));
  assert.equal(rig.set.isAvailable("a"), true);
  rig.set.record("a", "ok", 5);
  assert.deepEqual(rig.stats("a").canaryProgress, [1, 1]);
  rig.set.record("a", "failed", 5);
  rig.set.record("a", "ok", 5);
  assert.equal(rig.stats("a").state, "degraded");
  // A slot of before means nothing now: it is evidence like any other.
  assert.equal(rig.stats("a").totalAttempts, 3);
  rig.set.record("a", "failed", 5);
  assert.equal(rig.stats("a").totalAttempts, 4);
});

test("without a slot, a result while half-open decides nothing", () => {
  const rig = new Rig(["a"], {}, { canaryCount: 1 });
  rig.coolDown("a");
  rig.clock.advance(1000);
  const permit = rig.set.acquire("a");
  rig.set.record("a", "failed");
  rig.set.record("a", "ok");
  assert.deepEqual(rig.stats("a").canaryProgress, [0, 0]);
  permit?.success();
  assert.equal(rig.set.getEndpointState("a"), "degraded");
});

test("asking for a healthy endpoint leaves no call under way", () => {
  const rig = new Rig(["a"]);
  for (let n = 0; n < 100; n += 1) assert.ok(rig.set.isAvailable("a"));
  assert.equal(rig.stats("a").inFlight, 0);
});

test("a name that is not listed has no endpoint, unless it is made on demand", () => {
  const { set } = new Rig(["a"]);
  assert.equal(set.isAvailable("x"), false);
  assert.equal(set.acquire("x"), null);
  assert.equal(set.refusal("x").lastError, "no endpoint of this name is listed");
  assert.equal(set.trip("x"), false);
  assert.equal(set.reset("x"), false);
  set.record("x", "failed");
  assert.equal(set.getEndpointState("x"), "healthy");
  assert.equal(set.getEndpointStats("x"), undefined);
  assert.deepEqual([...set.getHealthStats().keys()], ["a"]);

  const made = new Rig(["a"], { onDemand: true }).set;
  assert.equal(made.isAvailable("x"), true);
  assert.equal(made.trip("y"), true);
  assert.deepEqual([...made.getHealthStats().keys()], ["a", "x", "y"]);
  assert.deepEqual(made.getHealthyEndpoints(), ["a", "x"]);
  assert.equal(made.choose()?.endpoint.name, "a");
  assert.equal(made.choose()?.endpoint.name, "a");
});

test("wrong listings are refused with every fault", () => {
  const policy = adaptive();
  const ports = { clock: new VirtualClock() };
  const endpoints = [{ name: "a" }, { name: "a" }, { name: "" }];
  assert.throws(
    () => new EndpointSet({ endpoints, policy, endpointsMax: 0 }, ports),
    (error: RangeError & { faults?: string[] }) => {
      assert.deepEqual(error.faults, [
        '"a" is listed twice',
        "a name must be a text that is not empty",
        "endpointsMax must be a whole number at least 1, not 0",
      ]);
      return true;
    },
  );
  const set = new EndpointSet({ policy, onDemand: true }, ports);
  for (const name of ["", undefined, 5]) {
    assert.throws(() => set.isAvailable(name as string), RangeError);
  }
});

test("T-B-40 room is made by the idle, the longest unused first, and never by one with a claim", () => {
  const { set, clock } = new Rig([], { onDemand: true, endpointsMax: 4 });
  set.record("failed", "failed");
  set.record("failed", "ok");
  const permit = set.acquire("busy");
  set.isAvailable("used");
  set.isAvailable("used");
  set.isAvailable("idle");
  set.isAvailable("new");
  assert.deepEqual([...set.getHealthStats().keys()].toSorted(), ["busy", "failed", "new", "used"]);
  assert.equal(set.evicted, 1);
  set.trip("new");
  set.record("used", "failed");
  // Nobody can go: the newcomer is let through, and not remembered.
  assert.equal(set.isAvailable("late"), true);
  set.acquire("late")?.failure();
  // An order that nobody would remember is not taken.
  assert.equal(set.trip("late"), false);
  assert.equal(set.untracked, 3);
  assert.equal(set.getEndpointStats("late"), undefined);
  permit?.success();
  clock.advance(1);
  assert.equal(set.isAvailable("late"), true);
  assert.equal(set.getHealthStats().has("busy"), false);
  assert.equal(set.evicted, 2);
});

test("T-B-40 that it was used once does not keep an endpoint for ever", () => {
  const { set } = new Rig([], { onDemand: true, endpointsMax: 2 });
  for (const name of ["a", "a", "b", "b", "c", "d"]) set.isAvailable(name);
  assert.deepEqual([...set.getHealthStats().keys()].toSorted(), ["c", "d"]);
});

test("T-B-40 the search for room goes on where it ended", () => {
  const { set } = new Rig([], { onDemand: true, endpointsMax: 20 });
  for (let n = 0; n < 19; n += 1) set.record(`down-${n}`, "failed");
  set.isAvailable("idle");
  set.isAvailable("new");
  assert.deepEqual([set.untracked, set.evicted], [1, 0]);
  set.isAvailable("new");
  assert.deepEqual([set.untracked, set.evicted], [1, 1]);
  assert.equal(set.getHealthStats().has("idle"), false);
  assert.equal(set.getHealthStats().size, 20);
});

test("no more slots are remembered than an endpoint has", () => {
  const endpoint = new Endpoint({ name: "a" }, adaptive({ canaryCount: 2 }), {});
  for (let ticket = 1; ticket <= 5; ticket += 1) endpoint.reserve(ticket);
  assert.deepEqual(
    [endpoint.takeReserved(), endpoint.takeReserved(), endpoint.takeReserved()],
    [4, 5, undefined],
  );
});

test("T-B-40 where all are idle and used, the oldest goes; what a new name costs is bounded", () => {
  const { set } = new Rig([], { onDemand: true, endpointsMax: 1000 });
  for (let round = 0; round < 2; round += 1) {
    for (let n = 0; n < 1000; n += 1) set.isAvailable(`ep-${n}`);
  }
  set.isAvailable("new");
  assert.equal(set.getHealthStats().size, 1000);
  assert.equal(set.getHealthStats().has("ep-0"), false);
  assert.equal(set.getHealthStats().has("new"), true);
  // In use, it survives a churn of names that come once.
  for (let n = 0; n < 5000; n += 1) {
    set.isAvailable(`once-${n}`);
    if (n % 50 === 0) assert.ok(set.getHealthStats().has("new"), `${n}`);
    set.isAvailable("new");
  }
  assert.equal(set.getHealthStats().size, 1000);
});
