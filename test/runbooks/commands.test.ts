// Each page is followed to the letter, in the trouble that it is for: the fault is made in the real
// programs, the alert fires, the page's commands show what the page says, what it advises mends the
// state, and the alert ends. Sixty times faster than life.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { after, before, beforeEach, test } from "node:test";
import { spawnSync } from "node:child_process";
import { until } from "../pager/processes.ts";
import { startStack, untilAlert, type Stack } from "../pager/stack.ts";
import { whyNoTools } from "../pager/tools.ts";
import { follow } from "./follow.ts";

// The runbooks' commands are run with the gateway on Node, the pages with the one on Bun: each takes minutes.
const skip = "Bun" in globalThis ? "it is run with the gateway on Node" : whyNoTools();

/** Everything here takes seconds; this is for a machine that others load, too. */
const WAIT_MS = 60_000;

/** So low that any process is loaded: what is declared costly is always shed. */
const SHEDS_ALWAYS = "loadShedding: { threshold: 0.001, operationLoad: 100 }\n";

let stack: Stack;

before(async () => {
  if (skip === false) stack = await startStack({ config: SHEDS_ALWAYS, msMax: 400_000 });
});

after(() => (skip === false ? stack.stop() : undefined));

beforeEach(async () => {
  if (skip !== false) return;
  // One page that does not mend what it should must not make the next one fail.
  stack.draftkings.restore();
  stack.fanduel.restore();
  if (stack.gateway.isOver()) await stack.startGateway();
  for (const name of ["draftkings", "fanduel", "feeds"]) await reset(name);
});

function fires(alert: string, labels: Record<string, string> = {}) {
  return untilAlert(stack, alert, labels, true, WAIT_MS);
}

function ends(alert: string, labels: Record<string, string> = {}) {
  return untilAlert(stack, alert, labels, false, WAIT_MS);
}

function diagnose(name: string, env: Record<string, string> = {}) {
  return follow(name, "Diagnosis", { env: { ...stack.env, ...env }, againMs: 5000 });
}

function mitigate(name: string, env: Record<string, string> = {}) {
  return follow(name, "Mitigation", { env: { ...stack.env, ...env } });
}

function verify(name: string, env: Record<string, string> = {}) {
  return follow(name, "Verify", { env: { ...stack.env, ...env }, againMs: WAIT_MS });
}

async function call(path: string, count: number, load?: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const headers: Record<string, string> =
      load === undefined ? {} : { "x-switchgear-load": String(load) };
    const answer = await fetch(`${stack.gatewayUrl}${path}`, { headers });
    await answer.body?.cancel();
    statuses.push(answer.status);
  }
  return statuses;
}

async function reset(name: string): Promise<void> {
  const answer = await fetch(`${stack.adminUrl}/api/circuit-breakers/${name}/reset`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${stack.env["SWITCHGEAR_ADMIN_TOKEN"]}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ reason: "mended", force: true }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

test("the index: every command of an operator", { skip }, async () => {
  await call("/draftkings/odds", 3);
  await follow("README", "Commands", { env: stack.env });
  await follow("README", "Commands", { env: { ...stack.env, USER: "ann" }, tag: "refused" });
  await reset("draftkings");
});

test(
  "the index: the operator's SQL",
  {
    skip:
      skip === false && spawnSync("sqlite3", ["-version"]).error !== undefined
        ? "needs the sqlite3 command"
        : skip,
  },
  async () => {
    await call("/draftkings/odds", 1);
    await follow("README", "The database", { env: stack.env, tag: "sqlite3", againMs: 5000 });
  },
);

test("CircuitBreakerTripped", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  await call("/draftkings/odds", 11);
  await fires("CircuitBreakerTripped", { bookmaker: "draftkings" });
  await diagnose("CircuitBreakerTripped");

  stack.draftkings.restore();
  await mitigate("CircuitBreakerTripped");
  await verify("CircuitBreakerTripped");
  await ends("CircuitBreakerTripped", { bookmaker: "draftkings" });
  assert.deepEqual(await call("/draftkings/odds", 1), [200]);

  await follow("CircuitBreakerTripped", "Verify", { env: stack.env, tag: "rollback" });
  assert.deepEqual(await call("/draftkings/odds", 1), [503]);
  await reset("draftkings");
});

