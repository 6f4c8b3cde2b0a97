// Two gateways that share a real Redis, as their users run them: one order is in force on both, whatever the store does.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startBookmaker, type Bookmaker } from "../../loadtest/bookmaker/server.ts";
import { serve, temporaryFolder, type Serving } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";
import { whyNoRedis } from "../tools/redis.ts";

const skip = whyNoRedis();
const WAIT_MS_MAX = 15_000;

async function until(is: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs) {
    if (await is()) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.fail(`not within ${WAIT_MS_MAX} ms: ${what}`);
}

function replica(
  t: TestContext,
  folder: string,
  name: string,
  of: { url: string; bookmaker: Bookmaker },
): Promise<Serving> {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  const config = `
store: { kind: redis, url: "${of.url}", replica: ${name} }
upstreams:
  draftkings:
    url: ${of.bookmaker.url}
    breaker: { kind: latching, failureThreshold: 10, cooldownMs: 60000 }
`;
  return serve(t, own, config);
}

async function statusOf({ gateway }: Serving): Promise<number> {
  const answer = await fetch(`${gateway}/draftkings/odds`);
  await answer.body?.cancel();
  return answer.status;
}

async function readiness({ admin }: Serving): Promise<{ status: string; reasons: string[] }> {
  const answer = await fetch(`${admin}/readyz`);
  assert.equal(answer.status, 200);
  return (await answer.json()) as { status: string; reasons: string[] };
}

/** Each learns by itself that the store is away or back. */
async function untilBoth(
  replicas: readonly Serving[],
  status: "ready" | "degraded",
  what: string,
): Promise<void> {
  for (const each of replicas) {
    await until(async () => (await readiness(each)).status === status, what);
  }
}

async function fleet(t: TestContext) {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ name: "draftkings", port: 0 });
  t.after(() => bookmaker.close());
  const redis = await startRedis(t);
  const of = { url: redis.url, bookmaker };
  const begin = (name: string): Promise<Serving> => replica(t, folder, name, of);
  const [first, second] = await Promise.all([begin("gateway-1"), begin("gateway-2")]);
  return { bookmaker, redis, begin, first, second };
}

test(
  "tripped on one, refused by the other; reset on the other, let through by both",
  { skip },
  async (t) => {
    const { first, second } = await fleet(t);
    // Each has told that it is there.
    await until(
      async () => /gateway-2/.test((await first.run("status")).stdout),
      "they know each other",
    );

    const trip = await first.run("trip", "draftkings", "--reason", "odds are wrong");
    assert.equal(
      trip.stdout,
      "Circuit breaker for draftkings tripped; in force on 2 of 2 replicas\n",
    );
    assert.equal(await statusOf(second), 503);
    assert.equal(await statusOf(first), 503);

    const status = await second.run("status");
    assert.match(status.stdout, /draftkings +latching +OPEN by hand/);
    assert.match(status.stdout, /gateway-2 +this one +draftkings +draftkings 1/);
    assert.match(status.stdout, /gateway-1 +\d+ s ago/);

    const denied = await second.run("reset", "draftkings", "--reason", "too soon");
    assert.equal(denied.code, 3, "the cooldown runs on the other, too");
    const reset = await second.run("reset", "draftkings", "--reason", "mended", "--force");
    assert.match(
      reset.stdout,
      /^Circuit breaker for draftkings reset; in force on 2 of 2 replicas$/m,
    );
    assert.deepEqual([await statusOf(first), await statusOf(second)], [200, 200]);

    const history = await first.run("history", "--json");
    const entries = (JSON.parse(history.stdout) as { history: Record<string, unknown>[] }).history;
    assert.deepEqual(
      entries.map(({ action, user, reason }) => [action, user, reason]),
      [
        ["RESET", "ann", "mended"],
        ["RESET_DENIED", "ann", "too soon"],
        ["TRIP", "ann", "odds are wrong"],
      ],
    );
  },
);

test(
  "what one trips by itself stays tripped on both, and on one that begins later",
  { skip },
  async (t) => {
    const { bookmaker, first, second, begin } = await fleet(t);
    bookmaker.control({ status: 500 });
    for (let n = 0; n < 10; n += 1) assert.equal(await statusOf(first), 500);
    assert.equal(await statusOf(first), 503);
    await until(async () => (await statusOf(second)) === 503, "the other refuses, too");
    bookmaker.restore();

    second.program.child.kill("SIGKILL");
    await second.program.ended;
    const anew = await begin("gateway-2");
    assert.equal(await statusOf(anew), 503, "known before the first call");
    const third = await begin("gateway-3");
    assert.equal(await statusOf(third), 503);
  },
);

test(
  "the store is killed: calls go on, an order is in force at once, and everywhere once it is back, empty",
  { skip },
  async (t) => {
    const { first, second, redis } = await fleet(t);
    await first.run("trip", "draftkings", "--reason", "before");
    assert.equal(await statusOf(second), 503);

    await redis.stop();
    await untilBoth([first, second], "degraded", "degraded, not down");
    assert.equal(await statusOf(second), 503, "from memory");
    const reset = await second.run("reset", "draftkings", "--reason", "while away", "--force");
    assert.match(reset.stdout, /in force here alone: the store is away/);
    assert.deepEqual([await statusOf(first), await statusOf(second)], [503, 200]);
    const metrics = await (await fetch(`${second.admin}/metrics`)).text();
    assert.match(metrics, /^switchgear_store_up 0$/m);
    assert.match(metrics, /^switchgear_store_pending 1$/m);

    await redis.start();
    await until(async () => (await statusOf(first)) === 200, "the order reaches the other");
    await untilBoth([first, second], "ready", "ready again");
    const page = await (await fetch(`${first.admin}/metrics`)).text();
    assert.match(page, /^switchgear_store_up 1$/m);
    assert.match(page, /^switchgear_fleet_order_version\{bookmaker="draftkings"\} 2$/m);
  },
);

test("an empty store unlatches nobody, and learns what the replicas know", { skip }, async (t) => {
  const { first, second, redis, begin } = await fleet(t);
  await first.run("trip", "draftkings", "--reason", "hold it");
  await redis.stop();
  await untilBoth([first, second], "degraded", "the store is away");
  await redis.start();
  await untilBoth([first, second], "ready", "the store is back");
  assert.deepEqual([await statusOf(first), await statusOf(second)], [503, 503]);

  first.program.child.kill("SIGKILL");
  const third = await begin("gateway-3");
  await until(
    async () => (await statusOf(third)) === 503,
    "one that begins now is told by the store",
  );
});

test(
  "it begins without a store, says so, and takes over what is stored when it can",
  { skip },
  async (t) => {
    const { first, redis, begin } = await fleet(t);
    await first.run("trip", "draftkings", "--reason", "hold it");
    redis.kill("SIGSTOP");
    const late = await begin("gateway-3");
    assert.equal(await statusOf(late), 200);
    assert.match(late.program.stdout(), /beginning without knowing what is tripped elsewhere/);
    assert.equal((await readiness(late)).status, "degraded");

    redis.kill("SIGCONT");
    await until(async () => (await statusOf(late)) === 503, "it takes over what is stored");
  },
);
