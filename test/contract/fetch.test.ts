// `guardFetch` against real servers: whose time it was, to the last byte of the body.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { guardFetch, type GuardedFetch } from "../../src/fetch/index.ts";
import {
  createBreaker,
  DeadlineError,
  isRefused,
  latching,
  slidingWindow,
  type Upstream,
  type UpstreamOptions,
} from "../../src/index.ts";
import { freePorts } from "../support/programs.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Long enough for a busy machine not to take its own noise for a stand-still. */
const DEADLINE_MS = 500;

let server: Server;
let url: string;
let handler: Handler;

before(async () => {
  server = createServer((request, response) => handler(request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  handler = (_request, response) => void response.end("odds");
});

function guarded(options: Omit<UpstreamOptions, "breaker"> = {}): {
  readonly guard: Upstream;
  readonly call: GuardedFetch;
} {
  const guard = createBreaker("draftkings", latching({ failureThreshold: 3 }), options);
  return { guard, call: guardFetch(guard) };
}

/** What the calls so far came to. */
function counts(guard: Upstream): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const one of guard.operations) {
    for (const key of ["ok", "failed", "timeout", "ignored"] as const) {
      if (one[key] > 0) sum[key] = (sum[key] ?? 0) + one[key];
    }
  }
  return sum;
}

async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  for (let n = 0; n < 400 && !isTrue(); n += 1) {
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
  assert.ok(isTrue(), what);
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was rejected");
}

/** Sends a head that promises more, and a first piece of it. */
const stall: Handler = (_request, response) => {
  response.writeHead(200, { "content-length": "100" });
  response.write("{");
};

