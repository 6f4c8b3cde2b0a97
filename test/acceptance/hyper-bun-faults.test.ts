// Whose fault it was, where a service keeps nothing but the words of an error: what really happens on a
// wire speaks against the bookmaker, its own refusals and what this host lacks do not.

import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import {
  classifyDarkPoolProbe,
  classifyDeepProbe,
  classifyMicroBet,
  protectMarketProbeService,
  type ResultVerdict,
} from "../../src/hyper-bun/index.ts";
import { FillingProbeService } from "../fixtures/hyper-bun/src/services/filling-probe-service.ts";
import { drop } from "../support/hyper-bun.ts";
import { freePorts } from "../support/programs.ts";

/** As a service that fills what is missing tells of one attempt. */
function filled(rejectionReason: unknown): object {
  return { accessible: false, rejectionReason, responseTime: 0, limits: {} };
}

function resultOf(verdict: ResultVerdict): string {
  return typeof verdict === "object" ? verdict.result : verdict;
}

/** One attempt by each of the three ways, as a service tells of it. */
function verdictsOn(words: string): string[] {
  const endpoint = { success: false, endpoint: "markets", error: words };
  return [
    classifyMicroBet(filled(words)),
    classifyDarkPoolProbe({ success: false, error: words }),
    classifyDeepProbe({ endpoints: [endpoint, endpoint] }),
  ].map(resultOf);
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What the runtime's own fetch says of it. */
async function wordsOfFetch(url: string, init?: RequestInit): Promise<string> {
  try {
    const answer = (await (await fetch(url, init)).json()) as { odds: unknown };
    // An answer of nothing is an error to whoever reads it, where it is none to the runtime.
    void answer.odds;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it should have failed");
}

const ON_THE_WIRE: readonly (readonly [
  name: string,
  verdict: "failure" | "timeout",
  words: (t: TestContext) => Promise<string>,
])[] = [
  [
    "nobody listens",
    "failure",
    async () => {
      const [port = 0] = await freePorts(1);
      return wordsOfFetch(`http://127.0.0.1:${port}`);
    },
  ],
  [
    "the connection is reset",
    "failure",
    async (t) => wordsOfFetch(await serve(t, ({ socket }) => void socket.resetAndDestroy())),
  ],
  [
    "it ends before the head",
    "failure",
    async (t) => wordsOfFetch(await serve(t, ({ socket }) => void socket.end())),
  ],
  [
    "the answer is an error page",
    "failure",
    async (t) => wordsOfFetch(await serve(t, (_, answer) => void answer.end("<html>down</html>"))),
  ],
  [
    "the answer is empty",
    "failure",
    async (t) => wordsOfFetch(await serve(t, (_, answer) => void answer.end())),
  ],
  [
    "the answer breaks off",
    "failure",
    async (t) =>
      wordsOfFetch(
        await serve(t, (_, answer) => {
          answer.setHeader("content-length", "100");
          answer.write('{"odds":', () => answer.destroy());
        }),
      ),
  ],
  [
    "the answer is not compressed as it says",
    "failure",
    async (t) =>
      wordsOfFetch(
        await serve(t, (_, answer) => {
          answer.setHeader("content-encoding", "gzip");
          answer.end("no gzip");
        }),
      ),
  ],
  [
    "its redirects lead in a circle",
    "failure",
    async (t) =>
      wordsOfFetch(
        await serve(t, (_, answer) => void answer.writeHead(302, { location: "/" }).end()),
      ),
  ],
  [
    "there is no TLS where some is expected",
    "failure",
    async (t) => wordsOfFetch((await serve(t, () => {})).replace("http:", "https:")),
  ],
  [
    "it does not answer",
    "timeout",
    async (t) => wordsOfFetch(await serve(t, () => {}), { signal: AbortSignal.timeout(50) }),
  ],
];

for (const [name, verdict, words] of ON_THE_WIRE) {
  test(`the runtime's words when ${name} are a ${verdict} of the bookmaker`, async (t) => {
    const said = await words(t);

    assert.deepEqual(verdictsOn(said), [verdict, verdict, verdict], said);
  });
}

test("the runtime's words for a request that cannot be made say nothing", async () => {
  const undefinedBase: string | undefined = undefined;
  for (const said of [
    await wordsOfFetch(`${String(undefinedBase)}/markets`),
    await wordsOfFetch("http://127.0.0.1:9", { headers: { authorization: "key\nwith a line" } }),
  ]) {
    assert.deepEqual(verdictsOn(said), ["ignored", "ignored", "ignored"], said);
  }
});

const WORDS: readonly (readonly [verdict: string, words: readonly string[]])[] = [
  [
    "failure",
    [
      "connect ECONNREFUSED 10.0.0.1:443",
      "getaddrinfo ENOTFOUND api.draftkings.example",
      "fetch failed",
      "socket hang up",
      "Network error",
      "terminated",
      "HTTP 503: Service Unavailable",
      "Request failed with status code 502",
      "504 Gateway Timeout",
      "Internal Server Error",
      "unable to verify the first certificate",
      "odds: read ECONNRESET",
      `Unexpected token 'N', "No stake" is not valid JSON`,
    ],
  ],
  [
    "timeout",
    ["timeout of 3000ms exceeded", "connect ETIMEDOUT 10.0.0.1:443", "Request timed out"],
  ],
  [
    "success",
    [
      "Market suspended",
      "market suspended during a timeout on the field",
      "Stake too high",
      "500 is above the stake limit",
      "Market closed",
      "Odds changed, bet rejected",
    ],
  ],
  [
    "ignored",
    [
      "API key missing",
      "DRAFTKINGS_API_KEY is not set",
      "Missing environment variable DRAFTKINGS_API_KEY",
      "no credentials configured for draftkings",
      "No API key for draftkings",
      "Cannot read properties of undefined (reading 'apiKey')",
      "undefined is not an object (evaluating 'config.draftkings.apiKey')",
      "no address is known for draftkings",
      "draftkings is not configured",
      "connect EMFILE 10.0.0.1:443 - Local",
    ],
  ],
];

for (const [verdict, sentences] of WORDS) {
  for (const words of sentences) {
    test(`"${words}" is ${verdict} in all three calls`, () => {
      assert.deepEqual(verdictsOn(words), [verdict, verdict, verdict]);
    });
  }
}

test("a rejection in words that nobody knows, or in none, speaks against no bookmaker", () => {
  assert.equal(classifyMicroBet(filled("Ask the trading desk")), "success");
  for (const none of ["", " ", 0, {}, null, undefined, []]) {
    assert.equal(classifyMicroBet(filled(none)), "ignored", JSON.stringify(none));
  }
  assert.deepEqual(
    classifyMicroBet({ accessible: false, rejectionReason: { code: "ECONNRESET", message: "" } }),
    { result: "failure", error: "ECONNRESET" },
  );
});

test("endpoints that could not be called leave the verdict to the others", () => {
  const own = { success: false, endpoint: "orders", error: "API key missing" };
  const slow = { success: false, endpoint: "markets", error: "The operation timed out." };
  const verdict = classifyDeepProbe({ endpoints: [own, slow, own] });
  assert.deepEqual(verdict, { result: "timeout", error: "The operation timed out." });
});

test("a service that fills with 0 and {} trips no healthy bookmaker by its markets' rejections", async (t) => {
  const url = await serve(t, (_, answer) => {
    answer.setHeader("content-type", "application/json");
    answer.end(JSON.stringify({ rejection_reason: "Market suspended" }));
  });
  const { breaker } = drop();
  const service = protectMarketProbeService(new FillingProbeService(() => url, "a key"), breaker);
  const node = { id: "m1", bookmaker: "dk", marketType: "moneyline" };

  for (let n = 0; n < 50; n += 1) {
    const { accessible, responseTime, limits } = await service.simulateMicroBetAttempt(node);
    assert.deepEqual([accessible, responseTime, limits], [false, 0, {}]);
    await service.probeDarkPoolMarket("dk", "m1");
    await service.executeBookmakerApiProbe("dk");
  }

  assert.equal(breaker.getStatus("dk")?.failures, 0);
});

test("a service without its key trips nobody, and takes no failure of a bookmaker's back", async () => {
  const made = drop();
  await made.breaker.recordFailure("dk", "HTTP 503");
  const service = protectMarketProbeService(
    new FillingProbeService(() => "http://127.0.0.1:9", undefined),
    made.breaker,
  );
  const node = { id: "m1", bookmaker: "dk", marketType: "moneyline" };

  for (let n = 0; n < 20; n += 1) {
    await service.simulateMicroBetAttempt(node);
    await service.probeDarkPoolMarket("dk", "m1");
    await service.executeBookmakerApiProbe("dk");
  }

  assert.equal(made.breaker.getStatus("dk")?.failures, 1);
});

test("the same service trips a bookmaker that cannot be reached, by each of its calls", async () => {
  const [port = 0] = await freePorts(1);
  const node = { id: "m1", bookmaker: "dk", marketType: "moneyline" };
  const base = (): string => `http://127.0.0.1:${port}`;
  for (const call of [
    (service: FillingProbeService) => service.simulateMicroBetAttempt(node),
    (service: FillingProbeService) => service.probeDarkPoolMarket("dk", "m1"),
    (service: FillingProbeService) => service.executeBookmakerApiProbe("dk"),
  ]) {
    const { breaker } = drop();
    const service = protectMarketProbeService(new FillingProbeService(base, "a key"), breaker);
    for (let n = 0; n < 10; n += 1) await call(service);
    assert.equal(breaker.isTripped("dk"), true);
  }
});

test("what was thrown before any call is no bookmaker's fault, and what an answer does to code is", async () => {
  const made = drop();
  const thrown: readonly (readonly [counts: number, () => unknown])[] = [
    [0, () => raise(new Error("DRAFTKINGS_API_KEY is not set"))],
    [0, () => raise(new Error("No credentials configured for dk"))],
    [0, () => (JSON.parse("{}") as { dk: { apiKey: string } }).dk.apiKey],
    [0, () => raise(new ReferenceError("baseUrls is not defined"))],
    [0, () => fetch("nowhere/at/all")],
    [1, () => raise(Object.assign(new Error("credentials service not found"), { status: 503 }))],
    [1, () => (JSON.parse("null") as { odds: unknown }).odds],
    [1, () => raise(new Error("boom"))],
  ];
  for (const [counts, fn] of thrown) {
    const before = made.breaker.getStatus("dk")?.failures ?? 0;
    await assert.rejects(made.breaker.callApi("dk", fn));
    assert.equal((made.breaker.getStatus("dk")?.failures ?? 0) - before, counts, String(fn));
  }
});

function raise(error: Error): never {
  throw error;
}
