// The pages of endpoints, of a slow bookmaker, and of one that stays tripped, each followed while its
// alert fires; see breakers.test.ts. Each bookmaker is its own, so that the stories, which mostly wait,
// run side by side.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startBookmaker, type Bookmaker } from "../../loadtest/bookmaker/server.ts";
import { until } from "../pager/processes.ts";
import { replaced } from "../pager/settings.ts";
import { startStack, type Stack } from "../pager/stack.ts";
import { whyNoTools } from "../tools/available.ts";
import { WAIT_MS, keepCalling, onCall } from "./on-call.ts";

const skip = "Bun" in globalThis ? "one runner starts all stacks: Node" : whyNoTools();

let stack: Stack;
let betmgm: Bookmaker;
let caesars: Bookmaker;
let pool: Bookmaker;
const { fires, ends, diagnose, mitigate, verify, call, order } = onCall(() => stack);

/** An endpoint that is not set aside while half of its calls fail, so that its numbers are what tells. */
const PATIENT = "endpointBreaker: { cooldownMs: 10000, failureThreshold: 20, adaptive: false }";

function configured(demo: string): string {
  const patient = replaced(demo, "endpointBreaker: { cooldownMs: 10000 }", PATIENT);
  const odds = "operations: { odds: { path: /odds } }";
  return `${patient}
  betmgm: { url: "${betmgm.url}", ${odds} }
  caesars: { url: "${caesars.url}", deadlineMs: 10000, ${odds} }
  pool:
    endpoints: [{ name: pool-a, url: "${pool.url}" }, { name: pool-b, url: "${pool.url}" }]
    breaker: { kind: latching, failureThreshold: 1000 }
    endpointBreaker: { failureThreshold: 2, cooldownMs: 60000 }
    ${odds}
`;
}

before(async () => {
  if (skip !== false) return;
  [betmgm, caesars, pool] = await Promise.all([
    startBookmaker({ name: "betmgm", serviceMs: 1 }),
    startBookmaker({ name: "caesars", serviceMs: 1 }),
    startBookmaker({ name: "pool", serviceMs: 1 }),
  ]);
  stack = await startStack({ config: configured, msMax: 500_000 });
});

after(async () => {
  if (skip !== false) return;
  await Promise.all([stack.stop(), betmgm.close(), caesars.close(), pool.close()]);
});

const ENDPOINT = "feeds-draftkings";
const env = { ENDPOINT };
const endpoint = { endpoint: ENDPOINT };

/** Calls until the endpoint is in this state. */
function untilState(state: number, callsAtOnce: number): Promise<true> {
  return until(
    `${ENDPOINT} is in state ${state}`,
    async () => {
      await stack.call("/feeds/odds", callsAtOnce);
      const text = await (await fetch(`${stack.gateway.adminUrl}/metrics`)).text();
      return text.includes(`circuit_breaker_state{endpoint="${ENDPOINT}"} ${state}`)
        ? true
        : undefined;
    },
    WAIT_MS,
  );
}

describe("side by side", { concurrency: true, skip: skip !== false }, () => {
  test("an endpoint fails some calls, then many, then is slow, too", async () => {
    const asking = keepCalling(() => call("/feeds/odds"), 10);
    try {
      stack.draftkings.control({ errorRate: 0.12 });
      await fires("CircuitBreakerSuccessRatioLow", { ...endpoint, severity: "warning" });
      await diagnose("CircuitBreakerSuccessRatioLow", env);

      stack.draftkings.control({ errorRate: 0.5 });
      await fires("CircuitBreakerSuccessRatioLow", { ...endpoint, severity: "critical" });
      await diagnose("CircuitBreakerSuccessRatioLow", env);
      await mitigate("CircuitBreakerSuccessRatioLow", env);

      // A mean of 1.3 seconds, and a spread of more than half a second.
      stack.draftkings.control({ slowdown: 800, latencyMs: 500 });
      await fires("CircuitBreakerHealthLow", endpoint);
      await diagnose("CircuitBreakerHealthLow", env);

      stack.draftkings.restore();
      await verify("CircuitBreakerHealthLow", env);
      await verify("CircuitBreakerSuccessRatioLow", env);
      await ends("CircuitBreakerHealthLow", endpoint);
      await ends("CircuitBreakerSuccessRatioLow", endpoint);
    } finally {
      stack.draftkings.restore();
      await asking.end();
    }

    stack.draftkings.control({ status: 500 });
    await untilState(2, 10);
    await fires("CircuitBreakerEndpointCoolingDown", endpoint);
    await diagnose("CircuitBreakerEndpointCoolingDown", env);

    // One canary after the cooldown, and then nobody calls any more.
    stack.draftkings.restore();
    await untilState(3, 1);
    await fires("CircuitBreakerHalfOpenStuck", endpoint);
    await diagnose("CircuitBreakerHalfOpenStuck", env);
    await mitigate("CircuitBreakerHalfOpenStuck", env);
    await verify("CircuitBreakerHalfOpenStuck", env);
    await mitigate("CircuitBreakerEndpointCoolingDown", env);
    await verify("CircuitBreakerEndpointCoolingDown", env);
    await ends("CircuitBreakerEndpointCoolingDown", endpoint);
    await ends("CircuitBreakerHalfOpenStuck", endpoint);
  });

  test("CircuitBreakerLatencyHigh", async () => {
    const slow = { BOOKMAKER: "caesars", BOOKMAKER_URL: `${caesars.url}/odds` };
    const bookmaker = { bookmaker: "caesars" };
    caesars.control({ latencyMs: 2300 });
    const asking = keepCalling(() => call("/caesars/odds"), 10);
    try {
      await fires("CircuitBreakerLatencyHigh", bookmaker);
      await diagnose("CircuitBreakerLatencyHigh", slow);
      // The bookmaker was called, and is fast again.
      caesars.restore();
      await verify("CircuitBreakerLatencyHigh", slow);
      await ends("CircuitBreakerLatencyHigh", bookmaker);
    } finally {
      assert.deepEqual(await asking.end(), new Set([200]), "slow is not failed");
    }
  });

  test("CircuitBreakerNoEndpoint", async () => {
    const none = { BOOKMAKER: "pool", BOOKMAKER_URL: `${pool.url}/odds` };
    const bookmaker = { bookmaker: "pool" };
    pool.control({ status: 500 });
    const asking = keepCalling(() => call("/pool/odds"));
    try {
      await fires("CircuitBreakerNoEndpoint", bookmaker);
      await diagnose("CircuitBreakerNoEndpoint", none);
      pool.restore();
      await mitigate("CircuitBreakerNoEndpoint", none);
      await verify("CircuitBreakerNoEndpoint", none);
      await ends("CircuitBreakerNoEndpoint", bookmaker);
    } finally {
      await asking.end();
    }
  });

  test("CircuitBreakerStuckOpen", async () => {
    const stuck = { BOOKMAKER: "betmgm", BOOKMAKER_URL: `${betmgm.url}/odds` };
    const bookmaker = { bookmaker: "betmgm" };
    betmgm.control({ status: 500 });
    await stack.call("/betmgm/odds", 11);
    const asking = keepCalling(() => call("/betmgm/odds"));
    await fires("CircuitBreakerStuckOpen", bookmaker);
    await diagnose("CircuitBreakerStuckOpen", stuck);
    await mitigate("CircuitBreakerStuckOpen", stuck);
    await verify("CircuitBreakerStuckOpen", stuck);
    assert.deepEqual(await asking.end(), new Set([503]));

    await order("reset", "betmgm");
    await ends("CircuitBreakerStuckOpen", bookmaker);
  });
});