describe("what it answers is what fetch answers", () => {
  test("status, headers, cookies, url, and every way to read the body", async () => {
    handler = (_request, response) => {
      response.writeHead(201, "Made", [
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-Odds", "1.9"],
        ["Content-Type", "application/json"],
      ] as unknown as string[]);
      response.end('{"price":1.9}');
    };
    const { guard, call } = guarded();

    const answer = await call(`${url}/nfl`);

    assert.equal(answer.status, 201);
    assert.equal(answer.statusText, "Made");
    assert.equal(answer.ok, true);
    assert.equal(answer.url, `${url}/nfl`);
    assert.equal(answer.redirected, false);
    assert.equal(answer.headers.get("x-odds"), "1.9");
    assert.deepEqual(answer.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.ok(answer instanceof Response);
    assert.deepEqual(await answer.clone().json(), { price: 1.9 });
    assert.equal(await answer.text(), '{"price":1.9}');
    assert.equal((await (await call(url)).arrayBuffer()).byteLength, 13);
    assert.equal((await (await call(url)).blob()).size, 13);
    assert.deepEqual(counts(guard), { ok: 3 });
    assert.equal(guard.inFlight, 0);
  });

  test("redirects are followed and told", async () => {
    handler = (request, response) => {
      if (request.url === "/to") response.end("there");
      else response.writeHead(302, { location: "/to" }).end();
    };
    const { guard, call } = guarded();

    const answer = await call(`${url}/from`);

    assert.equal(answer.redirected, true);
    assert.equal(answer.url, `${url}/to`);
    assert.equal(await answer.text(), "there");
    assert.deepEqual(counts(guard), { ok: 1 });
  });

  for (const [name, status, method] of [
    ["no content", 204, "GET"],
    ["an answer to HEAD", 200, "HEAD"],
    ["not modified", 304, "GET"],
  ] as const) {
    test(`${name} has ended with its head`, async () => {
      handler = (_request, response) => void response.writeHead(status).end();
      const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });

      const answer = await call(url, { method });
      await answer.text();

      assert.equal(answer.status, status);
      assert.deepEqual(counts(guard), { ok: 1 });
      assert.equal(guard.inFlight, 0);
    });
  }

  test("a reader with memory of its own gets every byte and the end", async () => {
    handler = (_request, response) => void response.end("0123456789");
    const { guard, call } = guarded();
    const plain = await fetch(url);
    const { body } = await call(url);
    if (typeof Bun !== "undefined") {
      // Bun's fetch takes no memory of a reader's, so that ours takes none.
      for (const each of [plain.body, body]) {
        assert.throws(() => each?.getReader({ mode: "byob" }), TypeError);
      }
      return;
    }
    const reader = body?.getReader({ mode: "byob" });
    let text = "";
    for (;;) {
      const piece = await reader?.read(new Uint8Array(4));
      if (piece === undefined || piece.done) break;
      text += new TextDecoder().decode(piece.value);
    }

    assert.equal(text, "0123456789");
    assert.deepEqual(counts(guard), { ok: 1 });
  });

  for (const [name, head] of [
    ["a status that no constructor takes", "HTTP/1.1 999 Denied"],
    ["a reason in letters that no constructor takes", "HTTP/1.1 200 \u2713"],
  ] as const) {
    test(`${name} comes through`, async () => {
      handler = (_request, response) => {
        response.socket?.end(`${head}\r\nx-odds: 1.9\r\nconnection: close\r\n\r\nodds`);
      };
      const { guard, call } = guarded();

      const plain = await fetch(url);
      const answer = await call(url);

      assert.equal(answer.status, plain.status);
      assert.equal(answer.statusText, plain.statusText);
      assert.equal(answer.ok, plain.ok);
      assert.equal(answer.headers.get("x-odds"), "1.9");
      assert.equal(await answer.text(), "odds");
      assert.deepEqual(counts(guard), answer.ok ? { ok: 1 } : { failed: 1 });
    });
  }

  test("copies of it show the same", async () => {
    handler = (request, response) => {
      if (request.url === "/to") response.writeHead(999).end("there");
      else response.writeHead(302, { location: "/to" }).end();
    };
    const answer = await guarded().call(`${url}/from`);
    const copy = answer.clone();
    const copyOfCopy = copy.clone();

    for (const each of [copy, copyOfCopy]) {
      assert.equal(each.url, `${url}/to`);
      assert.equal(each.redirected, true);
      assert.equal(each.status, 999);
      assert.equal(each.ok, false);
      assert.equal(await each.text(), "there");
    }
  });

  test("method, body, headers and the operation's name go through", async () => {
    let seen = "";
    handler = (request, response) => {
      request.setEncoding("utf8");
      let text = "";
      request.on("data", (piece: string) => (text += piece));
      request.on("end", () => {
        seen = [request.method, request.headers["x-key"], text].join(" ");
        response.end();
      });
    };
    const { guard, call } = guarded();
    const options = { method: "POST", body: "stake=5", headers: { "x-key": "k" } };

    await (await call(url, options, { operation: "bet" })).text();

    assert.equal(seen, "POST k stake=5");
    assert.deepEqual(
      [...guard.operations].map(({ name, ok }) => [name, ok]),
      [["bet", 1]],
    );
  });
});

