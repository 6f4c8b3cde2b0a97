// The pages of the gateway as a process and of what watches it, each followed while its alert fires; see
// breakers.test.ts. Stories that need the gateway left alone run side by side, the others after them.

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { compressRules } from "../pager/compress.ts";
import { until } from "../pager/processes.ts";
import { ROOT, replaced } from "../pager/settings.ts";
import { startStack, type Stack } from "../pager/stack.ts";
import { whyNoTools } from "../tools/available.ts";
import { startDefect, startEmpty } from "./defect.ts";
import { WAIT_MS, keepCalling, onCall } from "./on-call.ts";

const skip = "Bun" in globalThis ? "one runner starts all stacks: Node" : whyNoTools();

let stack: Stack;
const { fires, ends, diagnose, mitigate, verify, call, order } = onCall(() => stack);

before(async () => {
  if (skip === false) stack = await startStack({ msMax: 500_000 });
});

after(() => (skip === false ? stack.stop() : undefined));

/** The gateway with another configuration. */
async function restartWith(edit: (config: string) => string): Promise<void> {
  const file = stack.env["SWITCHGEAR_CONFIG"] ?? "";
  writeFileSync(file, edit(readFileSync(file, "utf8")));
  await stack.gateway.stop();
  await stack.gateway.start();
}

/** Fails at each evaluation: two series of one side match two of the other. */
const MANY_TO_MANY = `groups:
  - name: switchgear_trial
    rules:
      - record: trial
        expr: circuit_breaker_tripped * on (namespace) circuit_breaker_tripped
`;

/** Of each of two bookmakers, with some twenty-five series each: more than 4,000, and less than 5,000. */
const OPERATIONS = 88;

/** Callers who put an id into the name of an operation. */
async function nameOperations(count: number): Promise<void> {
  for (const name of ["draftkings", "fanduel"]) {
    for (let n = 0; n < count; n += 1) {
      await call(`/${name}/odds`, { "x-switchgear-operation": `match-${n}` });
    }
  }
}

