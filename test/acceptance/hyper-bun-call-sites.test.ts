// Specification 9.A: Hyper-Bun's three call sites, none of which ever throws (T-A-71), and a spike
// against a bookmaker that hangs (T-A-70).

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { afterEach, test, type TestContext } from "node:test";
import { startBookmaker, type Bookmaker } from "../../loadtest/bookmaker/server.ts";
import {
  CircuitBreakerTrippedError,
  classifyDarkPoolProbe,
  classifyDeepProbe,
  classifyMicroBet,
  closeCircuitBreaker,
  LoadShedError,
  ProductionCircuitBreaker,
  protectMarketProbeService,
  setCircuitBreaker,
  type ResultVerdict,
} from "../../src/hyper-bun/index.ts";
import { MarketProbeService } from "../fixtures/hyper-bun/src/services/market-probe-service.ts";
import { drop } from "../support/hyper-bun.ts";

afterEach(closeCircuitBreaker);

async function bookmaker(t: TestContext, control: object): Promise<Bookmaker> {
  const started = await startBookmaker({ port: 0, workers: 500, serviceMs: 1 });
  t.after(() => started.close());
  await tell(started, control);
  return started;
}

async function tell({ url }: Bookmaker, control: object): Promise<void> {
  const body = JSON.stringify(control);
  const answer = await fetch(`${url}/__control`, { method: "PUT", body });
  assert.equal(answer.status, 200, await answer.text());
}

const NODE = { id: "m1", bookmaker: "dk", marketType: "moneyline" };

function calls(service: MarketProbeService): Record<string, () => Promise<unknown>> {
  return {
    executeBookmakerApiProbe: () => service.executeBookmakerApiProbe("dk"),
    simulateMicroBetAttempt: () => service.simulateMicroBetAttempt(NODE),
    probeDarkPoolMarket: () => service.probeDarkPoolMarket("dk", "m1"),
  };
}

for (const [name, operation] of [
  ["executeBookmakerApiProbe", "deepProbe"],
  ["simulateMicroBetAttempt", "microBet"],
  ["probeDarkPoolMarket", "darkPoolProbe"],
] as const) {
  test(`T-A-71 ${name} rejects while tripped, without a call to the bookmaker`, async (t) => {
    const upstream = await bookmaker(t, {});
    const made = drop();
    const service = protectMarketProbeService(
      new MarketProbeService(() => upstream.url),
      made.breaker,
    );
    const call = calls(service)[name];
    assert.ok(call);
    assert.ok(await call());
    assert.equal(made.breaker.getStatus("dk")?.failures, 0);
    assert.notEqual(made.breaker.getStatus("dk")?.lastSuccessAt, null);
    made.breaker.trip("dk", "x");
    const before = upstream.stats().received;
    await assert.rejects(call(), (error: unknown) => {
      assert.ok(error instanceof CircuitBreakerTrippedError);
      assert.equal(error.operation, operation);
      return true;
    });
    assert.equal(upstream.stats().received, before);
  });

  test(`T-A-71 ten ${name} against a bookmaker that is down trip it, and each answers`, async (t) => {
    // A micro bet does not look at the status, so for it the bookmaker must be gone.
    const down = name === "simulateMicroBetAttempt" ? { reset: true } : { status: 503 };
    const upstream = await bookmaker(t, down);
    const { breaker } = drop();
    const service = protectMarketProbeService(new MarketProbeService(() => upstream.url), breaker);
    const call = calls(service)[name];
    assert.ok(call);
    for (let n = 0; n < 10; n += 1) {
      assert.equal(breaker.isTripped("dk"), false, String(n));
      assert.equal(typeof (await call()), "object");
    }
    assert.equal(breaker.isTripped("dk"), true);
    assert.ok((breaker.getStatus("dk")?.lastError ?? "").length > 0);
    await assert.rejects(call(), CircuitBreakerTrippedError);
  });
}

test("T-A-71 a bookmaker that hangs weighs half a failure", async (t) => {
  const upstream = await bookmaker(t, { hang: true });
  const { breaker } = drop();
  // The service's own shortest wait is two seconds; this one has its words and not its patience.
  const service = protectMarketProbeService(
    {
      async probeDarkPoolMarket(name: string, marketId: string) {
        try {
          await fetch(`${upstream.url}/${name}/${marketId}`, { signal: AbortSignal.timeout(20) });
          return { success: true };
        } catch (error) {
          return { success: false, error: (error as Error).message };
        }
      },
    },
    breaker,
  );
  await service.probeDarkPoolMarket("dk", "m1");
  assert.equal(breaker.getStatus("dk")?.failures, 0.5);
});

