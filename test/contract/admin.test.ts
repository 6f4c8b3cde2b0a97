// The admin interface as its clients see it: over HTTP, on this runtime's own server.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, test } from "node:test";
import { isAdminToken } from "../../src/admin/auth.ts";
import { createAdminApp, type AdminOptions } from "../../src/admin/api.ts";
import { reset } from "../../src/admin/orders.ts";
import { startAdmin } from "../../src/admin/server.ts";
import { Secret } from "../../src/config/secret.ts";
import { StoreError } from "../../src/core/errors.ts";
import { adaptive, createSwitchgear, latching, memoryStore } from "../../src/index.ts";
import type { Store, Switchgear } from "../../src/index.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
import { prometheusMetrics } from "../../src/telemetry/otel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { parseExposition, sampleOf } from "./exposition.ts";

const TOKEN = "a-token-of-enough-characters";
const BEARER = { authorization: `Bearer ${TOKEN}` };
const API = "/api/circuit-breakers";

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

interface Subject {
  readonly gear: Switchgear;
  readonly clock: VirtualClock;
  readonly url: string;
  readonly errors: unknown[];
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
  readonly post: (
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
}

function record(value: unknown): Record<string, unknown> {
  assert.ok(typeof value === "object" && value !== null);
  return { ...value };
}

function historyOf(answer: Answer): Record<string, unknown>[] {
  const { history } = answer.body;
  assert.ok(Array.isArray(history));
  return history.map(record);
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function start(
  options: Partial<AdminOptions> & {
    names?: readonly string[];
    store?: Store;
    other?: boolean;
  } = {},
): Promise<Subject> {
  const clock = new VirtualClock();
  const upstream = { breaker: latching({ failureThreshold: 5, cooldownMs: 60_000 }) };
  const { names = ["draftkings", "fanduel"], store, other, ...admin } = options;
  const gear = createSwitchgear({
    upstreams: Object.fromEntries(names.map((name) => [name, upstream])),
    otherUpstreams: other === true ? upstream : undefined,
    store: store ?? memoryStore(),
    sampler: { systemLoad: () => 0 },
    clock,
  });
  const errors: unknown[] = [];
  const app = createAdminApp({
    gear,
    token: new Secret(TOKEN),
    metrics: prometheusMetrics(gear, { version: "1.2.3" }),
    version: "1.2.3",
    isShuttingDown: () => false,
    onError: (error) => errors.push(error),
    ...admin,
  });
  const server = await startAdmin({ host: "127.0.0.1", port: 0, app });
  stops.push(async () => {
    await server.stop();
    await gear.close();
  });
  const request = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(`${server.url}${path}`, { ...init, redirect: "error" });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    const body = isJson ? record(JSON.parse(text)) : {};
    return { status: response.status, headers: response.headers, text, body };
  };
  return {
    gear,
    clock,
    url: server.url,
    errors,
    get: (path, headers = {}) => request(path, { headers }),
    post: (path, body, headers = BEARER) =>
      request(path, {
        method: "POST",
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined
          ? {}
          : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
  };
}

describe("reads", () => {
  test("the status list: sorted, counted, every key there, absent values null", async () => {
    const { gear, get } = await start({ names: ["fanduel", "draftkings"] });
    gear.upstream("fanduel").trip({ reason: "maintenance", actor: "ann" });

    const { status, body, headers } = await get(`${API}/status`);

    assert.equal(status, 200);
    assert.match(headers.get("content-type") ?? "", /^application\/json/);
    assert.deepEqual(Object.keys(body), [
      "bookmakers",
      "total",
      "trippedCount",
      "healthyCount",
      "systemLoad",
    ]);
    assert.deepEqual(body["systemLoad"], { value: 0, driver: null });
    assert.deepEqual([body["total"], body["trippedCount"], body["healthyCount"]], [2, 1, 1]);
    const at = Date.UTC(2026, 0, 1);
    const untouched = {
      bookmaker: "draftkings",
      tripped: false,
      failures: 0,
      failureCount: 0,
      failureThreshold: 5,
      lastError: null,
      avgLatency: null,
      lastFailureAt: null,
      tripCount: 0,
      lastResetAt: null,
      lastResetBy: null,
      lastResetReason: null,
      state: "closed",
      manual: false,
      trippedAt: null,
      trippedUntil: null,
      needsPerson: false,
      cooldownRemainingMs: 0,
      lastSuccessAt: null,
      mode: "normal",
      kind: "latching",
      trippedBy: null,
      window: null,
      health: null,
      endpoints: [],
      persisted: true,
      inFlight: 0,
      abandoned: 0,
      limit: null,
      rates: [],
    };
    assert.deepEqual(body["bookmakers"], [
      untouched,
      {
        ...untouched,
        bookmaker: "fanduel",
        tripped: true,
        lastError: "maintenance",
        lastFailureAt: at,
        tripCount: 1,
        state: "open",
        manual: true,
        trippedAt: at,
        needsPerson: true,
        cooldownRemainingMs: 60_000,
      },
    ]);
  });

  test("one upstream, with halves and averages", async () => {
    const { gear, get } = await start();
    const dk = gear.upstream("draftkings");
    dk.record({ outcome: "ok", latencyMs: 150 });
    dk.record({ outcome: "failed", timeout: true, error: "slow" });

    const { status, body } = await get(`${API}/draftkings`);

    assert.equal(status, 200);
    assert.equal(body["failures"], 0.5);
    assert.equal(body["failureCount"], 0.5);
    assert.equal(body["avgLatency"], 150);
  });

  test("an unknown upstream is 404, and asking creates none", async () => {
    const { gear, get } = await start({ other: true });

    for (const name of ["nobody", "__proto__", "constructor", "toString", "%ff", "%00"]) {
      const { status, body } = await get(`${API}/${name}`);
      assert.equal(status, 404, name);
      assert.deepEqual(body, { error: "Bookmaker not found" });
    }
    assert.equal(gear.upstreams().length, 2);
  });

  test("names are decoded once, whatever they hold", async () => {
    const names = ["a/b", "a%2Fb", "100%", "a b", "größe", "🎲", 'q"<b>\n', "?x#y", "a\\b", "%"];
    const { get, post } = await start({ names });

    for (const name of names) {
      const path = `${API}/${encodeURIComponent(name)}`;
      assert.equal((await get(path)).body["bookmaker"], name);
      const tripped = await post(`${path}/trip`, { reason: "x" });
      assert.equal(tripped.body["bookmaker"], name);
      assert.equal(historyOf(await get(`${path}/history`)).length, 1, name);
    }
  });

  test("history: all of it, of one, limited, newest first", async () => {
    const { gear, clock, get } = await start();
    const dk = gear.upstream("draftkings");
    dk.trip({ reason: "first", actor: "ann" });
    clock.advance(10);
    assert.throws(() => dk.reset({ reason: "early", actor: "bob" }));
    clock.advance(10);
    dk.reset({ reason: "fixed", actor: "bob", force: true });
    gear.upstream("fanduel").trip({ reason: "other" });

    const one = await get(`${API}/draftkings/history?limit=2`);
    const all = await get(`${API}/history`);

    const at = Date.UTC(2026, 0, 1);
    assert.deepEqual(one.body, {
      history: [
        {
          bookmaker: "draftkings",
          action: "RESET",
          reason: "fixed",
          user: "bob",
          timestamp: at + 20,
          forced: true,
        },
        {
          bookmaker: "draftkings",
          action: "RESET_DENIED",
          reason: "early",
          user: "bob",
          timestamp: at + 10,
          forced: false,
        },
      ],
    });
    assert.equal(historyOf(all).length, 4);
    assert.deepEqual((await get(`${API}/fanduel/history`)).status, 200);
    assert.deepEqual((await get(`${API}/nobody/history`)).body, { error: "Bookmaker not found" });
    for (const limit of ["0", "1001", "-1", "1.5", "ten", "", "1e9"]) {
      assert.equal((await get(`${API}/history?limit=${limit}`)).status, 400, limit);
    }
  });

  test("whether a history still says what was written", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "switchgear-admin-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "breaker.db");
    const { gear, get } = await start({
      store: sqliteStore(path),
      names: ["dk", "fan/duel", "undefined"],
    });
    for (const name of ["dk", "fan/duel"]) gear.upstream(name).trip();
    gear.upstream("fan/duel").reset({ force: true });

    const whole = { rows: 1, outside: 0, shortened: false, brokenAt: null, chained: true };
    const verify = (name: string) =>
      get(`${API}/${encodeURIComponent(name)}/history/verify`, BEARER);
    // It costs more than any other question.
    assert.equal((await get(`${API}/dk/history/verify`)).status, 401);
    const { status, body } = await verify("dk");
    assert.deepEqual([status, body], [200, { bookmaker: "dk", ...whole }]);
    assert.deepEqual((await verify("fan/duel")).body, { bookmaker: "fan/duel", ...whole, rows: 2 });

    const db = new DatabaseSync(path);
    t.after(() => db.close());
    db.exec(`UPDATE circuit_breaker_audit SET user = 'bob' WHERE id = 3;
      INSERT INTO circuit_breaker_audit (bookmaker, action) VALUES ('gone', 'TRIP')`);
    const why = "the row of id 3 is not what was written: somebody has changed it";
    assert.deepEqual((await verify("fan/duel")).body["brokenAt"], { row: 2, why });
    assert.deepEqual((await verify("gone")).body, {
      bookmaker: "gone",
      ...whole,
      rows: 0,
      outside: 1,
    });
    for (const name of ["nobody", "%"]) {
      const { status: none, body: said } = await get(`${API}/${name}/history/verify`, BEARER);
      assert.deepEqual([none, said], [404, { error: "Bookmaker not found" }]);
    }
  });

  test("a store that keeps no chain is no fault, and one that cannot be read is", async () => {
    const { get } = await start();
    const { status, body } = await get(`${API}/draftkings/history/verify`, BEARER);
    assert.equal(status, 200);
    assert.deepEqual(body, {
      bookmaker: "draftkings",
      rows: 0,
      outside: 0,
      shortened: false,
      brokenAt: null,
      chained: false,
    });
    assert.equal((await get(`${API}/nobody/history/verify`, BEARER)).status, 404);

    const verify = (): never => {
      throw new StoreError("SQLITE_BUSY", "history of x: locked");
    };
    const failing = await start({ store: Object.assign(memoryStore(), { verify }) });
    const answer = await failing.get(`${API}/draftkings/history/verify`, BEARER);
    assert.equal(answer.status, 503);
    assert.match(String(answer.body["detail"]), /cannot be read now: history of x: locked/);
    assert.deepEqual(failing.errors, []);
    const bug = new Error("a bug");
    failing.gear.verifyHistory = () => Promise.reject(bug);
    assert.equal((await failing.get(`${API}/draftkings/history/verify`, BEARER)).status, 500);
    assert.deepEqual(failing.errors, [bug]);
  });

  test("metrics on both paths, with the type that Prometheus wants", async () => {
    const { gear, get } = await start();
    gear.upstream("draftkings").trip();

    for (const path of ["/metrics", "/api/metrics"]) {
      const { status, headers, text } = await get(path);
      assert.equal(status, 200);
      assert.equal(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
      const families = parseExposition(text);
      assert.equal(sampleOf(families, "circuit_breaker_tripped", { bookmaker: "draftkings" }), 1);
    }
  });

  test("metrics in OpenMetrics for whoever prefers it, such as Prometheus", async () => {
    const { get } = await start();
    const typeFor = async (accept: string): Promise<string | null> => {
      const { headers } = await get("/metrics", { accept });
      assert.equal(headers.get("vary"), "accept");
      return headers.get("content-type");
    };
    const text = "text/plain; version=0.0.4; charset=utf-8";
    const open = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    // What Prometheus 3 sends by default.
    const prometheus =
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    assert.equal(await typeFor(prometheus), open);
    assert.equal(await typeFor("application/openmetrics-text; version=1.0.0"), open);
    assert.equal(await typeFor("text/plain;q=0.9,application/openmetrics-text;q=0.1"), text);
    for (const accept of [
      "*/*",
      "text/html",
      "text/*",
      "",
      "application/openmetrics-text;q=0",
      ";;",
    ]) {
      assert.equal(await typeFor(accept), text, accept);
    }
    const { text: body } = await get("/metrics", { accept: "application/openmetrics-text" });
    assert.ok(body.endsWith("# EOF\n"));
  });

  test("metrics that cannot be collected are 500 and not an empty 200", async () => {
    const { get, errors } = await start({
      metrics: { collect: () => Promise.reject(new Error("secret detail")) },
    });

    for (const path of ["/metrics", "/api/metrics"]) {
      const { status, text } = await get(path);
      assert.equal(status, 500);
      assert.doesNotMatch(text, /secret detail/);
    }
    assert.equal(errors.length, 2);
  });

  test("unknown routes and methods", async () => {
    const { get, post } = await start();

    for (const path of ["/nothing", "/api", `${API}/a/b/c`, "/metrics/x"]) {
      const { status, headers } = await get(path);
      assert.equal(status, 404, path);
      assert.equal(headers.get("content-type"), "application/problem+json");
    }
    assert.equal((await post("/metrics")).status, 404);
    assert.equal((await get(`${API}/draftkings/trip`)).status, 404);
  });

  test("an error inside is 500 and tells nothing", async () => {
    const { gear, get, errors } = await start();
    gear.statuses = () => {
      throw new Error("secret detail");
    };

    const { status, body, text } = await get(`${API}/status`);

    assert.equal(status, 500);
    assert.equal(typeof body["error"], "string");
    assert.doesNotMatch(text, /secret detail/);
    assert.equal(errors.length, 1);
  });
});

describe("probes", () => {
  test("alive and ready", async () => {
    const { gear, get } = await start();
    gear.upstream("draftkings").trip();
    gear.upstream("fanduel").trip();

    assert.deepEqual((await get("/livez")).body, { status: "alive" });
    const { status, body } = await get("/readyz");
    assert.equal(status, 200, "tripped breakers do not drain the gateway");
    assert.equal(body["status"], "ready");
    assert.deepEqual(body["reasons"], []);
  });

  test("a failing store degrades and does not drain", async () => {
    const memory = memoryStore();
    const store: Store = {
      kind: "sqlite",
      durable: true,
      location: "breaker.db",
      load: () => memory.load(),
      commit: () => {
        throw new StoreError("SQLITE_FULL", "disk full");
      },
      history: (query) => memory.history(query),
      close: () => {},
    };
    const { gear, get } = await start({ store });
    gear.upstream("draftkings").trip();

    const { status, body } = await get("/readyz");

    assert.equal(status, 200);
    assert.equal(body["status"], "degraded");
    assert.match(String(body["reasons"]), /SQLITE_FULL/);
    assert.equal((await get(`${API}/draftkings`)).body["persisted"], false);
    assert.equal((await get("/livez")).status, 200);
  });

  test("says whose state the store refuses, and how many audits are in the log alone", async () => {
    const store: Store = {
      ...memoryStore(),
      kind: "picky",
      location: "nowhere",
      durable: true,
      load: () => [],
      commit: ({ breakers, audits }) => {
        const isRefused =
          breakers.some(({ upstream }) => upstream === "draftkings") ||
          audits.some(({ action }) => action === "RESET_DENIED");
        if (isRefused) throw new StoreError("OWN_RULE", "not this", { concerns: "change" });
      },
      history: () => [],
      close: () => {},
    };
    const { gear, get } = await start({ store });
    const fanduel = gear.upstream("fanduel");
    fanduel.trip();
    assert.throws(() => fanduel.reset());

    const soon = await get("/readyz");
    assert.equal(soon.body["status"], "ready");
    assert.match(String(soon.body["reasons"]), /1 audit was refused/);

    gear.upstream("draftkings").trip();
    const { body } = await get("/readyz");
    assert.equal(body["status"], "degraded");
    assert.match(String(body["reasons"]), /does not take the state of draftkings \(OWN_RULE/);
    assert.deepEqual(record(body["store"])["refused"], ["draftkings"]);
    assert.equal(record(body["store"])["auditsRefused"], 1);
    assert.equal((await get(`${API}/draftkings`)).body["persisted"], false);
    assert.equal((await get(`${API}/fanduel`)).body["persisted"], true);
    const page = (await get("/")).text;
    assert.match(page, /does not take the state of draftkings/);
    assert.match(page, /1 audit was refused/);
    const metrics = parseExposition((await get("/metrics")).text);
    const refused = "switchgear_store_refused_audits_total";
    assert.equal(sampleOf(metrics, refused, { action: "RESET_DENIED" }), 1);
    assert.equal(sampleOf(metrics, refused, { action: "TRIP" }), 0);
    assert.equal(sampleOf(metrics, "switchgear_store_pending", {}), 1);
    assert.equal(sampleOf(metrics, "switchgear_store_up", {}), 0);
  });

  test("not ready while shutting down, and alive all the same", async () => {
    let stopping = false;
    const { get } = await start({ isShuttingDown: () => stopping });
    stopping = true;

    const { status, body } = await get("/readyz");

    assert.equal(status, 503);
    assert.equal(body["status"], "stopping");
    assert.equal((await get("/livez")).status, 200);
  });
});

describe("orders", () => {
  test("trip and reset, with default reasons and the default actor", async () => {
    const { gear, clock, get, post } = await start();

    const trip = await post(`${API}/draftkings/trip`);
    assert.equal(trip.status, 200);
    assert.deepEqual(trip.body, {
      success: true,
      bookmaker: "draftkings",
      message: "Circuit breaker for draftkings tripped",
      changed: true,
      manual: true,
      persisted: true,
      fleet: null,
    });
    assert.ok(gear.upstream("draftkings").isTripped);

    const denied = await post(`${API}/draftkings/reset`, {});
    assert.equal(denied.status, 400);
    assert.deepEqual(denied.body, {
      error: "Reset denied: draftkings tripped <60s ago; 60000 ms remain, or force it",
    });

    clock.advance(60_000);
    const reset = await post(`${API}/draftkings/reset`, {});
    assert.equal(reset.status, 200);
    assert.deepEqual(reset.body, {
      success: true,
      bookmaker: "draftkings",
      message: "Circuit breaker for draftkings reset",
      changed: true,
      manual: false,
      persisted: true,
      fleet: null,
    });

    const told = historyOf(await get(`${API}/draftkings/history`)).map(
      ({ action, reason, user }) => [action, reason, user],
    );
    assert.deepEqual(told, [
      ["RESET", "Manual reset via API", "api"],
      ["RESET_DENIED", "Manual reset via API", "api"],
      ["TRIP", "Manual trip via API", "api"],
    ]);
  });

  test("force, reason and actor are taken and audited", async () => {
    const { get, post } = await start();
    const headers = { authorization: `bearer ${TOKEN}`, "x-switchgear-actor": "ann (on call)" };
    await post(`${API}/draftkings/trip`, { reason: "maintenance" }, headers);

    const reset = await post(`${API}/draftkings/reset`, { reason: "done", force: true }, headers);

    assert.equal(reset.status, 200);
    const [newest, oldest] = historyOf(await get(`${API}/draftkings/history`));
    assert.deepEqual(
      [newest?.["user"], newest?.["reason"], newest?.["forced"]],
      ["ann (on call)", "done", true],
    );
    assert.deepEqual([oldest?.["user"], oldest?.["reason"]], ["ann (on call)", "maintenance"]);
    assert.equal((await get(`${API}/draftkings`)).body["lastResetBy"], "ann (on call)");
  });

  test("a trip of what tripped by itself is noted, and changes nothing", async () => {
    const { gear, clock, get, post } = await start();
    const dk = gear.upstream("draftkings");
    for (let n = 0; n < 5; n += 1) dk.record({ outcome: "failed", error: "boom" });
    const before = (await get(`${API}/draftkings`)).body;
    clock.advance(1000);

    const { status, body } = await post(`${API}/draftkings/trip`, { reason: "me too" });

    assert.equal(status, 200);
    const since = new Date(Number(before["trippedAt"])).toISOString();
    assert.deepEqual(body, {
      success: true,
      bookmaker: "draftkings",
      message: `Circuit breaker for draftkings is tripped already, since ${since} by system: 5 failures reached the threshold of 5; nothing has changed, nobody holds it by hand`,
      changed: false,
      manual: false,
      persisted: true,
      fleet: null,
    });
    const after = (await get(`${API}/draftkings`)).body;
    assert.deepEqual(after, { ...before, cooldownRemainingMs: 59_000 });
    assert.deepEqual(
      historyOf(await get(`${API}/draftkings/history`)).map(({ action, reason }) => [
        action,
        reason,
      ]),
      [
        ["TRIP_NOTED", "me too"],
        ["TRIP", "5 failures reached the threshold of 5"],
      ],
    );
  });

  test("holding it makes a trip by hand of it, and what somebody holds nobody writes over", async () => {
    const { gear, get, post } = await start();
    const dk = gear.upstream("draftkings");
    for (let n = 0; n < 5; n += 1) dk.record({ outcome: "failed", error: "boom" });

    const by = (actor: string): Record<string, string> => ({
      authorization: `Bearer ${TOKEN}`,
      "x-switchgear-actor": actor,
    });
    const path = `${API}/draftkings/trip`;
    const held = await post(path, { reason: "until noon", hold: true }, by("ann"));
    assert.deepEqual([held.body["changed"], held.body["manual"]], [true, true]);
    assert.match(
      String(held.body["message"]),
      /is held by hand now; it was tripped already, since/,
    );

    for (const hold of [true, false]) {
      const again = await post(path, { reason: "mine", hold }, by("bob"));
      assert.deepEqual([again.body["changed"], again.body["manual"]], [false, true]);
      assert.match(String(again.body["message"]), /by ann: until noon; nothing has changed$/);
      assert.equal((await get(`${API}/draftkings`)).body["lastError"], "until noon");
    }
    assert.equal((await post(path, { hold: "true" })).status, 400);
  });

  test("a reset of what is closed says so, and which endpoints it brought back", async () => {
    const { gear, post } = await start();
    const { body } = await post(`${API}/draftkings/reset`, {});
    assert.deepEqual(
      [body["message"], body["changed"]],
      ["Circuit breaker for draftkings was closed already; nothing to reset", false],
    );

    gear.upstream("draftkings").record({ outcome: "failed", error: "boom" });
    await post(`${API}/draftkings/reset`, {});
    assert.equal(gear.upstream("draftkings").status().failureCount, 0);

    const clock = new VirtualClock();
    const pool = createSwitchgear({
      upstreams: {
        pool: {
          breaker: latching({ failureThreshold: 100 }),
          endpoints: [
            { name: "pool-a", url: "http://a" },
            { name: "pool-b", url: "http://b" },
          ],
          endpointBreaker: adaptive({ failureThreshold: 1, adaptive: false }),
        },
      },
      clock,
    });
    stops.push(() => pool.close());
    const upstream = pool.upstream("pool");
    const fail = (): Promise<unknown> => upstream.execute(() => Promise.reject(new Error("boom")));
    for (let n = 0; n < 4; n += 1) await fail().catch(() => {});
    const out = upstream.status().endpoints.filter(({ state }) => state !== "healthy");
    assert.notEqual(out.length, 0);
    assert.deepEqual(reset(upstream, { reason: "x", actor: "ann", force: false }), {
      changed: true,
      message: `Circuit breaker for pool was closed already; endpoints reset: ${out.map(({ name, state }) => `${name} (${state})`).join(", ")}`,
    });
  });

  test("modes", async () => {
    const { gear, get, post } = await start();

    const { status, body } = await post(`${API}/draftkings/mode`, {
      mode: "shadow",
      reason: "trial",
    });

    assert.equal(status, 200);
    assert.deepEqual(body, {
      success: true,
      bookmaker: "draftkings",
      message: "Circuit breaker for draftkings set to shadow",
      changed: true,
      manual: false,
      persisted: true,
      fleet: null,
    });
    assert.equal(gear.upstream("draftkings").mode, "shadow");
    assert.equal((await get(`${API}/draftkings`)).body["mode"], "shadow");
    assert.equal((await post(`${API}/draftkings/mode`, { mode: "open" })).status, 400);
    assert.equal((await post(`${API}/draftkings/mode`, {})).status, 400);
    assert.equal((await post(`${API}/nobody/mode`, { mode: "shadow" })).status, 404);
  });

  test("unknown upstreams", async () => {
    const { gear, post } = await start();

    for (const order of ["trip", "reset"]) {
      const { status, body } = await post(`${API}/nobody/${order}`);
      assert.equal(status, 404);
      assert.deepEqual(body, { error: "Bookmaker not found" });
    }
    assert.equal(gear.upstreams().length, 2);
  });

  test("where names come from traffic, one can be stopped before its first call", async () => {
    const { gear, post } = await start({ other: true });

    assert.equal((await post(`${API}/later/reset`)).status, 404);
    assert.equal((await post(`${API}/later/trip`)).status, 200);
    assert.ok(gear.upstream("later").isTripped);
  });

  const bad: readonly (readonly [string, unknown, RegExp])[] = [
    ["an unknown key", { reson: "x" }, /"reson" is unknown.*reason: a text/],
    ["a force in quotes", { force: "true" }, /force must be true or false/],
    ["a force of 1", { force: 1 }, /force must be true or false/],
    ["a null force", { force: null }, /force must be/],
    ["a number for a reason", { reason: 5 }, /reason must be a text/],
    ["an empty reason", { reason: " " }, /reason must be a text/],
    ["a prototype", '{"__proto__":{"force":true}}', /"__proto__" is unknown/],
    ["several faults at once", { force: "x", a: 1 }, /force must be.*"a" is unknown/],
    ["an array", [], /must be an object/],
    ["a text", '"force"', /must be an object/],
    ["null", "null", /must be an object/],
    ["no JSON", "{force:true}", /no valid JSON/],
    ["half a JSON", '{"force":', /no valid JSON/],
  ];
  for (const [what, body, message] of bad) {
    test(`a body with ${what} is refused, and says what is right`, async () => {
      const { gear, post } = await start();
      gear.upstream("draftkings").trip();

      const answer = await post(`${API}/draftkings/reset`, body);

      assert.equal(answer.status, 400);
      assert.match(String(answer.body["error"]), message);
      assert.ok(gear.upstream("draftkings").isTripped);
    });
  }

  test("a body of another type is refused", async () => {
    const { post } = await start();
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]) {
      const headers = { authorization: `Bearer ${TOKEN}`, "content-type": type };
      assert.equal((await post(`${API}/draftkings/trip`, '{"reason":"x"}', headers)).status, 415);
    }
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      "content-type": "Application/JSON; charset=utf-8",
    };
    assert.equal((await post(`${API}/draftkings/trip`, '{"reason":"x"}', headers)).status, 200);
  });

  test("a body that is too large is refused, declared or not", async () => {
    const { gear, post, url } = await start();

    const declared = await post(`${API}/draftkings/trip`, { reason: "x".repeat(70_000) });
    const chunk = new TextEncoder().encode("x".repeat(10_000));
    let sent = 0;
    const streamed = await fetch(`${url}${API}/draftkings/trip`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: new ReadableStream({
        pull(controller) {
          sent += 1;
          if (sent > 20) controller.close();
          else controller.enqueue(chunk);
        },
      }),
      duplex: "half",
    } as RequestInit);
    await streamed.text();

    assert.equal(declared.status, 413);
    assert.equal(streamed.status, 413);
    assert.equal(gear.upstream("draftkings").isTripped, false);
    assert.equal(
      (await post(`${API}/draftkings/trip`, { reason: "x".repeat(60_000) })).status,
      200,
    );
  });

  test("an actor that would not print is refused", async () => {
    const { post } = await start();
    for (const actor of ["a\tb", "größe", "x".repeat(129)]) {
      const headers = { authorization: `Bearer ${TOKEN}`, "x-switchgear-actor": actor };
      const { status, body } = await post(`${API}/draftkings/trip`, {}, headers);
      assert.equal(status, 400, actor);
      assert.match(String(body["error"]), /x-switchgear-actor/);
    }
  });
});

