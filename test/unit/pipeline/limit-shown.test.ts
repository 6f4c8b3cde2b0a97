// What is told of limiters: status, events, counts that outlive a reload, series.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { statusPage } from "../../../src/admin/page.ts";
import {
  adaptive,
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  type CallOptions,
  type LimitPolicy,
  type Switchgear,
  type Upstream,
  type UpstreamOptions,
} from "../../../src/index.ts";
import { attachLogging } from "../../../src/telemetry/log/index.ts";
import { prometheusMetrics } from "../../../src/telemetry/otel/index.ts";
import { LimitRow } from "../../../src/telemetry/series/limit-rows.ts";
import { LabelSets } from "../../../src/telemetry/series/label-sets.ts";
import { RecordingSink, VirtualClock } from "../../../src/testing/index.ts";

let clock: VirtualClock;

beforeEach(() => {
  clock = new VirtualClock();
});

function gearOf(upstreams: Record<string, UpstreamOptions>): Switchgear {
  return createSwitchgear({ upstreams, clock });
}

function limited(limit: LimitPolicy, more: Partial<UpstreamOptions> = {}): UpstreamOptions {
  return { breaker: latching(), limit, deadlineMs: 1000, ...more };
}

/** Takes so many permits and keeps them. */
function take(upstream: Upstream, times: number, options: CallOptions = {}): void {
  for (let n = 0; n < times; n += 1) upstream.tryAcquire(options);
}

const never = (): Promise<never> => new Promise(() => {});

/**
 * Calls that do not come back: half a deadline later one more asks, and the deadlines pass. Answers what lets the
 * first of the four come back after all.
 */
function hang(upstream: Upstream): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  upstream.execute(() => promise).catch(() => {});
  for (let n = 0; n < 3; n += 1) upstream.execute(never).catch(() => {});
  clock.advance(900);
  upstream.execute(never).catch(() => {});
  clock.advance(100);
  return resolve;
}

const soon = (): Promise<void> => new Promise((done) => setImmediate(done));

async function pageOf(gear: Switchgear): Promise<readonly string[]> {
  return (await prometheusMetrics(gear).collect()).body.split("\n");
}

const seriesOf = (page: readonly string[], name: string): string[] =>
  page.filter((line) => line.startsWith(`${name}{`)).map((line) => line.slice(name.length));

test("a status tells of each tier, and null where nothing limits", () => {
  const gear = gearOf({ dk: limited(fixedLimit(2)), free: { breaker: latching() } });
  const dk = gear.upstream("dk");
  take(dk, 1, { criticality: "critical_plus" });
  take(dk, 1);
  take(dk, 3, { criticality: "sheddable" });
  const none = { admitted: 0, refused: { limit: 0, priority: 0, no_time: 0 }, wouldRefuse: 0 };

  const { limit } = dk.status();

  assert.deepEqual(limit, {
    kind: "fixed",
    limit: 2,
    min: 2,
    max: 2,
    inFlight: 2,
    abandoned: 0,
    waiting: 0,
    baseMs: null,
    latencyMs: null,
    spaceMs: 0,
    isHung: false,
    isFrozen: false,
    tiers: {
      critical_plus: { ...none, admitted: 1, inFlight: 1, reserved: 0 },
      critical: { ...none, admitted: 1, inFlight: 1, reserved: 0 },
      sheddable_plus: { ...none, inFlight: 0, reserved: 0 },
      sheddable: {
        ...none,
        refused: { limit: 3, priority: 0, no_time: 0 },
        inFlight: 0,
        reserved: 0,
      },
    },
  });
  assert.equal(gear.upstream("free").status().limit, null);
});