test("T-A-71 business rejections never trip", async () => {
  const { breaker } = drop();
  const service = protectMarketProbeService(
    {
      simulateMicroBetAttempt: (_node: typeof NODE) =>
        Promise.resolve({
          accessible: false,
          rejectionReason: "Stake too low",
          responseTime: 200,
          limits: { min: 1 },
        }),
      probeDarkPoolMarket: (_bookmaker: string, _market: string) =>
        Promise.resolve({ success: false, error: "HTTP 404: Not Found", responseTime: 3 }),
    },
    breaker,
  );
  for (let n = 0; n < 100; n += 1) {
    await service.simulateMicroBetAttempt(NODE);
    await service.probeDarkPoolMarket("dk", "m1");
  }
  assert.equal(breaker.getStatus("dk")?.failures, 0);
});

const ok = { success: true, endpoint: "markets" };
const bad = { success: false, endpoint: "orders" };
const slow = { success: false, endpoint: "orders", error: "The operation timed out." };
const gone = { success: false, endpoint: "orders", error: "Unable to connect" };
const unreached = { accessible: false, responseTime: 0, limits: {} };

const VERDICTS: readonly (readonly [
  classify: (value: unknown) => ResultVerdict,
  unknown,
  unknown,
])[] = [
  [classifyDeepProbe, { endpoints: [ok, gone, gone, gone] }, "success"],
  [
    classifyDeepProbe,
    { endpoints: [bad, bad, bad, bad] },
    { result: "failure", error: "orders answered with an error" },
  ],
  [
    classifyDeepProbe,
    { endpoints: [slow, slow, slow, slow] },
    { result: "timeout", error: "The operation timed out." },
  ],
  [
    classifyDeepProbe,
    { endpoints: [slow, slow, gone, slow] },
    { result: "failure", error: "Unable to connect" },
  ],
  [classifyDeepProbe, { endpoints: [] }, "success"],
  [classifyDeepProbe, {}, "success"],
  [classifyDeepProbe, null, "success"],
  [classifyDeepProbe, { endpoints: [null, 7] }, "success"],
  [
    classifyMicroBet,
    { ...unreached, rejectionReason: "The operation was aborted due to timeout" },
    { result: "timeout", error: "The operation was aborted due to timeout" },
  ],
  [
    classifyMicroBet,
    { ...unreached, rejectionReason: "fetch failed" },
    { result: "failure", error: "fetch failed" },
  ],
  [classifyMicroBet, unreached, "ignored"],
  [classifyMicroBet, { ...unreached, responseTime: 200, rejectionReason: "timeout" }, "success"],
  [classifyMicroBet, { ...unreached, limits: { max: 5 } }, "success"],
  [classifyMicroBet, { ...unreached, accessible: true }, "success"],
  [classifyMicroBet, undefined, "success"],
  [classifyDarkPoolProbe, { success: true, error: "HTTP 503: x" }, "success"],
  [
    classifyDarkPoolProbe,
    { success: false, error: "HTTP 504: Gateway Timeout" },
    { result: "failure", error: "HTTP 504: Gateway Timeout" },
  ],
  [classifyDarkPoolProbe, { success: false, error: "HTTP 408: Request Timeout" }, "success"],
  [
    classifyDarkPoolProbe,
    { success: false, error: "HTTP 599" },
    { result: "failure", error: "HTTP 599" },
  ],
  [
    classifyDarkPoolProbe,
    { success: false, error: "timed out" },
    { result: "timeout", error: "timed out" },
  ],
  [
    classifyDarkPoolProbe,
    { success: false, error: "ECONNREFUSED" },
    { result: "failure", error: "ECONNREFUSED" },
  ],
  [classifyDarkPoolProbe, { success: false }, { result: "failure", error: "no reason given" }],
  [classifyDarkPoolProbe, 7, "success"],
];

for (const [classify, value, verdict] of VERDICTS) {
  test(`${classify.name} of ${JSON.stringify(value)}`, () => {
    assert.deepEqual(classify(value), verdict);
  });
}

class Service {
  readonly #secret = 41;
  calls = 0;