describe("the status decides", () => {
  for (const [status, expected] of [
    [200, { ok: 1 }],
    [404, { ok: 1 }],
    [408, { timeout: 1 }],
    [429, { ignored: 1 }],
    [500, { failed: 1 }],
    [503, { failed: 1 }],
  ] as const) {
    test(`${status} counts as ${Object.keys(expected).join()}, and its body can be read`, async () => {
      handler = (_request, response) => {
        // A 408 on a reused connection is a client's to repeat.
        response.writeHead(status, { connection: "close" }).end("why");
      };
      const { guard, call } = guarded({ deadlineMs: 5_000 });

      const answer = await call(url);
      const text = await answer.text();

      assert.equal(answer.status, status);
      assert.equal(text, "why");
      assert.deepEqual(counts(guard), expected);
      assert.equal(guard.inFlight, 0);
    });
  }

  test("a bad answer counts at once, whoever reads it", async () => {
    handler = (_request, response) => {
      response.writeHead(500, { "content-length": "100" }).write("w");
    };
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });

    const answer = await call(url);

    assert.deepEqual(counts(guard), { failed: 1 });
    assert.equal(guard.inFlight, 0);
    assert.ok((await rejection(answer.text())) instanceof DeadlineError);
    assert.deepEqual(counts(guard), { failed: 1 });
  });

  test("so does any that is not 2xx, whoever reads it", async () => {
    handler = (_request, response) => {
      response.writeHead(404, { "content-length": "100" }).write("n");
    };
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });

    const answer = await call(url);

    assert.deepEqual(counts(guard), { ok: 1 });
    assert.equal(guard.inFlight, 0);
    assert.ok((await rejection(answer.text())) instanceof DeadlineError);
    assert.deepEqual(counts(guard), { ok: 1 });
  });

  test("three of them trip, and the fourth is refused without being sent", async () => {
    let asked = 0;
    handler = (_request, response) => {
      asked += 1;
      response.writeHead(500).end();
    };
    const { guard, call } = guarded();
    for (let n = 0; n < 3; n += 1) await (await call(url)).text();

    const error = await rejection(call(url));

    assert.ok(isRefused(error));
    assert.equal(error.code, "SG_BREAKER_OPEN");
    assert.equal(asked, 3);
    assert.equal(guard.isTripped, true);
  });

  test("Retry-After is heeded by a breaker that recovers by itself", async () => {
    handler = (_request, response) => void response.writeHead(503, { "retry-after": "120" }).end();
    const guard = createBreaker(
      "draftkings",
      slidingWindow({ minimumCalls: 1, openDurationMs: 1_000, openDurationJitter: 0 }),
    );
    await (await guardFetch(guard)(url)).text();

    const error = await rejection(guardFetch(guard)(url));

    assert.ok(isRefused(error));
    assert.ok((error.retryAfterMs ?? 0) > 100_000, `${error.retryAfterMs}`);
  });

  test("a connection that is refused has failed, with fetch's own error", async () => {
    const { guard, call } = guarded();
    const [port] = await freePorts(1);
    const error = await rejection(call(`http://127.0.0.1:${port}/`));

    assert.ok(error instanceof Error);
    assert.equal(isRefused(error), false);
    assert.deepEqual(counts(guard), { failed: 1 });
  });
});

describe("an upstream with endpoints", () => {
  function feeds(
    endpoints: UpstreamOptions["endpoints"] = [`${url}/eu`, `${url}/us/`],
  ): ReturnType<typeof guarded> {
    return guarded({ endpoints });
  }

  test("a path goes to the endpoint that is charged, below its own path", async () => {
    const asked: (string | undefined)[] = [];
    handler = (request, response) => {
      asked.push(request.url);
      response.writeHead(request.url?.startsWith("/us/") === true ? 500 : 200).end("odds");
    };
    const { guard, call } = feeds();

    for (let n = 0; n < 2; n += 1) await (await call("/odds?league=nfl")).text();

    assert.deepEqual(asked, ["/eu/odds?league=nfl", "/us/odds?league=nfl"]);
    const [eu, us] = guard.endpoints?.endpoints ?? [];
    assert.deepEqual([eu?.failures, us?.failures], [0, 1]);
  });

  for (const [name, input] of [
    ["a whole URL", "https://eu.feeds.example/odds"],
    ["that of one of the endpoints", new URL("https://eu.feeds.example/odds")],
    ["a Request", new Request("https://eu.feeds.example/odds")],
    ["a path without its slash", "odds"],
    ["another host's name", "//evil.example/odds"],
    ["another host's name, as URLs have it, too", "/\\evil.example/odds"],
    ["nothing", null],
  ] as const) {
    test(`${name} is refused with a sentence, and nothing was admitted`, async () => {
      const { guard, call } = feeds(["https://eu.feeds.example", "https://us.feeds.example"]);

      const error = await rejection(call(input as string));

      assert.match(
        String(error),
        /InvalidOptionsError: a call of draftkings: the URL must be a path such as "\/odds", .*, not /,
      );
      assert.deepEqual(counts(guard), {});
      assert.equal(guard.inFlight, 0);
    });
  }

  test("an endpoint that has no URL is told", async () => {
    const { call } = feeds([{ name: "eu", url: "eu" }, "https://us.feeds.example"]);

    assert.match(String(await rejection(call("/odds"))), /the endpoint "eu" has no URL to fetch/);
  });

  test("dots in a path cannot leave the host", async () => {
    let asked = "";
    handler = (request, response) => {
      asked = request.url ?? "";
      response.end();
    };

    await (await feeds([`${url}/eu`]).call("/../../secret")).text();

    assert.equal(asked, "/secret");
  });
});

