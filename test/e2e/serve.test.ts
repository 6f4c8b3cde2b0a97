// The whole thing as its users run it: configuration, gateway, store, metrics, admin API, command line.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { TOKEN, freePorts, serve, switchgear, temporaryFolder } from "../support/programs.ts";

const config = (url: string): string => `
upstreams:
  draftkings:
    url: ${url}
    deadlineMs: 2000
    breaker: { kind: latching, failureThreshold: 10, cooldownMs: 60000 }
    operations: { odds: { path: /odds, load: 15 } }
`;

const status = async (url: string): Promise<number> => {
  const answer = await fetch(url);
  await answer.body?.cancel();
  return answer.status;
};

const scrape = async (admin: string, path = "/metrics"): Promise<string> =>
  (await fetch(`${admin}${path}`)).text();

test("a bookmaker dies: the breaker trips, outlives kill -9, and a person resets it", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ name: "draftkings", serviceMs: 1 });
  t.after(() => bookmaker.close());
  const first = await serve(t, folder, config(bookmaker.url));

  const good = await fetch(`${first.gateway}/draftkings/odds`);
  assert.equal(good.status, 200);
  assert.equal(((await good.json()) as { path: string }).path, "/odds");
  assert.match(await scrape(first.admin), /^circuit_breaker_tripped\{bookmaker="draftkings"\} 0$/m);

  bookmaker.control({ status: 500 });
  bookmaker.clearStats();
  for (let n = 0; n < 10; n += 1)
    assert.equal(await status(`${first.gateway}/draftkings/odds`), 500);
  assert.equal(bookmaker.stats().received, 10);

  const refused = await fetch(`${first.gateway}/draftkings/odds`);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("x-switchgear-reason"), "tripped");
  assert.equal(refused.headers.get("content-type"), "application/problem+json");
  assert.equal(refused.headers.get("retry-after"), null);
  const problem = (await refused.json()) as Record<string, unknown>;
  assert.equal(problem["error"], "circuit_tripped");
  assert.equal(problem["bookmaker"], "draftkings");
  assert.equal(problem["operation"], "odds");
  assert.equal(problem["manual"], false);
  assert.equal(bookmaker.stats().received, 10);

  first.program.child.kill("SIGKILL");
  await first.program.ended;
  const second = await serve(t, folder, config(bookmaker.url));
  assert.match(
    await scrape(second.admin),
    /^circuit_breaker_tripped\{bookmaker="draftkings"\} 1$/m,
  );
  assert.match(
    await scrape(second.admin, "/api/metrics"),
    /^circuit_breaker_tripped\{bookmaker="draftkings"\} 1$/m,
  );
  assert.equal(await status(`${second.gateway}/draftkings/odds`), 503);

  bookmaker.restore();
  const denied = await second.run("reset", "draftkings", "--reason", "they say it is back");
  assert.equal(denied.code, 3);
  assert.match(denied.stderr, /Reset denied: draftkings tripped <60s ago/);
  const forced = await second.run("reset", "draftkings", "--reason", "they promised", "--force");
  assert.deepEqual([forced.code, forced.stderr], [0, ""]);
  assert.equal(await status(`${second.gateway}/draftkings/odds`), 200);

  const history = await second.run("history", "draftkings", "--json");
  const entries = (JSON.parse(history.stdout) as { history: Record<string, unknown>[] }).history;
  assert.deepEqual(
    entries.map(({ action, user, reason, forced: isForced }) => [action, user, reason, isForced]),
    [
      ["RESET", "ann", "they promised", true],
      ["RESET_DENIED", "ann", "they say it is back", false],
      ["TRIP", "system", "10 failures reached the threshold of 10", false],
    ],
  );
  const table = await second.run("history");
  assert.match(table.stdout, /RESET \(forced\) +ann +they promised/);

  const ended = await second.stop();
  assert.equal(ended.code, 0);
  assert.match(ended.stdout, /"code":"HBCB-005"/);
  assert.match(
    first.program.stdout(),
    /TRIPPED: draftkings after 10 failures\. Last error: HTTP 500\./,
  );
  assert.doesNotMatch(ended.stdout + ended.stderr + first.program.stdout(), new RegExp(TOKEN));
});

