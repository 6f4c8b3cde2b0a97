// Redis where it is more than one server: Sentinels that make another one the master, and a Cluster.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { redisStore } from "../../src/store/redis.ts";
import { slotOf } from "../../src/store/redis/cluster.ts";
import { auditOf, orderOf } from "../contract/fleet-store.contract.ts";
import { freePorts } from "../support/programs.ts";
import {
  askServer,
  connectedStore,
  openStore,
  RedisServer,
  startRedis,
  until,
  type Opened,
  type TestContext,
} from "../support/redis.ts";
import { whyNoRedis } from "../tools/redis.ts";

const QUICK = { connectTimeoutMs: 400, commandTimeoutMs: 300, pollMs: 100 };

function trip({ store }: Opened, upstream: string): ReturnType<Opened["store"]["commit"]> {
  const audits = [auditOf(upstream, "tripped")];
  return store.commit(orderOf(store, upstream, { by: "person", does: "trip", audits }));
}

describe("Sentinels", { skip: whyNoRedis() }, () => {
  async function startSentinel(t: TestContext, master: RedisServer): Promise<RedisServer> {
    const [port = 0] = await freePorts(1);
    const folder = master.folder;
    const file = join(folder, `sentinel-${port}.conf`);
    writeFileSync(
      file,
      `sentinel monitor main 127.0.0.1 ${master.port} 1\nsentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n`,
    );
    const sentinel = new RedisServer(port, [file, "--sentinel"]);
    t.after(() => sentinel.remove());
    await sentinel.start();
    return sentinel;
  }

  test("a fail-over: the next master is found, what it has is there, orders go on", async (t) => {
    const master = await startRedis(t, "--repl-diskless-sync-delay", "0");
    const replica = await startRedis(t, "--replicaof", "127.0.0.1", `${master.port}`);
    const sentinel = await startSentinel(t, master);
    await until(async () =>
      String(await sentinel.ask("INFO", "sentinel")).includes("slaves=1,sentinels=1"),
    );
    const options = {
      sentinel: { master: "main", nodes: ["127.0.0.1:1", `127.0.0.1:${sentinel.port}`] },
      ...QUICK,
    };
    const opened = await connectedStore(t, options);
    const location = `redis-sentinel://main@127.0.0.1:1,127.0.0.1:${sentinel.port}`;
    assert.equal(opened.store.location, location);
    const { row } = await trip(opened, "dk");
    await until(async () =>
      String(await replica.ask("HGET", "switchgear:{dk}:row", "ov")).includes("1"),
    );

    const from = opened.ears.told.length;
    await master.stop("SIGKILL");
    await opened.ears.hear("connected", () => true, from);

    assert.deepEqual(await opened.store.read(["dk"]), [row]);
    assert.equal((await trip(opened, "dk")).row.breaker?.order.version, 2);
    await opened.ears.hear("changed", (told) => told.row.breaker?.order.version === 2, from);
  });

  test("a master that was replaced while it lived is left", async (t) => {
    const master = await startRedis(t, "--repl-diskless-sync-delay", "0");
    const replica = await startRedis(t, "--replicaof", "127.0.0.1", `${master.port}`);
    const sentinel = await startSentinel(t, master);
    await until(async () =>
      String(await sentinel.ask("INFO", "sentinel")).includes("slaves=1,sentinels=1"),
    );
    const nodes = [`127.0.0.1:${sentinel.port}`];
    const opened = await connectedStore(t, { sentinel: { master: "main", nodes }, ...QUICK });

    // Cut off from the others, it would go on as before: nobody ends its connections.
    await sentinel.ask("SENTINEL", "REMOVE", "main");
    await replica.ask("REPLICAOF", "NO", "ONE");
    await sentinel.ask("SENTINEL", "MONITOR", "main", "127.0.0.1", `${replica.port}`, "1");

    await opened.ears.hear("failed", ({ code }) => code === "REDIS_NOT_MASTER");
    const from = opened.ears.told.length;
    await opened.ears.hear("connected", () => true, from - 1);
    await trip(opened, "dk");
    assert.equal(await replica.ask("HGET", "switchgear:{dk}:row", "ov"), "1");
    assert.equal(await master.ask("EXISTS", "switchgear:{dk}:row"), 0);
  });

  test("whom they name though it is no master is not taken", async (t) => {
    const master = await startRedis(t);
    const replica = await startRedis(t, "--replicaof", "127.0.0.1", `${master.port}`);
    const sentinel = await startSentinel(t, replica);
    const nodes = [`127.0.0.1:${sentinel.port}`];
    const { ears } = openStore(t, redisStore({ sentinel: { master: "main", nodes }, ...QUICK }));

    assert.equal((await ears.hear("failed")).code, "REDIS_NOT_MASTER");
  });

  test("none that knows the master: told as that", async (t) => {
    const master = await startRedis(t);
    const sentinel = await startSentinel(t, master);
    const nodes = [`127.0.0.1:${sentinel.port}`];
    const { ears } = openStore(t, redisStore({ sentinel: { master: "other", nodes }, ...QUICK }));

    assert.equal((await ears.hear("failed")).code, "REDIS_NO_MASTER");
  });
});