test("latency, reserve, abandoned and waiting calls are told as they are", async () => {
  const gear = gearOf({ dk: limited(fixedLimit(20)) });
  const dk = gear.upstream("dk");
  for (let n = 0; n < 60; n += 1) {
    const admission = dk.tryAcquire({ criticality: "critical_plus" });
    clock.advance(10);
    if (admission.admitted) admission.settle({ outcome: "ok" });
  }
  const before = dk.status().limit;
  assert.ok(before?.latencyMs !== null && Math.abs((before?.latencyMs ?? 0) - 10) < 1);
  assert.ok(before?.baseMs !== null && Math.abs((before?.baseMs ?? 0) - 10) < 1);
  assert.ok((before?.tiers.critical_plus.reserved ?? 0) >= 1);

  for (let n = 0; n < 21; n += 1) {
    dk.execute(never, { criticality: "critical_plus" }).catch(() => {});
  }
  await soon();
  assert.equal(dk.status().limit?.waiting, 1);
  assert.ok((await pageOf(gear)).includes('switchgear_limit_waiting{bookmaker="dk"} 1'));
  clock.advance(1000);
  assert.equal(dk.status().limit?.abandoned, 20);
  assert.ok((await pageOf(gear)).includes('switchgear_limit_abandoned{bookmaker="dk"} 20'));
});

test("calls of whose end nobody hears are gone from what is told, though nobody calls any more", async () => {
  const gear = gearOf({ dk: limited(fixedLimit(20)) });
  const dk = gear.upstream("dk");
  const admission = dk.tryAcquire();
  assert.ok(admission.admitted);
  admission.settle({ outcome: "failed", timeout: true });
  assert.deepEqual([dk.status().limit?.inFlight, dk.status().limit?.abandoned], [1, 1]);
  clock.advance(1000);
  assert.deepEqual([dk.status().limit?.inFlight, dk.status().limit?.abandoned], [0, 0]);
  assert.ok((await pageOf(gear)).includes('switchgear_limit_abandoned{bookmaker="dk"} 0'));
});

test("of an open breaker the limiter is frozen", () => {
  const gear = gearOf({ dk: limited(fixedLimit(2)) });
  const dk = gear.upstream("dk");
  dk.trip({ reason: "drill" });
  take(dk, 1);
  assert.equal(dk.status().limit?.isFrozen, true);
});

/** At its least, and late one after the other: from here on one call each half a second is let in. */
async function tooLate(dk: Upstream): Promise<void> {
  for (let n = 0; n < 2; n += 1) {
    const admission = dk.tryAcquire();
    clock.advance(1000);
    if (admission.admitted) admission.settle({ outcome: "failed", timeout: true });
  }
  await soon();
}

test("calls that are let in one each so often are told of, to who asks and to who is refused", async () => {
  const gear = gearOf({ dk: limited(adaptiveLimit({ max: 2 })) });
  const dk = gear.upstream("dk");
  await tooLate(dk);
  assert.equal(dk.status().limit?.spaceMs, 500);
  assert.match(statusPage(gear, "1", {}), /<td>dk<\/td><td>spaced<\/td>/);
  assert.ok((dk.status().limit?.inFlight ?? 9) < 2, "there is room");
  clock.advance(2000);
  take(dk, 1);

  await assert.rejects(
    dk.execute(() => 1),
    /refused: its last answers came too late, and one call each 0\.5 s is let in; try again in/,
  );
  // Once as many are out as may be, that is why.
  clock.advance(500);
  take(dk, 1);
  await assert.rejects(
    dk.execute(() => 1),
    /as many calls are in flight/,
  );
});

test("functions that never end are told to who is refused for them", async () => {
  const gear = gearOf({ dk: limited(fixedLimit(2)) });
  const dk = gear.upstream("dk");
  const calls = [1, 2].map(() => dk.execute(never).catch(() => {}));
  await assert.rejects(
    dk.execute(() => 1),
    /as many calls are in flight/,
  );
  clock.advance(1000);
  await Promise.all(calls);

  await assert.rejects(
    dk.execute(() => 1),
    /refused: 2 calls that nobody waits for have not ended; try again in/,
  );
});