test("a store that fails from the start is told of in the log, in the answer to an order, and at the end", async (t) => {
  const folder = temporaryFolder(t);
  const store = `store: { kind: sqlite, path: ${folder}/switchgear.yaml/no-folder.db }\n`;
  const running = await serve(t, folder, store + config("http://127.0.0.1:1"));

  const tripped = await running.run("trip", "draftkings", "--reason", "maintenance");
  const ended = await running.stop();

  assert.equal(tripped.code, 0);
  assert.match(tripped.stdout, /draftkings tripped\nIt is in force, and not on disk/);
  const lines = ended.stdout.split("\n").filter((line) => line.includes('"SG_STORE"'));
  assert.match(lines[0] ?? "", /Store load failed: .*\. Breakers go on from memory\./);
  assert.match(lines.at(-1) ?? "", /"pending":1.*what the store did not take is lost/);
});

test("the command line shows, trips and explains", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const running = await serve(t, folder, config(bookmaker.url));

  const tripped = await running.run("trip", "draftkings", "--reason", "maintenance");
  assert.equal(tripped.code, 0);
  assert.equal(await status(`${running.gateway}/draftkings/odds`), 503);
  assert.equal(bookmaker.stats().received, 0);

  const shown = await running.run("status");
  assert.match(shown.stdout, /draftkings +latching +OPEN by hand +0\/10 +1 +- .* maintenance/);
  assert.match(shown.stdout, /a reset needs --force for \d+ s more/);
  const one = JSON.parse((await running.run("status", "draftkings", "--json")).stdout) as {
    manual: boolean;
  };
  assert.equal(one.manual, true);

  const unknown = await running.run("reset", "nobody", "--reason", "x");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /no upstream named "?nobody"?; known: /);

  const wrong = await switchgear(["trip", "draftkings", "-r", "x"], {
    env: { SWITCHGEAR_URL: running.admin, SWITCHGEAR_ADMIN_TOKEN: "not-the-token-at-all" },
  }).ended;
  assert.equal(wrong.code, 5);
  assert.match(wrong.stderr, /not the admin token.*read from SWITCHGEAR_ADMIN_TOKEN/);

  const none = await switchgear(["trip", "draftkings", "-r", "x"], {
    env: { SWITCHGEAR_URL: running.admin },
  }).ended;
  assert.equal(none.code, 5);
  assert.match(none.stderr, /SWITCHGEAR_ADMIN_TOKEN is not set/);
});

const several = `
upstreams:
  draftkings: { url: "http://127.0.0.1:9", breaker: { kind: latching, cooldownMs: 60000 } }
  fanduel: { url: "http://127.0.0.1:9", breaker: { kind: latching, cooldownMs: 0 } }
  betmgm: { url: "http://127.0.0.1:9", breaker: { kind: latching, failureThreshold: 1, cooldownMs: 0 } }
  caesars: { url: "http://127.0.0.1:9", breaker: { kind: latching, failureThreshold: 1 } }
`;

test("a trip of what is tripped says since when, by whom and why, and holds it only when asked", async (t) => {
  const running = await serve(t, temporaryFolder(t), several);
  await status(`${running.gateway}/betmgm/odds`);

  const noted = await running.run("trip", "betmgm", "-r", "maintenance");
  assert.deepEqual([noted.code, noted.stdout], [3, ""]);
  assert.match(
    noted.stderr,
    /betmgm is tripped already, since 20.*Z by system: 1 failures .*nobody holds it by hand: hold it with --hold/,
  );
  assert.match((await running.run("status", "betmgm")).stdout, /betmgm +latching +OPEN +1\/1/);

  const held = await running.run("trip", "betmgm", "-r", "maintenance", "--hold");
  assert.deepEqual([held.code, held.stderr], [0, ""]);
  assert.match(
    held.stdout,
    /betmgm is held by hand now; it was tripped already, since .* by system/,
  );

  const again = await running.run("trip", "betmgm", "-r", "mine", "--hold");
  assert.equal(again.code, 0);
  assert.match(again.stdout, /tripped already, since .* by ann: maintenance; nothing has changed/);
  const { stdout } = await running.run("history", "betmgm");
  assert.match(
    stdout,
    /TRIP_NOTED +ann +mine[^]*TRIP +ann +maintenance[^]*TRIP_NOTED[^]*TRIP +system/,
  );

  const closed = await running.run("reset", "fanduel", "-r", "x");
  assert.deepEqual([closed.code, closed.stderr], [0, ""]);
  assert.match(closed.stdout, /fanduel was closed already; nothing to reset/);
});

