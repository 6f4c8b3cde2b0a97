import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GatewayOperation, GatewayUpstream } from "../../../src/gateway/ports.ts";
import type { Destination } from "../../../src/gateway/route.ts";
import {
  matchOperation,
  ownAbsoluteTarget,
  parseTarget,
  staysInside,
  targetPath,
  toDestination,
} from "../../../src/gateway/route.ts";

function destination(url: string, operations: readonly GatewayOperation[] = []): Destination {
  const upstream: GatewayUpstream = {
    name: "draftkings",
    url: new URL(url),
    deadlineMs: 1_000,
    status429: "neutral",
    operations,
    guard: { tryAcquire: () => ({ admitted: true, settle: () => {} }) },
  };
  return toDestination(upstream);
}

describe("parseTarget", () => {
  for (const [target, upstream, path, query] of [
    ["/a", "a", "", ""],
    ["/a/", "a", "/", ""],
    ["/a/b/c?d=/../e", "a", "/b/c", "?d=/../e"],
    ["/a?b", "a", "", "?b"],
    ["/a/?", "a", "/", "?"],
    ["/a//b//", "a", "//b//", ""],
    ["//a/b", "", "/a/b", ""],
    ["/%61/b", "%61", "/b", ""],
    ["/a/b%2fc", "a", "/b%2fc", ""],
    ["/a/..b/b../.b/...", "a", "/..b/b../.b/...", ""],
    ["/a/b;v=1.5/c", "a", "/b;v=1.5/c", ""],
    ["/a/%252e%252e", "a", "/%252e%252e", ""],
    ["/a/b?x=%00%0d%0a", "a", "/b", "?x=%00%0d%0a"],
    ["/a/%20%zz%", "a", "/%20%zz%", ""],
  ] as const) {
    test(`splits ${target}`, () => {
      assert.deepEqual(parseTarget(target), { kind: "upstream", upstream, path, query });
    });
  }

  test("knows the root, with or without a query", () => {
    assert.deepEqual(parseTarget("/"), { kind: "root" });
    assert.deepEqual(parseTarget("/?a=1"), { kind: "root" });
  });

  for (const target of [
    "",
    "*",
    "a/b",
    "http://a/b",
    "/a/.",
    "/a/..",
    "/..",
    "/a/../b",
    "/a/./b",
    "/a/%2e",
    "/a/%2E%2e/b",
    "/a/.%2e",
    "/a/b%2f..",
    "/a/b%2F..%2Fc",
    "/a/%5c..",
    "/a/..%5Cb",
    "/a/..;",
    "/a/..;x=1/b",
    "/a/.;/b",
    "/a\\b",
    "/a/b#c",
    "/a?b#c",
    "/a/b c",
    "/a/\u0000",
    "/a/b\r\nx",
    "/a/caf\u00e9",
    "/a/\ufffd",
    "/a/%00",
    "/a/%0d%0a",
    "/a/%0A",
    "/a/%1f",
    "/a/%7f",
  ]) {
    test(`refuses ${JSON.stringify(target)}`, () => {
      assert.equal(parseTarget(target).kind, "refused");
    });
  }
});

describe("ownAbsoluteTarget", () => {
  for (const [target, host, expected] of [
    ["http://a.test/b?c", "a.test", "/b?c"],
    ["HTTP://A.test/b", "a.TEST", "/b"],
    ["https://a.test:8080/b", "a.test:8080", "/b"],
    ["http://a.test", "a.test", "/"],
    ["http://a.test?q", "a.test", "/?q"],
    ["http://b.test/b", "a.test", undefined],
    ["http://u@a.test/b", "a.test", undefined],
    ["http://u@a.test/b", "u@a.test", undefined],
    ["http://a.test:81/b", "a.test", undefined],
    ["http://a.test.evil/b", "a.test", undefined],
    ["http://a.test\\@evil/b", "a.test", undefined],
    ["http:///b", "a.test", undefined],
    ["ftp://a.test/b", "a.test", undefined],
    ["a.test:80", "a.test:80", undefined],
    ["*", "a.test", undefined],
    ["http://a.test/b", undefined, undefined],
  ] as const) {
    test(`${target} sent to ${host} is ${expected}`, () => {
      assert.equal(ownAbsoluteTarget(target, host), expected);
    });
  }
});

describe("targetPath and staysInside", () => {
  test("joins without rewriting", () => {
    assert.equal(targetPath(destination("http://h:1"), "/a", "?b"), "/a?b");
    assert.equal(targetPath(destination("http://h:1"), "", "?b"), "/?b");
    assert.equal(targetPath(destination("http://h:1/v1/"), "/a", ""), "/v1/a");
    assert.equal(targetPath(destination("http://h:1/v1"), "", "?b"), "/v1?b");
  });

  // The rules of parseTarget refuse most of these already; this guard must not depend on them.
  for (const [url, target, expected] of [
    ["http://h:1", "/", true],
    ["http://h:1", "/a/..", true],
    ["http://h:1", "//evil.test/x", false],
    ["http://h:1", "@evil.test/x", false],
    ["http://h:1", ":80@evil.test/x", false],
    ["http://h:1", "@h:1/x", false],
    ["http://h:1", ".evil.test/x", false],
    ["http://h:1", "0/x", false],
    ["http://h:1", "x", false],
    ["http://h:1/v1", "/v1", true],
    ["http://h:1/v1", "/v1/a?b", true],
    ["http://h:1/v1", "/v1?b", true],
    ["http://h:1/v1", "/v1x", false],
    ["http://h:1/v1", "/v1/..", false],
    ["http://h:1/v1", "/v1/../admin", false],
    ["http://h:1/v1", "/v1/%2e%2e/admin", false],
    ["http://h:1/v1", "/v1\\..\\admin", false],
    ["http://h:1/v1", "/admin", false],
  ] as const) {
    test(`${target} ${expected ? "stays inside" : "leaves"} ${url}`, () => {
      assert.equal(staysInside(destination(url), target), expected);
    });
  }

  test("refuses base URLs that are not HTTP", () => {
    assert.throws(() => destination("file:///etc/passwd"), /http or https/);
  });
});

describe("matchOperation", () => {
  const known = destination("http://h:1", [
    { name: "all", path: "/", load: 1 },
    { name: "odds", path: "/odds/", load: 2, criticality: "critical" },
    { name: "write", path: "/odds", method: "POST", load: 3 },
    { name: "deep", path: "/odds/deep", load: 4, criticality: "unheard-of" },
  ]);
  for (const [method, path, expected] of [
    ["GET", "", "all"],
    ["GET", "/", "all"],
    ["GET", "/oddsmaker", "all"],
    ["GET", "/odds", "odds"],
    ["GET", "/odds/", "odds"],
    ["POST", "/odds/1", "write"],
    ["POST", "/odds/deep", "deep"],
    ["GET", "/odds/deeper", "odds"],
    ["GET", "/odds/deep/1", "deep"],
    ["GET", "/ODDS", "all"],
  ] as const) {
    test(`${method} ${path} is ${expected}`, () => {
      assert.equal(matchOperation(known, path, method)?.name, expected);
    });
  }

  test("matches nothing where nothing is configured", () => {
    assert.equal(matchOperation(destination("http://h:1"), "/odds", "GET"), undefined);
  });
});
