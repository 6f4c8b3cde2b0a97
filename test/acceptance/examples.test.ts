// Every example under examples/breakers does what its first line says.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UpstreamOptionsCache } from "../../src/cli/breakers.ts";
import { loadConfig } from "../../src/config/load.ts";
import { PRESETS } from "../../src/core/breaker/presets.ts";
import { createSwitchgear, type Switchgear } from "../../src/index.ts";
import { SeededRandom, VirtualClock } from "../../src/testing/index.ts";

const FOLDER = join(import.meta.dirname, "../../examples/breakers");

const PROMISE =
  /^# (?:(?<successes>\d+) successes, )?(?<count>\d+) (?<what>failures|slow answers) → (?<state>[\w-]+); (?<seconds>\d+) s later, a call → (?<then>let in|refused)$/;

function gearOf(file: string, clock: VirtualClock): Switchgear {
  const { upstreams } = loadConfig(join(FOLDER, file), {});
  return createSwitchgear({
    upstreams: new UpstreamOptionsCache().of(upstreams),
    clock,
    random: new SeededRandom(1),
    sampler: { systemLoad: () => 0 },
  });
}

const files = readdirSync(FOLDER);

for (const file of files) {
  const text = readFileSync(join(FOLDER, file), "utf8");
  const promise = PROMISE.exec(text.split("\n")[0] ?? "")?.groups;
  if (promise === undefined) continue;
  const { successes = "0", count, what, state, seconds, then } = promise;

  test(`${file}: ${text.split("\n")[0]?.slice(2)}`, () => {
    const clock = new VirtualClock();
    const [upstream] = gearOf(file, clock).upstreams();
    assert.ok(upstream);
    const call = (outcome: "ok" | "failed", latencyMs: number): void => {
      const admission = upstream.tryAcquire();
      assert.ok(admission.admitted);
      admission.settle({ outcome, latencyMs, error: "HTTP 500" });
    };
    for (let n = 0; n < Number(successes); n += 1) call("ok", 20);
    for (let n = 1; n <= Number(count); n += 1) {
      assert.equal(upstream.isTripped, false, `tripped before call ${n}`);
      if (what === "failures") call("failed", 20);
      else call("ok", 1000);
    }

    assert.equal(upstream.state(), state);
    assert.equal(upstream.tryAcquire().admitted, false);
    clock.advance(Number(seconds) * 1000);
    assert.equal(upstream.tryAcquire().admitted, then === "let in");
  });
}

test("endpoints.yaml: the endpoint that fails loses the calls to the other", async () => {
  const clock = new VirtualClock();
  const [feeds] = gearOf("endpoints.yaml", clock).upstreams();
  assert.ok(feeds);
  const asked: string[] = [];
  for (let n = 0; n < 10; n += 1) {
    await feeds
      .execute(({ endpoint }) => {
        asked.push(endpoint?.url ?? "");
        if (endpoint?.name === "feeds-us") throw new Error("HTTP 500");
      })
      .catch(() => {});
  }

  assert.equal(asked.filter((url) => url === "https://us.feeds.example").length, 3);
  assert.deepEqual(
    feeds.status().endpoints.map(({ name, state }) => `${name} ${state}`),
    ["feeds-eu healthy", "feeds-us degraded"],
  );
});

test("every kind and preset has an example", () => {
  const used = new Set(
    files.map((file) => {
      const text = readFileSync(join(FOLDER, file), "utf8");
      const kind = /kind: ([\w-]+)/.exec(text)?.[1];
      return `${kind} ${/preset: ([\w-]+)/.exec(text)?.[1] ?? "standard"}`;
    }),
  );
  const wanted = Object.entries(PRESETS).flatMap(([kind, presets]) =>
    Object.keys(presets).map((preset) => `${kind} ${preset}`),
  );
  assert.deepEqual([...used].toSorted(), wanted.toSorted());
});