describe("a reload", () => {
  const odds: CallOptions = { criticality: "critical_plus" };

  test("that changes the limit or the deadline lets no counter fall", () => {
    const gear = gearOf({ dk: limited(fixedLimit(2)) });
    const dk = gear.upstream("dk");
    take(dk, 3, odds);
    const limit = fixedLimit(1);
    for (const options of [limited(limit), limited(limit, { deadlineMs: 500 })]) {
      const before = dk.limits;
      gear.configure({ dk: options });
      assert.notEqual(dk.limits, before);
      assert.equal(dk.limits?.limiter.limit, 1);
    }
    take(dk, 2, odds);

    const { admitted, refused } = dk.status().limit?.tiers.critical_plus ?? {};
    // The two that were let in before have not ended, and take room still.
    assert.equal(admitted, 2);
    assert.equal(refused?.limit, 3);
  });

  test("of endpoints neither, whatever of them has changed; what was learnt of another place goes", () => {
    const limit = fixedLimit(1);
    const at = (url: string, failureThreshold: number): Partial<UpstreamOptions> => ({
      endpoints: [{ name: "a", url }],
      endpointBreaker: adaptive({ failureThreshold }),
    });
    const gear = gearOf({ dk: limited(limit, at("http://one", 3)) });
    const dk = gear.upstream("dk");
    const guard = (): unknown => dk.endpoints?.find("a")?.limits;
    take(dk, 2, odds);

    const first = guard();
    gear.configure({ dk: limited(limit, at("http://one", 4)) });
    assert.equal(guard(), first, "the same place under another breaker");
    gear.configure({ dk: limited(limit, at("http://two", 4)) });
    assert.notEqual(guard(), first, "another place");
    take(dk, 2, odds);

    const tier = dk.status().endpoints[0]?.limit?.tiers.critical_plus;
    assert.deepEqual([tier?.admitted, tier?.refused.limit], [2, 2]);
  });
});