async function setMode(name: string, mode: string): Promise<void> {
  const answer = await fetch(`${stack.gateway.adminUrl}/api/circuit-breakers/${name}/mode`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${stack.env["SWITCHGEAR_ADMIN_TOKEN"]}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ mode, reason: "a trial" }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

describe("side by side", { concurrency: true, skip: skip !== false }, () => {
  test("SwitchgearScrapeNearLimit, with too many names of operations", async () => {
    await nameOperations(OPERATIONS);
    await fires("SwitchgearScrapeNearLimit");
    await diagnose("SwitchgearScrapeNearLimit");
  });

  test("SwitchgearRuleFailures", async () => {
    await stack.useRules("trial", MANY_TO_MANY);
    await fires("SwitchgearRuleFailures");
    await diagnose("SwitchgearRuleFailures");
    await mitigate("SwitchgearRuleFailures");
    await stack.useRules("trial", undefined);
    await verify("SwitchgearRuleFailures");
    await ends("SwitchgearRuleFailures");
  });

  test("CircuitBreakerReplicaDisagreement, then SwitchgearInstanceDown", async () => {
    const second = await stack.startReplica();
    const { adminUrl } = stack.gateway;
    const env = { SWITCHGEAR_URLS: `${adminUrl} ${second.adminUrl}` };
    await order("trip", "draftkings", second.adminUrl);
    await fires("CircuitBreakerReplicaDisagreement", { bookmaker: "draftkings" });
    await diagnose("CircuitBreakerReplicaDisagreement", env);
    await mitigate("CircuitBreakerReplicaDisagreement", env);
    await verify("CircuitBreakerReplicaDisagreement", env);
    await ends("CircuitBreakerReplicaDisagreement");

    await second.kill();
    await fires("SwitchgearInstanceDown");
    await diagnose("SwitchgearInstanceDown");
    await second.start();
    await verify("SwitchgearInstanceDown");
    await ends("SwitchgearInstanceDown");
    await second.stop();

    const mute = await stack.startReplica({ logTo: "/dev/full" });
    await fires("SwitchgearLogLost");
    await diagnose("SwitchgearLogLost");
    await mute.stop();
    // It is started anew, and has a reader.
    const heard = await stack.startReplica();
    await verify("SwitchgearLogLost");
    await ends("SwitchgearLogLost");
    await heard.stop();
    await stack.scrape(stack.gateway.adminPort);
  });

  test("SwitchgearModeForgotten, of a day that is four seconds long", async () => {
    const rule = /^ {6}- alert: SwitchgearModeForgotten\n(?: {8}.*\n)+/m.exec(
      readFileSync(join(ROOT, "alerts/process.yml"), "utf8"),
    );
    const short = replaced(rule?.[0] ?? "", "for: 1d", "for: 4m");
    await stack.useRules(
      "mode",
      compressRules(`groups:\n  - name: switchgear_mode\n    rules:\n${short}`),
    );
    const env = { BOOKMAKER: "fanduel" };
    await setMode("fanduel", "shadow");
    await fires("SwitchgearModeForgotten", { bookmaker: "fanduel", mode: "shadow" });
    await diagnose("SwitchgearModeForgotten", env);
    await mitigate("SwitchgearModeForgotten", env);
    await verify("SwitchgearModeForgotten", env);
    await ends("SwitchgearModeForgotten");
    await stack.useRules("mode", undefined);
  });
});

test("SwitchgearScrapeNearLimit ends with a lower limit of names", { skip }, async () => {
  await restartWith((config) => `${config}\nlimits: { operations: 20 }\n`);
  await mitigate("SwitchgearScrapeNearLimit");
  await nameOperations(OPERATIONS);
  await verify("SwitchgearScrapeNearLimit");
  await ends("SwitchgearScrapeNearLimit");
});

test("SwitchgearRejectingWhileClosed: metrics that say closed", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  const defect = await startDefect(stack.gateway.adminUrl);
  const env = { SWITCHGEAR_URL: defect.url };
  await stack.scrape(defect.port);
  await stack.call("/draftkings/odds", 11);
  const asking = keepCalling(() => call("/draftkings/odds"));
  try {
    await fires("SwitchgearRejectingWhileClosed", { bookmaker: "draftkings" });
    await diagnose("SwitchgearRejectingWhileClosed", env);
    // It is started anew, and the defect is gone.
    await stack.scrape(stack.gateway.adminPort);
    await verify("SwitchgearRejectingWhileClosed");
    await ends("SwitchgearRejectingWhileClosed");
  } finally {
    assert.deepEqual(await asking.end(), new Set([503]));
    await stack.scrape(stack.gateway.adminPort);
    await defect.close();
    stack.draftkings.restore();
  }
  await order("reset", "draftkings");
});

/** One bookmaker's part of the configuration. */
const FEEDS = /^ {2}feeds:\n(?: {4}.*\n)+/m;

test("SwitchgearSeriesMissing", { skip }, async () => {
  const env = { BOOKMAKER: "feeds" };
  let whole = "";
  await restartWith((config) => {
    whole = config;
    return replaced(config, FEEDS.exec(config)?.[0] ?? "feeds", "");
  });
  try {
    await fires("SwitchgearSeriesMissing");
    await diagnose("SwitchgearSeriesMissing", env);
  } finally {
    await restartWith(() => whole);
  }
  await mitigate("SwitchgearSeriesMissing", env);
  await verify("SwitchgearSeriesMissing", env);
  await ends("SwitchgearSeriesMissing");
});

test("SwitchgearConfigRejected: the one before goes on", { skip }, async () => {
  const file = stack.env["SWITCHGEAR_CONFIG"] ?? "";
  const whole = readFileSync(file, "utf8");
  writeFileSync(file, `${whole}\nupstream: {}\n`);
  try {
    await fires("SwitchgearConfigRejected");
    await diagnose("SwitchgearConfigRejected");
    assert.equal(await call("/feeds/odds"), 200);
  } finally {
    writeFileSync(file, whole);
  }
  await mitigate("SwitchgearConfigRejected");
  await verify("SwitchgearConfigRejected");
  await ends("SwitchgearConfigRejected");
});