describe("the token", () => {
  const orders = ["trip", "reset", "mode"].map((order) => `${API}/draftkings/${order}`);

  test("is needed for every change, and for unknown upstreams too", async () => {
    const { gear, post } = await start();
    const wrong: Record<string, string>[] = [
      {},
      { authorization: "" },
      { authorization: "Bearer" },
      { authorization: "Bearer wrong" },
      { authorization: `Bearer ${TOKEN}x` },
      { authorization: `Bearer ${TOKEN.slice(0, -1)}` },
      { authorization: `Bearer ${TOKEN.toUpperCase()}` },
      { authorization: `Basic ${TOKEN}` },
      { authorization: TOKEN },
      { authorization: `Bearer ${TOKEN} ${TOKEN}` },
      { authorization: "Bearer test-admin-token" },
    ];
    for (const path of [...orders, `${API}/nobody/trip`]) {
      for (const headers of wrong) {
        const { status, headers: answered, body, text } = await post(path, undefined, headers);
        assert.equal(status, 401, JSON.stringify(headers));
        assert.match(answered.get("www-authenticate") ?? "", /^Bearer/);
        assert.equal(typeof body["error"], "string");
        assert.ok(!text.includes(TOKEN));
      }
    }
    assert.equal(gear.upstream("draftkings").isTripped, false);
    assert.equal(gear.history().length, 0);
  });

  test("when none is configured, nothing can be changed, and the answer says how to set one", async () => {
    const { gear, get, post } = await start({ token: undefined });
    for (const path of orders) {
      const { status, headers, body } = await post(path, {});
      assert.equal(status, 403);
      assert.equal(headers.get("content-type"), "application/problem+json");
      assert.match(String(body["detail"]), /SWITCHGEAR_ADMIN_TOKEN/);
    }
    assert.equal(gear.upstream("draftkings").isTripped, false);
    assert.equal((await get(`${API}/status`)).status, 200, "reads are open");
  });

  test("comparison", () => {
    const token = new Secret(TOKEN);
    assert.equal(isAdminToken(TOKEN, token), true);
    for (const value of ["", "x", `${TOKEN} `, TOKEN.slice(1), "x".repeat(100_000), "\ud800"]) {
      assert.equal(isAdminToken(value, token), false);
    }
  });
});