test("several are reset one after the other, and each is listed", async (t) => {
  const running = await serve(t, temporaryFolder(t), several);
  const reset = (...args: string[]): ReturnType<typeof running.run> =>
    running.run("reset", "-r", "our way out is mended", ...args);

  const nothing = await reset("--all-tripped");
  assert.deepEqual([nothing.code, nothing.stdout], [0, "nothing is tripped\n"]);

  for (const name of ["betmgm", "caesars"]) await status(`${running.gateway}/${name}/odds`);
  assert.equal((await running.run("trip", "draftkings", "-r", "maintenance")).code, 0);
  const all = await reset("--all-tripped");
  assert.equal(all.code, 3);
  assert.match(all.stdout, /draftkings +left +held by hand; reset it by its name/);
  assert.match(all.stdout, /betmgm +reset +Circuit breaker for betmgm reset/);
  assert.match(all.stdout, /caesars +refused +Reset denied: caesars tripped/);
  assert.doesNotMatch(all.stdout, /fanduel/);
  assert.match(all.stderr, /1 of 3 refused/);

  const excepted = await reset("--all-tripped", "--except", "caesars", "--json");
  assert.equal(excepted.code, 0);
  const { results } = JSON.parse(excepted.stdout) as { results: Record<string, string>[] };
  assert.deepEqual(
    results.map(({ bookmaker, result }) => [bookmaker, result]),
    [
      ["caesars", "left"],
      ["draftkings", "left"],
    ],
  );

  const named = await reset("--force", "draftkings", "caesars", "nobody", "fanduel");
  assert.equal(named.code, 1);
  assert.match(named.stdout, /draftkings +reset/);
  assert.match(named.stdout, /caesars +reset/);
  assert.match(named.stdout, /nobody +failed +no upstream named/);
  assert.match(named.stdout, /fanduel +reset +Circuit breaker for fanduel was closed already/);

  for (const wrong of [[], ["--all-tripped", "fanduel"], ["fanduel", "--except", "betmgm"]]) {
    assert.equal((await reset(...wrong)).code, 2, wrong.join(" "));
  }
  const misspelt = await reset("--all-tripped", "--except", "fanduell");
  assert.equal(misspelt.code, 2);
  assert.match(misspelt.stderr, /unknown: fanduell/);

  const elsewhere = await reset("--url", "http://127.0.0.1:1", "fanduel", "betmgm");
  assert.equal(elsewhere.code, 4);
  assert.match(elsewhere.stderr, /is --url right\?/);
  assert.equal((await reset("--url", "nowhere", "fanduel")).code, 2);
  assert.equal((await running.run("reset", "fanduel", "-r", " ")).code, 2);
});

test("without a token nothing can be changed, and the answer says how to set one", async (t) => {
  const running = await serve(t, temporaryFolder(t), config("http://127.0.0.1:9"), {
    SWITCHGEAR_ADMIN_TOKEN_FILE: "",
    SWITCHGEAR_ADMIN_TOKEN: "",
  }).catch((error: unknown) => error);
  // An empty token is a mistake to be told of, not a way to switch protection off.
  assert.ok(running instanceof Error);
  assert.match(running.message, /SWITCHGEAR_ADMIN_TOKEN/);

  const folder = temporaryFolder(t);
  const [port = 0, adminPort = 0] = await freePorts(2);
  writeFileSync(join(folder, "switchgear.yaml"), config("http://127.0.0.1:9"));
  const program = switchgear(["serve"], {
    cwd: folder,
    env: { SWITCHGEAR_PORT: String(port), SWITCHGEAR_ADMIN_PORT: String(adminPort) },
  });
  t.after(() => program.child.kill("SIGKILL"));
  const admin = `http://127.0.0.1:${adminPort}`;
  const { ready } = await import("../support/programs.ts");
  await ready(program, `${admin}/livez`);
  const answer = await fetch(`${admin}/api/circuit-breakers/draftkings/trip`, { method: "POST" });
  assert.equal(answer.status, 403);
  const refused = await switchgear(["trip", "draftkings", "-r", "x", "--url", admin]).ended;
  assert.deepEqual([refused.code, refused.stdout], [5, ""]);
  assert.match(await answer.text(), /SWITCHGEAR_ADMIN_TOKEN/);
  assert.equal(await status(`${admin}/api/circuit-breakers/draftkings`), 200);
});