/** A fetch that knows no signal, and a body that stalls after its first piece, if it has one. */
function deaf(cancelled: unknown[] = [], first?: string): GuardedFetch {
  return async () =>
    new Response(
      new ReadableStream({
        start(controller) {
          if (first !== undefined) controller.enqueue(new TextEncoder().encode(first));
        },
        cancel: (reason) => void cancelled.push(reason),
        type: "bytes",
      }),
    );
}

async function drain(stream: ReadableStream | null): Promise<void> {
  for await (const _piece of stream ?? []);
}

const WAYS: Readonly<Record<string, (answer: Response) => Promise<unknown>>> = {
  text: (answer) => answer.text(),
  json: (answer) => answer.json(),
  bytes: (answer) => answer.arrayBuffer(),
  reader: async (answer) => {
    const reader = answer.body?.getReader();
    while (!(await reader?.read())?.done);
  },
  "reader with memory of its own": async (answer) => {
    const reader = answer.body?.getReader({ mode: "byob" });
    while (!(await reader?.read(new Uint8Array(4)))?.done);
  },
  iterator: (answer) => drain(answer.body),
  tee: (answer) => drain(answer.body?.tee()[1] ?? null),
  clone: (answer) => answer.clone().text(),
  "clone and original": (answer) => Promise.any([answer.clone().text(), answer.text()]),
  pipe: async (answer) => answer.body?.pipeTo(new WritableStream()),
};