  executeBookmakerApiProbe(bookmaker: string): Promise<{ bookmaker: string; secret: number }> {
    this.calls += 1;
    return Promise.resolve({ bookmaker, secret: this.#secret });
  }

  secretPlus(more: number): number {
    return this.#secret + more;
  }

  get double(): number {
    return this.#secret * 2;
  }

  probeAll(): Promise<unknown> {
    return this.executeBookmakerApiProbe("dk");
  }
}

test("a class with private fields is guarded in its own calls too, and keeps all else", async () => {
  const { breaker } = drop();
  const original = new Service();
  const service = protectMarketProbeService(original, breaker);
  assert.equal(service, original);
  assert.ok(service instanceof Service);
  assert.equal(service.secretPlus(1), 42);
  assert.equal(service.double, 82);
  assert.deepEqual(Object.keys(service), ["calls"]);
  assert.deepEqual(await service.executeBookmakerApiProbe("dk"), { bookmaker: "dk", secret: 41 });
  breaker.trip("dk", "x");
  await assert.rejects(service.probeAll(), CircuitBreakerTrippedError);
  assert.equal(service.calls, 1);
  assert.equal((await new Service().executeBookmakerApiProbe("dk")).secret, 41);
});

test("guarding twice is guarding once", async () => {
  const made = drop();
  const gone = { success: false, error: "gone" };
  const service = { probeDarkPoolMarket: (_a: string, _b: string) => Promise.resolve(gone) };
  protectMarketProbeService(protectMarketProbeService(service, made.breaker), made.breaker);
  await service.probeDarkPoolMarket("dk", "m1");
  assert.equal(made.breaker.getStatus("dk")?.failures, 1);
});

test("what is no service is refused, and a call without a bookmaker is left to the method", async () => {
  const { breaker } = drop();
  assert.throws(() => protectMarketProbeService({}, breaker), TypeError);
  const service = {
    simulateMicroBetAttempt: (node: Partial<typeof NODE>) => Promise.resolve({ node }),
  };
  protectMarketProbeService(service, breaker);
  assert.deepEqual(await service.simulateMicroBetAttempt({}), { node: {} });
  assert.deepEqual(breaker.getAllStatus(), []);
});

test("without a breaker the process's own guards, looked up at each call", async () => {
  const service = protectMarketProbeService(new Service());
  const breaker = new ProductionCircuitBreaker(new DatabaseSync(":memory:"), undefined, 10, 0, 0, {
    logger: {},
  });
  setCircuitBreaker(breaker);
  breaker.trip("dk", "x");
  await assert.rejects(service.executeBookmakerApiProbe("dk"), CircuitBreakerTrippedError);
});

/** What the hanging bookmaker makes each call wait. The mandate's is 5 s; refusals must beat 100 ms. */
const HANG_MS = 1000;

test("T-A-70 a spike of fifty times the calls on a bookmaker that hangs", async (t) => {
  const upstream = await bookmaker(t, { hang: true });
  const breaker = new ProductionCircuitBreaker(
    new DatabaseSync(":memory:"),
    undefined,
    10,
    60_000,
    60_000,
    { logger: {} },
  );
  breaker.getSystemLoad = () => 0;
  const concurrency = 50;
  const call = async (): Promise<{ ms: number; refused: boolean }> => {
    const started = performance.now();
    const error: unknown = await breaker
      .callApi("dk", () => fetch(upstream.url, { signal: AbortSignal.timeout(HANG_MS) }), {
        operation: "deepProbe",
        estimatedLoad: 50,
      })
      .catch((reason: unknown) => reason);
    return {
      ms: performance.now() - started,
      refused: error instanceof CircuitBreakerTrippedError,
    };
  };
  // The first wave waits for its time-outs, and trips on the twentieth of them.
  const first = await Promise.all(Array.from({ length: concurrency }, call));
  assert.ok(first.every(({ refused }) => !refused));
  assert.ok(first.every(({ ms }) => ms >= HANG_MS * 0.9));
  assert.equal(breaker.isTripped("dk"), true);
  assert.equal(breaker.getStatus("dk")?.tripCount, 1);

  const waves = 49;
  const started = performance.now();
  const slow: number[] = [];
  for (let n = 0; n < waves; n += 1) {
    const wave = await Promise.all(Array.from({ length: concurrency }, call));
    assert.ok(wave.every(({ refused }) => refused));
    slow.push(...wave.map(({ ms }) => ms).filter((ms) => ms >= 100));
  }
  // Stand-stills of a busy machine hold up some waves; a wait of ours would hold up all.
  assert.ok(
    slow.length <= (waves / 4) * concurrency,
    `${slow.length} refusals took 100 ms or more`,
  );
  // That each wave waits for the bookmaker would take ten times as long.
  assert.ok(performance.now() - started < (waves * HANG_MS) / 10);
  assert.ok(upstream.stats().received <= 10 + concurrency);
});

test("T-A-70 under a load of 0.95 all heavy operations are shed and no light one", async () => {
  const { breaker } = drop();
  breaker.getSystemLoad = () => 0.95;
  let shed = 0;
  let light = 0;
  for (let n = 0; n < 500; n += 1) {
    const isHeavy = n % 2 === 0;
    const context = { operation: "mixed", estimatedLoad: isHeavy ? 200 : 50 };
    try {
      await breaker.callApi("dk", () => Promise.resolve(1), context);
      if (!isHeavy) light += 1;
    } catch (error) {
      assert.ok(error instanceof LoadShedError);
      shed += 1;
    }
  }
  assert.equal(shed, 250);
  assert.equal(light, 250);
});