test("a bad configuration ends with 2 and lists every fault", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "bad.yaml");
  writeFileSync(
    file,
    "upstreams:\n  dk: { url: ftp://x, deadlinMs: 5 }\n  fd: { url: http://x, breaker: { failureThreshold: 0 } }\n",
  );
  for (const args of [
    ["serve", "--config", file],
    ["check", file],
  ]) {
    const { code, stderr, stdout } = await switchgear(args, { cwd: folder }).ended;
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, /3 faults/);
    assert.match(stderr, /bad\.yaml:2:\d+ upstreams\.dk\.url/);
    assert.match(stderr, /did you mean "deadlineMs"/);
    assert.match(stderr, /upstreams\.fd\.breaker\.failureThreshold/);
    assert.doesNotMatch(stderr, /\n +at /);
  }
  const missing = await switchgear(["check", join(folder, "nowhere.yaml")]).ended;
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /nowhere\.yaml/);
});

test("wrong use ends with 2, help with 0, and an unreachable server with 4", async () => {
  for (const args of [["frobnicate"], ["trip", "draftkings"], ["history", "--limit", "0"]]) {
    assert.equal((await switchgear(args).ended).code, 2, args.join(" "));
  }
  for (const args of [["--help"], ["reset", "--help"], ["--version"]]) {
    assert.equal((await switchgear(args).ended).code, 0, args.join(" "));
  }
  const { code, stderr } = await switchgear(["status"], {
    env: { SWITCHGEAR_URL: "http://127.0.0.1:1" },
  }).ended;
  assert.equal(code, 4);
  assert.match(stderr, /no Switchgear answers at http:\/\/127\.0\.0\.1:1/);
  assert.doesNotMatch(stderr, /\n +at /);
});

test("history --verify says of each whether it is as written, and where it is not", async (t) => {
  const folder = temporaryFolder(t);
  const two = `${config("http://127.0.0.1:1")}  fanduel: { url: "http://127.0.0.1:1" }\n`;
  const running = await serve(t, folder, two);
  for (const name of ["draftkings", "fanduel"]) {
    await running.run("trip", name, "-r", "maintenance");
    await running.run("reset", name, "-r", "over", "--force");
  }

  const whole = await running.run("history", "--verify");
  assert.deepEqual(
    [whole.code, whole.stderr, whole.stdout],
    [0, "", "draftkings: 2 rows as written\nfanduel: 2 rows as written\n"],
  );

  const db = new DatabaseSync(join(folder, "data", "circuit_breaker.db"));
  t.after(() => db.close());
  db.exec(`UPDATE circuit_breaker_audit SET reason = 'a quiet word' WHERE id = 4;
    DELETE FROM circuit_breaker_audit WHERE id = 1;
    INSERT INTO circuit_breaker_audit (id, bookmaker, action) VALUES (-1, 'gone', 'TRIP')`);
  const broken = await running.run("history", "--verify");
  assert.equal(broken.code, 1);
  assert.equal(
    broken.stdout,
    [
      "draftkings: 1 row as written; older ones were deleted, as retention does",
      "fanduel: BROKEN at row 2 of 2: the row of id 4 is not what was written: somebody has changed it; 1 row before it as written",
      "gone: 0 rows as written; 1 row without a hash, of which nothing can be said",
      "",
    ].join("\n"),
  );
  assert.match(
    broken.stderr,
    /^switchgear: 1 of 3 broken: something else than this version of Switchgear wrote/,
  );

  const one = await running.run("history", "fanduel", "--verify", "--json");
  assert.equal(one.code, 1);
  assert.equal((JSON.parse(one.stdout) as Record<string, unknown>)["bookmaker"], "fanduel");
  assert.match(one.stderr, /^switchgear: the history is broken: /);
  const all = await running.run("history", "--verify", "--json");
  assert.equal(all.code, 1);
  const { chains } = JSON.parse(all.stdout) as { chains: readonly Record<string, unknown>[] };
  assert.deepEqual(
    chains.map(({ bookmaker, rows }) => [bookmaker, rows]),
    [
      ["draftkings", 1],
      ["fanduel", 2],
      ["gone", 0],
    ],
  );
  assert.equal((await running.run("history", "draftkings", "--verify")).code, 0);
  assert.equal((await running.run("history", "nobody", "--verify")).code, 1);
  assert.equal((await running.run("history", "--verify", "--limit", "5")).code, 2);
});

