// The clients that services have, under a guard as docs/calls.md has them, against servers that answer, fail,
// hang, stall, break off and refuse: what their real errors and answers count as.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import axios from "axios";
import { got } from "got";
import ky from "ky";
import { request } from "undici";
import { createBreaker, latching, slidingWindow, type Upstream } from "../../src/index.ts";
import {
  endOf,
  evidence,
  load,
  outcomes,
  programsOf,
  repeat,
  repeatUntilTimedOut,
  startBookmaker,
  type Behaviour,
  type Bookmaker,
} from "../support/docs.ts";

type Get = (url: string, signal: AbortSignal) => Promise<unknown>;

const [, , program = ""] = programsOf("docs/calls.md", "js");
const { get } = await load<{ get: Readonly<Record<string, Get>> }>(program);

const clients: Readonly<Record<string, Get>> = {
  ...get,
  "axios over fetch": async (url, signal) =>
    (await axios.get<unknown>(url, { signal, adapter: "fetch" })).data,
};

/** One that nobody meets, however busy the machine is, and one for those who are to meet it. */
const DEADLINE_MS = 10_000;
const SHORT_DEADLINE_MS = 150;

let bookmaker: Bookmaker;
/** Where nobody listens. */
let deaf: string;
const warnings: string[] = [];
const onWarning = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`);

before(async () => {
  process.on("warning", onWarning);
  bookmaker = await startBookmaker();
  const gone = createServer();
  await new Promise<void>((resolve) => void gone.listen(0, "127.0.0.1", resolve));
  deaf = `http://127.0.0.1:${(gone.address() as AddressInfo).port}/`;
  await new Promise((resolve) => gone.close(resolve));
});
after(() => {
  process.off("warning", onWarning);
  bookmaker.close();
});

function guardOf(
  options: { readonly status429?: "failure"; readonly deadlineMs?: number } = {},
): Upstream {
  return createBreaker("draftkings", latching(), { deadlineMs: DEADLINE_MS, ...options });
}

function tell(behaviour: Behaviour): void {
  bookmaker.behaviour = behaviour;
  bookmaker.asked = 0;
  bookmaker.left = 0;
}

/** That many calls, one after the other, to a bookmaker that behaves so. */
function calls(
  guard: Upstream,
  client: Get,
  behaviour: Behaviour,
  times: number,
): Promise<unknown[]> {
  tell(behaviour);
  return repeat(times, () => guard.execute(({ signal }) => client(bookmaker.url, signal)));
}

/** Until the server has seen so many leave. */
async function seenToLeave(times: number): Promise<void> {
  for (let n = 0; bookmaker.left < times && n < 200; n += 1) await sleep(10);
  assert.equal(bookmaker.left, times);
}

test("the page has the four clients", () => {
  assert.deepEqual(Object.keys(get), ["axios", "got", "ky", "undici"]);
});

for (const [name, client] of Object.entries(clients)) {
  describe(name, () => {
    test("answers with what it was given", async () => {
      const guard = guardOf();
      assert.deepEqual(await calls(guard, client, "odds", 1), [{ price: 1.9 }]);
      assert.deepEqual(outcomes(guard), { ok: 1 });
    });

    test("ten 404s trip nothing; ten 500s do, and the next call is not made", async () => {
      const guard = guardOf();
      await calls(guard, client, "404", 10);
      assert.deepEqual(outcomes(guard), { ok: 10 });
      await calls(guard, client, "500", 9);
      assert.equal(bookmaker.asked, 9);
      assert.equal(guard.isTripped, false);
      await calls(guard, client, "500", 1);
      assert.equal(guard.isTripped, true);

      assert.deepEqual(await calls(guard, client, "odds", 1), ["SG_BREAKER_OPEN"]);
      assert.equal(bookmaker.asked, 0);
      assert.deepEqual(outcomes(guard), { ok: 10, failed: 10 });
      assert.equal(guard.inFlight, 0);
    });

    test("429s count as nothing, and as failures where status429 says so", async () => {
      const neutral = guardOf();
      await calls(neutral, client, "429", 10);
      assert.deepEqual(outcomes(neutral), { ignored: 10 });
      const strict = guardOf({ status429: "failure" });
      await calls(strict, client, "429", 10);
      assert.equal(strict.isTripped, true);
    });

    for (const [behaviour, expected] of [
      ["304", { ok: 10 }],
      ["503 of a Switchgear", { ignored: 10 }],
      ["break", { failed: 10 }],
    ] as const) {
      test(`${behaviour} counts as ${Object.keys(expected).join()}`, async () => {
        const guard = guardOf();
        await calls(guard, client, behaviour, 10);
        assert.deepEqual(outcomes(guard), expected);
        assert.equal(guard.inFlight, 0);
      });
    }

    for (const behaviour of ["hang", "stall"] as const) {
      test(`${behaviour} times out, and the server sees the call end`, async () => {
        const guard = guardOf({ deadlineMs: SHORT_DEADLINE_MS });
        tell(behaviour);
        const ends = await repeatUntilTimedOut(guard, 2, () =>
          guard.execute(({ signal }) => client(bookmaker.url, signal)),
        );

        assert.deepEqual(new Set(ends), new Set(["SG_DEADLINE"]));
        assert.deepEqual(evidence(guard), { timeout: 2 });
        await seenToLeave(ends.length);
        assert.equal(guard.inFlight, 0);
      });

      test(`a caller who leaves while it waits in a ${behaviour} is no evidence`, async () => {
        const guard = guardOf();
        const mine = new Error("the page was left");
        tell(behaviour);
        const leave = new AbortController();
        const call = guard.execute(({ signal }) => client(bookmaker.url, signal), {
          signal: leave.signal,
        });
        while (bookmaker.asked === 0) await sleep(5);
        await sleep(20);
        leave.abort(mine);

        await assert.rejects(call, (error) => error === mine);
        assert.deepEqual(outcomes(guard), { ignored: 1 });
        await seenToLeave(1);
        assert.equal(guard.inFlight, 0);
      });
    }

    test("a connection that is refused has failed", async () => {
      const guard = guardOf();
      await repeat(10, () => guard.execute(({ signal }) => client(deaf, signal)));
      assert.deepEqual(outcomes(guard), { failed: 10 });
      assert.equal(guard.isTripped, true);
      assert.equal(guard.inFlight, 0);
    });

    test("an address that is none says nothing about the upstream", async () => {
      const guard = guardOf();
      for (const url of ["http://[bad", "foo://x/"]) {
        const end = await endOf(guard.execute(({ signal }) => client(url, signal)));
        assert.equal(typeof end, "string", url);
      }
      assert.deepEqual(outcomes(guard), { ignored: 2 });
    });

    test("a Retry-After is heard", async () => {
      const breaker = slidingWindow({ openDurationMs: 1000, openDurationJitter: 0 });
      const guard = createBreaker("draftkings", breaker, { deadlineMs: DEADLINE_MS });
      await calls(guard, client, "503, come again", 10);
      const refusal = await guard.execute(() => "odds").catch((error: unknown) => error);
      const { retryAfterMs = 0 } = refusal as { readonly retryAfterMs?: number };
      assert.ok(retryAfterMs > 50_000, String(refusal));
    });

    test("one signal for many calls leaves no listeners behind", async () => {
      const guard = guardOf();
      const page = new AbortController();
      bookmaker.behaviour = "odds";
      const call = (): Promise<unknown> =>
        guard.execute(({ signal }) => client(bookmaker.url, signal), { signal: page.signal });
      await repeat(20, call);
      await Promise.all(Array.from({ length: 20 }, call));

      assert.deepEqual(outcomes(guard), { ok: 40 });
      assert.deepEqual(warnings, []);
    });
  });
}

