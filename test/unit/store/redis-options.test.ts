import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidOptionsError } from "../../../src/core/errors.ts";
import { redisStore, type RedisStoreOptions } from "../../../src/store/redis.ts";

const URL = "redis://redis:6379";

function faultsOf(options: unknown): readonly string[] {
  try {
    redisStore(options as RedisStoreOptions);
  } catch (error) {
    assert.ok(error instanceof InvalidOptionsError);
    return error.faults;
  }
  return [];
}

test("takes what it should, and shows where it is without credentials", () => {
  const nodes = ["a:1", "[::1]:2"];
  const cases: readonly (readonly [RedisStoreOptions, string])[] = [
    [{ url: URL }, URL],
    [{ url: "redis://ann:p%40ss@redis" }, URL],
    [{ url: "redis://:p@redis:1/15" }, "redis://redis:1/15"],
    [{ url: "rediss://[::1]:6380/0", tls: {} }, "rediss://[::1]:6380"],
    [{ url: URL, password: () => "p", username: "u" }, URL],
    [{ sentinel: { master: "m", nodes } }, "redis-sentinel://m@a:1,[::1]:2"],
    [
      { sentinel: { master: "m", nodes, password: "p" }, tls: {} },
      "rediss-sentinel://m@a:1,[::1]:2",
    ],
    [{ cluster: { nodes }, tls: {} }, "rediss-cluster://a:1,[::1]:2"],
    [{ url: URL, replica: undefined, prefix: undefined, auditMax: undefined }, URL],
  ];
  for (const [options, location] of cases) {
    assert.equal(redisStore(options).location, location);
  }
});

test("the replica's name is what was chosen, else one of its own", () => {
  const [one, two] = [redisStore({ url: URL }), redisStore({ url: URL })];
  assert.match(one.replica, /^[A-Za-z0-9._-]+-[0-9a-f]{6}$/);
  assert.notEqual(one.replica, two.replica);
  assert.equal(redisStore({ url: URL, replica: "pod-1" }).replica, "pod-1");
});

test("names every fault, and no secret", () => {
  const secret = "hunter2";
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [null, /^options must be an object, not null$/],
    [[], /options must be an object/],
    [URL, /options must be an object/],
    [{}, /one of url, sentinel and cluster must be given/],
    [{ url: URL, cluster: { nodes: ["a:1"] } }, /one of url, sentinel and cluster/],
    [{ url: URL, urll: 1 }, /urll is not an option .*did you mean "url"/],
    [{ url: `http://u:${secret}@h` }, /url must be redis:/],
    [{ url: secret }, /url must be redis:/],
    [{ url: 5 }, /url must be redis:/],
    [{ url: "redis:///x" }, /url must be redis:/],
    [{ url: "redis://h/x" }, /number of a database/],
    [{ url: `redis://h/1?password=${secret}` }, /url must be no more than/],
    [{ url: `redis://u:${secret}%zz@h` }, /percent-encoded/],
    [{ url: URL, tls: {} }, /rediss:\/\/ where tls is given/],
    [
      { url: `redis://u:${secret}@h`, password: secret },
      /password must be given in the url or beside it/,
    ],
    [{ url: "redis://u:p@h", username: "u" }, /username must be given in the url or beside it/],
    [{ url: URL, username: "u" }, /password must be given where there is a username/],
    [{ url: URL, username: "", password: "p" }, /username must be a text that is not empty/],
    [{ url: URL, password: { secret } }, /^password must be a text/],
    [{ url: URL, password: "" }, /^password must be a text/],
    [{ url: URL, prefix: "a{b}" }, /prefix must be/],
    [{ url: URL, prefix: "" }, /prefix must be/],
    [{ url: URL, prefix: null }, /prefix must be/],
    [{ url: URL, replica: "a/b" }, /replica must be/],
    [{ url: URL, replica: "" }, /replica must be/],
    [{ url: "rediss://h", tls: 5 }, /^tls must be an object$/],
    [{ url: "rediss://h", tls: { ca: 5 } }, /tls\.ca must be a text/],
    [{ url: "rediss://h", tls: { cert: "c" } }, /tls\.cert and tls\.key must be given together/],
    [{ url: "rediss://h", tls: { serverName: "" } }, /tls\.serverName must be/],
    [
      { url: "rediss://h", tls: { rejectUnauthorized: "no" } },
      /tls\.rejectUnauthorized must be a boolean/,
    ],
    [{ url: "rediss://h", tls: { servername: "x" } }, /tls\.servername is not an option/],
    [{ sentinel: { nodes: ["a:1"] } }, /sentinel\.master must be/],
    [{ sentinel: { master: "m", nodes: [] } }, /sentinel\.nodes must be a list/],
    [{ sentinel: { master: "m", nodes: ["a"] } }, /sentinel\.nodes must be a list/],
    [{ sentinel: { master: "m", nodes: ["a:0"] } }, /sentinel\.nodes must be a list/],
    [{ sentinel: { master: "m", nodes: ["a:65536"] } }, /sentinel\.nodes must be a list/],
    [{ sentinel: { master: "m", nodes: ["a:1"], password: "" } }, /sentinel\.password must be/],
    [{ sentinel: { master: "m", nodes: ["a:1"], name: 1 } }, /sentinel\.name is not an option/],
    [{ sentinel: null }, /sentinel\.master must be/],
    [{ cluster: {} }, /cluster\.nodes must be a list/],
    [{ cluster: { nodes: ["a:1"], node: 1 } }, /cluster\.node is not an option/],
  ];
  for (const [options, fault] of cases) {
    const faults = faultsOf(options);
    assert.ok(faults.length > 0, String(fault));
    assert.match(faults.join("; "), fault);
    assert.doesNotMatch(faults.join("; "), new RegExp(secret));
  }
});

test("numbers outside their range are refused, and those at its ends are not", () => {
  const ranges = {
    auditMax: [1, 100_000],
    retentionDays: [1, 3650],
    connectTimeoutMs: [50, 60_000],
    commandTimeoutMs: [50, 60_000],
    pollMs: [100, 600_000],
  } as const;
  for (const [name, [least, most]] of Object.entries(ranges)) {
    for (const good of [least, most]) assert.deepEqual(faultsOf({ url: URL, [name]: good }), []);
    for (const bad of [least - 1, most + 1, least + 0.5, Number.NaN, Infinity, -1, "5", {}]) {
      const [fault] = faultsOf({ url: URL, [name]: bad });
      assert.match(
        fault ?? "",
        new RegExp(`^${name} must be a whole number of ${least} to ${most}`),
      );
    }
  }
});

test("all faults at once", () => {
  const faults = faultsOf({ auditMax: 0, pollMs: 0, prefix: "", nonsense: true });
  assert.equal(faults.length, 5);
});

test("what a getter answers later is not what was checked", () => {
  let asked = 0;
  const options = {
    get url() {
      asked += 1;
      return asked === 1 ? URL : "nonsense";
    },
  };
  assert.equal(redisStore(options).location, URL);
});
