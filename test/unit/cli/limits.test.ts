// What `switchgear status` says of calls in flight, by servers of this version and of one that knows no limiters.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { bookmakerView } from "../../../src/admin/views.ts";
import { adaptiveLimit, createSwitchgear, fixedLimit, latching } from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { switchgear } from "../../support/programs.ts";

/** Answers `switchgear status` with this. */
async function said(t: TestContext, body: string): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(body);
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { stdout, stderr } = await switchgear(["status", "--url", `http://127.0.0.1:${port}`])
    .ended;
  assert.equal(stderr, "");
  return stdout;
}

function status(): string {
  const clock = new VirtualClock();
  const limit = adaptiveLimit();
  const gear = createSwitchgear({
    upstreams: {
      capped: { breaker: latching(), limit: fixedLimit(7) },
      feeds: { breaker: latching(), endpoints: ["eu"], limit, deadlineMs: 1000 },
      free: { breaker: latching() },
    },
    clock,
  });
  gear.upstream("capped").tryAcquire();
  gear.upstream("free").tryAcquire();
  for (let n = 0; n < 4; n += 1) gear.upstream("feeds").tryAcquire();
  clock.advance(900);
  gear.upstream("feeds").tryAcquire();
  return JSON.stringify({ bookmakers: gear.statuses().map(bookmakerView) });
}

test("in flight against the limit, and who hangs", async (t) => {
  const lines = (await said(t, status())).split("\n");
  const of = (start: RegExp): string => lines.find((line) => start.test(line)) ?? "";
  assert.match(lines[0] ?? "", /LATENCY +IN FLIGHT +TRIPPED AT/);
  assert.match(of(/^ *capped/), / 1\/7 /);
  assert.match(of(/^ *free/), / 1 /);
  assert.match(of(/^ *feeds +eu/), / 4\/2 /);
  assert.equal(lines.filter((line) => line.includes("hangs")).length, 1);
  assert.match(of(/^ *eu of feeds/), /hangs; .* 2 calls may be in flight/);
});

/** With these of its one limiter. */
async function notesOf(t: TestContext, facts: object): Promise<string> {
  const answer = JSON.parse(status()) as { bookmakers: { bookmaker: string; limit: object }[] };
  const bookmakers = answer.bookmakers.filter(({ bookmaker }) => bookmaker === "capped");
  for (const one of bookmakers) one.limit = { ...one.limit, ...facts };
  return said(t, JSON.stringify({ bookmakers }));
}

test("nothing hangs that has nothing in flight, nor behind an open breaker", async (t) => {
  assert.match(await notesOf(t, { isHung: true }), /^capped: hangs; nothing has come back for/m);
  const idle = await notesOf(t, { isHung: true, inFlight: 0 });
  assert.match(idle, /^capped: nothing came back when it was last called; 7 calls may be/m);
  assert.doesNotMatch(idle, /hangs/);
  const frozen = await notesOf(t, { isHung: true, spaceMs: 500, isFrozen: true });
  assert.doesNotMatch(frozen, /^capped:/m);
});

test("who is asked once each so many seconds, and why", async (t) => {
  assert.match(
    await notesOf(t, { spaceMs: 16_040 }),
    /^capped: one call each 16 s: its last answers came too late$/m,
  );
  assert.match(await notesOf(t, { spaceMs: 12 }), /^capped: one call each 0\.1 s:/m);
  assert.doesNotMatch(await notesOf(t, {}), /^capped:/m);
  // An older server tells neither.
  const older = await notesOf(t, { spaceMs: undefined, isFrozen: undefined });
  assert.doesNotMatch(older, /^capped:/m);
});

test("a server that knows no limiters has none", async (t) => {
  const { bookmakers } = JSON.parse(status()) as {
    bookmakers: { limit?: unknown; endpoints: { limit?: unknown }[] }[];
  };
  for (const one of bookmakers) {
    delete one.limit;
    for (const endpoint of one.endpoints) delete endpoint.limit;
  }
  const lines = (await said(t, JSON.stringify({ bookmakers }))).split("\n");
  assert.match(lines.find((line) => /^ *capped/.test(line)) ?? "", / 1 /);
  assert.doesNotMatch(lines.join("\n"), /hangs|\/7/);
});
