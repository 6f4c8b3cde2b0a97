// What breakers of each kind leave to the next process, to another process, and to another kind.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../src/index.ts";
import type { BreakerPolicy, Switchgear, Upstream } from "../../src/index.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
import { VirtualClock } from "../../src/testing/index.ts";

const folder = mkdtempSync(join(tmpdir(), "switchgear-kinds-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;

function newPath(): string {
  files += 1;
  return join(folder, `${files}.db`);
}

function start(
  path: string,
  clock: VirtualClock,
  breaker: BreakerPolicy,
): { readonly gear: Switchgear; readonly upstream: Upstream } {
  const gear = createSwitchgear({
    upstreams: { dk: { breaker } },
    store: sqliteStore(path, { now: () => clock.now() }),
    sampler: { systemLoad: () => 0 },
    random: { next: () => 0.5 },
    clock,
  });
  return { gear, upstream: gear.upstream("dk") };
}

function fail(upstream: Upstream, times: number): void {
  for (let n = 0; n < times; n += 1) {
    const admission = upstream.tryAcquire();
    assert.ok(admission.admitted, `call ${n} is let in`);
    admission.settle({ outcome: "failed", error: "HTTP 500" });
  }
}

for (const [kind, breaker, failures] of [
  ["sliding-window", slidingWindow({ openDurationMs: 30_000 }), 10],
  ["adaptive", adaptive({ cooldownMs: 30_000, adaptive: false }), 10],
] as const) {
  test(`an open ${kind} breaker waits out the rest of its time in the next process`, async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const first = start(path, clock, breaker);
    fail(first.upstream, failures);
    assert.equal(first.upstream.isTripped, true);
    const before = first.upstream.status();
    await first.gear.close();
    clock.advance(20_000);

    const second = start(path, clock, breaker);

    const status = second.upstream.status();
    assert.equal(status.tripped, true);
    assert.equal(status.trippedAt, before.trippedAt);
    assert.deepEqual(status.trippedBy, before.trippedBy);
    assert.equal(status.tripCount, 1);
    clock.advance(9999);
    assert.equal(second.upstream.tryAcquire().admitted, false);
    clock.advance(1);
    assert.equal(second.upstream.tryAcquire().admitted, true);
    await second.gear.close();
  });
}

test("a growing wait goes on growing in the next process", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const breaker = slidingWindow({ openDurationMs: 1000, openDurationFactor: 2 });
  const first = start(path, clock, breaker);
  fail(first.upstream, 10);
  clock.advance(1000);
  fail(first.upstream, 1);
  await first.gear.close();

  const second = start(path, clock, breaker);
  clock.advance(2000);
  fail(second.upstream, 1);

  clock.advance(3999);
  assert.equal(second.upstream.tryAcquire().admitted, false);
  clock.advance(1);
  assert.equal(second.upstream.tryAcquire().admitted, true);
  await second.gear.close();
});

test("a ramp goes on where it was", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const breaker = slidingWindow({ ramping: true });
  const first = start(path, clock, breaker);
  fail(first.upstream, 10);
  clock.advance(15_000);
  for (let n = 0; n < 2; n += 1) await first.upstream.execute(() => "odds");
  assert.equal(first.upstream.state(), "ramping");
  await first.gear.close();

  const second = start(path, clock, breaker);
  assert.equal(second.upstream.state(), "ramping");
  assert.equal(second.upstream.status().window?.rampPercent, 5);
  await second.gear.close();
});

const KINDS: readonly (readonly [string, BreakerPolicy])[] = [
  ["latching", latching()],
  ["sliding-window", slidingWindow()],
  ["adaptive", adaptive({ adaptive: false })],
];

