// The drop-in inside a real service, which calls a real bookmaker: the story of one trip from the first
// 503 to the console's reset, and the REST contract (T-A-68).

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ADMIN, startStandIn, type StandIn } from "../support/stand-in.ts";

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

async function post(
  { url }: StandIn,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const init = {
    method: "POST",
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  const answer = await fetch(url + path, init);
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

async function get({ url }: StandIn, path: string): Promise<Answer> {
  const answer = await fetch(url + path);
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

async function metrics({ url }: StandIn, path = "/api/metrics"): Promise<string[]> {
  const answer = await fetch(url + path);
  assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  return (await answer.text()).split("\n");
}

async function tell({ bookmaker }: StandIn, control: object): Promise<void> {
  const body = JSON.stringify(control);
  const answer = await fetch(`${bookmaker}/__control`, { method: "PUT", body });
  assert.equal(answer.status, 200);
}

const DRAFTKINGS = "/api/circuit-breakers/draftkings";

test("a bookmaker fails, is tripped, shown, reset, and called again", async (t) => {
  const service = await startStandIn(t);
  assert.deepEqual(
    (await metrics(service)).filter((line) => line.includes("circuit_breaker")),
    [],
  );

  const probe = await post(service, "/api/probe/draftkings");
  assert.equal(probe.json["overallHealth"], 1);
  const bet = await post(service, "/api/microbet", { id: "m1", bookmaker: "draftkings" });
  assert.equal(bet.json["accessible"], true);
  const pool = await post(service, "/api/darkpool/draftkings/m1");
  assert.equal(pool.json["success"], true);
  assert.equal((await post(service, "/api/graph/draftkings")).status, 200);
  assert.equal((await post(service, "/api/probe/nobody")).status, 404);

  await tell(service, { status: 503 });
  for (let n = 0; n < 10; n += 1) {
    const answer = await post(service, "/api/darkpool/draftkings/m1");
    assert.equal(answer.status, 200);
    assert.match(String(answer.json["error"]), /^HTTP 503/);
  }
  for (const path of [
    "/api/probe/draftkings",
    "/api/darkpool/draftkings/m1",
    "/api/graph/draftkings",
  ]) {
    const refused = await post(service, path);
    assert.equal(refused.status, 503);
    assert.equal(refused.json["error"], "circuit_tripped");
    assert.equal(refused.json["bookmaker"], "draftkings");
  }
  const refusedBet = await post(service, "/api/microbet", { bookmaker: "draftkings" });
  assert.equal(refusedBet.json["operation"], "microBet");

  for (const path of ["/api/metrics", "/metrics"]) {
    const lines = await metrics(service, path);
    for (const line of [
      'circuit_breaker_tripped{bookmaker="draftkings"} 1',
      'circuit_breaker_failures_1m{bookmaker="draftkings"} 10',
      'circuit_breaker_trip_count{bookmaker="draftkings"} 1',
      'circuit_breaker_rejected_total{bookmaker="draftkings",operation="deepProbe",reason="tripped"} 1',
      'circuit_breaker_rejected_total{bookmaker="draftkings",operation="microBet",reason="tripped"} 1',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.ok(lines.some((line) => line.startsWith("circuit_breaker_latency_ms{")));
  }
  assert.match(
    service.output(),
    /\| ERROR \| HBCB-002 \| ProductionCircuitBreaker \| \[CIRCUIT_BREAKER\] TRIPPED: draftkings after 10 failures\. Last error: HTTP 503/,
  );

  const denied = await post(service, `${DRAFTKINGS}/reset`, { reason: "too early" }, ADMIN);
  assert.equal(denied.status, 400);
  assert.match(String(denied.json["error"]), /^Reset denied: draftkings tripped <60s ago/);
  const forced = await post(service, `${DRAFTKINGS}/reset`, { force: true }, ADMIN);
  assert.equal(forced.status, 200);
  assert.equal(forced.json["success"], true);

  await tell(service, { status: 200 });
  const back = await post(service, "/api/darkpool/draftkings/m1");
  assert.equal(back.json["success"], true);

  // The console is another process, and sees and orders through the file.
  const console = await service.console(
    'breaker.status("draftkings").lastResetReason',
    'breaker.trip("draftkings", "maintenance")',
    'breaker.reset("draftkings", "too early")',
    "mlgs.system.name",
  );
  assert.equal(console.code, 0, console.stderr);
  const printed = console.stdout.split("\n");
  assert.ok(printed.includes('"Manual reset via API"'), console.stdout);
  assert.ok(printed.some((line) => line.startsWith("Reset denied: draftkings tripped <60s ago")));
  assert.ok(printed.includes('"hyper-bun"'));
  await until(service, true);
  assert.equal((await post(service, "/api/probe/draftkings")).json["manual"], true);
  const reset = await service.console('breaker.reset("draftkings", "Emergency override", true)');
  assert.equal(reset.code, 0, reset.stderr);
  await until(service, false);
  assert.equal((await get(service, DRAFTKINGS)).json["lastResetBy"], "ann");
  assert.equal((await post(service, "/api/probe/draftkings")).status, 200);

  // SIGTERM ends it well, and what was tripped is still so afterwards, in the very first scrape.
  await post(service, `${DRAFTKINGS}/trip`, { reason: "before the deploy" }, ADMIN);
  const ended = await service.stop();
  assert.equal(ended.code, 0, ended.stderr);
  const again = await service.again();
  assert.ok((await metrics(again)).includes('circuit_breaker_tripped{bookmaker="draftkings"} 1'));
  assert.equal((await again.stop()).code, 0);
});

/** Another process's order is seen within a second; each look asks the file at most once in that time. */
async function until(service: StandIn, tripped: boolean): Promise<void> {
  const started = performance.now();
  while ((await get(service, DRAFTKINGS)).json["tripped"] !== tripped) {
    assert.ok(performance.now() - started < 10_000, `not ${tripped} within ten seconds`);
  }
}

test("T-A-53 kill -9 right after a trip was answered loses neither it nor its audit", async (t) => {
  const service = await startStandIn(t);
  await post(service, `${DRAFTKINGS}/trip`, { reason: "before the kill" }, ADMIN);
  await service.stop("SIGKILL");
  const db = new DatabaseSync(join(service.folder, "data/circuit_breaker.db"));
  const audits = db.prepare("SELECT action, reason, user FROM circuit_breaker_audit").all();
  db.close();
  assert.equal(
    JSON.stringify(audits),
    '[{"action":"TRIP","reason":"before the kill","user":"api"}]',
  );
  const again = await service.again();
  const { json } = await get(again, DRAFTKINGS);
  assert.equal(json["tripped"], true);
  assert.equal(json["lastError"], "before the kill");
  assert.equal((await again.stop()).code, 0);
});

test("T-A-68 the REST contract: shapes, 401, 404, 400, default reasons, users", async (t) => {
  const service = await startStandIn(t);
  const empty = await get(service, "/api/circuit-breakers/status");
  assert.deepEqual(empty.json, { bookmakers: [], total: 0, trippedCount: 0, healthyCount: 0 });
  assert.deepEqual(await get(service, DRAFTKINGS), {
    status: 404,
    json: { error: "Bookmaker not found" },
  });
  const wrong: Record<string, string>[] = [
    {},
    { authorization: "Bearer test-admin-token" },
    { authorization: "a-token-for-tests-only" },
    { authorization: "Bearer a-token-for-tests-onlx" },
  ];
  for (const headers of wrong) {
    for (const verb of ["trip", "reset"]) {
      const answer = await post(service, `${DRAFTKINGS}/${verb}`, { reason: "x" }, headers);
      assert.deepEqual(answer, { status: 401, json: { error: "Unauthorized" } });
    }
  }
  assert.deepEqual((await get(service, "/api/circuit-breakers/status")).json["total"], 0);

  const tripped = await post(service, `${DRAFTKINGS}/trip`, undefined, ADMIN);
  assert.equal(tripped.status, 200);
  assert.equal(tripped.json["success"], true);
  assert.equal(tripped.json["bookmaker"], "draftkings");
  assert.equal(typeof tripped.json["message"], "string");
  const { json: one } = await get(service, DRAFTKINGS);
  const { lastFailureAt, ...rest } = one;
  assert.equal(typeof lastFailureAt, "number");
  assert.deepEqual(rest, {
    bookmaker: "draftkings",
    tripped: true,
    failures: 0,
    failureThreshold: 10,
    lastError: "Manual trip via API",
    avgLatency: null,
    tripCount: 1,
    lastResetAt: null,
    lastResetBy: null,
    lastResetReason: null,
  });
  await post(service, "/api/circuit-breakers/fanduel/trip", { reason: "maintenance" }, ADMIN);
  await post(service, "/api/circuit-breakers/fanduel/reset", { force: true }, ADMIN);
  const { json: all } = await get(service, "/api/circuit-breakers/status");
  const { total, trippedCount, healthyCount } = all;
  assert.deepEqual(
    { total, trippedCount, healthyCount },
    { total: 2, trippedCount: 1, healthyCount: 1 },
  );
  const fanduel = (await get(service, "/api/circuit-breakers/fanduel")).json;
  assert.equal(fanduel["lastResetBy"], "api");
  assert.equal(fanduel["lastResetReason"], "Manual reset via API");
  assert.equal((await service.stop()).code, 0);
});