describe("a fetch that does not pass the signal on", () => {
  for (const [way, read] of Object.entries(WAYS)) {
    for (const first of [undefined, "{"]) {
      const piece = first === undefined ? "" : " after a piece";
      test(`${way}: a body that stalls${piece} ends at the deadline`, async () => {
        const guard = createBreaker("draftkings", latching(), { deadlineMs: 50 });
        const cancelled: unknown[] = [];
        const answer = await guardFetch(guard, deaf(cancelled, first))(url);

        const error = await rejection(read(answer));

        const [told] = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
        assert.ok(told instanceof DeadlineError, String(told));
        assert.deepEqual(cancelled, [told]);
        assert.equal(guard.inFlight, 0);
      });
    }

    test(`${way}: it ends with its caller's abort, for the caller's reason`, async () => {
      const { guard } = guarded();
      const controller = new AbortController();
      const cancelled: unknown[] = [];
      const init = { signal: controller.signal };
      const answer = await guardFetch(guard, deaf(cancelled))(url, init);
      const reading = rejection(read(answer));

      controller.abort("left");

      const error = await reading;
      const [told] = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
      assert.equal(told, "left");
      assert.deepEqual(cancelled, ["left"]);
      assert.equal(guard.inFlight, 0);
    });
  }

  test("a pause longer than idleMs ends it", async () => {
    const { guard } = guarded();
    const answer = await guardFetch(guard, deaf([], "{"))(url, {}, { idleMs: 50 });

    const error = await rejection(answer.text());

    assert.ok(error instanceof DeadlineError);
    assert.match(error.message, /sent nothing more for 50 ms/);
  });

  test("who reads after the deadline is told, and the body was let go of", async () => {
    const guard = createBreaker("draftkings", latching(), { deadlineMs: 20 });
    const cancelled: unknown[] = [];
    const answer = await guardFetch(guard, deaf(cancelled))(url);
    await eventually(() => cancelled.length === 1, "cancelled");

    assert.ok((await rejection(answer.text())) instanceof DeadlineError);
  });

  test("an answer that comes after the deadline is let go of", async () => {
    const guard = createBreaker("draftkings", latching(), { deadlineMs: 20 });
    const cancelled: unknown[] = [];
    const late = Promise.withResolvers<void>();
    const call = guardFetch(guard, async (input) => {
      await late.promise;
      return deaf(cancelled)(input);
    });

    const error = await rejection(call(url));
    late.resolve();
    await eventually(() => cancelled.length === 1, "cancelled");

    assert.deepEqual(cancelled, [error]);
    assert.equal(guard.inFlight, 0);
    assert.equal(guard.abandoned, 0);
  });

  test("platform fetch without the signal: the reader is told at the deadline", async () => {
    handler = stall;
    const guard = createBreaker("draftkings", latching(), { deadlineMs: DEADLINE_MS });
    const answer = await guardFetch(guard, (input) => fetch(input))(url);

    assert.ok((await rejection(answer.json())) instanceof DeadlineError);
    assert.deepEqual(counts(guard), { timeout: 1 });
  });

  for (const [status, expected] of [
    [200, { ok: 1 }],
    [500, { failed: 1 }],
  ] as const) {
    test(`an answer of ${status} that its fetch has read is handed on as it is`, async () => {
      const { guard } = guarded();
      const read = async (): Promise<Response> => {
        const answer = new Response('{"price":1.9}', { status });
        return Object.assign(answer, { data: (await answer.json()) as unknown });
      };

      const answer = await guardFetch(guard, read)(url);

      assert.deepEqual((answer as Response & { data: unknown }).data, { price: 1.9 });
      assert.equal(answer.bodyUsed, true);
      assert.deepEqual(counts(guard), expected);
      assert.equal(guard.inFlight, 0);
    });
  }

  test("nobody who waits for a piece is collected with the body", async () => {
    const guard = createBreaker("draftkings", latching(), { deadlineMs: 200 });
    const gc = collector();
    const answer = await guardFetch(guard, deaf())(url);
    const told = rejection(answer.clone().text());
    const timer = setInterval(gc, 20);

    assert.ok((await told) instanceof DeadlineError);
    clearInterval(timer);
  });

  test("a body that is all there comes whole", async () => {
    const { guard } = guarded();
    const call = guardFetch(guard, async () => new Response("odds"));

    assert.equal(await (await call(url)).text(), "odds");
    assert.deepEqual(counts(guard), { ok: 1 });
  });
});

