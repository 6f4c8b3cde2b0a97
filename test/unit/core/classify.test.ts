import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  bounded,
  classifyError,
  classifyThrown,
  errorText,
  failureText,
  ownFault,
  retryAfterOf,
} from "../../../src/core/classify.ts";
import { factsOf } from "../../../src/core/error-facts.ts";

function failure(fields: Record<string, unknown>, cause?: unknown): Error {
  const error = new Error(typeof fields["message"] === "string" ? fields["message"] : "x");
  return Object.assign(error, fields, cause === undefined ? {} : { cause });
}

const GET_WITH_BODY: RequestInit = { method: "GET" };
GET_WITH_BODY.body = "x";

const TIME_UP = failure({ name: "TimeoutError", message: "The operation timed out." });

/** Shapes seen from the clients themselves: axios 1, got 14, ky 1, openai 6, grpc-js 1, pg 8, AWS SDK 3. */
describe("a caller who went away is no evidence", () => {
  for (const [label, error] of Object.entries({
    "fetch on Node": failure({ name: "AbortError", code: 20 }),
    "a Node core API": failure(
      { name: "AbortError", code: "ABORT_ERR" },
      failure({ message: "user left" }),
    ),
    axios: failure({ name: "CanceledError", code: "ERR_CANCELED", message: "canceled" }),
    "axios by its code alone": failure({ name: "Error", code: "ERR_CANCELED" }),
    got: failure({ name: "AbortError", code: "ERR_ABORTED" }),
    "got before version 12": failure({ name: "CancelError" }),
    "OpenAI and Anthropic": failure({ message: "Request was aborted." }),
    undici: failure({ name: "AbortError", code: "UND_ERR_ABORTED" }),
    superagent: failure({ code: "ABORTED" }),
    "gRPC CANCELLED": failure({ code: 1, details: "Cancelled on client" }),
    "Connect CANCELED": failure({ name: "ConnectError", code: 1 }),
    "PostgreSQL, cancelled by its user": failure({
      code: "57014",
      message: "canceling statement due to user request",
    }),
    "MySQL, killed by its user": failure({ code: "ER_QUERY_INTERRUPTED" }),
  })) {
    test(label, () => assert.equal(classifyError(error), "ignored"));
  }
});

describe("a time that was up is a timeout, however it was given", () => {
  for (const [label, error] of Object.entries({
    "AbortSignal.timeout": TIME_UP,
    "AbortSignal.timeout given to axios": failure({
      name: "CanceledError",
      code: "ERR_CANCELED",
      config: { signal: { reason: TIME_UP } },
    }),
    "AbortSignal.timeout given to a Node core API": failure(
      { name: "AbortError", code: "ABORT_ERR" },
      TIME_UP,
    ),
    "gRPC DEADLINE_EXCEEDED": failure({
      code: 4,
      details: "Deadline exceeded",
      message: "4 DEADLINE_EXCEEDED: Deadline exceeded after 1.001s",
    }),
    "gRPC DEADLINE_EXCEEDED by its words": failure({
      code: 4,
      message: "4 DEADLINE_EXCEEDED: Too late",
    }),
    "Connect DeadlineExceeded": failure({ name: "ConnectError", code: 4 }),
    "PostgreSQL, statement timeout": failure({
      code: "57014",
      message: "canceling statement due to statement timeout",
    }),
    "axios's own, in words of its user": failure({
      isAxiosError: true,
      code: "ECONNABORTED",
      message: "too slow",
    }),
    "a socket's code inside two wrappers": failure({}, failure({}, failure({ code: "ETIMEDOUT" }))),
  })) {
    test(label, () => assert.equal(classifyError(error), "timeout"));
  }
});

describe("what this process ran out of is no evidence", () => {
  for (const code of [
    "EMFILE",
    "ENFILE",
    "EADDRNOTAVAIL",
    "ENOBUFS",
    "ENOMEM",
    "EAI_AGAIN",
    "EAI_MEMORY",
  ]) {
    test(`${code}, bare as Bun reports it and as a cause as Node does`, () => {
      assert.equal(classifyError(failure({ code })), "ignored");
      assert.equal(
        classifyError(failure({ message: "fetch failed" }, failure({ code }))),
        "ignored",
      );
    });
  }

  test("also when every address of a name met it", () => {
    const each = failure({ code: "EADDRNOTAVAIL" });
    assert.equal(classifyError(new AggregateError([each, each])), "ignored");
    assert.equal(
      classifyError(new AggregateError([each, failure({ code: "ECONNREFUSED" })])),
      "failed",
    );
    assert.equal(classifyError(new AggregateError([each])), "ignored");
    assert.equal(classifyError(failure({ name: "Invalid", errors: [each] })), "failed");
    for (const length of [0, -1, Number.NaN, "1"]) {
      const errors = { length, 0: each };
      assert.equal(
        classifyError(failure({ name: "AggregateError", errors })),
        "failed",
        `${length}`,
      );
    }
  });
});