describe("an upstream that hangs", () => {
  test("is told of once, and once when it answers", async () => {
    const gear = gearOf({ dk: limited(adaptiveLimit()) });
    const sink = new RecordingSink(gear);
    const dk = gear.upstream("dk");
    const answer = hang(dk);
    clock.advance(1000);
    assert.equal(dk.status().limit?.isHung, true);
    const hung = sink.of("limit");
    assert.deepEqual(
      hung.map(({ upstream, endpoint, isHung, limit, at }) => [
        upstream,
        endpoint,
        isHung,
        limit,
        at,
      ]),
      [["dk", undefined, true, 2, Date.UTC(2026, 0, 1) + 1000]],
    );
    assert.equal(hung[0]?.inFlight, dk.status().limit?.inFlight);
    const page = await pageOf(gear);
    assert.ok(page.includes('switchgear_limit_hung{bookmaker="dk"} 1'));
    assert.ok(page.includes('switchgear_limit_at_floor{bookmaker="dk"} 1'));

    answer();
    await soon();
    assert.equal(sink.of("limit").length, 2);
    assert.equal(sink.of("limit")[1]?.isHung, false);
    assert.ok((await pageOf(gear)).includes('switchgear_limit_hung{bookmaker="dk"} 0'));
  });

  test("is told of by callers that leave, and by adapters that settle, too", async () => {
    const names = ["left", "adapted", "late"];
    const gear = gearOf(Object.fromEntries(names.map((name) => [name, limited(adaptiveLimit())])));
    const sink = new RecordingSink(gear);
    const leaver = new AbortController();
    const left = gear.upstream("left");
    for (let n = 0; n < 3; n += 1) {
      left.execute(never, { signal: leaver.signal, deadlineMs: 990 }).catch(() => {});
    }
    const adapted = gear.upstream("adapted").tryAcquire();
    take(gear.upstream("adapted"), 3);
    const late = gear.upstream("late").tryAcquire();
    take(gear.upstream("late"), 3);
    clock.advance(950);
    take(left, 1);
    take(gear.upstream("adapted"), 1);
    take(gear.upstream("late"), 1);
    assert.equal(sink.of("limit").length, 0, "while a call is let in nobody is told");

    leaver.abort();
    if (adapted.admitted) adapted.settle({ outcome: "ignored" });
    if (late.admitted) late.settle({ outcome: "failed", timeout: true });
    await soon();
    assert.deepEqual(
      sink.of("limit").map(({ upstream, isHung }) => [upstream, isHung]),
      [
        ["left", true],
        ["adapted", true],
        ["late", true],
      ],
    );
  });

  test("may be an endpoint, and the log names it", async () => {
    const endpoints = [{ name: "dk-eu", url: "http://eu" }];
    const gear = gearOf({ dk: limited(adaptiveLimit(), { endpoints }) });
    const lines: [string, Record<string, unknown>, string][] = [];
    const at =
      (level: string) =>
      (fields: Record<string, unknown>, message: string): void =>
        void lines.push([level, fields, message]);
    const logger = { fatal: at("fatal"), error: at("error"), warn: at("warn"), info: at("info") };
    const end = attachLogging(gear, logger, { failureIntervalMs: null });
    const dk = gear.upstream("dk");
    hang(dk)();
    await soon();
    end();

    const { limit } = dk.status().endpoints[0]?.limit ?? {};
    const common = { code: "SG_LIMIT", bookmaker: "dk", endpoint: "dk-eu" };
    const told = lines.filter(([, { code }]) => code === "SG_LIMIT");
    assert.deepEqual(told, [
      [
        "error",
        { ...common, hung: true, limit: 2, inFlight: 4 },
        "[CIRCUIT_BREAKER] LIMIT: dk-eu of dk hangs: 4 calls are in flight, and nothing has come back for half a deadline or longer. Until something does, 2 may be.",
      ],
      [
        "info",
        { ...common, hung: false, limit, inFlight: 3 },
        `[CIRCUIT_BREAKER] LIMIT: dk-eu of dk answers again: ${limit} calls may be in flight, 3 are.`,
      ],
    ]);
  });
});

