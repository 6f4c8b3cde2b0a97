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
import { WAIT_MS, keepCalling, onCall } from "./on-call.ts";
import { readPage, runBlock } from "./page.ts";

const skip = "Bun" in globalThis ? "one runner starts all stacks: Node" : whyNoTools();

/** So low that any process is loaded: what is declared costly is always shed. */
const SHEDS_ALWAYS = "loadShedding: { threshold: 0.001, operationLoad: 100 }\n";

/** With the cooldown of life: between two commands a busy machine takes longer than one sped up. */
const PATIENT =
  '  patient: { url: "${DRAFTKINGS_URL}", breaker: { kind: latching, cooldownMs: 60000 } }\n';

let stack: Stack;
const { fires, ends, diagnose, mitigate, verify, call, order } = onCall(() => stack);

before(async () => {
  if (skip !== false) return;
  stack = await startStack({
    config: (demo) => `${demo}${PATIENT}${SHEDS_ALWAYS}`,
    msMax: 500_000,
  });
});

after(() => (skip === false ? stack.stop() : undefined));

beforeEach(async () => {
  if (skip !== false) return;
  // One page that does not mend what it should must not make the next one fail.
  stack.draftkings.restore();
  stack.fanduel.restore();
  for (const name of ["draftkings", "fanduel", "feeds", "patient"]) await order("reset", name);
});

test("the index: every command of an operator", { skip }, async () => {
  await stack.call("/draftkings/odds", 3);
  await follow("README", "Commands", { env: stack.env });
  const patient = { ...stack.env, BOOKMAKER: "patient" };
  await follow("README", "Commands", { env: patient, tag: "refused" });
  await follow("README", "Commands", { env: stack.env, tag: "unauthorised" });
  await follow("README", "Ways in", { env: stack.env });
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
    await fires("SwitchgearStoreError", { op: "commit" });
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

test("maintenance: one silence of a bookmaker, which ends by itself", { skip }, async () => {
  await order("trip", "draftkings");
  await fires("CircuitBreakerTripped", { bookmaker: "draftkings" });
  const env = { ...stack.env, DURATION: "6s" };
  const maintenance = (tag: string): Promise<void> =>
    follow("README", "Maintenance", { env, tag, againMs: WAIT_MS });
  await maintenance("over");
  await maintenance("hold");
  await maintenance("silence");
  await maintenance("silenced");
  assert.equal(await shown(env, "over"), "", "silenced, and yet told");
  assert.match(await shown({ ...env, BOOKMAKER: "fanduel" }, "silenced"), /^(?!.*Tripped)/);
  // The six seconds are over.
  await maintenance("over");
  assert.equal(await shown(env, "silenced"), "");
});

/** What a command about alerts lists, without its heading. */
async function shown(env: Readonly<Record<string, string>>, tag: string): Promise<string> {
  const block = readPage("README").blocks.find((one) => one.tag === tag);
  assert.ok(block);
  const { code, output } = await runBlock(block, env);
  assert.equal(code, 0, output);
  return output
    .split("\n")
    .filter((line) => line.includes("CircuitBreaker"))
    .join("\n");
}

test("ManyTripped and WindowOpen", { skip }, async () => {
  const fanduel = { BOOKMAKER: "fanduel", BOOKMAKER_URL: `${stack.fanduel.url}/odds` };
  stack.draftkings.control({ status: 500 });
  stack.fanduel.control({ status: 500 });
  await stack.call("/draftkings/odds", 11);
  await stack.call("/fanduel/odds", 11);
  await stack.call("/feeds/odds", 60);
  await fires("CircuitBreakerManyTripped");
  await fires("CircuitBreakerWindowOpen", { bookmaker: "fanduel" });
  await diagnose("CircuitBreakerManyTripped");
  await diagnose("CircuitBreakerWindowOpen", fanduel);

  stack.draftkings.restore();
  stack.fanduel.restore();
  await mitigate("CircuitBreakerManyTripped");
  await verify("CircuitBreakerManyTripped");
  await follow("CircuitBreakerManyTripped", "Mitigation", { env: stack.env, tag: "batch" });
  await mitigate("CircuitBreakerWindowOpen", fanduel);
  await verify("CircuitBreakerWindowOpen", fanduel);
  await ends("CircuitBreakerManyTripped");
  await ends("CircuitBreakerWindowOpen", { bookmaker: "fanduel" });
});

test("CircuitBreakerMostlyOpen", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  const swinging = new AbortController();
  const swing = async (): Promise<void> => {
    while (!swinging.signal.aborted) {
      await stack.call("/draftkings/odds", 11);
      // Less than the five seconds of a page, and then long enough to be seen closed.
      await new Promise((done) => setTimeout(done, 3200));
      await order("reset", "draftkings");
      await new Promise((done) => setTimeout(done, 900));
    }
  };
  const swings = swing();
  try {
    await fires("CircuitBreakerMostlyOpen", { bookmaker: "draftkings" });
  } finally {
    swinging.abort();
    await swings;
  }
  await stack.call("/draftkings/odds", 11);
  await diagnose("CircuitBreakerMostlyOpen");
  await mitigate("CircuitBreakerMostlyOpen");
  await verify("CircuitBreakerMostlyOpen");
  assert.equal(await call("/draftkings/odds"), 503);
  await order("reset", "draftkings");
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
  await ends("CircuitBreakerMostlyOpen", { bookmaker: "draftkings" });
});