describe("a request that its client could not even prepare is no evidence", () => {
  for (const code of [
    "ERR_INVALID_URL",
    "ERR_INVALID_ARG_TYPE",
    "ERR_INVALID_ARG_VALUE",
    "ERR_INVALID_CHAR",
    "ERR_INVALID_HTTP_TOKEN",
    "ERR_HTTP_INVALID_HEADER_VALUE",
    "ERR_UNESCAPED_CHARACTERS",
    "UND_ERR_INVALID_ARG",
    "UND_ERR_NOT_SUPPORTED",
    "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
    "ERR_UNSUPPORTED_PROTOCOL",
    "ERR_BAD_OPTION",
    "ERR_BAD_OPTION_VALUE",
    "ERR_NOT_SUPPORT",
  ]) {
    test(code, () => assert.equal(classifyError(failure({ code })), "ignored"));
  }

  const GOT = { name: "RequestError", code: "ERR_GOT_REQUEST_ERROR" };
  const AXIOS = { isAxiosError: true, code: "ERR_BAD_REQUEST" };
  for (const [label, error] of Object.entries({
    "an option of got's": failure({
      ...GOT,
      message: "Option 'timeout': Expected value which is `plain object`",
    }),
    "a hook of got's user that threw": failure({ ...GOT, message: "no key" }, failure({})),
    "a protocol that axios does not speak": failure(AXIOS),
    "a scheme that Node's fetch does not know": new TypeError("fetch failed", {
      cause: new Error("unknown scheme"),
    }),
  })) {
    test(label, () => assert.equal(classifyError(error), "ignored"));
  }

  test("but what they say with the same code after they have asked is", () => {
    const asked = failure({ ...GOT, timings: { start: 1 } });
    assert.equal(classifyError(asked), "failed");
    const answered = failure({ ...AXIOS, status: 404, response: { status: 404 } });
    assert.equal(classifyError(answered), "ok");
    assert.equal(classifyThrown(answered), "failed");
    assert.equal(classifyError(failure({ code: "ERR_BAD_REQUEST" })), "failed");
    assert.equal(classifyError(new Error("unknown scheme")), "failed");
  });

  for (const prepare of [
    () => fetch("http://[bad"),
    () => fetch("foo://x/"),
    () => fetch(new Request("http://127.0.0.1:1/", GET_WITH_BODY)),
    () => fetch("http://127.0.0.1:1/", { headers: { "a b": "x" } }),
    () => fetch("http://127.0.0.1:1/", { headers: { a: "x\ny" } }),
  ]) {
    test(`as this runtime says it: ${String(prepare)}`, async () => {
      await assert.rejects(
        async () => prepare(),
        (error) => {
          assert.equal(classifyError(error), "ignored");
          return true;
        },
      );
    });
  }

  test("while a mistake in what was made of the answer still counts", () => {
    const error = new TypeError("Cannot read properties of undefined (reading 'odds')");
    assert.equal(classifyError(error), "failed");
    assert.equal(
      classifyError(new TypeError("fetch failed", { cause: failure({ code: "ECONNRESET" }) })),
      "failed",
    );
  });
});

describe("a redirect and a 304 that a client throws are answers", () => {
  for (const [label, error] of Object.entries({
    "304 of axios": failure({ isAxiosError: true, status: 304, response: { status: 304 } }),
    "302 of axios that follows none": failure({ isAxiosError: true, status: 302 }),
    "304 of an older client": failure({ statusCode: 304 }),
    "304 of ky": failure({ name: "HTTPError", response: { status: 304 } }),
    "302 of got": failure({ name: "HTTPError", response: { statusCode: 302 } }),
    "304 of S3": failure({ name: "304", $metadata: { httpStatusCode: 304 } }),
  })) {
    test(label, () => {
      assert.equal(classifyError(error), "ok");
      assert.equal(classifyThrown(error), "failed");
    });
  }

  test("but not the answer that another error came after", () => {
    // got keeps the redirect's answer beside what became of the address that it led to.
    const response = { statusCode: 302 };
    assert.equal(classifyError(failure({ code: "ECONNREFUSED", response })), "failed");
    assert.equal(classifyError(failure({ code: "ETIMEDOUT", response })), "timeout");
    assert.equal(classifyError(failure({ status: 200 })), "failed");
  });
});

/** The error inside so many others. */
function inside(depth: number, error: unknown): unknown {
  return depth === 0 ? error : failure({}, inside(depth - 1, error));
}