describe("series", () => {
  test("are there from the first scrape, at 0, by tier and reason", async () => {
    const gear = gearOf({
      dk: limited(adaptiveLimit({ initial: 9, min: 3 })),
      cap: limited(fixedLimit(7)),
      free: { breaker: latching() },
    });

    const page = await pageOf(gear);

    const of = (name: string): string[] => seriesOf(page, name);
    assert.deepEqual(of("switchgear_limit_concurrency"), [
      '{bookmaker="cap"} 7',
      '{bookmaker="dk"} 9',
    ]);
    assert.deepEqual(of("switchgear_limit_at_floor"), ['{bookmaker="dk"} 0']);
    assert.deepEqual(of("switchgear_limit_hung"), ['{bookmaker="cap"} 0', '{bookmaker="dk"} 0']);
    const refused = of("switchgear_limit_refused_total");
    assert.equal(refused.length, 24);
    assert.ok(
      refused.includes('{bookmaker="dk",criticality="critical_plus",reason="no_time"} 0'),
      refused.join("\n"),
    );
    for (const name of ["admitted_total", "would_refuse_total", "in_flight"]) {
      const samples = of(`switchgear_limit_${name}`);
      assert.equal(samples.length, 8, name);
      for (const sample of samples) assert.match(sample, / 0$/, name);
    }
    assert.deepEqual(of("switchgear_limit_latency_seconds"), []);
    assert.deepEqual(of("switchgear_limit_base_latency_seconds"), []);
  });

  test("count by tier and reason, and in seconds", async () => {
    const gear = gearOf({ dk: limited(fixedLimit(2)) });
    const dk = gear.upstream("dk");
    for (let n = 0; n < 40; n += 1) {
      const admission = dk.tryAcquire({ criticality: "sheddable_plus" });
      clock.advance(250);
      if (admission.admitted) admission.settle({ outcome: "ok" });
    }
    take(dk, 2);
    take(dk, 2, { criticality: "sheddable" });
    dk.setMode({ mode: "shadow", reason: "trial" });
    take(dk, 1, { criticality: "critical_plus" });

    const page = await pageOf(gear);

    const value = (name: string, labels: string): string | undefined =>
      seriesOf(page, `switchgear_limit_${name}`)
        .find((sample) => sample.startsWith(`{bookmaker="dk"${labels}} `))
        ?.split(" ")
        .at(-1);
    assert.equal(value("admitted_total", ',criticality="sheddable_plus"'), "40");
    assert.equal(value("admitted_total", ',criticality="critical_plus"'), "1");
    assert.equal(value("would_refuse_total", ',criticality="critical_plus"'), "1");
    assert.equal(value("refused_total", ',criticality="sheddable",reason="limit"'), "2");
    assert.equal(value("in_flight", ',criticality="critical_plus"'), "1");
    assert.equal(value("in_flight", ',criticality="critical"'), "2");
    assert.ok(Math.abs(Number(value("latency_seconds", "")) - 0.25) < 0.02);
    assert.ok(Math.abs(Number(value("base_latency_seconds", "")) - 0.25) < 0.02);
  });

  test("are each endpoint's where there are several, and the page follows a reload that makes one of them", async () => {
    const limit = fixedLimit(1);
    const gear = gearOf({ dk: limited(limit, { endpoints: ["http://a", "http://b"] }) });
    const metrics = prometheusMetrics(gear);
    const limits = async (): Promise<string[]> =>
      seriesOf((await metrics.collect()).body.split("\n"), "switchgear_limit_concurrency");
    assert.deepEqual(await limits(), [
      '{bookmaker="dk",endpoint="http://a"} 1',
      '{bookmaker="dk",endpoint="http://b"} 1',
    ]);

    gear.configure({ dk: limited(limit) });
    assert.deepEqual(await limits(), ['{bookmaker="dk"} 1']);
    gear.configure({ dk: limited(limit, { endpoints: ["http://b"] }) });
    assert.deepEqual(await limits(), ['{bookmaker="dk",endpoint="http://b"} 1']);
  });

  test("of upstreams beyond the bound are added up, and never fall when one is forgotten", async () => {
    const names = Array.from({ length: 1000 }, (_, n) => `a${n}`);
    const gear = createSwitchgear({
      upstreams: Object.fromEntries(names.map((name) => [name, { breaker: latching() }])),
      otherUpstreams: limited(fixedLimit(1)),
      limits: { upstreams: 2 },
      clock,
    });
    const metrics = prometheusMetrics(gear);
    const refused = async (): Promise<string | undefined> =>
      seriesOf((await metrics.collect()).body.split("\n"), "switchgear_limit_refused_total").find(
        (line) => line.includes('"critical",reason="limit"'),
      );
    for (const name of ["x", "y"]) {
      const admission = gear.upstream(name).tryAcquire();
      take(gear.upstream(name), 2);
      if (admission.admitted) admission.settle({ outcome: "ok" });
    }
    const of = '{bookmaker="__overflow__",criticality="critical",reason="limit"}';
    assert.equal(await refused(), `${of} 4`);
    gear.upstream("z");
    assert.equal(gear.find("x"), undefined);
    assert.equal(await refused(), `${of} 4`);
    take(gear.upstream("z"), 2);
    assert.equal(await refused(), `${of} 5`);
  });

  test("of endpoints beyond the bound share one for each upstream", async () => {
    const endpoints = Array.from({ length: 1002 }, (_, n) => `http://e${n}`);
    const aa = limited(fixedLimit(1));
    const gear = gearOf({ aa, dk: limited(fixedLimit(3), { endpoints }) });
    const metrics = prometheusMetrics(gear);
    const page = (await metrics.collect()).body.split("\n");
    const limits = seriesOf(page, "switchgear_limit_concurrency");
    assert.equal(limits.length, 1002, "that of aa is no endpoint's");
    assert.ok(limits.includes('{bookmaker="dk",endpoint="__overflow__"} 6'));

    const refusing = gear.upstream("dk");
    take(refusing, 3 * 1002 + 5);
    const refused = async (): Promise<string[]> =>
      seriesOf((await metrics.collect()).body.split("\n"), "switchgear_limit_admitted_total");
    const rest = '{bookmaker="dk",endpoint="__overflow__",criticality="critical"} 6';
    assert.ok((await refused()).includes(rest));
    gear.configure({ aa, dk: limited(fixedLimit(3), { endpoints: endpoints.slice(0, 1001) }) });
    assert.ok((await refused()).includes(rest), "one of the two is gone, and the sum stays");
  });
});