test("CircuitBreakerManyTripped and CircuitBreakerWindowOpen", { skip }, async () => {
  const fanduel = { BOOKMAKER: "fanduel", BOOKMAKER_URL: `${stack.fanduel.url}/odds` };
  stack.draftkings.control({ status: 500 });
  stack.fanduel.control({ status: 500 });
  await call("/draftkings/odds", 11);
  await call("/fanduel/odds", 11);
  await call("/feeds/odds", 60);
  await fires("CircuitBreakerManyTripped");
  await fires("CircuitBreakerWindowOpen", { name: "fanduel" });
  await diagnose("CircuitBreakerManyTripped");
  await diagnose("CircuitBreakerWindowOpen", fanduel);
  // Nobody has acted for an hour: the page is followed without waiting for the whole minute.
  await diagnose("CircuitBreakerStuckOpen");
  await diagnose("SwitchgearErrorBudgetBurn");

  stack.draftkings.restore();
  stack.fanduel.restore();
  await mitigate("CircuitBreakerManyTripped");
  await verify("CircuitBreakerManyTripped");
  await mitigate("CircuitBreakerWindowOpen", fanduel);
  await verify("CircuitBreakerWindowOpen", fanduel);
  await reset("feeds");
  await ends("CircuitBreakerManyTripped");
  await ends("CircuitBreakerWindowOpen", { name: "fanduel" });
  await verify("SwitchgearErrorBudgetBurn");
});

test("CircuitBreakerFlapping, and CircuitBreakerStuckOpen's way to hold it", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  for (let n = 0; n < 6; n += 1) {
    await call("/draftkings/odds", 10);
    await new Promise((done) => setTimeout(done, 600));
    await reset("draftkings");
  }
  await fires("CircuitBreakerFlapping", { bookmaker: "draftkings" });
  await diagnose("CircuitBreakerFlapping");

  await mitigate("CircuitBreakerFlapping");
  await verify("CircuitBreakerFlapping");
  const received = stack.draftkings.stats().received;
  assert.deepEqual(await call("/draftkings/odds", 2), [503, 503]);
  assert.equal(stack.draftkings.stats().received, received, "held, and yet probed");
  await mitigate("CircuitBreakerStuckOpen");
  await verify("CircuitBreakerStuckOpen");

  stack.draftkings.restore();
  await ends("CircuitBreakerFlapping", { bookmaker: "draftkings" });
  await reset("draftkings");
});

test("CircuitBreakerEndpointCoolingDown, then CircuitBreakerHalfOpenStuck", { skip }, async () => {
  const env = { ENDPOINT: "feeds-draftkings" };
  stack.draftkings.control({ status: 500 });
  await until(
    "the endpoint cools down",
    async () => {
      await call("/feeds/odds", 10);
      const text = await (await fetch(`${stack.adminUrl}/metrics`)).text();
      return text.includes('circuit_breaker_state{endpoint="feeds-draftkings"} 2')
        ? true
        : undefined;
    },
    WAIT_MS,
  );
  const labels = { endpoint: "feeds-draftkings" };
  await fires("CircuitBreakerEndpointCoolingDown", labels);
  await diagnose("CircuitBreakerEndpointCoolingDown", env);

  // One canary after the cooldown, and then nobody calls any more.
  stack.draftkings.restore();
  await until(
    "the endpoint is half-open",
    async () => {
      await call("/feeds/odds", 1);
      const text = await (await fetch(`${stack.adminUrl}/metrics`)).text();
      return text.includes('circuit_breaker_state{endpoint="feeds-draftkings"} 3')
        ? true
        : undefined;
    },
    WAIT_MS,
  );
  await fires("CircuitBreakerHalfOpenStuck", labels);
  await diagnose("CircuitBreakerHalfOpenStuck", env);
  await diagnose("CircuitBreakerSuccessRatioLow", env);
  await diagnose("CircuitBreakerHealthLow", env);
  await mitigate("CircuitBreakerHalfOpenStuck", env);
  await verify("CircuitBreakerHalfOpenStuck", env);
  await mitigate("CircuitBreakerEndpointCoolingDown", env);
  await verify("CircuitBreakerEndpointCoolingDown", env);
  await verify("CircuitBreakerHealthLow", env);
  await ends("CircuitBreakerEndpointCoolingDown", labels);
  await ends("CircuitBreakerHalfOpenStuck", labels);
});