describe("how far a verdict is looked for", () => {
  test("up to three causes", () => {
    const late = failure({ code: "ETIMEDOUT" });
    assert.deepEqual(
      [0, 3, 4].map((depth) => classifyError(inside(depth, late))),
      ["timeout", "timeout", "failed"],
    );
  });

  test("in texts, also where a text itself was thrown", () => {
    assert.equal(classifyError("timed out"), "timeout");
    assert.equal(classifyError(failure({}, "timed out")), "timeout");
    assert.equal(classifyError(failure({ name: "TimeoutError", message: "too late" })), "timeout");
  });

  test("in texts that are texts", () => {
    for (const [fields, expected] of [
      [{ message: ["timeout"] }, "failed"],
      [{ code: "57014", message: ["timeout"] }, "ignored"],
      [{ code: 1, message: ["1 CANCELLED: by us"] }, "failed"],
    ] as const) {
      assert.equal(classifyError(failure(fields)), expected, JSON.stringify(fields));
    }
  });

  test("of a status in 5xx alone where only that is known to be an answer", () => {
    const message = "timed out";
    assert.equal(classifyThrown(failure({ status: 500, message })), "failed");
    assert.equal(classifyThrown(failure({ status: 499, message })), "timeout");
  });

  test("and in no other client's words", () => {
    for (const error of [
      failure({ message: "Invalid header name in the upstream's answer" }),
      failure({ name: "ConnectError", code: 14 }),
      failure({ code: "ECONNABORTED" }),
    ]) {
      assert.equal(classifyError(error), "failed", error.message);
    }
  });
});

test("whose fault is ours is told as far down as a verdict is looked for", () => {
  const full = failure({ code: "EMFILE" });
  for (const [error, expected] of [
    [full, "resources"],
    [failure({ code: "ERR_INVALID_URL" }), "request"],
    [inside(3, full), "resources"],
    [inside(4, full), undefined],
    [failure({ code: "ECONNREFUSED" }), undefined],
    [undefined, undefined],
    [null, undefined],
  ] as const) {
    assert.equal(ownFault(error), expected, String(error));
  }
});

test("what is kept of an error is a text of bounded length", () => {
  for (const [error, text] of [
    [new TypeError("no odds"), "no odds"],
    [new TypeError(""), "TypeError"],
    [failure({ name: "", message: "" }), "unknown error"],
    [failure({ name: 5, message: 5 }), "unknown error"],
    [{}, "unknown error"],
    [() => {}, "unknown error"],
    ["down", "down"],
    [5, "5"],
    [null, "null"],
    [Symbol("down"), "Symbol(down)"],
    ["x".repeat(2000), "x".repeat(1024)],
  ] as const) {
    assert.equal(errorText(error), text);
  }
  assert.equal(errorText(undefined), "undefined");
  assert.equal(failureText(undefined), "no reason given");
  assert.equal(failureText("down"), "down");
  for (const [text, cause, expected] of [
    [
      "fetch failed",
      coded("ECONNREFUSED", "connect ECONNREFUSED ::1:80"),
      "connect ECONNREFUSED ::1:80",
    ],
    [
      "fetch failed",
      coded("UND_ERR_SOCKET", "other side closed"),
      "UND_ERR_SOCKET other side closed",
    ],
    ["fetch failed", Object.assign(new AggregateError([]), { code: "ENETUNREACH" }), "ENETUNREACH"],
    ["fetch failed", "bad port", "bad port"],
    ["no odds", coded("EPIPE", "write EPIPE"), "write EPIPE"],
    ["no odds", coded("EPIPE", "no odds"), "EPIPE"],
  ] as const) {
    assert.equal(failureText(new Error(text, { cause })), `${text}: ${expected}`);
  }
  for (const cause of [undefined, null, 5, {}, new Error("down"), coded("odds", "no odds")]) {
    assert.equal(failureText(new Error("no odds", { cause })), "no odds");
  }
  assert.equal(failureText(new Error("x", { cause: coded("E", "y".repeat(5000)) })).length, 1024);
  assert.equal(bounded("x".repeat(1024)).length, 1024);
});

test("when to come again is a number above 0, or not said", () => {
  for (const [retryAfterMs, expected] of [
    [1, 1],
    [0, undefined],
    [-1, undefined],
    ["5", undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(retryAfterOf(factsOf({ retryAfterMs })), expected);
  }
});

describe("everything else is a failure", () => {
  for (const [label, error] of Object.entries({
    "504, whatever its text": failure({ status: 504, message: "504 Gateway Timeout" }),
    "a connection that was refused": failure({ code: "ECONNREFUSED" }),
    "a code that is only a number": failure({ code: 1 }),
    "a cancel code on a cause, which may be the client's own doing": failure(
      {},
      failure({ name: "AbortError" }),
    ),
    // Of port 1 and its like: whoever tries a breaker out on one expects that it fails, as it does on Bun.
    "a port that Node's fetch does not ask": new TypeError("fetch failed", {
      cause: new Error("bad port"),
    }),
    "a name that is not known": failure({ code: "ENOTFOUND" }),
    undefined,
    "a text": "500",
  })) {
    test(label, () => assert.equal(classifyError(error), "failed"));
  }

  test("and a hostile object harms nobody", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const getters = Object.defineProperty({}, "code", {
      get() {
        throw new Error("getter");
      },
    });
    const looped: Record<string, unknown> = {};
    looped["cause"] = looped;
    for (const error of [proxy, getters, looped]) {
      assert.equal(classifyError(error), "failed");
      assert.equal(typeof errorText(error), "string");
    }
  });
});

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