describe("a Cluster", { skip: whyNoRedis() }, () => {
  async function startCluster(t: TestContext): Promise<RedisServer[]> {
    const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    const nodes = await Promise.all([1, 2, 3].map(() => startRedis(t, ...args)));
    const [first] = nodes;
    assert.ok(first !== undefined);
    for (const [index, node] of nodes.entries()) {
      const from = Math.floor((index * 16_384) / 3);
      const to = Math.floor(((index + 1) * 16_384) / 3) - 1;
      await node.ask("CLUSTER", "ADDSLOTSRANGE", `${from}`, `${to}`);
      await node.ask("CLUSTER", "SET-CONFIG-EPOCH", `${index + 1}`);
      if (node !== first) await node.ask("CLUSTER", "MEET", "127.0.0.1", `${first.port}`);
    }
    for (const node of nodes) {
      await until(async () => {
        const info = String(await node.ask("CLUSTER", "INFO"));
        return info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3");
      });
    }
    return nodes;
  }

  const names = Array.from({ length: 12 }, (_, n) => `u${n}`);

  test("every slot's owner is asked, and pushes reach replicas at other nodes", async (t) => {
    const nodes = await startCluster(t);
    const cluster = { nodes: nodes.map(({ port }) => `127.0.0.1:${port}`) };
    const one = await connectedStore(t, { cluster, ...QUICK });
    const two = await connectedStore(t, { cluster, ...QUICK });
    await two.store.present({});

    for (const upstream of names) {
      const { isInForce, row } = await trip(one, upstream);
      assert.equal(isInForce, true);
      await two.ears.hear("changed", (told) => told.row.upstream === upstream);
      assert.deepEqual(await two.store.read([upstream]), [row]);
    }

    assert.equal((await two.store.history(names, { limit: 100 })).length, names.length);
    for (const upstream of names)
      assert.equal((await one.store.verify(upstream)).brokenAt, undefined);
    const [row] = await one.store.read(["u0"]);
    assert.ok(row !== undefined);
    await two.store.restore([{ ...row, upstream: "restored" }]);
    await one.ears.hear("changed", (told) => told.row.upstream === "restored");
    one.store.confirm(`${two.store.replica}/x:1`, one.store.replica);
    await two.ears.hear("received");
    await until(async () => (await two.store.present({})).length >= 1);
    assert.equal(two.ears.count("missed"), 0);
    const owner = nodes[Math.floor((slotOf("switchgear:count") * 3) / 16_384)];
    await owner?.ask("INCRBY", "switchgear:count", "5");
    await two.store.present({});
    await two.store.present({});
    await two.ears.hear("missed");
  });

  test("a slot that moves is followed, and one node that dies costs only its own", async (t) => {
    const nodes = await startCluster(t);
    for (const node of nodes)
      await node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no");
    const [first, second, third] = nodes;
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const opened = await connectedStore(t, {
      cluster: { nodes: [`127.0.0.1:${first.port}`] },
      ...QUICK,
    });
    const onThird = names.find((name) => slotOf(`switchgear:{${name}}:row`) > 11_000) ?? "";
    const onFirst = names.find((name) => slotOf(`switchgear:{${name}}:row`) < 5000) ?? "";
    await trip(opened, onThird);

    const slot = `${slotOf(`switchgear:{${onThird}}:row`)}`;
    const id = async ({ port }: RedisServer): Promise<string> =>
      String(await askServer(port, ["CLUSTER", "MYID"]));
    const [from, to] = [await id(third), await id(second)];
    await second.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", from);
    await third.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to);
    const keys = (await third.ask("CLUSTER", "GETKEYSINSLOT", slot, "10")) as string[];
    assert.equal(keys.length, 3);
    await third.ask("MIGRATE", "127.0.0.1", `${second.port}`, "", "0", "1000", "KEYS", ...keys);
    // In between, the old owner sends those who ask on.
    assert.equal((await trip(opened, onThird)).row.breaker?.order.version, 2);
    for (const node of nodes) await node.ask("CLUSTER", "SETSLOT", slot, "NODE", to);
    assert.equal((await trip(opened, onThird)).row.breaker?.order.version, 3);

    await third.stop("SIGKILL");
    assert.equal((await trip(opened, onThird)).row.breaker?.order.version, 4);
    assert.equal((await trip(opened, onFirst)).row.breaker?.order.version, 1);
    const lost = names.find((name) => {
      const place = slotOf(`switchgear:{${name}}:row`);
      return place > 11_000 && `${place}` !== slot;
    });
    assert.ok(lost !== undefined);
    await assert.rejects(trip(opened, lost), { code: "SG_STORE" });

    await third.start();
    await until(async () => (await trip(opened, lost)).isInForce);
  });

  test("without the option it is told what to do", async (t) => {
    const [first] = await startCluster(t);
    assert.ok(first !== undefined);
    const opened = await connectedStore(t, { url: first.url, ...QUICK });

    for (const upstream of names.slice(0, 4)) {
      await assert.rejects(trip(opened, upstream), (error: Error) => {
        assert.match(error.message, /give `cluster` with its nodes/);
        return true;
      });
    }
  });
});
