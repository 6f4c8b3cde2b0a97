// A spike over real HTTP, in front of a bookmaker of finite capacity: what does not fit is refused before
// the first call could time out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { serve, temporaryFolder } from "../support/programs.ts";

/** Four at once, 20 ms each: 200 calls a second. */
const BOOKMAKER = { workers: 4, serviceMs: 20, seed: 7 };
const BEFORE_PER_SECOND = 20;
const SPIKE_PER_SECOND = 1000;
const SPIKE_SECONDS = 3;
/** Unlimited, the last would wait for 12 s; long enough for a busy machine's own stand-stills. */
const DEADLINE_MS = 5000;
/** So many calls come within the first 50 ms of the spike. */
const FIRST = SPIKE_PER_SECOND / 20;

interface Answer {
  readonly status: number;
  readonly reason: string | null;
  readonly criticality: string;
}

/** Sends at a steady pace, whether answers come or not. */
async function send(url: string, perSecond: number, seconds: number): Promise<Answer[]> {
  const calls: Promise<Answer>[] = [];
  const startMs = performance.now();
  const total = perSecond * seconds;
  while (calls.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) / 1000) * perSecond));
    while (calls.length < due) calls.push(ask(url, calls.length % 10 === 0));
    await new Promise((done) => setTimeout(done, 1));
  }
  return Promise.all(calls);
}

async function ask(url: string, isCritical: boolean): Promise<Answer> {
  const criticality = isCritical ? "critical_plus" : "sheddable";
  const answer = await fetch(url, { headers: { "x-switchgear-criticality": criticality } });
  await answer.body?.cancel();
  return { status: answer.status, reason: answer.headers.get("x-switchgear-reason"), criticality };
}

test("from 20 to 1,000 requests a second: the first are shed at once, and none times out", async (t) => {
  const bookmaker = await startBookmaker(BOOKMAKER);
  t.after(() => bookmaker.close());
  const config = `upstreams:\n  dk: { url: ${bookmaker.url}, deadlineMs: ${DEADLINE_MS} }\n`;
  const running = await serve(t, temporaryFolder(t), config);
  const url = `${running.gateway}/dk/odds`;

  const before = await send(url, BEFORE_PER_SECOND, 1);
  assert.ok(
    before.every(({ status }) => status === 200),
    "what fits is served",
  );

  const spike = await send(url, SPIKE_PER_SECOND, SPIKE_SECONDS);
  const shed = spike.filter(({ status }) => status === 503);
  const first = spike.findIndex(({ status }) => status === 503);
  assert.ok(first >= 0 && first < FIRST, `the first that was shed was number ${first}`);
  assert.deepEqual(
    [...new Set(spike.map(({ status }) => status))].toSorted((a, b) => a - b),
    [200, 503],
  );
  assert.ok(shed.every(({ reason }) => reason === "limit" || reason === "priority"));
  // The bookmaker was kept busy, and those that matter most were its customers.
  const served = (criticality: string): number =>
    spike.filter((one) => one.criticality === criticality && one.status === 200).length /
    spike.filter((one) => one.criticality === criticality).length;
  assert.ok(served("critical_plus") > 0.5, `${served("critical_plus")} of the critical`);
  assert.ok(served("critical_plus") > 2 * served("sheddable"));
  assert.equal(bookmaker.stats().abandoned, 0);

  const page = await (await fetch(`${running.admin}/metrics`)).text();
  assert.match(page, /circuit_breaker_tripped\{[^}]*bookmaker="dk"[^}]*\} 0/);
  assert.equal((await running.stop()).code, 0);
});
