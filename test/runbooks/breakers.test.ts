// The pages of an upstream's breaker, followed to the letter in the trouble that each is for: the fault
// is made, the alert fires, the page's commands show what the page says, what it advises mends the state,
// and the alert ends. On the real programs, sixty times faster than life; one story on one stack.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { DatabaseSync } from "node:sqlite";
import { after, before, beforeEach, test } from "node:test";
import { startStack, type Stack } from "../pager/stack.ts";
import { whyNoTools } from "../tools/available.ts";
import { follow } from "./follow.ts";
import { keepCalling, onCall } from "./on-call.ts";

const skip = "Bun" in globalThis ? "one runner starts all stacks: Node" : whyNoTools();

/** So low that any process is loaded: what is declared costly is always shed. */
const SHEDS_ALWAYS = "loadShedding: { threshold: 0.001, operationLoad: 100 }\n";

let stack: Stack;
const { fires, ends, diagnose, mitigate, verify, call, order } = onCall(() => stack);

before(async () => {
  if (skip !== false) return;
  stack = await startStack({ config: (demo) => `${demo}\n${SHEDS_ALWAYS}`, msMax: 500_000 });
});

after(() => (skip === false ? stack.stop() : undefined));

beforeEach(async () => {
  if (skip !== false) return;
  // One page that does not mend what it should must not make the next one fail.
  stack.draftkings.restore();
  stack.fanduel.restore();
  for (const name of ["draftkings", "fanduel", "feeds"]) await order("reset", name);
});

test("the index: every command of an operator", { skip }, async () => {
  await stack.call("/draftkings/odds", 3);
  await follow("README", "Commands", { env: stack.env });
  await follow("README", "Commands", { env: stack.env, tag: "refused" });
});

test(
  "the index: the operator's SQL",
  {
    skip:
      skip === false && spawnSync("sqlite3", ["-version"]).error !== undefined
        ? "needs the sqlite3 command"
        : skip,
  },
  () => follow("README", "The database", { env: stack.env, tag: "sqlite3", againMs: 5000 }),
);

test("SwitchgearStoreDown and SwitchgearStoreError", { skip }, async () => {
  const holder = new DatabaseSync(stack.env["SWITCHGEAR_DB"] ?? "");
  holder.exec("BEGIN IMMEDIATE");
  try {
    stack.draftkings.control({ status: 500 });
    await stack.call("/draftkings/odds", 11);
    await fires("SwitchgearStoreError", { code: "SQLITE_BUSY" });
    await diagnose("SwitchgearStoreError");
    await mitigate("SwitchgearStoreError");
    await fires("SwitchgearStoreDown");
    await diagnose("SwitchgearStoreDown");
    await mitigate("SwitchgearStoreDown");
  } finally {
    // The program that holds the file ends.
    holder.close();
  }
  await verify("SwitchgearStoreDown");
  await verify("SwitchgearStoreError");
  await ends("SwitchgearStoreDown");
});

test("CircuitBreakerTripped", { skip }, async () => {
  // That of the test before.
  await ends("CircuitBreakerTripped");
  stack.draftkings.control({ status: 500 });
  await stack.call("/draftkings/odds", 11);
  await fires("CircuitBreakerTripped", { bookmaker: "draftkings" });
  await diagnose("CircuitBreakerTripped");

  stack.draftkings.restore();
  await mitigate("CircuitBreakerTripped");
  await verify("CircuitBreakerTripped");
  await ends("CircuitBreakerTripped", { bookmaker: "draftkings" });
  assert.equal(await call("/draftkings/odds"), 200);

  await follow("CircuitBreakerTripped", "Verify", { env: stack.env, tag: "rollback" });
  assert.equal(await call("/draftkings/odds"), 503);
});

test("ManyTripped, WindowOpen, and the SwitchgearErrorBudgetBurn of it", { skip }, async () => {
  const fanduel = { BOOKMAKER: "fanduel", BOOKMAKER_URL: `${stack.fanduel.url}/odds` };
  stack.draftkings.control({ status: 500 });
  stack.fanduel.control({ status: 500 });
  await stack.call("/draftkings/odds", 11);
  await stack.call("/fanduel/odds", 11);
  await stack.call("/feeds/odds", 60);
  // Its callers keep asking for what is out: that is what burns the budget.
  const asking = keepCalling(() => call("/draftkings/odds"));
  try {
    await fires("CircuitBreakerManyTripped");
    await fires("CircuitBreakerWindowOpen", { bookmaker: "fanduel" });
    await diagnose("CircuitBreakerManyTripped");
    await diagnose("CircuitBreakerWindowOpen", fanduel);
    await fires("SwitchgearErrorBudgetBurn", { window: "1h", severity: "critical" });
    await diagnose("SwitchgearErrorBudgetBurn");

    stack.draftkings.restore();
    stack.fanduel.restore();
    await mitigate("CircuitBreakerManyTripped");
    await verify("CircuitBreakerManyTripped");
    await mitigate("CircuitBreakerWindowOpen", fanduel);
    await verify("CircuitBreakerWindowOpen", fanduel);
    await ends("CircuitBreakerManyTripped");
    await ends("CircuitBreakerWindowOpen", { bookmaker: "fanduel" });
    await verify("SwitchgearErrorBudgetBurn");
    await ends("SwitchgearErrorBudgetBurn", { window: "1h" });
  } finally {
    await asking.end();
  }
});

test("CircuitBreakerFlapping", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  for (let n = 0; n < 6; n += 1) {
    await stack.call("/draftkings/odds", 10);
    // Longer than a scrape's interval, so that each trip is seen.
    await new Promise((done) => setTimeout(done, 600));
    await order("reset", "draftkings");
  }
  await fires("CircuitBreakerFlapping", { bookmaker: "draftkings" });
  await diagnose("CircuitBreakerFlapping");

  await mitigate("CircuitBreakerFlapping");
  await verify("CircuitBreakerFlapping");
  const { received } = stack.draftkings.stats();
  assert.deepEqual(await stack.call("/draftkings/odds", 2), [503, 503]);
  assert.equal(stack.draftkings.stats().received, received, "held, and yet probed");
});

test("CircuitBreakerLoadShedding", { skip }, async () => {
  const costly = keepCalling(() => call("/draftkings/probe", { "x-switchgear-load": "200" }));
  const light = keepCalling(() => call("/draftkings/odds"));
  try {
    await fires("CircuitBreakerLoadShedding", { bookmaker: "draftkings" });
    await diagnose("CircuitBreakerLoadShedding");
    await mitigate("CircuitBreakerLoadShedding");
    assert.deepEqual(await light.end(), new Set([200]));
    await follow("CircuitBreakerLoadShedding", "Mitigation", { env: stack.env, tag: "stop" });
    assert.equal(await call("/draftkings/odds"), 503);
  } finally {
    // The owner of the costly operation pauses it.
    assert.deepEqual(await costly.end(), new Set([503]));
  }
  await order("reset", "draftkings");
  await verify("CircuitBreakerLoadShedding");
  await ends("CircuitBreakerLoadShedding", { bookmaker: "draftkings" });
});

test("alerts that look back long end, too", { skip }, async () => {
  await ends("SwitchgearStoreError");
  await ends("CircuitBreakerFlapping", { bookmaker: "draftkings" });
});
