// The pages of endpoints, of budgets, of limits, and of one that stays tripped, each followed while its
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
let unibet: Bookmaker;
let pointsbet: Bookmaker;
const { fires, ends, diagnose, mitigate, verify, call, order } = onCall(() => stack);

/** An endpoint that is not set aside while half of its calls fail, so that its numbers are what tells. */
const PATIENT = "endpointBreaker: { cooldownMs: 10000, failureThreshold: 20, adaptive: false }";

function configured(demo: string): string {
  const patient = replaced(demo, "endpointBreaker: { cooldownMs: 10000 }", PATIENT);
  const odds = "operations: { odds: { path: /odds } }";
  return `${patient}
  betmgm: { url: "${betmgm.url}", ${odds} }
  caesars: { url: "${caesars.url}", deadlineMs: 10000, ${odds} }
  unibet: { url: "${unibet.url}", ${odds} }
  pointsbet:
    url: "${pointsbet.url}"
    deadlineMs: 1000
    breaker: { kind: latching, failureThreshold: 100000 }
    ${odds}
  pool:
    endpoints: [{ name: pool-a, url: "${pool.url}" }, { name: pool-b, url: "${pool.url}" }]
    breaker: { kind: latching, failureThreshold: 1000 }
    endpointBreaker: { failureThreshold: 2, cooldownMs: 60000 }
    ${odds}
`;
}

before(async () => {
  if (skip !== false) return;
  [betmgm, caesars, pool, unibet, pointsbet] = await Promise.all([
    startBookmaker({ name: "betmgm", serviceMs: 1 }),
    startBookmaker({ name: "caesars", serviceMs: 1 }),
    startBookmaker({ name: "pool", serviceMs: 1 }),
    startBookmaker({ name: "unibet", serviceMs: 1 }),
    startBookmaker({ name: "pointsbet", serviceMs: 1 }),
  ]);
  stack = await startStack({ config: configured, msMax: 500_000 });
});

after(async () => {
  if (skip !== false) return;
  const bookmakers = [betmgm, caesars, pool, unibet, pointsbet];
  await Promise.all([stack.stop(), ...bookmakers.map((one) => one.close())]);
});

/** Calls until a breaker is in this state. */
function untilState(path: string, endpoint: string, state: number): Promise<true> {
  return until(
    `${endpoint} is in state ${state}`,
    async () => {
      await stack.call(path, 10);
      const text = await (await fetch(`${stack.gateway.adminUrl}/metrics`)).text();
      return text.includes(`circuit_breaker_state{endpoint="${endpoint}"} ${state}`)
        ? true
        : undefined;
    },
    WAIT_MS,
  );
}

describe("side by side", { concurrency: true, skip: skip !== false }, () => {
  test("an endpoint fails some calls, then all", async () => {
    const env = { BOOKMAKER: "feeds" };
    const bookmaker = { bookmaker: "feeds" };
    const asking = keepCalling(() => call("/feeds/odds"), 10);
    try {
      stack.draftkings.control({ errorRate: 0.2 });
      await fires("CircuitBreakerSuccessRatioLow", bookmaker);
      await diagnose("CircuitBreakerSuccessRatioLow", env);
      await mitigate("CircuitBreakerSuccessRatioLow", env);

      stack.draftkings.restore();
      await verify("CircuitBreakerSuccessRatioLow", env);
      await ends("CircuitBreakerSuccessRatioLow", bookmaker);

      stack.draftkings.control({ status: 500 });
      await untilState("/feeds/odds", "feeds-draftkings", 2);
      await fires("CircuitBreakerEndpointCoolingDown", bookmaker);
      await diagnose("CircuitBreakerEndpointCoolingDown", env);
      stack.draftkings.restore();
      await mitigate("CircuitBreakerEndpointCoolingDown", env);
      await verify("CircuitBreakerEndpointCoolingDown", env);
      await ends("CircuitBreakerEndpointCoolingDown", bookmaker);
    } finally {
      stack.draftkings.restore();
      await asking.end();
    }
  });

  test("SwitchgearErrorBudgetBurn: calls fail, and too seldom in a row to trip", async () => {
    const failing = { BOOKMAKER: "unibet", BOOKMAKER_URL: `${unibet.url}/odds` };
    const budget = { bookmaker: "unibet", slo: "success", window: "1h", severity: "critical" };
    unibet.control({ errorRate: 0.3 });
    const asking = keepCalling(() => call("/unibet/odds"));
    try {
      await fires("SwitchgearErrorBudgetBurn", budget);
      await diagnose("SwitchgearErrorBudgetBurn", failing);
      unibet.restore();
      await verify("SwitchgearErrorBudgetBurn", failing);
      await ends("SwitchgearErrorBudgetBurn", budget);
    } finally {
      await asking.end();
    }
  });

  test("SwitchgearErrorBudgetBurn: calls succeed, and too late", async () => {
    const slow = { BOOKMAKER: "caesars", BOOKMAKER_URL: `${caesars.url}/odds` };
    const budget = { bookmaker: "caesars", slo: "latency", window: "1h", severity: "critical" };
    caesars.control({ latencyMs: 1300 });
    const asking = keepCalling(() => call("/caesars/odds"), 10);
    try {
      await fires("SwitchgearErrorBudgetBurn", budget);
      await diagnose("SwitchgearErrorBudgetBurn", slow, "latency");
      // The bookmaker was called, and is fast again.
      caesars.restore();
      await verify("SwitchgearErrorBudgetBurn", slow);
      await ends("SwitchgearErrorBudgetBurn", budget);
    } finally {
      assert.deepEqual(await asking.end(), new Set([200]), "slow is not failed");
    }
  });

  test("CircuitBreakerCriticalRefused and CircuitBreakerLimitAtFloor: it hangs", async () => {
    const hung = { BOOKMAKER: "pointsbet", BOOKMAKER_URL: `${pointsbet.url}/odds` };
    const bookmaker = { bookmaker: "pointsbet" };
    const critical = { "x-switchgear-criticality": "critical_plus" };
    await stack.call("/pointsbet/odds", 20);
    pointsbet.control({ hang: true });
    const asking = keepCalling(() => call("/pointsbet/odds", critical), 10);
    try {
      await fires("CircuitBreakerCriticalRefused", bookmaker);
      await fires("CircuitBreakerLimitAtFloor", bookmaker);
      await diagnose("CircuitBreakerCriticalRefused", hung, "hung");
      await diagnose("CircuitBreakerLimitAtFloor", hung, "hung");
      await mitigate("CircuitBreakerCriticalRefused", hung);
      await mitigate("CircuitBreakerLimitAtFloor", hung);
      // The bookmaker was called, and is back.
      pointsbet.restore();
      await verify("CircuitBreakerLimitAtFloor", hung);
      await verify("CircuitBreakerCriticalRefused", hung);
      await ends("CircuitBreakerCriticalRefused", bookmaker);
      await ends("CircuitBreakerLimitAtFloor", bookmaker);
      assert.equal(await call("/pointsbet/odds", critical), 200);
    } finally {
      await asking.end();
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