describe("headers and page", () => {
  test("every answer forbids sniffing, storing and framing, and none allows other origins", async () => {
    const { get, post } = await start();
    const answers = [
      await get("/"),
      await get("/metrics"),
      await get("/readyz"),
      await get(`${API}/status`),
      await get("/nothing"),
      await post(`${API}/draftkings/trip`, {}, {}),
    ];
    for (const { headers } of answers) {
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("cache-control"), "no-store");
      assert.equal(headers.get("x-frame-options"), "DENY");
      assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'/);
      assert.equal(headers.get("access-control-allow-origin"), null);
      assert.equal(headers.get("set-cookie"), null);
    }
  });

  test("the page shows every upstream, tripped ones first, escaped, and loads nothing", async () => {
    const hostile = `<script>alert('1')</script>"&`;
    const { gear, get } = await start({
      names: ["aaa", hostile, "zzz"],
      summary: { "gateway port": 8080, note: "<b>" },
    });
    gear.upstream("zzz").trip({ reason: "<img src=x onerror=alert(1)>" });

    const { status, headers, text } = await get("/");

    assert.equal(status, 200);
    assert.equal(headers.get("content-type"), "text/html; charset=utf-8");
    assert.match(
      headers.get("content-security-policy") ?? "",
      /style-src 'sha256-[A-Za-z0-9+/=]+'/,
    );
    assert.doesNotMatch(text, /<script|<img|<b>|https?:\/\//);
    assert.ok(text.includes("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
    assert.ok(text.indexOf("<td>zzz</td>") < text.indexOf("<td>aaa</td>"));
    assert.match(text, /1 of 3 tripped/);
    assert.match(text, /gateway port: 8080/);
    for (const [, link = ""] of text.matchAll(/href="([^"]+)"/g)) {
      assert.equal((await get(`/${link}`)).status, 200, link);
    }
  });
});

async function listen(url: string): Promise<{
  readonly response: Response;
  readonly until: (pattern: RegExp) => Promise<string>;
  readonly close: () => void;
}> {
  const abort = new AbortController();
  const response = await fetch(`${url}/api/events`, { signal: abort.signal });
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  return {
    response,
    until: async (pattern) => {
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) {
          const end = match.index + match[0].length;
          const read = text.slice(0, end);
          text = text.slice(end);
          return read;
        }
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) throw new Error(`the stream ended: ${text}`);
        text += decoder.decode(value, { stream: true });
      }
    },
    close: () => abort.abort(),
  };
}

