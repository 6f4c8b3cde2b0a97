// Another configuration while serving, as its users do it: edit the file, and send SIGHUP or wait.

import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { serve, temporaryFolder, type Serving } from "../support/programs.ts";

const status = async (url: string): Promise<number> => {
  const answer = await fetch(url);
  await answer.body?.cancel();
  return answer.status;
};

async function eventually(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const untilMs = performance.now() + 15_000;
  while (!(await isTrue())) {
    assert.ok(performance.now() < untilMs, `did not happen: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function scene(t: TestContext) {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const { url } = bookmaker;
  const of = (...lines: string[]): string => ["upstreams:", ...lines, ""].join("\n");
  const dk = `  dk: { url: ${url}, deadlineMs: 2000 }`;
  const running = await serve(t, folder, of(dk));
  const file = join(folder, "switchgear.yaml");
  const logged = (text: string | RegExp) => () =>
    typeof text === "string"
      ? running.program.stdout().includes(text)
      : text.test(running.program.stdout());
  return { bookmaker, url, of, dk, running, file, logged };
}

function signal({ program }: Serving): void {
  program.child.kill("SIGHUP");
}

test("SIGHUP: upstreams come, go, change and come back as they went; calls under way end", async (t) => {
  const { bookmaker, url, of, dk, running, file, logged } = await scene(t);
  bookmaker.control({ latencyMs: 900 });
  const inFlight = status(`${running.gateway}/dk/odds`);
  await eventually(() => bookmaker.stats().inFlight === 1, "the call is under way");
  writeFileSync(file, of(`  added: { url: ${url}, deadlineMs: 300 }`, `  third: { url: ${url} }`));
  signal(running);
  await eventually(logged('"added":["added","third"],"removed":["dk"]'), "it is taken");

  assert.equal(await inFlight, 200);
  assert.equal(await status(`${running.gateway}/dk/odds`), 404);
  assert.equal(await status(`${running.gateway}/added/odds`), 504);
  bookmaker.restore();
  assert.equal(await status(`${running.gateway}/added/odds`), 200);

  assert.equal((await running.run("trip", "third", "-r", "maintenance")).code, 0);
  writeFileSync(file, of(dk));
  signal(running);
  await eventually(logged('"removed":["added","third"]'), "they are gone");
  assert.doesNotMatch(await (await fetch(`${running.admin}/metrics`)).text(), /"third"/);
  writeFileSync(file, of(dk, `  third: { url: ${url}, breaker: { kind: sliding-window } }`));
  signal(running);
  await eventually(logged('"added":["third"]'), "it is back");
  assert.equal(await status(`${running.gateway}/third/odds`), 503);
  assert.equal(await status(`${running.gateway}/dk/odds`), 200);
  assert.equal((await running.stop()).code, 0);
});

/** What `/metrics` shows of the configuration. */
async function shown({ admin }: Serving): Promise<{ isGood: number; takenAt: number }> {
  const answer = await fetch(`${admin}/metrics`);
  const page = await answer.text();
  const value = (name: string): number =>
    Number(new RegExp(`^switchgear_config_last_reload_${name} (.*)$`, "m").exec(page)?.[1]);
  return { isGood: value("successful"), takenAt: value("success_timestamp_seconds") };
}

test("a file that is wrong is refused in words, and the one before goes on", async (t) => {
  const { url, of, dk, running, file, logged } = await scene(t);
  const atStart = await shown(running);
  assert.equal(atStart.isGood, 1);
  assert.ok(Math.abs(atStart.takenAt - Date.now() / 1000) < 60);
  writeFileSync(file, of(dk, "  broken: { urll: x }"));
  signal(running);
  await eventually(logged(/configuration refused.*upstreams\.broken\.urll: unknown key/), "a word");
  assert.equal(await status(`${running.gateway}/dk/odds`), 200);
  assert.equal(await status(`${running.gateway}/broken/odds`), 404);
  assert.deepEqual(await shown(running), { isGood: 0, takenAt: atStart.takenAt });

  writeFileSync(file, of(dk, `  secure: { url: ${url}, tls: { caFile: /nowhere } }`));
  signal(running);
  await eventually(logged(/configuration refused.*cannot be read: no such file/), "a word");
  assert.equal(await status(`${running.gateway}/secure/odds`), 404);

  writeFileSync(
    file,
    `gateway: { maxBodyBytes: 7 }\nlogging: { level: debug, failureIntervalMs: 0 }\n${of(dk, `  more: { url: ${url} }`)}`,
  );
  signal(running);
  await eventually(logged("waits for a restart"), "a warning");
  assert.match(running.program.stdout(), /"sections":\["gateway","logging"\]/);
  assert.equal(await status(`${running.gateway}/more/odds`), 200);
  const { isGood, takenAt } = await shown(running);
  assert.equal(isGood, 1);
  assert.ok(takenAt > atStart.takenAt);
});

test("a changed file is taken by itself, however it was replaced, but not while it is empty", async (t) => {
  const { url, of, dk, running, file, logged } = await scene(t);
  writeFileSync(`${file}.new`, of(dk, `  second: { url: ${url} }`));
  renameSync(`${file}.new`, file);
  await eventually(
    async () => (await status(`${running.gateway}/second/x`)) === 200,
    "it is taken",
  );

  writeFileSync(file, "");
  await eventually(logged("it names no upstream; send SIGHUP if that is meant"), "it is refused");
  assert.equal(await status(`${running.gateway}/second/x`), 200);
  signal(running);
  await eventually(async () => (await status(`${running.gateway}/second/x`)) === 404, "as told");
});

test("what callers may ask for at most is taken with the rest", async (t) => {
  const { of, dk, running, file, logged } = await scene(t);
  const critical = async (): Promise<void> => {
    const headers = { "x-switchgear-criticality": "critical_plus" };
    const answer = await fetch(`${running.gateway}/dk/odds`, { headers });
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  };
  const admitted = async (tier: string): Promise<number> => {
    const page = await (await fetch(`${running.admin}/metrics`)).text();
    const series = new RegExp(
      `^switchgear_limit_admitted_total.*criticality="${tier}".* (\\d+)$`,
      "m",
    );
    return Number(series.exec(page)?.[1]);
  };
  await critical();
  assert.equal(await admitted("critical_plus"), 1);
  writeFileSync(file, `gateway: { maxCriticality: sheddable_plus }\n${of(dk)}`);
  signal(running);
  await eventually(logged("configuration taken"), "it is taken");
  await critical();

  assert.equal(await admitted("critical_plus"), 1);
  assert.equal(await admitted("sheddable_plus"), 1);
  assert.ok(!logged("waits for a restart")());
  assert.equal((await running.stop()).code, 0);
});
