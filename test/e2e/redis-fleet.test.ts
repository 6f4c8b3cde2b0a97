// A whole round: what a person orders on one replica is in force on the others, over a real Redis.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { createSwitchgear, latching, type Switchgear, type Upstream } from "../../src/index.ts";
import type { FleetStore } from "../../src/pipeline/fleet-port.ts";
import { redisStore, type RedisStoreOptions } from "../../src/store/redis.ts";
import { freePorts, ROOT, start } from "../support/programs.ts";
import { Ears, RedisServer, startRedis, until, type TestContext } from "../support/redis.ts";
import { whyNoRedis } from "../tools/redis.ts";

const QUICK = { connectTimeoutMs: 400, commandTimeoutMs: 300, pollMs: 100 };
const REPLICA = join(ROOT, "test/fixtures/store/redis-replica.ts");

interface Replica {
  readonly gear: Switchgear;
  readonly dk: Upstream;
  readonly ears: Ears;
}

/** The same store; what it tells its replica is told here after that. */
function tapped(store: FleetStore, ears: Ears): FleetStore {
  return {
    kind: store.kind,
    location: store.location,
    replica: store.replica,
    commit: (change) => store.commit(change),
    read: (upstreams) => store.read(upstreams),
    restore: (rows) => store.restore(rows),
    confirm: (change, by) => store.confirm(change, by),
    turn: (upstream, when) => store.turn(upstream, when),
    present: (view) => store.present(view),
    history: (upstreams, query) => store.history(upstreams, query),
    verify: (upstream) => store.verify(upstream),
    close: () => store.close(),
    open(listener) {
      store.open({
        changed(row, receipt) {
          listener.changed(row, receipt);
          ears.tell({ what: "changed", row, receipt });
        },
        received(id, replica) {
          listener.received(id, replica);
          ears.tell({ what: "received", id, replica });
        },
        connected() {
          listener.connected();
          ears.tell({ what: "connected" });
        },
        missed() {
          listener.missed();
          ears.tell({ what: "missed" });
        },
        failed(error) {
          listener.failed(error);
          const { storeCode, message } = error as { storeCode: string; message: string };
          ears.tell({ what: "failed", code: storeCode, message });
        },
      });
    },
  };
}

function replicaOf(t: TestContext, options: RedisStoreOptions): Replica {
  const ears = new Ears();
  const upstreams = { dk: { breaker: latching() }, fd: { breaker: latching() } };
  const store = tapped(redisStore({ ...options, ...QUICK }), ears);
  const gear = createSwitchgear({ upstreams, store });
  t.after(() => gear.close());
  return { gear, dk: gear.upstream("dk"), ears };
}

async function inSync(...replicas: readonly Replica[]): Promise<void> {
  for (const { gear } of replicas) assert.equal(await gear.fleet?.synced(10_000), true);
}