test("of several under one label the worst shows, and endpoints have none of their own there", async () => {
  const names = Array.from({ length: 1000 }, (_, n) => `a${n}`);
  const gear = createSwitchgear({
    upstreams: Object.fromEntries(names.map((name) => [name, { breaker: latching() }])),
    otherUpstreams: limited(adaptiveLimit(), { endpoints: ["http://a", "http://b"] }),
    clock,
  });
  // The first of two endpoints hangs; the one that is well comes after it.
  const x = gear.upstream("x");
  hang(x);
  const [first, second] = x.meteredLimits;
  assert.ok(first !== undefined && second !== undefined);
  const row = new LimitRow();
  const worst = first.guard.limiter.isHung ? first : second;
  row.add(worst.guard);
  row.add(
    gearOf({ dk: limited(adaptiveLimit()) }).upstream("dk").meteredLimits[0]?.guard ?? worst.guard,
  );
  assert.deepEqual([row.isHung, row.isAtFloor], [true, true]);

  const shown = seriesOf(await pageOf(gear), "switchgear_limit_hung");
  assert.deepEqual(shown, ['{bookmaker="__overflow__",endpoint="__overflow__"} 1']);
});

test("the page shows each limiter, the hung one as what is wrong, and escapes its names", () => {
  const gear = gearOf({
    "<dk>": limited(adaptiveLimit()),
    feeds: limited(fixedLimit(1), { endpoints: [{ name: "<eu>", url: "http://eu" }] }),
    free: { breaker: latching() },
  });
  take(gear.upstream("feeds"), 3, { criticality: "critical_plus" });
  take(gear.upstream("feeds"), 1, { criticality: "sheddable" });
  hang(gear.upstream("<dk>"));

  const page = statusPage(gear, "1.2.3", {});

  const rows = page.slice(page.indexOf("<h2>Limits")).match(/<tr.*<\/tr>/g) ?? [];
  assert.equal(rows.length, 3, "a head, and two limiters");
  assert.match(
    rows[1] ?? "",
    /^<tr class="tripped"><td>&lt;dk&gt;<\/td><td>hung<\/td><td class="e">–<\/td><td>adaptive<\/td><td class="n">4 \/ 2<\/td>/,
  );
  assert.match(
    rows[2] ?? "",
    /^<tr><td>feeds<\/td><td>normal<\/td><td class="e">&lt;eu&gt;<\/td>.*<td class="n">3<\/td><td class="n">2<\/td><\/tr>$/,
  );
  assert.doesNotMatch(statusPage(gearOf({ free: { breaker: latching() } }), "1", {}), /Limits/);
});

test("labels of endpoints that are gone are not kept", () => {
  const sets = new LabelSets("dk");
  const known = sets.limit("a");
  const other = sets.limit("b");
  sets.keepLimits(new Map([["b", 1]]));
  assert.notEqual(sets.limit("a"), known);
  assert.equal(sets.limit("b"), other);
});
