import assert from "node:assert/strict";
import { test } from "node:test";
import { auditDigest, chainHash } from "../../../src/store/audit-chain.ts";
import { Arrivals } from "../../../src/store/redis/arrivals.ts";
import { slotOf } from "../../../src/store/redis/cluster.ts";
import { REDIS_CODES, redacted, toStoreError } from "../../../src/store/redis/errors.ts";
import { isPlainId, numberOf, rowOfFields } from "../../../src/store/redis/fields.ts";
import { encodedName, Keys } from "../../../src/store/redis/keys.ts";
import { viewsOf } from "../../../src/store/redis/views.ts";
import { HOSTILE_NAMES } from "../../contract/fleet-store.contract.ts";

test("names are kept apart in keys, and make no key that is long or says more than its tag", () => {
  const encoded = HOSTILE_NAMES.map(encodedName);
  assert.equal(new Set(encoded).size, HOSTILE_NAMES.length);
  for (const name of encoded) assert.match(name, /^[A-Za-z0-9._~=-]{1,100}$/);
  assert.equal(encodedName("draft-kings.eu_1"), "draft-kings.eu_1");
  assert.equal(encodedName("x".repeat(100)), "x".repeat(100));
  assert.match(encodedName("x".repeat(101)), /^=[0-9a-f]{64}$/);
  assert.match(encodedName("é".repeat(21)), /^=[0-9a-f]{64}$/);
  assert.match(encodedName(""), /^=[0-9a-f]{64}$/);
});

test("all keys of an upstream are in one slot of a Cluster", () => {
  const keys = new Keys("switchgear");
  for (const name of HOSTILE_NAMES) {
    const slots = new Set(Object.values(keys.of(name)).map(slotOf));
    assert.equal(slots.size, 1);
  }
  // As `CLUSTER KEYSLOT` answers.
  assert.equal(slotOf("foo"), 12_182);
  assert.equal(slotOf("123456789"), 12_739);
  assert.equal(slotOf("x{foo}y{bar}"), 12_182);
  assert.equal(slotOf("{}foo"), slotOf("{}foo"));
  assert.notEqual(slotOf("{}foo"), slotOf("{}bar"));
});

test("pushes that arrive are not missed, and those that do not are", () => {
  const arrivals = new Arrivals();
  arrivals.begin();
  assert.equal(arrivals.counted(100, true), false);
  arrivals.arrived();
  assert.equal(arrivals.counted(101, true), false);
  assert.equal(arrivals.counted(102, true), true);
  assert.equal(arrivals.counted(102, true), false);
  // Ahead of the count, which is read before.
  arrivals.arrived();
  assert.equal(arrivals.counted(102, true), false);
  assert.equal(arrivals.counted(103, true), false);
  assert.equal(arrivals.counted(3, true), true);
  assert.equal(arrivals.counted(3, true), false);
  arrivals.begin();
  assert.equal(arrivals.counted(50, true), false);
});

test("where pushes may overtake the count they are waited for once", () => {
  const arrivals = new Arrivals();
  arrivals.begin();
  assert.equal(arrivals.counted(0, false), false);
  assert.equal(arrivals.counted(2, false), false);
  arrivals.arrived();
  arrivals.arrived();
  assert.equal(arrivals.counted(3, false), false);
  assert.equal(arrivals.counted(3, false), true);
});

test("only whole numbers that can be counted on are versions", () => {
  for (const [text, value] of [
    ["0", 0],
    ["12", 12],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["9007199254740993", 0],
    ["99999999999999999", 0],
    ["-1", 0],
    ["1.5", 0],
    ["1e3", 0],
    ["0x10", 0],
    ["", 0],
    [5, 0],
    [undefined, 0],
  ] as const) {
    assert.equal(numberOf(text), value, String(text));
  }
});

test("ids are plain and bounded", () => {
  assert.ok(isPlainId("pod-1/abc:1"));
  for (const id of ["", "a b", "é", "\ud800", "x".repeat(301), 5, undefined]) {
    assert.equal(isPlainId(id), false);
  }
});

test("what is no row of the upstream is none", () => {
  const row = ["name", '"dk"', "ov", "3", "ot", "1", "oi", "a/1", "s", "{}"];
  assert.equal(rowOfFields(row, "dk", 5)?.breaker?.order.version, 3);
  assert.equal(rowOfFields(row, undefined, 5)?.upstream, "dk");
  assert.equal(rowOfFields(row, "fd", 5), undefined);
  for (const name of ["", "dk", "5", '""', "null"]) {
    assert.equal(rowOfFields(["name", name, ...row.slice(2)], undefined, 5), undefined);
  }
  assert.equal(rowOfFields([null, {}, "name"], undefined, 5), undefined);
  // Who trips and who resets are parts of one order: without it there is none.
  assert.equal(rowOfFields(["name", '"dk"', "pv", "3"], "dk", 5)?.breaker, undefined);
});