test("history --verify without a chain, or without anybody, is done, and says so", async (t) => {
  const folder = temporaryFolder(t);
  const running = await serve(
    t,
    folder,
    `store: { kind: memory }\n${config("http://127.0.0.1:1")}`,
  );
  const { code, stdout } = await running.run("history", "--verify");
  assert.deepEqual(
    [code, stdout],
    [0, "draftkings: the store keeps no chain; nothing can be said\n"],
  );

  const empty = await serve(t, temporaryFolder(t), "upstreams: {}\n");
  assert.deepEqual(
    (await empty.run("history", "--verify")).stdout,
    "nobody has tripped or reset anything yet\n",
  );
});

test("the schema that editors use is the committed one", async () => {
  const { code, stdout } = await switchgear(["check", "--schema"]).ended;
  assert.equal(code, 0);
  const committed = readFileSync(
    join(import.meta.dirname, "../../src/config/switchgear.schema.json"),
    "utf8",
  );
  assert.deepEqual(JSON.parse(stdout), JSON.parse(committed));
});

test("a port in use is a sentence", async (t) => {
  const blocker = createServer();
  await new Promise<void>((done) => {
    blocker.listen(0, "127.0.0.1", done);
  });
  t.after(() => blocker.close());
  const { port } = blocker.address() as { port: number };
  const folder = temporaryFolder(t);
  writeFileSync(
    join(folder, "switchgear.yaml"),
    `gateway: { host: 127.0.0.1 }\nadmin: { host: 127.0.0.1 }\n${config("http://127.0.0.1:9")}`,
  );
  for (const [name, other] of [
    ["SWITCHGEAR_PORT", "SWITCHGEAR_ADMIN_PORT"],
    ["SWITCHGEAR_ADMIN_PORT", "SWITCHGEAR_PORT"],
  ] as const) {
    const [free = 0] = await freePorts(1);
    const { code, stderr } = await switchgear(["serve"], {
      cwd: folder,
      env: { [name]: String(port), [other]: String(free) },
    }).ended;
    assert.equal(code, 1, stderr);
    assert.match(stderr, new RegExp(`port ${port} .* is in use`));
    assert.match(stderr, new RegExp(name));
    assert.doesNotMatch(stderr, /\n +at /);
  }
});

test("a stop finishes the calls in flight, writes the state and ends with 0", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const running = await serve(t, folder, config(bookmaker.url));
  bookmaker.control({ latencyMs: 1000 });
  const calls = Array.from({ length: 10 }, () => status(`${running.gateway}/draftkings/odds`));
  while (bookmaker.stats().inFlight < 10) await new Promise((done) => setTimeout(done, 10));

  const started = performance.now();
  const ended = running.stop("SIGINT");
  assert.deepEqual(new Set(await Promise.all(calls)), new Set([200]));
  assert.equal((await ended).code, 0);
  assert.ok(performance.now() - started < 7000);

  const again = await serve(t, folder, config(bookmaker.url));
  const shown = await again.run("status", "draftkings", "--json");
  assert.notEqual((JSON.parse(shown.stdout) as { avgLatency: number | null }).avgLatency, null);
});

test("a stop does not wait for ever for a hung bookmaker", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const running = await serve(
    t,
    folder,
    config(bookmaker.url).replace("deadlineMs: 2000", "deadlineMs: 60000"),
  );
  bookmaker.control({ hang: true });
  const hung = fetch(`${running.gateway}/draftkings/odds`).then(
    (answer) => answer.status,
    () => 0,
  );
  while (bookmaker.stats().inFlight < 1) await new Promise((done) => setTimeout(done, 10));
  const started = performance.now();
  assert.equal((await running.stop()).code, 0);
  assert.ok(performance.now() - started < 7500);
  assert.ok([0, 503].includes(await hung));
});

test("a store that cannot be opened does not stop the gateway, and is told of", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  // A folder where the database should be.
  mkdirSync(join(folder, "data", "circuit_breaker.db"), { recursive: true });
  const running = await serve(t, folder, config(bookmaker.url));
  assert.equal(await status(`${running.gateway}/draftkings/odds`), 200);
  const health = (await (await fetch(`${running.admin}/readyz`)).json()) as { status: string };
  assert.equal(health.status, "degraded");
  assert.match(await scrape(running.admin), /^switchgear_store_up 0$/m);
  assert.equal((await running.run("trip", "draftkings", "-r", "x")).code, 0);
  assert.equal(await status(`${running.gateway}/draftkings/odds`), 503);
  const shown = await running.run("status");
  assert.match(shown.stdout, /the last change is not on disk yet/);
});