for (const [from, breaker] of KINDS) {
  for (const [to, next] of KINDS) {
    if (from === to) continue;
    test(`a trip by hand stays one when ${from} becomes ${to}`, async () => {
      const path = newPath();
      const clock = new VirtualClock();
      const first = start(path, clock, breaker);
      first.upstream.trip({ reason: "maintenance", actor: "ann" });
      await first.gear.close();
      clock.advance(3_600_000);

      const second = start(path, clock, next);

      const status = second.upstream.status();
      assert.deepEqual(
        [status.kind, status.tripped, status.manual, status.tripCount, status.lastError],
        [to, true, true, 1, "maintenance"],
      );
      clock.advance(86_400_000);
      assert.equal(second.upstream.tryAcquire().admitted, false);
      second.upstream.reset({ actor: "ann" });
      assert.equal(second.upstream.tryAcquire().admitted, true);
      await second.gear.close();
    });
  }
}

test("what tripped by itself waits for a person once it is latching", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const first = start(path, clock, slidingWindow());
  fail(first.upstream, 10);
  await first.gear.close();

  const second = start(path, clock, latching());
  clock.advance(86_400_000);

  assert.equal(second.upstream.tryAcquire().admitted, false);
  assert.equal(second.upstream.status().failureCount, 0);
  second.upstream.reset({ actor: "ann" });
  fail(second.upstream, 9);
  assert.equal(second.upstream.isTripped, false);
  await second.gear.close();
});

test("a window's failures are no count of a latching breaker's", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const first = start(path, clock, slidingWindow());
  fail(first.upstream, 9);
  first.upstream.setMode({ mode: "shadow" });
  first.upstream.setMode({ mode: "normal" });
  await first.gear.close();

  const second = start(path, clock, latching());
  assert.equal(second.upstream.status().failureCount, 0);
  fail(second.upstream, 9);
  assert.equal(second.upstream.isTripped, false);
  await second.gear.close();
});

test("a ramp that ended has ended for the next process", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const breaker = slidingWindow({ ramping: true, rampSuccesses: 1 });
  const first = start(path, clock, breaker);
  fail(first.upstream, 10);
  clock.advance(15_000);
  for (let n = 0; n < 400; n += 1) {
    const admission = first.upstream.tryAcquire();
    if (admission.admitted) admission.settle({ outcome: "ok" });
  }
  assert.equal(first.upstream.state(), "closed");

  // Killed: nothing is written at the end.
  const second = start(path, clock, breaker);
  assert.equal(second.upstream.state(), "closed");
  await second.gear.close();
  await first.gear.close();
});

test("a half-open time that came to no verdict waits anew, in the next process too", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const breaker = slidingWindow({
    openDurationMs: 1000,
    openDurationFactor: 10,
    halfOpenDeadlineMs: 500,
  });
  const first = start(path, clock, breaker);
  fail(first.upstream, 10);
  clock.advance(1000);
  assert.equal(first.upstream.tryAcquire().admitted, true);
  clock.advance(500);
  assert.equal(first.upstream.tryAcquire().admitted, false);

  // Killed.
  const second = start(path, clock, breaker);
  clock.advance(9999);
  assert.equal(second.upstream.tryAcquire().admitted, false);
  clock.advance(1);
  assert.equal(second.upstream.tryAcquire().admitted, true);
  await second.gear.close();
  await first.gear.close();
});

test("failures of a breaker that recovers by itself are not worth a write each", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const { gear, upstream } = start(path, clock, slidingWindow());
  fail(upstream, 9);
  const db = new DatabaseSync(path);
  const rows = db.prepare("SELECT count(*) AS rows FROM circuit_breaker_state").get();
  db.close();
  assert.equal(rows?.["rows"], 0);
  await gear.close();
});