describe("whose time it was", () => {
  test("an upstream that stalls in the body has timed out, and the reader is told", async () => {
    handler = stall;
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });

    const answer = await call(url);
    const error = await rejection(answer.text());

    assert.ok(error instanceof DeadlineError, String(error));
    assert.deepEqual(counts(guard), { timeout: 1 });
    assert.equal(guard.inFlight, 0);
  });

  test("one that stalls before the head, too", async () => {
    handler = () => {};
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });

    assert.ok((await rejection(call(url))) instanceof DeadlineError);
    assert.deepEqual(counts(guard), { timeout: 1 });
  });

  test("one that breaks its body off has failed", async () => {
    handler = (request, response) => {
      stall(request, response);
      setTimeout(() => response.destroy(), 20);
    };
    const { guard, call } = guarded({ deadlineMs: 5_000 });

    const answer = await call(url);
    await rejection(answer.text());

    assert.deepEqual(counts(guard), { failed: 1 });
    assert.equal(guard.inFlight, 0);
  });

  test("a caller that does not read is no fault of the upstream's", async () => {
    handler = (_request, response) => void response.end("x".repeat(100_000));
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });
    const answers: Response[] = [];
    for (let n = 0; n < 5; n += 1) answers.push(await call(url));

    await eventually(() => guard.inFlight === 0, "the deadline ends the calls");

    assert.deepEqual(counts(guard), { ignored: 5 });
    assert.equal(guard.state(), "closed");
  });

  test("nor is one that stops reading after the first piece", async () => {
    handler = (_request, response) => {
      response.writeHead(200, { "content-length": "6" }).write("{");
      setTimeout(() => response.end("odds}"), 50);
    };
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });
    const answer = await call(url);
    const reader = answer.body?.getReader();
    await reader?.read();

    await eventually(() => guard.inFlight === 0, "the deadline ends the call");

    assert.deepEqual(counts(guard), { ignored: 1 });
    // Up to here: what nobody holds is dropped.
    reader?.releaseLock();
  });

  test("whoever begins to read after the deadline is told of it", async () => {
    handler = stall;
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });
    const answer = await call(url);
    await eventually(() => guard.inFlight === 0, "the deadline ends the call");

    assert.ok((await rejection(answer.text())) instanceof DeadlineError);
    assert.deepEqual(counts(guard), { ignored: 1 });
  });

  test("one that cancels the body of a good answer has had what it wanted", async () => {
    handler = stall;
    const { guard, call } = guarded({ deadlineMs: DEADLINE_MS });

    const answer = await call(url);
    await answer.body?.cancel();

    assert.deepEqual(counts(guard), { ok: 1 });
    assert.equal(guard.inFlight, 0);
  });

  test("a body that is cancelled is cancelled with whoever sends it", async () => {
    const reasons: unknown[] = [];
    const body = new ReadableStream({ cancel: (reason) => void reasons.push(reason) });
    const call = guardFetch(createBreaker("draftkings", latching()), () =>
      Promise.resolve(new Response(body)),
    );
    await (await call("https://odds.example/")).body?.cancel("enough");

    assert.deepEqual(reasons, ["enough"]);
  });

  test("one that drops the answer unread holds the call no longer than the answer", async () => {
    const { guard, call } = guarded();
    await (async () => {
      for (let n = 0; n < 20; n += 1) assert.equal((await call(url)).ok, true);
    })();
    const collect = collector();

    await eventually(() => {
      collect();
      // The last one may still stand in a register.
      return guard.inFlight <= 1;
    }, `${guard.inFlight} calls are still held`);
    assert.equal(counts(guard)["failed"], undefined);
  });

  test("the caller's abort ends the body, and is no evidence", async () => {
    handler = stall;
    const { guard, call } = guarded({ deadlineMs: 60_000 });
    const controller = new AbortController();
    const reason = new Error("the user left");

    const answer = await call(url, { signal: controller.signal });
    const text = rejection(answer.text());
    setTimeout(() => controller.abort(reason), 50);

    assert.equal(await text, reason);
    assert.deepEqual(counts(guard), { ignored: 1 });
    assert.equal(guard.inFlight, 0);
  });

  test("the signal of a Request is the caller's, null is none", async () => {
    const { guard, call } = guarded();
    const reason = new Error("gone before");

    assert.equal(
      await rejection(call(new Request(url, { signal: AbortSignal.abort(reason) }))),
      reason,
    );
    assert.equal(await rejection(call(url, { signal: AbortSignal.abort(reason) })), reason);
    assert.equal(await (await call(url, { signal: null })).text(), "odds");
    assert.equal(await (await call(url, null)).text(), "odds");
    assert.deepEqual(counts(guard), { ok: 2 });
  });

  test("a stream may last longer than the deadline, and pause no longer than its idle time", async () => {
    let n = 0;
    handler = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const timer = setInterval(() => {
        n += 1;
        if (n <= 10) response.write(`data: ${n}\n\n`);
        else clearInterval(timer);
      }, 40);
    };
    const { guard, call } = guarded({ deadlineMs: 250 });
    const answer = await call(url, {}, { idleMs: DEADLINE_MS });
    let text = "";
    const reader = answer.body?.getReader();
    const error = await rejection(
      (async () => {
        for (;;) {
          const piece = await reader?.read();
          if (piece === undefined || piece.done) return;
          text += new TextDecoder().decode(piece.value);
        }
      })(),
    );

    assert.match(text, /data: 10/);
    assert.ok(error instanceof DeadlineError);
    assert.match(error.message, /sent nothing more for 500 ms/);
    assert.deepEqual(counts(guard), { timeout: 1 });
  });
});

