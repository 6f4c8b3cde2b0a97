// What a server may do to its clients, done by a real one.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, test } from "node:test";
import { redisStore } from "../../src/store/redis.ts";
import { selfSigned } from "../contract/gateway-certificate.ts";
import { auditOf, orderOf } from "../contract/fleet-store.contract.ts";
import type { FleetAnswer } from "../../src/pipeline/fleet-port.ts";
import { connectedStore, openStore, startRedis, until, type Opened } from "../support/redis.ts";
import { freePorts, temporaryFolder } from "../support/programs.ts";
import { whyNoRedis } from "../tools/redis.ts";

/** Short, so that a test waits for none of them long. */
const QUICK = { connectTimeoutMs: 400, commandTimeoutMs: 300, pollMs: 100 };

const PASSWORD = "correct-horse-battery";

function trip({ store }: Opened, upstream = "dk"): Promise<FleetAnswer> {
  const audits = [auditOf(upstream, "tripped")];
  return store.commit(orderOf(store, upstream, { by: "person", does: "trip", audits }));
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not within ${ms} ms`)), ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

function withCode(storeCode: string, message = /./): (error: unknown) => boolean {
  return (error) => {
    const found = error as { code: string; storeCode: string; message: string };
    assert.equal(found.code, "SG_STORE");
    assert.equal(found.storeCode, storeCode, found.message);
    assert.match(found.message, message);
    return true;
  };
}

describe("a Redis server that fails", { skip: whyNoRedis() }, () => {
  test("killed: refuses at once, connects to the next by itself, empty", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await trip(opened);

    await server.stop("SIGKILL");
    const lost = await opened.ears.hear("failed");
    assert.equal(lost.code, "REDIS_UNREACHABLE");
    assert.match(lost.message, new RegExp(`redis://127.0.0.1:${server.port}`));
    await assert.rejects(trip(opened), withCode("REDIS_UNREACHABLE"));

    const from = opened.ears.told.length;
    await server.start();
    await opened.ears.hear("connected", () => true, from);
    assert.deepEqual(await opened.store.read(["dk"]), [undefined]);
    await trip(opened);
  });

  test("killed, with a log of its own: what was taken is there again, and the chain goes on", async (t) => {
    const server = await startRedis(t, "--appendonly", "yes", "--appendfsync", "always");
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await trip(opened);
    const before = await opened.store.read(["dk"]);

    await server.stop("SIGKILL");
    await opened.ears.hear("failed");
    const from = opened.ears.told.length;
    await server.start();
    await opened.ears.hear("connected", () => true, from);

    assert.deepEqual(await opened.store.read(["dk"]), before);
    await trip(opened);
    const report = await opened.store.verify("dk");
    assert.deepEqual([report.rows, report.brokenAt], [2, undefined]);
  });

  test("stopped: every command ends, then all are refused at once, and it comes back", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });

    server.kill("SIGSTOP");
    await assert.rejects(trip(opened), withCode("REDIS_TIMEOUT"));
    await opened.ears.hear("failed", ({ code }) => code === "REDIS_TIMEOUT");
    await assert.rejects(opened.store.read(["dk"]), { code: "SG_STORE" });

    const from = opened.ears.told.length;
    server.kill("SIGCONT");
    await opened.ears.hear("connected", () => true, from);
    await trip(opened);
  });

  test("stopped while nobody asks anything: the connection of the pushes is found dead", async (t) => {
    const server = await startRedis(t);
    const { ears } = await connectedStore(t, { url: server.url, ...QUICK });

    server.kill("SIGSTOP");

    await ears.hear("failed", ({ code }) => code === "REDIS_TIMEOUT");
  });

  test("emptied while all are connected: what was missed is to be read", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await trip(opened);
    await opened.store.present({});

    await server.ask("FLUSHALL");
    await opened.store.present({});

    await opened.ears.hear("missed");
  });

  test("a push that is lost is noticed, and one that is not is not", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await opened.store.present({});
    for (let n = 0; n < 20; n += 1) {
      await trip(opened);
      await opened.store.present({});
    }
    await opened.store.read(["dk"]);
    assert.equal(opened.ears.count("missed"), 0);

    await server.ask("INCR", "switchgear:count");
    await opened.store.present({});

    await opened.ears.hear("missed");
  });

  test("closing ends soon though it is stopped, whatever is under way", async (t) => {
    const server = await startRedis(t);
    const options = { url: server.url, commandTimeoutMs: 30_000, connectTimeoutMs: 30_000 };
    const opened = await connectedStore(t, options);
    server.kill("SIGSTOP");
    const left = assert.rejects(trip(opened), { code: "SG_STORE" });

    // It would be half a minute.
    await within(10_000, opened.store.close());

    await left;
  });

  test("what was sent just before closing arrives", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url });

    const sent = trip(opened);
    await opened.store.close();

    await sent;
    const next = await connectedStore(t, { url: server.url });
    assert.equal((await next.store.read(["dk"]))[0]?.breaker?.order.version, 1);
  });

  test("hears nothing any more while it closes", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url });

    const sent = Promise.allSettled(Array.from({ length: 300 }, (_, n) => trip(opened, `u${n}`)));
    await opened.store.close();
    await sent;

    assert.equal(opened.ears.count("changed"), 0);
  });

  test("what is under way at a server that stands still is bounded", async (t) => {
    const server = await startRedis(t);
    const options = { url: server.url, commandTimeoutMs: 30_000, pollMs: 60_000 };
    const opened = await connectedStore(t, options);
    server.kill("SIGSTOP");

    const codes = new Map<string, number>();
    const asked = Array.from({ length: 4200 }, (_, n) =>
      opened.store.verify(`u${n}`).catch((error: unknown) => {
        const { storeCode } = error as { storeCode: string };
        codes.set(storeCode, (codes.get(storeCode) ?? 0) + 1);
      }),
    );
    await within(10_000, Promise.race(asked.slice(4096)));

    await opened.store.close();
    await Promise.all(asked);
    assert.deepEqual([...codes.keys()].toSorted(), ["REDIS_BUSY_HERE", "REDIS_UNREACHABLE"]);
    assert.equal(codes.get("REDIS_BUSY_HERE"), 4200 - 4096);
  });

  test("what was pushed while it was away is no push that was lost", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await opened.store.present({});
    const from = opened.ears.told.length;

    await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
    await server.ask("INCRBY", "switchgear:count", "5");
    await opened.ears.hear("connected", () => true, from);
    await opened.store.present({});
    await opened.store.present({});
    await server.ask("INCR", "switchgear:count");
    await opened.store.present({});

    await opened.ears.hear("missed");
    assert.equal(opened.ears.count("missed"), 1);
  });

  test("never reached: tells why, and no password", async (t) => {
    const url = `redis://ann:${PASSWORD}@127.0.0.1:1/3`;
    const { store, ears } = openStore(t, redisStore({ url, ...QUICK }));

    const { code, message } = await ears.hear("failed");

    assert.equal(code, "REDIS_UNREACHABLE");
    assert.match(message, /redis:\/\/127\.0\.0\.1:1\/3: .*cannot be reached.*ECONNREFUSED/);
    for (const text of [
      message,
      store.location,
      inspect(store, { depth: 9, showHidden: true }),
      JSON.stringify(store),
    ]) {
      assert.doesNotMatch(text, new RegExp(PASSWORD));
    }
  });

  test("wrong password, none, and a right one that is read anew at each connection", async (t) => {
    const server = await startRedis(t, "--requirepass", PASSWORD);
    const none = openStore(t, redisStore({ url: server.url, ...QUICK }));
    const noauth = await none.ears.hear("failed");
    assert.equal(noauth.code, "REDIS_NOAUTH");

    let password = "wrong-one";
    const options = { url: server.url, password: () => password, username: "default", ...QUICK };
    const { ears } = openStore(t, redisStore(options));
    const { code, message } = await ears.hear("failed");
    assert.equal(code, "REDIS_WRONGPASS");
    assert.match(message, /user "default".*`password`/);
    assert.doesNotMatch(message, /wrong-one/);

    password = PASSWORD;
    await ears.hear("connected");
  });

  test("a password that cannot be read is told, and not the end", async (t) => {
    const server = await startRedis(t);
    let isThere = false;
    const password = (): string => {
      if (!isThere) throw new Error("ENOENT: no such file, open '/secrets/redis'");
      return "";
    };
    const { ears } = openStore(t, redisStore({ url: server.url, password, ...QUICK }));

    const { code, message } = await ears.hear("failed");
    assert.equal(code, "REDIS_PASSWORD");
    assert.match(message, /\/secrets\/redis/);
    isThere = true;
    await ears.hear("connected");
  });

  test("a user without a right, a channel or a key", async (t) => {
    const server = await startRedis(t);
    const user = async (name: string, ...rules: string[]): Promise<string> => {
      await server.ask("ACL", "SETUSER", name, "on", `>${PASSWORD}`, ...rules);
      return `redis://${name}:${PASSWORD}@127.0.0.1:${server.port}`;
    };
    const noScripts = await user("noscripts", "~*", "&*", "+@all", "-evalsha", "-eval");
    const opened = await connectedStore(t, { url: noScripts, ...QUICK });
    await assert.rejects(trip(opened), withCode("REDIS_NOPERM", /user "noscripts".*evalsha/));

    const noStream = await user("nostream", "~*", "&*", "+@all", "-xadd");
    const other = await connectedStore(t, { url: noStream, ...QUICK });
    await assert.rejects(trip(other), withCode("REDIS_NOPERM"));
    assert.deepEqual(await other.store.read(["dk"]), [undefined]);

    const noKeys = await connectedStore(t, {
      url: await user("nokeys", "~other:*", "&*", "+@all"),
      ...QUICK,
    });
    await assert.rejects(trip(noKeys), withCode("REDIS_NOPERM"));
    await assert.rejects(noKeys.store.read(["dk"]), withCode("REDIS_NOPERM"));

    const noChannel = await user("nochannel", "~*", "resetchannels", "&other", "+@all");
    const deaf = openStore(t, redisStore({ url: noChannel, ...QUICK }));
    assert.equal((await deaf.ears.hear("failed")).code, "REDIS_NOPERM");
    assert.equal(deaf.ears.count("connected"), 0);
  });

  test("a user with no more than the documented rights", async (t) => {
    const server = await startRedis(t);
    const commands =
      "+evalsha +eval +type +set +zrem +zcard +zremrangebyscore +pexpire +hset +hmget +hget +hgetall +hdel +zadd +zscore +zrevrange +zremrangebyrank +xadd +xrange +xrevrange +expire +incr +del +publish +subscribe +time +ping +get";
    const rules = ["~switchgear:*", "&switchgear:*", "-@all", ...commands.split(" ")];
    await server.ask("ACL", "SETUSER", "sg", "on", `>${PASSWORD}`, ...rules);
    const url = `redis://sg:${PASSWORD}@127.0.0.1:${server.port}`;

    const opened = await connectedStore(t, { url, ...QUICK });

    await trip(opened);
    const [row] = await opened.store.read(["dk"]);
    assert.ok(row !== undefined);
    await opened.store.restore([{ ...row, upstream: "fd" }]);
    await opened.store.present({});
    opened.store.confirm(`${opened.store.replica}/x:1`, "other");
    await opened.ears.hear("received");
    assert.equal((await opened.store.history(["dk"], { limit: 1 })).length, 1);
    assert.equal((await opened.store.verify("dk")).brokenAt, undefined);
    assert.equal(opened.ears.count("failed"), 0);
  });

  test("a renamed command, whose arguments are repeated to nobody", async (t) => {
    const server = await startRedis(t, "--rename-command", "XADD", "OTHERADD");
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await assert.rejects(trip(opened), withCode("REDIS_UNKNOWN_COMMAND"));
    assert.deepEqual(await opened.store.read(["dk"]), [undefined]);

    const noAuth = await startRedis(t, "--rename-command", "AUTH", "OTHERAUTH");
    const { ears } = openStore(t, redisStore({ url: noAuth.url, password: PASSWORD, ...QUICK }));
    const { code, message } = await ears.hear("failed");
    assert.equal(code, "REDIS_UNKNOWN_COMMAND");
    assert.doesNotMatch(message, new RegExp(PASSWORD));
  });

  test("a read-only replica: rows are read, orders are refused", async (t) => {
    const master = await startRedis(t, "--repl-diskless-sync-delay", "0");
    const replica = await startRedis(t, "--replicaof", "127.0.0.1", `${master.port}`);
    const writer = await connectedStore(t, { url: master.url, ...QUICK });
    const opened = await connectedStore(t, { url: replica.url, ...QUICK });
    while (!String(await replica.ask("INFO", "replication")).includes("master_link_status:up")) {
      await new Promise((done) => setTimeout(done, 50));
    }

    await trip(writer);
    await opened.ears.hear("changed");
    assert.equal((await opened.store.read(["dk"]))[0]?.breaker?.order.version, 1);
    const from = opened.ears.told.length;
    await assert.rejects(trip(opened), withCode("REDIS_READONLY", /replica.*master/));
    // Its name may lead to another server by now; when it does not, it is not asked again and again.
    await opened.ears.hear("connected", () => true, from);
    await assert.rejects(trip(opened), withCode("REDIS_READONLY"));
    assert.equal((await opened.store.read(["dk"]))[0]?.breaker?.order.version, 1);
  });

  test("memory full: told as that, nothing half written, and taken when there is room", async (t) => {
    const server = await startRedis(t, "--maxmemory-policy", "noeviction");
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await server.ask("CONFIG", "SET", "maxmemory", "1");

    const audits = [auditOf("dk", "tripped")];
    const change = orderOf(opened.store, "dk", { by: "person", does: "trip", audits });
    await assert.rejects(opened.store.commit(change), withCode("REDIS_OOM", /maxmemory/));
    assert.deepEqual(await opened.store.read(["dk"]), [undefined]);

    await server.ask("CONFIG", "SET", "maxmemory", "0");
    await opened.store.commit(change);
    assert.equal((await opened.store.verify("dk")).rows, 1);
  });

  test("TLS with an authority of one's own, and without it", async (t) => {
    const { cert, key } = selfSigned("redis.test");
    const folder = temporaryFolder(t);
    const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    const [tlsPort = 0, strictPort = 0] = await freePorts(2);
    const files = ["--tls-cert-file", certFile, "--tls-key-file", keyFile];
    await startRedis(t, "--tls-port", `${tlsPort}`, ...files, "--tls-auth-clients", "no");
    const url = `rediss://127.0.0.1:${tlsPort}`;
    const tls = { ca: cert, serverName: "redis.test" };

    const opened = await connectedStore(t, { url, tls, ...QUICK });
    await trip(opened);

    await startRedis(t, "--tls-port", `${strictPort}`, ...files, "--tls-ca-cert-file", certFile);
    const strict = `rediss://127.0.0.1:${strictPort}`;
    await connectedStore(t, { url: strict, tls: { ...tls, cert, key: () => key }, ...QUICK });
    const nameless = openStore(t, redisStore({ url: strict, tls, ...QUICK }));
    await nameless.ears.hear("failed");
    assert.equal(nameless.ears.count("connected"), 0);
    const stranger = openStore(t, redisStore({ url, ...QUICK }));
    assert.equal((await stranger.ears.hear("failed")).code, "REDIS_TLS");
    const misnamed = openStore(
      t,
      redisStore({ url, tls: { ca: cert, serverName: "other.test" }, ...QUICK }),
    );
    assert.equal((await misnamed.ears.hear("failed")).code, "REDIS_TLS");
    const trusting = await connectedStore(t, { url, tls: { rejectUnauthorized: false }, ...QUICK });
    await trip(trusting);
  });

  test("what is no Redis at all, and what never answers", async (t) => {
    const sockets = new Set<Socket>();
    const talker = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let left = 0;
    const silent = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => (left += 1));
      socket.resume();
    });
    for (const server of [talker, silent]) {
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      t.after(() => {
        for (const socket of sockets) socket.destroy();
        server.close();
      });
      const { port } = server.address() as { port: number };
      const { ears, store } = openStore(
        t,
        redisStore({ url: `redis://:secret@127.0.0.1:${port}`, ...QUICK }),
      );
      await ears.hear("failed");
      await assert.rejects(store.read(["dk"]), { code: "SG_STORE" });
    }
    // Given up is hung up.
    await until(() => Promise.resolve(left >= 2));
  });

  test("keys of somebody else under our names cost no order, and no other row", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    await trip(opened, "fd");
    for (const key of ["row", "audit", "seen"])
      await server.ask("SET", `switchgear:{dk}:${key}`, "x");
    await server.ask("SET", "switchgear:replicas", "x");

    const [dk, fd] = await opened.store.read(["dk", "fd"]);
    assert.equal(dk, undefined);
    assert.equal(fd?.breaker?.order.version, 1);
    assert.equal((await opened.store.history(["dk", "fd"], { limit: 5 })).length, 1);
    await trip(opened, "dk");
    assert.equal((await opened.store.verify("dk")).rows, 1);
    assert.equal((await opened.store.present({})).length, 1);
  });

  test("rows edited by hand: what cannot be read refuses calls, and never more than that", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    for (const name of ["state", "version", "name", "mode"]) await trip(opened, name);
    await server.ask("HSET", "switchgear:{state}:row", "s", "{broken");
    await server.ask("HSET", "switchgear:{version}:row", "ov", "NaN", "pv", "-1");
    await server.ask("HSET", "switchgear:{name}:row", "name", '"other"');
    await server.ask(
      "HSET",
      "switchgear:{mode}:row",
      "mv",
      "3",
      "mi",
      "x/1:1",
      "m",
      "open sesame",
      "ma",
      "1e99",
    );

    const [state, version, name, mode] = await opened.store.read([
      "state",
      "version",
      "name",
      "mode",
    ]);

    assert.equal(state?.breaker?.snapshot.tripped, true);
    assert.deepEqual([version?.breaker?.order.version, version?.breaker?.person?.version], [0, 0]);
    assert.equal(version?.breaker?.snapshot.tripped, true);
    assert.equal(name, undefined);
    assert.equal(mode?.mode?.mode, "normal");
    assert.ok((mode?.mode?.at ?? 0) <= Date.now());
    for (const odd of ["9007199254740993", "00000000000000003", "3.5", "inf"]) {
      await server.ask("HSET", "switchgear:{version}:row", "ov", odd, "pv", odd);
      await server.ask("HDEL", "switchgear:{version}:row", "mv");
      await trip(opened, "version");
      assert.equal((await opened.store.read(["version"]))[0]?.breaker?.order.version, 1, odd);
    }
    await server.ask("HSET", "switchgear:{version}:row", "ov", "NaN", "pv", "-1");
    await trip(opened, "version");
    assert.equal((await opened.store.read(["version"]))[0]?.breaker?.order.version, 1);
  });

  test("a count that is none loses no push: the order is counted before it is written", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    const other = await connectedStore(t, { url: server.url, ...QUICK });
    await server.ask("SET", "switchgear:count", "abc");
    await trip(opened);
    await other.ears.hear("changed", ({ row }) => row.upstream === "dk");

    await server.ask("DEL", "switchgear:count");
    await server.ask("LPUSH", "switchgear:count", "x");
    await trip(opened, "fd");
    await other.ears.hear("changed", ({ row }) => row.upstream === "fd");
    await other.store.present({});
  });

  test("a push with an id that nobody can have given is no order, and a row of it holds up nothing", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    const { row } = await trip(opened);
    const forged = [
      "ov",
      "60",
      "ot",
      "0",
      "oi",
      "has space",
      "pv",
      "60",
      "pt",
      "0",
      "pi",
      "has space",
    ];
    const fields = ["name", JSON.stringify("dk"), ...forged, "s", "{}"];
    await server.ask("PUBLISH", "switchgear:changes", JSON.stringify(["", ...fields]));
    const told = await opened.ears.hear("changed", (one) => one.row.breaker === undefined);
    assert.equal(told.row.upstream, "dk");

    await server.ask("HSET", "switchgear:{dk}:row", ...forged);
    assert.equal((await opened.store.read(["dk"]))[0]?.breaker, undefined);
    await opened.store.restore([row]);
    assert.deepEqual((await opened.store.read(["dk"]))[0]?.breaker, row.breaker);
    assert.equal((await trip(opened)).isInForce, true);
  });

  test("thousands of fields in a row, and of names among the replicas, cost nobody an order", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    const junk = Array.from({ length: 9000 }, (_, n) => [`junk${n}`, "x"]).flat();
    await server.ask("HSET", "switchgear:{dk}:row", ...junk);
    assert.equal((await trip(opened)).isInForce, true);

    const at = String(Date.now());
    const names = ["x".repeat(1_000_000), "<script>", "", "a/b"];
    for (const name of names) await server.ask("HSET", "switchgear:replicas", name, `${at} {}`);
    const views = await opened.store.present({});
    assert.deepEqual(
      views.map(({ replica }) => replica),
      [opened.store.replica],
    );
  });

  test("an id that the store could not compare is refused, and costs no other row", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    for (const id of ["é/x:1", "a b", "", "\ud800"]) {
      const change = orderOf(opened.store, "dk", { by: "person", does: "trip", id });
      await assert.rejects(opened.store.commit(change), (error) => {
        assert.equal((error as { concerns?: unknown }).concerns, "change");
        return withCode("REDIS_CHANGE", /id/)(error);
      });
    }
    await trip(opened, "fd");
    const [row] = await opened.store.read(["fd"]);
    const [breaker, order] = [row?.breaker, row?.breaker?.order];
    assert.ok(row !== undefined && breaker !== undefined && order !== undefined);
    const odd = { ...breaker, order: { ...order, id: "é" } };

    await opened.store.restore([
      { ...row, upstream: "odd", breaker: odd },
      { ...row, upstream: "good" },
    ]);

    const found = await opened.store.read(["dk", "odd", "good"]);
    assert.deepEqual(
      found.map((each) => each?.upstream),
      [undefined, undefined, "good"],
    );
  });

  test("is opened once, and not after it was closed", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    let others = 0;
    const count = (): void => void (others += 1);
    const other = {
      changed: count,
      received: count,
      connected: count,
      missed: count,
      failed: count,
    };
    opened.store.open(other);
    await trip(opened);
    await opened.ears.hear("changed");

    await opened.store.close();
    opened.store.open(other);
    await assert.rejects(opened.store.read(["dk"]), withCode("REDIS_CLOSED"));

    assert.equal(others, 0);
    assert.ok(!String(await server.ask("CLIENT", "LIST")).includes("cmd=subscribe"));
  });

  test("a message that is no row is nobody's", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    for (const message of [
      "",
      "{",
      "[]",
      "null",
      '["x","name"]',
      '["","name","{"]',
      "[".repeat(100_000),
    ]) {
      await server.ask("PUBLISH", "switchgear:changes", message);
      await server.ask("PUBLISH", `switchgear:receipts:${opened.store.replica}`, message);
    }

    const large = JSON.stringify(["", "name", '"large"', "x", "x".repeat(8_000_000)]);
    await server.ask("PUBLISH", "switchgear:changes", large);

    await trip(opened);
    await opened.ears.hear("changed", ({ row }) => row.upstream === "dk");
    assert.equal(opened.ears.count("changed"), 1);
  });
});

