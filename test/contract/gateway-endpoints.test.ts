// The gateway with what it guards in earnest: several base URLs of one upstream, and an upstream that
// says when to come again. On each runtime with its own transport.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Gateway, GatewayUpstream } from "../../src/gateway/ports.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../src/index.ts";
import type { Switchgear, UpstreamOptions } from "../../src/index.ts";
import { systemClock } from "../../src/runtime/system-clock.ts";
import { raw, startUpstream, type Handler, type Upstream } from "./gateway-harness.ts";

const ok: Handler = (_request, response) => response.end("ok");
const broken: Handler = (_request, response) => response.writeHead(500).end("broken");

let a: Upstream;
let b: Upstream;
let answerA: Handler = ok;
let answerB: Handler = ok;

before(async () => {
  a = await startUpstream((request, response) => answerA(request, response));
  b = await startUpstream((request, response) => answerB(request, response));
});
after(() => {
  a.close();
  b.close();
});
beforeEach(() => {
  answerA = ok;
  answerB = ok;
  a.requests.length = 0;
  b.requests.length = 0;
});

interface Rig {
  readonly gear: Switchgear;
  readonly gateway: Gateway;
  readonly get: (path?: string) => ReturnType<typeof raw>;
}

async function withGateway(
  options: Omit<UpstreamOptions, "breaker"> & Partial<UpstreamOptions>,
  run: (rig: Rig) => Promise<void>,
): Promise<void> {
  const gear = createSwitchgear({ upstreams: { feeds: { breaker: latching(), ...options } } });
  const guard = gear.upstream("feeds");
  const endpoints = guard.endpoints?.endpoints.map(
    ({ name, url }) => [name, new URL(url)] as const,
  );
  const feeds: GatewayUpstream = {
    name: "feeds",
    url: new URL(a.url),
    endpoints: endpoints === undefined ? undefined : new Map(endpoints),
    deadlineMs: 5000,
    status429: "neutral",
    operations: [],
    guard,
  };
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    upstreams: new Map([["feeds", feeds]]),
    maxBodyBytes: 1000,
    maxHeaderBytes: 16_384,
    scheduler: systemClock,
    version: "test",
  });
  try {
    await run({
      gear,
      gateway,
      get: (path = "/odds") =>
        raw(gateway.port, `GET /feeds${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`),
    });
  } finally {
    await gateway.stop(0);
    await gear.close();
  }
}

test("idle endpoints share the calls, each under its own path", async () => {
  await withGateway(
    { endpoints: [`${a.url}/v1`, { name: "b", url: `${b.url}/v2/` }] },
    async (rig) => {
      for (let n = 0; n < 6; n += 1) assert.equal((await rig.get()).status, 200);
    },
  );

  assert.deepEqual(a.requests, ["GET /v1/odds", "GET /v1/odds", "GET /v1/odds"]);
  assert.deepEqual(b.requests, ["GET /v2/odds", "GET /v2/odds", "GET /v2/odds"]);
});

test("an endpoint that fails loses the calls to the one that does not", async () => {
  answerB = broken;
  const endpointBreaker = adaptive({ failureThreshold: 2, adaptive: false });
  await withGateway({ endpoints: [a.url, b.url], endpointBreaker }, async ({ gear, get }) => {
    const statuses: number[] = [];
    for (let n = 0; n < 12; n += 1) statuses.push((await get()).status);

    assert.equal(statuses.filter((status) => status === 500).length, b.requests.length);
    assert.deepEqual(statuses.slice(-6), [200, 200, 200, 200, 200, 200]);
    const states = gear
      .upstream("feeds")
      .status()
      .endpoints.map(({ state }) => state);
    assert.deepEqual(states, ["healthy", "degraded"]);
    assert.equal(gear.upstream("feeds").status().endpoints[1]?.failures, b.requests.length);
  });
});

test("with every endpoint cooling down the caller is told so, and nobody is asked", async () => {
  answerA = broken;
  answerB = broken;
  const options: Partial<UpstreamOptions> = {
    breaker: latching({ failureThreshold: 1000 }),
    endpoints: [a.url, b.url],
    endpointBreaker: adaptive({ failureThreshold: 1, adaptive: false, cooldownMs: 60_000 }),
  };
  await withGateway(options, async ({ gear, get }) => {
    for (let n = 0; n < 4; n += 1) assert.equal((await get()).status, 500);
    const asked = a.requests.length + b.requests.length;

    const answer = await get();

    assert.equal(answer.status, 503);
    assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["no_endpoint"]);
    const [retryAfter] = answer.headers.get("retry-after") ?? [];
    assert.ok(Number(retryAfter) > 30 && Number(retryAfter) <= 78, `Retry-After ${retryAfter}`);
    assert.equal(JSON.parse(answer.body).error, "no_endpoint");
    assert.equal(a.requests.length + b.requests.length, asked);

    // Where the operator overrules the breaker, those of the endpoints are overruled, too.
    gear.upstream("feeds").setMode({ mode: "forced-closed" });
    assert.equal((await get()).status, 500);
    gear.upstream("feeds").setMode({ mode: "normal" });
    answerA = ok;
    answerB = ok;
    gear.upstream("feeds").reset({ reason: "back" });
    assert.equal((await get()).status, 200);
  });
});

test("an upstream that says when to come again is left alone until then", async () => {
  answerA = (_request, response) => response.writeHead(503, { "retry-after": "77" }).end();
  const breaker = slidingWindow({ minimumCalls: 2, openDurationMs: 1000 });
  await withGateway({ breaker }, async ({ get }) => {
    await get();
    await get();

    const answer = await get();

    assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["tripped"]);
    assert.deepEqual(answer.headers.get("retry-after"), ["77"]);
    assert.equal(a.requests.length, 2);
  });
});

test("a path that would leave an endpoint's base URL gives the call back", async () => {
  await withGateway({ endpoints: [a.url] }, async ({ gear, get }) => {
    const answer = await get("//other/odds");

    assert.equal(answer.status, 400);
    assert.deepEqual(a.requests, []);
    assert.equal(gear.upstream("feeds").inFlight, 0);
    assert.equal(gear.upstream("feeds").status().endpoints[0]?.inFlight, 0);
  });
});