describe("what it is given", () => {
  test("another fetch", async () => {
    const guard = createBreaker("draftkings", latching());
    const call = guardFetch(guard, async (input, init) => {
      assert.ok(init?.signal instanceof AbortSignal);
      return new Response(`asked ${input instanceof Request ? input.url : input.toString()}`, {
        status: 200,
      });
    });

    assert.equal(await (await call("https://odds.example/")).text(), "asked https://odds.example/");
    assert.deepEqual(counts(guard), { ok: 1 });
  });

  test("a fetch of a test's: one answer for all calls, one that was read, none at all", async () => {
    const guard = createBreaker("draftkings", latching());
    const same = new Response("odds");
    const begun = new Response("odds");
    const reader = begun.body?.getReader();
    await reader?.read();
    reader?.releaseLock();
    const unread = new Response("odds");
    const call = (answer: unknown) => guardFetch(guard, () => Promise.resolve(answer as Response));

    assert.equal(await (await call(same)("https://odds.example/")).text(), "odds");
    const held = await call(unread)("https://odds.example/");
    for (const answer of [same, begun, unread, undefined, { ok: true, status: 200 }]) {
      assert.equal(await call(answer)("https://odds.example/"), answer);
    }
    await held.text();
    assert.deepEqual(counts(guard), { ok: 7 });
    assert.equal(guard.inFlight, 0);
  });

  test("a fetch whose answers' pieces are empty, share their memory or keep it", async () => {
    const guard = createBreaker("draftkings", latching());
    const pooled = Buffer.from("odds");
    const answers = {
      empty: [new Uint8Array(0), new TextEncoder().encode("odds")],
      shared: [pooled.subarray(0, 1), pooled.subarray(1)],
      kept: [pooled],
    };
    for (const [name, pieces] of Object.entries(answers)) {
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        start(controller) {
          for (const piece of pieces) controller.enqueue(piece);
          controller.close();
        },
      });
      const call = guardFetch(guard, () => Promise.resolve(new Response(body)));
      assert.equal(await (await call("https://odds.example/")).text(), "odds", name);
    }
    assert.equal(pooled.toString(), "odds");
    assert.deepEqual(counts(guard), { ok: 3 });
  });

  test("what is no address is fetch's to refuse, in its way", async () => {
    const { call } = guarded();

    for (const input of [null, undefined] as never[]) {
      assert.ok((await rejection(call(input))) instanceof TypeError);
    }
  });

  test("what is no guard, no fetch, or no options is told before anything is sent", async () => {
    const guard = createBreaker("draftkings", latching());

    assert.throws(() => guardFetch({} as never), /must be a guard, such as gear.upstream/);
    assert.throws(() => guardFetch(guard, "fetch" as never), /must be a fetch function/);
    for (const [options, sentence] of [
      [{ idleMs: 0 }, /idleMs must be a number of milliseconds above 0, not 0/],
      [{ deadlineMs: "2s" }, /deadlineMs must be a number of milliseconds above 0, not "2s"/],
      [{ operation: Symbol("bet") }, /operation must be a text, not a symbol/],
    ] as const) {
      assert.match(String(await rejection(guardFetch(guard)(url, {}, options as never))), sentence);
    }
    const throwing = Object.defineProperty({}, "signal", {
      enumerable: true,
      get() {
        throw new Error("boom");
      },
    });
    for (const [init, options] of [
      [throwing, {}],
      [{}, throwing],
    ]) {
      const error = await rejection(guardFetch(guard)(url, init, options));
      assert.match(String(error), /InvalidOptionsError: .* its options cannot be read: boom/);
    }
    assert.deepEqual(counts(guard), {});
    assert.equal(guard.inFlight, 0);
  });
});

/** The collector itself, on either runtime. */
function collector(): () => void {
  if (typeof Bun !== "undefined") return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