test("CircuitBreakerLoadShedding", { skip }, async () => {
  const paused = new AbortController();
  const answered = new Set<string>();
  const load = (async () => {
    while (!paused.signal.aborted) {
      answered.add(`costly ${(await call("/draftkings/probe", 1, 200)).join()}`);
      answered.add(`light ${(await call("/draftkings/odds", 1)).join()}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  })();
  try {
    await fires("CircuitBreakerLoadShedding", { bookmaker: "draftkings" });
    await diagnose("CircuitBreakerLoadShedding");
    await mitigate("CircuitBreakerLoadShedding");
    await diagnose("CircuitBreakerLatencyHigh");
    await verify("CircuitBreakerLatencyHigh");
  } finally {
    // The owner of the costly operation pauses it.
    paused.abort();
    await load;
  }
  assert.deepEqual(answered, new Set(["costly 503", "light 200"]));
  await verify("CircuitBreakerLoadShedding");
  await ends("CircuitBreakerLoadShedding", { bookmaker: "draftkings" });
});

test("SwitchgearStoreDown and SwitchgearStoreError", { skip }, async () => {
  const holder = new DatabaseSync(stack.env["SWITCHGEAR_DB"] ?? "");
  holder.exec("BEGIN IMMEDIATE");
  try {
    stack.draftkings.control({ status: 500 });
    await call("/draftkings/odds", 11);
    await fires("SwitchgearStoreDown");
    await diagnose("SwitchgearStoreDown");
    await diagnose("SwitchgearStoreError");
    await mitigate("SwitchgearStoreError");
    await mitigate("SwitchgearStoreDown");
  } finally {
    // The program that holds the file ends.
    holder.close();
  }
  await verify("SwitchgearStoreDown");
  await verify("SwitchgearStoreError");
  await ends("SwitchgearStoreDown");
  stack.draftkings.restore();
  await reset("draftkings");
});

test("SwitchgearDown: what was tripped comes back tripped", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  await call("/draftkings/odds", 11);
  await stack.gateway.kill();
  await fires("SwitchgearDown");
  await diagnose("SwitchgearDown");
  await diagnose("SwitchgearInstanceDown");

  await stack.startGateway();
  await verify("SwitchgearDown");
  await verify("SwitchgearInstanceDown");
  await ends("SwitchgearDown");
  await diagnose("SwitchgearRejectingWhileClosed");
  stack.draftkings.restore();
  await reset("draftkings");
});

test("SwitchgearMetricsAbsent", { skip }, async () => {
  await stack.gateway.stop();
  const empty = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end();
  });
  await new Promise<void>((done) => {
    empty.listen(stack.adminPort, "127.0.0.1", done);
  });
  try {
    await fires("SwitchgearMetricsAbsent");
    await diagnose("SwitchgearMetricsAbsent");
    await mitigate("SwitchgearMetricsAbsent");
  } finally {
    await new Promise((done) => {
      empty.close(done);
      empty.closeAllConnections();
    });
  }
  await stack.startGateway();
  await verify("SwitchgearMetricsAbsent");
  await ends("SwitchgearMetricsAbsent");
});

test(
  "the pages whose trouble takes an hour or a second gateway: their commands show what they say",
  { skip },
  async () => {
    await call("/draftkings/odds", 3);
    await call("/feeds/odds", 4);
    const env = { ENDPOINT: "feeds-draftkings" };
    for (const name of [
      "CircuitBreakerReplicaDisagreement",
      "SwitchgearSeriesMissing",
      "SwitchgearScrapeNearLimit",
      "SwitchgearRuleFailures",
      "SwitchgearWatchdog",
    ]) {
      await diagnose(name, env);
      await verify(name, env);
    }
    await mitigate("CircuitBreakerReplicaDisagreement");
    await mitigate("SwitchgearRuleFailures");
    await mitigate("SwitchgearWatchdog");
    await verify("CircuitBreakerSuccessRatioLow", env);
    await verify("SwitchgearRejectingWhileClosed");
  },
);
