import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  dropsRequestHeader,
  dropsResponseHeader,
  nominatedBy,
  requestPairs,
  answerHead,
  stripRequestHeaders,
  stripResponseHeaders,
} from "../../../src/gateway/headers.ts";
import type { RequestHeaderRules } from "../../../src/gateway/headers.ts";

const RULES: RequestHeaderRules = {
  host: "upstream.test:81",
  userAgent: "switchgear/1",
  holdsAdminToken: (value) => value.includes("admin"),
};

describe("which fields stay here", () => {
  for (const [name, request, response] of [
    ["connection", true, true],
    ["keep-alive", true, true],
    ["te", true, true],
    ["trailer", true, true],
    ["transfer-encoding", true, true],
    ["upgrade", true, true],
    ["http2-settings", true, true],
    ["proxy-authorization", true, true],
    ["proxy-authenticate", true, true],
    ["proxy-connection", true, true],
    ["proxy-anything", true, true],
    ["x-switchgear-reason", true, true],
    ["x-switchgear-load", true, true],
    ["host", true, false],
    ["expect", true, false],
    ["forwarded", true, false],
    ["x-forwarded-for", true, false],
    ["x-forwarded-anything", true, false],
    ["x-real-ip", true, false],
    ["authorization", false, false],
    ["cookie", false, false],
    ["set-cookie", false, false],
    ["content-length", false, false],
    ["content-encoding", false, false],
    ["accept-encoding", false, false],
    ["location", false, false],
    ["traceparent", false, false],
    ["x-switchgea", false, false],
  ] as const) {
    test(`${name}: request ${request}, answer ${response}`, () => {
      assert.equal(dropsRequestHeader(name), request);
      assert.equal(dropsResponseHeader(name), response);
    });
  }
});

test("reads the names that Connection nominates", () => {
  assert.deepEqual(nominatedBy(undefined), []);
  assert.deepEqual(nominatedBy(null), []);
  assert.deepEqual(nominatedBy("keep-alive"), []);
  assert.deepEqual(nominatedBy("Close, X-A ,, x-b"), ["close", "x-a", "x-b"]);
});

describe("flat pairs", () => {
  test("keep order, case and repetition, with the upstream's host first", () => {
    const pairs = requestPairs(
      [
        "Host",
        "caller.test",
        "X-A",
        "1",
        "x-a",
        "2",
        "User-Agent",
        "t",
        "Authorization",
        "Bearer b",
      ],
      RULES,
      { hops: 1 },
    );

    assert.deepEqual(pairs, [
      "host",
      "upstream.test:81",
      "x-switchgear-hops",
      "1",
      "X-A",
      "1",
      "x-a",
      "2",
      "User-Agent",
      "t",
      "Authorization",
      "Bearer b",
    ]);
  });

  test("drop what several Connection lines nominate, and the admin token", () => {
    const pairs = requestPairs(
      [
        "Connection",
        "X-A",
        "connection",
        "x-b",
        "X-A",
        "1",
        "X-B",
        "2",
        "authorization",
        "Bearer admin",
      ],
      RULES,
      { hops: 1 },
    );

    assert.deepEqual(pairs, [
      "host",
      "upstream.test:81",
      "x-switchgear-hops",
      "1",
      "user-agent",
      "switchgear/1",
    ]);
  });

  test("keep an empty User-Agent: the caller said so", () => {
    const pairs = requestPairs(["user-agent", ""], RULES, { hops: 1 });

    assert.deepEqual(pairs, [
      "host",
      "upstream.test:81",
      "x-switchgear-hops",
      "1",
      "user-agent",
      "",
    ]);
  });

  test("keep two Set-Cookie lines two", () => {
    const raw = ["Set-Cookie", "a", "Connection", "x-hop", "X-Hop", "1", "set-cookie", "b"];

    assert.deepEqual(answerHead(raw, 200).pairs, ["Set-Cookie", "a", "set-cookie", "b"]);
  });

  test("are decided on by all lines of a field, as `Headers` joins them", () => {
    for (const name of ["retry-after", "x-switchgear-reason", "content-type", "connection"]) {
      const raw = [name, "1", "X-A", "a", name.toUpperCase(), "2"];
      const headers = new Headers([
        [name, "1"],
        [name, "2"],
      ]);

      assert.deepEqual(Object.entries(answerHead(raw, 200).fields), [[name, headers.get(name)]]);
    }
  });
});

describe("Headers objects", () => {
  test("end as the flat pairs do", () => {
    const headers = new Headers([
      ["connection", "x-a, not a token, close"],
      ["x-a", "1"],
      ["x-b", "2"],
      ["te", "trailers"],
      ["x-switchgear-load", "5"],
      ["x-switchgear-operation", "odds"],
      ["x-forwarded-for", "10.0.0.1"],
      ["authorization", "Bearer admin"],
    ]);

    stripRequestHeaders(headers, RULES, { hops: 3 });

    assert.deepEqual(
      [...headers],
      [
        ["host", "upstream.test:81"],
        ["user-agent", "switchgear/1"],
        ["x-b", "2"],
        ["x-switchgear-hops", "3"],
      ],
    );
  });

  test("lose an answer's hop-by-hop and forged fields", () => {
    const headers = new Headers([
      ["connection", "x-hop"],
      ["x-hop", "1"],
      ["x-switchgear-reason", "tripped"],
      ["set-cookie", "a"],
      ["set-cookie", "b"],
    ]);

    stripResponseHeaders(headers);

    assert.deepEqual(
      [...headers],
      [
        ["set-cookie", "a"],
        ["set-cookie", "b"],
      ],
    );
  });
});
