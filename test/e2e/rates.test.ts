// A quota, as its users meet it: 429 with the time to wait, the status, the page, the metrics, the log, and a reload.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { serve, temporaryFolder } from "../support/programs.ts";

const HOUR = 1 / 3600;

test("a bookmaker's quota is kept, told of everywhere, and not refilled by a reload", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const config = (deadlineMs: number): string =>
    [
      "upstreams:",
      "  dk:",
      `    url: ${bookmaker.url}`,
      `    deadlineMs: ${deadlineMs}`,
      `    rate: { perSecond: ${HOUR}, burst: 3 }`,
      `    operations: { odds: { path: /odds, rate: { perSecond: ${HOUR}, burst: 2 } } }`,
      "",
    ].join("\n");
  const running = await serve(t, folder, config(2000));
  const call = async (path: string): Promise<Response> => fetch(`${running.gateway}/dk${path}`);
  const statuses = async (...paths: string[]): Promise<number[]> => {
    const all: number[] = [];
    for (const path of paths) {
      const answer = await call(path);
      await answer.body?.cancel();
      all.push(answer.status);
    }
    return all;
  };

  assert.deepEqual(
    await statuses("/odds", "/odds", "/odds", "/bet", "/bet"),
    [200, 200, 429, 200, 429],
  );
  assert.equal(bookmaker.stats().received, 3);
  const refused = await call("/odds");
  const wait = Number(refused.headers.get("retry-after"));
  const body = (await refused.json()) as { readonly retryAfterMs: number };
  assert.ok(wait > 3500 && wait <= 3600, `Retry-After: ${wait}`);
  assert.equal(Math.ceil(body.retryAfterMs / 1000), wait);
  assert.equal(refused.headers.get("x-switchgear-reason"), "rate_limited");

  const table = await running.run("status");
  assert.match(table.stdout, /NAME +OPERATION +RATE +LEFT +NEXT IN/);
  assert.match(table.stdout, /dk +all +0\.00027\d+\/s +0 of 3 +3\d{6} ms/);
  assert.match(table.stdout, /dk +odds +0\.00027\d+\/s +0 of 2 +3\d{6} ms/);
  const { stdout } = await running.run("status", "dk", "--json");
  const { rates, failures } = JSON.parse(stdout) as {
    readonly failures: number;
    readonly rates: readonly { readonly operation: string | null; readonly left: number }[];
  };
  assert.equal(failures, 0);
  assert.deepEqual(
    rates.map(({ operation, left }) => [operation, left]),
    [
      [null, 0],
      ["odds", 0],
    ],
  );
  const page = await (await fetch(`${running.admin}/`)).text();
  assert.match(
    page,
    /<td>dk<\/td><td>all<\/td><td class="n">0\.00027\d+<\/td><td class="n">3<\/td><td class="n">0<\/td>/,
  );
  assert.match(page, /<td>dk<\/td><td>odds<\/td>/);
  const metrics = await (await fetch(`${running.admin}/metrics`)).text();
  assert.match(
    metrics,
    /circuit_breaker_rejected_total\{bookmaker="dk",operation="odds",reason="rate_limited"\} 2/,
  );
  assert.match(
    running.program.stdout(),
    /Rejected odds for dk: rate limit used up \(3\d{6}ms remaining\)/,
  );

  writeFileSync(join(folder, "switchgear.yaml"), config(1999));
  running.program.child.kill("SIGHUP");
  const untilMs = performance.now() + 15_000;
  while (!running.program.stdout().includes('"changed":["dk"]')) {
    assert.ok(performance.now() < untilMs, "the configuration was not taken");
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.deepEqual(await statuses("/odds", "/bet"), [429, 429]);
  assert.equal(bookmaker.stats().received, 3);
  assert.equal((await running.stop()).code, 0);
});