test("a rolling update loses nobody: not ready first, and new connections served for a while", async (t) => {
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const running = await serve(
    t,
    temporaryFolder(t),
    `gateway: { drainDelayMs: 1500 }\n${config(bookmaker.url)}`,
  );
  const fresh = (): Promise<[number | string, string | undefined]> =>
    new Promise((done) => {
      const request = get(`${running.gateway}/draftkings/odds`, { agent: false }, (answer) => {
        answer.resume();
        answer.once("end", () => done([answer.statusCode ?? 0, answer.headers.connection]));
      });
      request.once("error", (error: NodeJS.ErrnoException) => done([error.code ?? "?", undefined]));
    });
  bookmaker.control({ latencyMs: 1800 });
  const slow = status(`${running.gateway}/draftkings/odds`).catch(() => 0);
  while (bookmaker.stats().inFlight < 1) await new Promise((done) => setTimeout(done, 10));
  bookmaker.restore();

  const ended = running.stop("SIGTERM");
  const answers: (number | string)[] = [];
  for (let n = 0; n < 10; n += 1) {
    await new Promise((done) => setTimeout(done, 100));
    const [answer, connection] = await fresh();
    answers.push(answer);
    assert.match(connection ?? "", /close/i);
    if (n === 0) assert.equal(await status(`${running.admin}/readyz`), 503);
  }

  assert.deepEqual(answers, Array(10).fill(200));
  assert.equal(await slow, 200);
  assert.equal((await ended).code, 0);
});

test("a host that is not ours, or that nobody knows, is a sentence", async (t) => {
  const folder = temporaryFolder(t);
  for (const [what, host] of [
    ["gateway", "192.0.2.1"],
    ["gateway", "no-such-host.invalid"],
    ["admin", "192.0.2.1"],
    ["admin", "no-such-host.invalid"],
  ] as const) {
    writeFileSync(
      join(folder, "switchgear.yaml"),
      `${what}: { host: ${host} }\nstore: { kind: memory }\n${config("http://127.0.0.1:9")}`,
    );
    const [port = 0, adminPort = 0] = await freePorts(2);
    const { code, stderr } = await switchgear(["serve"], {
      cwd: folder,
      env: { SWITCHGEAR_PORT: String(port), SWITCHGEAR_ADMIN_PORT: String(adminPort) },
    }).ended;
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`${what}\\.host is "${host}"`));
    assert.doesNotMatch(stderr, /\n +at /);
  }
});

test("names from callers' headers do not crowd out the configured operations", async (t) => {
  const bookmaker = await startBookmaker({ serviceMs: 0 });
  t.after(() => bookmaker.close());
  const running = await serve(t, temporaryFolder(t), config(bookmaker.url));
  for (let n = 0; n < 300; n += 1) {
    const headers = { "x-switchgear-operation": `order-${n}` };
    await (await fetch(`${running.gateway}/draftkings/x`, { headers })).text();
  }
  for (let n = 0; n < 7; n += 1)
    assert.equal(await status(`${running.gateway}/draftkings/odds`), 200);

  assert.match(
    await scrape(running.admin),
    /^switchgear_requests_total\{bookmaker="draftkings",operation="odds",outcome="ok"\} 7$/m,
  );
});

test("an audit table that refuses what it does not know costs no trip, and status tells of it", async (t) => {
  const folder = temporaryFolder(t);
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  mkdirSync(join(folder, "data"));
  const db = new DatabaseSync(join(folder, "data", "circuit_breaker.db"));
  t.after(() => db.close());
  db.exec(`CREATE TABLE circuit_breaker_audit (id INTEGER PRIMARY KEY, bookmaker TEXT,
    action TEXT CHECK (action IN ('TRIP', 'RESET')), reason TEXT, user TEXT, timestamp INTEGER)`);
  const running = await serve(t, folder, config(bookmaker.url));
  assert.equal((await running.run("trip", "draftkings", "-r", "dead")).code, 0);
  assert.equal((await running.run("reset", "draftkings", "-r", "too soon")).code, 3);
  const tripped = db.prepare("SELECT tripped FROM circuit_breaker_state").get();
  assert.equal(tripped?.["tripped"], 1);
  const { stdout } = await running.run("status");
  assert.match(stdout, /1 audit was refused by the store, and stands in the log alone/);
  assert.doesNotMatch(stdout, /not on disk/);
});