describe("a fleet over Redis", { skip: whyNoRedis() }, () => {
  test("trip, reset and mode of one are in force on the other, and it says so", async (t) => {
    const server = await startRedis(t);
    const [one, two] = [replicaOf(t, { url: server.url }), replicaOf(t, { url: server.url })];
    await inSync(one, two);

    one.dk.trip({ reason: "scores are wrong", actor: "ann" });
    await two.ears.hear("changed", ({ row }) => row.breaker?.order.isTrip === true);
    await assert.rejects(
      two.dk.execute(() => Promise.resolve(1)),
      { code: "SG_BREAKER_OPEN" },
    );
    assert.equal(two.dk.status().manual, true);

    two.dk.reset({ reason: "mended", actor: "bob", force: true });
    await one.ears.hear("changed", ({ row }) => row.breaker?.order.isTrip === false);
    assert.equal(await one.dk.execute(() => Promise.resolve(1)), 1);

    one.dk.setMode({ mode: "shadow", reason: "trial", actor: "ann" });
    await two.ears.hear("changed", ({ row }) => row.mode?.mode === "shadow");
    assert.equal(two.dk.mode, "shadow");

    await two.ears.hear("changed", ({ row }) => row.mode !== undefined);
    const receipts = await one.gear.fleet?.receipts("dk", 5000);
    assert.equal(receipts?.isStored, true);
    const history = (await one.gear.fleet?.history({ upstream: "dk", limit: 10 })) ?? [];
    assert.deepEqual(
      history.map(({ action, actor, replica }) => [action, actor, replica]),
      [
        ["SHADOW", "ann", one.gear.fleet?.replica],
        ["RESET", "bob", two.gear.fleet?.replica],
        ["TRIP", "ann", one.gear.fleet?.replica],
      ],
    );
    const report = await one.gear.fleet?.verify("dk");
    assert.deepEqual([report?.rows, report?.brokenAt], [3, undefined]);
  });

  test("who ordered hears from every replica that has taken it over", async (t) => {
    const server = await startRedis(t);
    const one = replicaOf(t, { url: server.url, replica: "one" });
    const two = replicaOf(t, { url: server.url, replica: "two" });
    await inSync(one, two);

    one.dk.trip({ reason: "scores are wrong", actor: "ann" });

    await one.ears.hear("received");
    const receipts = await one.gear.fleet?.receipts("dk", 5000);
    assert.deepEqual(receipts, {
      isStored: true,
      isOverruled: false,
      confirmed: ["one", "two"],
      missing: [],
    });
  });

  test("what a breaker does by itself travels, too, and a new replica begins with it", async (t) => {
    const server = await startRedis(t);
    const one = replicaOf(t, { url: server.url });
    const two = replicaOf(t, { url: server.url });
    await inSync(one, two);

    for (let n = 0; n < 20; n += 1) one.dk.record({ outcome: "failed", error: "down" });
    await two.ears.hear("changed", ({ row }) => row.breaker?.order.isTrip === true);
    assert.equal(two.dk.status().tripped, true);

    const three = replicaOf(t, { url: server.url });
    await inSync(three);
    assert.equal(three.dk.status().tripped, true);
    assert.equal(three.gear.upstream("fd").status().tripped, false);
  });

  test("store away: an order is in force here at once, and everywhere when it returns", async (t) => {
    const server = await startRedis(t);
    const [one, two] = [replicaOf(t, { url: server.url }), replicaOf(t, { url: server.url })];
    await inSync(one, two);
    const from = two.ears.told.length;
    await server.stop("SIGKILL");
    await one.ears.hear("failed");
    await two.ears.hear("failed");

    one.dk.trip({ reason: "scores are wrong", actor: "ann" });

    await assert.rejects(
      one.dk.execute(() => Promise.resolve(1)),
      { code: "SG_BREAKER_OPEN" },
    );
    assert.equal(await two.dk.execute(() => Promise.resolve(1)), 1);
    assert.equal(one.gear.storeHealth().pending, 1);
    await server.start();
    // By a push or by reading all, whichever comes back first.
    await until(() => Promise.resolve(two.dk.status().tripped));
    await two.ears.hear("connected", () => true, from);
    const history = (await two.gear.fleet?.history({ upstream: "dk", limit: 10 })) ?? [];
    assert.deepEqual(
      history.map(({ actor }) => actor),
      ["ann"],
    );
  });

  test("a store that comes back empty unlatches nobody, and is given what they know", async (t) => {
    const server = await startRedis(t);
    const [one, two] = [replicaOf(t, { url: server.url }), replicaOf(t, { url: server.url })];
    await inSync(one, two);
    one.dk.trip({ reason: "scores are wrong", actor: "ann" });
    await two.ears.hear("changed");

    await server.stop("SIGKILL");
    await server.start();

    await until(async () => (await server.ask("HGET", "switchgear:{dk}:row", "pt")) === "1");
    assert.equal(one.dk.status().tripped && two.dk.status().tripped, true);
    const three = replicaOf(t, { url: server.url });
    await inSync(three);
    assert.equal(three.dk.status().tripped, true);
  });

  test("a server that was not there yet when all began", async (t) => {
    const [port = 0] = await freePorts(1);
    const server = new RedisServer(port, []);
    t.after(() => server.remove());
    const one = replicaOf(t, { url: server.url });
    one.dk.trip({ reason: "scores are wrong", actor: "ann" });
    await one.ears.hear("failed");
    assert.equal(await one.gear.fleet?.synced(1), false);

    await server.start();

    await one.ears.hear("changed", ({ row }) => row.breaker?.order.isTrip === true);
    assert.equal(await one.gear.fleet?.synced(10_000), true);
  });

  test("two processes, told line by line", async (t) => {
    const server = await startRedis(t);
    const children = [1, 2].map(() => {
      const child = spawn(process.execPath, [REPLICA, server.url], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      t.after(() => child.kill("SIGKILL"));
      const seen: string[] = [];
      const waiting = new Set<() => void>();
      createInterface(child.stdout).on("line", (line) => {
        seen.push(line);
        for (const look of waiting) look();
      });
      const ended = new Promise<number | null>((done) => child.once("close", done));
      return {
        ended,
        end: (): void => void child.stdin.end(),
        say: (line: string): void => void child.stdin.write(`${line}\n`),
        sees: (state: object): Promise<void> =>
          new Promise((done, fail) => {
            const timer = setTimeout(() => fail(new Error(`it saw ${seen.join()}`)), 10_000);
            const look = (): void => {
              if (seen.at(-1) !== JSON.stringify(state)) return;
              clearTimeout(timer);
              done();
            };
            waiting.add(look);
            look();
          }),
      };
    });
    const [one, two] = children;
    assert.ok(one !== undefined && two !== undefined);
    const [closed, tripped] = [false, true].map((is) => ({ tripped: is, mode: "normal" }));
    await Promise.all([one.sees(closed ?? {}), two.sees(closed ?? {})]);

    one.say("trip");
    await two.sees(tripped ?? {});
    two.say("reset");
    await one.sees(closed ?? {});
    one.say("trip");
    await two.sees(tripped ?? {});

    for (const { end, ended } of children) {
      end();
      assert.equal(await ended, 0);
    }
  });

  test("keeps no process alive, whether the server is there, stopped or away", async (t) => {
    const server = await startRedis(t);
    const stopped = await startRedis(t);
    stopped.kill("SIGSTOP");
    for (const url of [server.url, stopped.url, "redis://127.0.0.1:1"]) {
      const { code, stderr } = await start([process.execPath, REPLICA, url, "idle"]).ended;
      assert.deepEqual([code, stderr], [0, ""], url);
    }
  });
});