test("a mode dated in the future does not outlive the orders that follow", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const first = start(path, clock, latching());
  first.upstream.setMode({ mode: "shadow", actor: "ann" });
  await first.gear.close();
  const db = new DatabaseSync(path);
  db.exec("UPDATE circuit_breaker_state SET mode_at = mode_at + 86400000");
  db.close();
  clock.advance(1000);

  const serving = start(path, clock, latching());
  const console = start(path, clock, latching());
  assert.equal(serving.upstream.mode, "shadow");
  clock.advance(1000);
  console.upstream.setMode({ mode: "normal", actor: "ann" });
  clock.advance(1000);
  serving.upstream.tryAcquire();

  assert.equal(serving.upstream.mode, "normal");
  await serving.gear.close();
  await console.gear.close();
});

test("a wait is spread by the chance that the registry is given", () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: slidingWindow({ openDurationJitter: 0.5 }) } },
    random: { next: () => 0 },
    clock,
  });
  fail(gear.upstream("dk"), 10);
  clock.advance(7499);
  assert.equal(gear.upstream("dk").tryAcquire().admitted, false);
  clock.advance(1);
  assert.equal(gear.upstream("dk").tryAcquire().admitted, true);
});

test("a probe that finds no endpoint gives its slot back", () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: {
      feeds: {
        breaker: slidingWindow({ minimumCalls: 4, halfOpenMaxProbes: 2, probeLeaseMs: 3_600_000 }),
        endpoints: ["http://a"],
        endpointBreaker: adaptive({ failureThreshold: 2, adaptive: false, cooldownMs: 100_000 }),
      },
    },
    random: { next: () => 0.5 },
    clock,
  });
  const feeds = gear.upstream("feeds");
  fail(feeds, 4);
  clock.advance(15_000);
  for (let n = 0; n < 5; n += 1) {
    const refused = feeds.tryAcquire();
    assert.ok(!refused.admitted);
    assert.equal(refused.reason, "no_endpoint");
    assert.equal(refused.retryAfterMs, 85_000);
  }
  clock.advance(85_000);
  assert.equal(feeds.tryAcquire().admitted, true);
});

test("of two processes only people's orders travel", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const breaker = slidingWindow();
  const serving = start(path, clock, breaker);
  const console = start(path, clock, breaker);
  const heard: string[] = [];
  serving.upstream.on("transition", ({ cause }) => heard.push(cause));
  const look = (): boolean => {
    clock.advance(1000);
    return serving.upstream.tryAcquire().admitted;
  };

  fail(console.upstream, 10);
  assert.equal(look(), true, "what another process saw is its own affair");

  console.upstream.trip({ reason: "maintenance", actor: "ann" });
  clock.advance(1000);
  assert.equal(serving.gear.statuses()[0]?.manual, true);
  assert.deepEqual(heard, ["restored"], "told at once, not with the next call");
  assert.equal(look(), false);

  clock.advance(1000);
  console.upstream.reset({ reason: "done", actor: "ann" });
  assert.equal(look(), true);
  assert.equal(serving.upstream.status().lastResetBy, "ann");
  await serving.gear.close();
  await console.gear.close();
});

test("a row whose details a person broke still says whether it is tripped", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const first = start(path, clock, slidingWindow());
  fail(first.upstream, 10);
  await first.gear.close();
  const db = new DatabaseSync(path);
  db.exec("UPDATE circuit_breaker_state SET detail = '{half', trip_count = 7");
  db.close();

  const second = start(path, clock, slidingWindow());

  assert.equal(second.upstream.status().tripCount, 7);
  assert.equal(second.upstream.isTripped, true);
  assert.equal(second.upstream.status().trippedBy, null);
  await second.gear.close();
});

test("an operator's SQL that closes a breaker closes it, whatever its details say", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const first = start(path, clock, slidingWindow());
  fail(first.upstream, 10);
  await first.gear.close();
  const db = new DatabaseSync(path);
  db.exec("UPDATE circuit_breaker_state SET tripped = 0, failure_count = 0 WHERE bookmaker = 'dk'");
  db.close();

  const second = start(path, clock, slidingWindow());

  assert.equal(second.upstream.state(), "closed");
  await second.gear.close();
});