describe("what is kept at Redis", { skip: whyNoRedis() }, () => {
  const day = 86_400;

  test("every key ends, and lives on while somebody guards it", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, retentionDays: 2, ...QUICK });
    await trip(opened);
    const [row] = await opened.store.read(["dk"]);
    assert.ok(row !== undefined);
    await opened.store.restore([{ ...row, upstream: "fd" }]);
    await opened.store.present({});
    const keys = (await server.ask("KEYS", "*")) as string[];
    assert.equal(keys.length, 6);
    for (const key of keys) {
      const seconds = Number(await server.ask("TTL", key));
      assert.ok(seconds > 0 && seconds <= 2 * day, `${key}: ${seconds}`);
      await server.ask("EXPIRE", key, "1000");
    }

    await opened.store.present({});
    assert.ok(Number(await server.ask("TTL", "switchgear:{dk}:row")) <= 1000);
    const hourMs = 3_600_000;
    const now = performance.now.bind(performance);
    t.after(() => (performance.now = now));
    performance.now = () => now() + hourMs;
    await opened.store.present({});

    for (const key of keys.filter((key) => !key.endsWith("replicas"))) {
      await until(async () => Number(await server.ask("TTL", key)) > day);
    }
  });

  test("ids of changes and audits are bounded", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, auditMax: 7, ...QUICK });
    for (let n = 0; n < 1020; n += 1) await trip(opened);

    assert.equal(await server.ask("ZCARD", "switchgear:{dk}:seen"), 1000);
    assert.equal(await server.ask("XLEN", "switchgear:{dk}:audit"), 7);
    assert.equal((await opened.store.history(["dk"], { limit: 1000 })).length, 7);
  });

  test("replicas unheard of for an hour are forgotten, and those of the future", async (t) => {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, ...QUICK });
    const soonMs = Date.now() + 60_000;
    for (const [name, shown] of [
      ["old", "1 {}"],
      ["future", "99999999999999 {}"],
      ["broken", "nonsense"],
      ["ahead", `${soonMs} {}`],
    ] as const) {
      await server.ask("HSET", "switchgear:replicas", name, shown);
    }

    const views = await opened.store.present({});

    const names = views.map(({ replica }) => replica).toSorted();
    assert.deepEqual(names, ["ahead", opened.store.replica].toSorted());
    for (const { ageMs } of views) assert.ok(ageMs >= 0 && ageMs < 10_000);
    assert.equal(await server.ask("HLEN", "switchgear:replicas"), 2);
  });
});