test("views of others are read with care", () => {
  const many = Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`u${n}`, {}]));
  const views = viewsOf([
    "a",
    "5",
    '{"dk":{"tripped":false,"mode":"shadow","version":3},"__proto__":{"tripped":true},"x":5,"y":{"version":-1,"mode":"z"}}',
    "b",
    "nonsense",
    "{broken",
    "c",
    "1",
    JSON.stringify(many),
    5,
    "1",
    "{}",
  ]);
  assert.deepEqual(
    views.map(({ replica, ageMs }) => [replica, ageMs]),
    [
      ["a", 5],
      ["b", 0],
      ["c", 1],
    ],
  );
  const [a, b, c] = views;
  assert.deepEqual(Object.keys(a?.breakers ?? {}), ["dk", "__proto__", "y"]);
  assert.deepEqual(a?.breakers["dk"], { tripped: false, mode: "shadow", version: 3 });
  assert.deepEqual(a?.breakers["y"], { tripped: true, mode: "normal", version: 0 });
  assert.deepEqual(Object.keys(b?.breakers ?? {}), []);
  assert.equal(Object.keys(c?.breakers ?? {}).length, 1000);
});

test("a link of the chain depends on all that it holds", () => {
  const entry = {
    upstream: "dk",
    action: "TRIP",
    reason: "r",
    actor: "a",
    at: 5,
    forced: false,
  } as const;
  const digests = new Set([
    auditDigest(entry, "one"),
    auditDigest(entry, "two"),
    auditDigest({ ...entry, upstream: "fd" }, "one"),
    auditDigest({ ...entry, action: "RESET" }, "one"),
    auditDigest({ ...entry, reason: "s" }, "one"),
    auditDigest({ ...entry, actor: "b" }, "one"),
    auditDigest({ ...entry, at: 6 }, "one"),
    auditDigest({ ...entry, forced: true }, "one"),
  ]);
  assert.equal(digests.size, 8);
  const hashes = [
    chainHash("", "d", 1),
    chainHash("x", "d", 1),
    chainHash("", "e", 1),
    chainHash("", "d", 2),
  ];
  assert.equal(new Set(hashes).size, 4);
});

const subject = { location: "redis://h:1", username: "ann", secrets: () => ["hunter2"] };

test("what servers, sockets and TLS say has one code each", () => {
  const cases: readonly (readonly [unknown, string])[] = [
    ["READONLY You can't write against a read only replica.", "REDIS_READONLY"],
    [
      "ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -READONLY You can't",
      "REDIS_READONLY",
    ],
    ["OOM command not allowed when used memory > 'maxmemory'.", "REDIS_OOM"],
    ["LOADING Redis is loading the dataset in memory", "REDIS_LOADING"],
    ["MOVED 12182 10.0.0.1:6379", "REDIS_MOVED"],
    ["MISCONF Redis is configured to save RDB snapshots", "REDIS_MISCONF"],
    ["NOSCRIPT No matching script. Please use EVAL.", "REDIS_NOSCRIPT"],
    ["ERR The user executing the script can't run this command", "REDIS_NOPERM"],
    ["ERR unknown command 'XADD', with args beginning with: 'a'", "REDIS_UNKNOWN_COMMAND"],
    ["ERR Unknown Redis command called from script", "REDIS_UNKNOWN_COMMAND"],
    ["ERR max number of clients reached", "REDIS_MAX_CLIENTS"],
    ["ERR something new", "REDIS_ERROR"],
    ["Connection timeout", "REDIS_TIMEOUT"],
    ["Socket closed unexpectedly", "REDIS_UNREACHABLE"],
    [Object.assign(new Error("connect"), { code: "ECONNREFUSED" }), "REDIS_UNREACHABLE"],
    [Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" }), "REDIS_UNREACHABLE"],
    [Object.assign(new Error("self-signed"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }), "REDIS_TLS"],
    [new AggregateError([new Error("connect ECONNREFUSED ::1:1")]), "REDIS_UNREACHABLE"],
    [undefined, "REDIS_ERROR"],
    [{ message: 5 }, "REDIS_ERROR"],
  ];
  for (const [cause, code] of cases) {
    const error = toStoreError(
      typeof cause === "string" ? new Error(cause) : cause,
      subject,
      "EVALSHA",
    );
    assert.equal(error.storeCode, code, error.message);
    assert.ok(REDIS_CODES.includes(code));
    assert.match(error.message, /^EVALSHA at redis:\/\/h:1: /);
  }
});

test("an error says nothing that is secret, and stays on its line", () => {
  const told = "ERR unknown command 'AUTH', with args beginning with: 'ann' 'hunter2'";
  const error = toStoreError(new Error(told), subject, "connecting");
  assert.doesNotMatch(error.message, /hunter2/);
  assert.equal(error.cause, undefined);
  assert.equal(redacted("a hunter2 b hunter2", ["hunter2", ""]), "a … b …");
  const clean = new Error("ERR odd\nline");
  assert.equal(toStoreError(clean, subject, "x").cause, clean);
  assert.doesNotMatch(toStoreError(clean, subject, "x").message, /\n/);
});