test("SwitchgearStoreRecovered and CircuitBreakerStateLost", { skip }, async () => {
  // One page for both.
  const each = (["draftkings", "fanduel"] as const).map((name) => ({
    BOOKMAKER: name,
    BOOKMAKER_URL: `${stack[name].url}/odds`,
  }));
  for (const { BOOKMAKER: bookmaker } of each) {
    await order("trip", bookmaker);
    await fires("CircuitBreakerTripped", { bookmaker });
  }
  await stack.gateway.kill();
  const file = stack.env["SWITCHGEAR_DB"] ?? "";
  for (const end of ["-wal", "-shm"]) rmSync(`${file}${end}`, { force: true });
  writeFileSync(file, "what a volume made of it ".repeat(1000));
  await stack.gateway.start();

  await fires("CircuitBreakerStateLost");
  await fires("SwitchgearStoreRecovered");
  await diagnose("SwitchgearStoreRecovered");
  await mitigate("SwitchgearStoreRecovered");
  for (const env of each) {
    await diagnose("CircuitBreakerStateLost", env);
    assert.equal(await call(`/${env.BOOKMAKER}/odds`), 200);
    await mitigate("CircuitBreakerStateLost", env);
    assert.equal(await call(`/${env.BOOKMAKER}/odds`), 503);
    await verify("CircuitBreakerStateLost", env);
  }
  await ends("CircuitBreakerStateLost");

  await verify("SwitchgearStoreRecovered");
  await stack.gateway.stop();
  await stack.gateway.start();
  await ends("SwitchgearStoreRecovered");
  for (const { BOOKMAKER } of each) await order("reset", BOOKMAKER);
});

test("SwitchgearDown: what was tripped comes back tripped", { skip }, async () => {
  stack.draftkings.control({ status: 500 });
  await stack.call("/draftkings/odds", 11);
  await stack.gateway.kill();
  await fires("SwitchgearDown");
  await diagnose("SwitchgearDown");

  await stack.gateway.start();
  await verify("SwitchgearDown");
  await ends("SwitchgearDown");
  stack.draftkings.restore();
  await order("reset", "draftkings");
});

test("SwitchgearMetricsAbsent", { skip }, async () => {
  await stack.gateway.stop();
  const empty = await startEmpty(stack.gateway.adminPort);
  try {
    await fires("SwitchgearMetricsAbsent");
    await diagnose("SwitchgearMetricsAbsent");
    await mitigate("SwitchgearMetricsAbsent");
  } finally {
    await empty.close();
  }
  await stack.gateway.start();
  await verify("SwitchgearMetricsAbsent");
  await ends("SwitchgearMetricsAbsent");
});

/** Three of its messages would have come in this time. */
const SILENCE_MS = 3000;

function heard(): number {
  return stack.channels
    .received("dead-mans-switch")
    .filter(({ groupLabels }) => groupLabels["alertname"] === "SwitchgearWatchdog").length;
}

async function isSilent(): Promise<true> {
  // What is on its way arrives.
  let before = -1;
  return until(
    "the dead man's switch hears nothing any more",
    async () => {
      before = heard();
      await new Promise((done) => setTimeout(done, SILENCE_MS));
      return heard() === before ? true : undefined;
    },
    WAIT_MS,
  );
}

function hearsAgain(): Promise<true> {
  const before = heard();
  return until(
    "the dead man's switch hears again",
    () => (heard() > before ? true : undefined),
    WAIT_MS,
  );
}

test("SwitchgearWatchdog: first Alertmanager is gone, then Prometheus", { skip }, async () => {
  await fires("SwitchgearWatchdog");
  await hearsAgain();
  await diagnose("SwitchgearWatchdog");
  for (const part of ["alertmanager", "prometheus"] as const) {
    await stack[part].stop();
    await isSilent();
    await diagnose("SwitchgearWatchdog", {}, part);
    await mitigate("SwitchgearWatchdog");
    await stack[part].start();
    await verify("SwitchgearWatchdog");
    await hearsAgain();
  }
});