describe("the chain of audits at Redis", { skip: whyNoRedis() }, () => {
  const audit = "switchgear:{dk}:audit";

  async function written(t: Parameters<typeof startRedis>[0], rows: number, auditMax = 1000) {
    const server = await startRedis(t);
    const opened = await connectedStore(t, { url: server.url, auditMax, ...QUICK });
    for (let n = 0; n < rows; n += 1) await trip(opened);
    const stream = (await server.ask("XRANGE", audit, "-", "+")) as [string, string[]][];
    return { server, opened, stream };
  }

  /** Written anew, row by row, with what was done to it: as who has the keys could. */
  async function rewrite(
    server: { ask(...args: string[]): Promise<unknown> },
    stream: [string, string[]][],
  ) {
    await server.ask("DEL", audit);
    for (const [id, fields] of stream) await server.ask("XADD", audit, id, ...fields);
  }

  test("holds over more than a page, and over what retention took away", async (t) => {
    const { opened } = await written(t, 1010, 505);

    const { rows, isShortened, brokenAt } = await opened.store.verify("dk");

    assert.deepEqual(
      { rows, isShortened, brokenAt },
      { rows: 505, isShortened: true, brokenAt: undefined },
    );
  });

  test("shows a row that was edited, the first one too", async (t) => {
    for (const row of [1, 3, 5]) {
      const { server, opened, stream } = await written(t, 5);
      const fields = stream[row - 1]?.[1] ?? [];
      fields[1] = String(fields[1]).replace("ann", "bob");
      await rewrite(server, stream);

      const { brokenAt } = await opened.store.verify("dk");
      assert.equal(brokenAt?.row, row);
      assert.match(brokenAt.why, /content/);
    }
  });

  test("shows a row that was deleted, the newest too", async (t) => {
    for (const [deleted, row, why] of [
      [2, 2, /follow/],
      [5, 4, /newest/],
    ] as const) {
      const { server, opened, stream } = await written(t, 5);
      await server.ask("XDEL", audit, stream[deleted - 1]?.[0] ?? "");

      const { brokenAt } = await opened.store.verify("dk");
      assert.equal(brokenAt?.row, row);
      assert.match(brokenAt.why, why);
    }
  });

  test("shows a row that was put in between, and one of another upstream", async (t) => {
    const { server, opened, stream } = await written(t, 4);
    const [, second] = stream;
    assert.ok(second !== undefined);
    const between: [string, string[]] = [`${second[0]}1`, second[1]];
    await rewrite(server, [...stream.slice(0, 2), between]);
    assert.equal((await opened.store.verify("dk")).brokenAt?.row, 3);

    await server.ask("XADD", "switchgear:{fd}:audit", "*", ...(stream[0]?.[1] ?? []));
    const { brokenAt } = await opened.store.verify("fd");
    assert.equal(brokenAt?.row, 1);
    assert.deepEqual(await opened.store.history(["fd"], { limit: 5 }), []);
  });

  test("shows that all rows are gone", async (t) => {
    const { server, opened } = await written(t, 2);
    await server.ask("DEL", audit);

    assert.equal((await opened.store.verify("dk")).brokenAt?.row, 0);
  });

  test("shows a row that cannot be read, and history leaves it out", async (t) => {
    const { server, opened } = await written(t, 2);
    await server.ask("XADD", audit, "*", "a", "nothing");

    assert.equal((await opened.store.verify("dk")).brokenAt?.row, 3);
    assert.equal((await opened.store.history(["dk"], { limit: 5 })).length, 2);
  });
});