describe("events", () => {
  test("trips, resets and transitions arrive as they happen; calls do not", async () => {
    const { gear, url } = await start();
    const { response, until, close } = await listen(url);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    await until(/: listening\n\n/);
    const dk = gear.upstream("draftkings");

    await dk.execute(() => 1);
    dk.trip({ reason: "line\nbreak", actor: "ann" });
    dk.tryAcquire();
    dk.reset({ force: true });

    const text = await until(/event: reset\n[^\n]+\n\n/);
    const trip = /event: trip\ndata: (.+)\n\n/.exec(text)?.[1] ?? "";
    const data = record(JSON.parse(trip));
    assert.equal(data["bookmaker"], "draftkings");
    assert.equal(data["reason"], "line\nbreak");
    assert.equal(data["upstream"], undefined);
    assert.match(text, /event: transition\n/);
    assert.match(text, /^id: 1$/m);
    assert.doesNotMatch(text, /refused|settled/);
    close();
  });

  test("a heartbeat keeps the stream open", async () => {
    const { url } = await start({ events: { heartbeatMs: 5 } });
    const { until, close } = await listen(url);
    await until(/: ping\n\n: ping\n\n/);
    close();
  });

  test("clients are bounded, and one that goes makes room", async () => {
    const { url, get } = await start({ events: { clients: 2, heartbeatMs: 5 } });
    const first = await listen(url);
    const second = await listen(url);
    await first.until(/listening/);
    await second.until(/listening/);

    const refused = await get("/api/events");
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("content-type"), "application/problem+json");

    first.close();
    for (;;) {
      const next = await listen(url);
      if (next.response.status === 200) {
        next.close();
        break;
      }
    }
    second.close();
  });

  test("a client that does not read is cut off, and the others hear everything", async () => {
    const { gear, url } = await start({ events: { clients: 2, bufferBytes: 64_000 } });
    const { port, hostname } = new URL(url);
    const slow = connect(Number(port), hostname);
    slow.on("error", () => {});
    await new Promise<void>((resolve) => {
      slow.once("data", () => {
        slow.pause();
        resolve();
      });
      slow.write("GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n");
    });
    const healthy = await listen(url);
    await healthy.until(/listening/);
    const dk = gear.upstream("draftkings");

    // The kernel's socket buffers take some megabytes first.
    let events = 0;
    const limit = 30_000;
    for (let isFull = true; isFull && events < limit;) {
      for (let n = 0; n < 500; n += 1) {
        events += 1;
        dk.trip({ reason: `${events} ${"x".repeat(900)}` });
        if (events % 10 === 0) await healthy.until(new RegExp(`"reason":"${events} [^\n]+\n\n`));
      }
      const third = await listen(url);
      isFull = third.response.status === 503;
      third.close();
    }

    assert.ok(events < limit, "it was cut off");
    slow.destroy();
    healthy.close();
  });
});

describe("the server", () => {
  test("a port in use is one sentence", async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const app = { fetch: () => new Response("") };

    await assert.rejects(startAdmin({ host: "127.0.0.1", port, app }), (error: Error) => {
      assert.match(
        error.message,
        /^the admin interface cannot start: port \d+ on 127\.0\.0\.1 is in use/,
      );
      assert.doesNotMatch(error.message, /\n/);
      assert.ok("code" in error && error.code === "EADDRINUSE");
      return true;
    });
  });

  test("stopping cuts off listeners and frees the port", async () => {
    const app = {
      fetch: () =>
        new Response(
          new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array([1])) }),
        ),
    };
    const server = await startAdmin({ host: "127.0.0.1", port: 0, app });
    const response = await fetch(server.url);
    const startMs = performance.now();

    await server.stop();

    assert.ok(performance.now() - startMs < 5000);
    await response.arrayBuffer().catch(() => {});
    await assert.rejects(fetch(server.url));
    const again = await startAdmin({ host: "127.0.0.1", port: server.port, app });
    await again.stop();
  });
});