describe("what docs/calls.md warns of", () => {
  const rash: Readonly<Record<string, Get>> = {
    got: (url, signal) => got(url, { signal }).json(),
    ky: (url, signal) => ky(url, { signal }).json(),
  };
  for (const [name, client] of Object.entries(rash)) {
    test(`${name} with its retries makes a timeout of a 500 and of a 429 with a Retry-After`, async () => {
      const guard = guardOf({ deadlineMs: SHORT_DEADLINE_MS });
      const call = (): Promise<unknown> =>
        guard.execute(({ signal }) => client(bookmaker.url, signal));
      tell("500");
      await repeatUntilTimedOut(guard, 1, call);
      tell("429");
      await repeatUntilTimedOut(guard, 2, call);
      assert.deepEqual(evidence(guard), { timeout: 2 });
    });
  }

  test("three requests of ky are one result", async () => {
    const guard = guardOf();
    await calls(guard, (url, signal) => ky(url, { signal }).json(), "500", 1);
    assert.equal(bookmaker.asked, 3);
    assert.deepEqual(outcomes(guard), { failed: 1 });
  });

  test("a client that throws for no status is ok, but for a Response", async () => {
    const mild: readonly (readonly [Get, object])[] = [
      [(url, signal) => axios.get(url, { signal, validateStatus: () => true }), { ok: 1 }],
      [
        (url, signal) => got(url, { signal, retry: { limit: 0 }, throwHttpErrors: false }),
        { ok: 1 },
      ],
      [async (url, signal) => (await request(url, { signal })).statusCode, { ok: 1 }],
      [(url, signal) => ky(url, { signal, retry: 0, throwHttpErrors: false }), { failed: 1 }],
    ];
    for (const [client, expected] of mild) {
      const guard = guardOf();
      await calls(guard, client, "500", 1);
      assert.deepEqual(outcomes(guard), expected);
    }
  });

  test("the clients' own limits are timeouts, but for axios' in a body", async () => {
    const limited: readonly (readonly [Get, Behaviour, object])[] = [
      [(url, signal) => axios.get(url, { signal, timeout: 50 }), "hang", { timeout: 1 }],
      [
        (url, signal) => axios.get(url, { signal, timeout: 50, timeoutErrorMessage: "too slow" }),
        "hang",
        { timeout: 1 },
      ],
      // Long enough for the answer's head on a busy machine: before it, axios tells its limit.
      [(url, signal) => axios.get(url, { signal, timeout: 500 }), "stall", { failed: 1 }],
      [
        (url, signal) => got(url, { signal, timeout: { request: 50 }, retry: { limit: 0 } }).json(),
        "stall",
        { timeout: 1 },
      ],
      [(url, signal) => ky(url, { signal, timeout: 50, retry: 0 }).json(), "hang", { timeout: 1 }],
    ];
    for (const [client, behaviour, expected] of limited) {
      const guard = guardOf();
      await calls(guard, client, behaviour, 1);
      assert.deepEqual(outcomes(guard), expected);
    }
  });

  test("options that are none count as nothing", async () => {
    const guard = guardOf();
    const wrong: object = { timeout: 5 };
    await calls(guard, (url, signal) => got(url, { signal, ...wrong }).json(), "odds", 1);
    await calls(guard, (url, signal) => got(url, { signal, json: { a: 1 } }).json(), "odds", 1);
    assert.deepEqual(outcomes(guard), { ignored: 2 });
    assert.equal(bookmaker.asked, 0);
  });
});
