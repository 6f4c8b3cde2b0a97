// What a host has that the drop-in's contract did not foresee: an exporter that swallows import errors,
// scripts on the service's own file, an audit table that is stricter than ours.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { ProductionCircuitBreaker } from "../../src/hyper-bun/index.ts";
import { DRIVERS, drop, recordingLogger, type LogLine } from "../support/hyper-bun.ts";
import { ROOT, start, temporaryFolder, type Ended } from "../support/programs.ts";
import { ADMIN, BUN, FIXTURE, startStandIn } from "../support/stand-in.ts";

const NODE = join(ROOT, "node_modules/.bin/node");
const PRELOAD = join(ROOT, "test/fixtures/without-sqlite.ts");

function tripped(t: TestContext): string {
  const path = join(temporaryFolder(t), "circuit_breaker.db");
  const made = drop({ db: new DatabaseSync(path) });
  made.breaker.trip("draftkings", "maintenance", "ann");
  made.db.close();
  return path;
}

function printMetrics(runtime: readonly string[], path: string): Promise<Ended> {
  const program = join(FIXTURE, "scripts/print-metrics.ts");
  const [first = "", ...more] = runtime;
  return start([first, ...more, PRELOAD, program], {
    env: { WITHOUT: "node:sqlite", CIRCUIT_BREAKER_DB: path },
  }).ended;
}

test("an exporter that swallows import errors prints a stored trip on Bun without node:sqlite", async (t) => {
  const ended = await printMetrics([BUN, "--preload"], tripped(t));
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stdout, /^circuit_breaker_tripped\{bookmaker="draftkings"\} 1$/m);
});

test("where it has nothing to print for want of any SQLite, a line says why", async (t) => {
  const ended = await printMetrics([NODE, "--import"], tripped(t));
  assert.equal(ended.code, 0, ended.stderr);
  assert.doesNotMatch(ended.stdout, /circuit_breaker_tripped/);
  assert.match(ended.stderr, /SG_STORE .*this runtime has no SQLite/);
});

test("a script on the service's file trips nobody for want of addresses and keys", async (t) => {
  const service = await startStandIn(t);
  const status = `${service.url}/api/circuit-breakers/draftkings`;
  const probe = await fetch(`${service.url}/api/probe/draftkings`, { method: "POST" });
  assert.equal(probe.status, 200);
  const script = (): Promise<Ended> =>
    start([BUN, join(FIXTURE, "scripts/nightly-probe.ts"), "draftkings", "fanduel"], {
      cwd: service.folder,
      env: { CIRCUIT_BREAKER_DB: "" },
    }).ended;

  const first = await script();

  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stdout.trim(), '{"refused":0,"tripped":0}');
  const after = (await (await fetch(status)).json()) as Record<string, unknown>;
  assert.deepEqual([after["tripped"], after["failures"], after["tripCount"]], [false, 0, 0]);

  // What the service orders holds in the script, and ends with neither of them.
  await fetch(`${status}/trip`, { method: "POST", headers: ADMIN });
  const second = await script();
  assert.equal(second.stdout.trim(), '{"refused":90,"tripped":1}');
  assert.equal((await service.stop()).code, 0);
  const db = new DatabaseSync(join(service.folder, "data/circuit_breaker.db"));
  const rows = db.prepare("SELECT bookmaker, tripped FROM circuit_breaker_state").all();
  db.close();
  assert.equal(JSON.stringify(rows), '[{"bookmaker":"draftkings","tripped":1}]');
});

for (const driver of DRIVERS) {
  test(`an audit table that is stricter than ours costs no trip and no reset (${driver.name})`, async (t) => {
    const path = join(temporaryFolder(t), "circuit_breaker.db");
    const before = new DatabaseSync(path);
    before.exec(readFileSync(join(FIXTURE, "database/audit.sql"), "utf8"));
    before.close();
    const db = driver.open(path);
    t.after(() => db.close());
    const logs: LogLine[] = [];
    const breaker = new ProductionCircuitBreaker(db, undefined, 10, 60_000, 60_000, {
      logger: recordingLogger(logs),
    });

    for (let n = 0; n < 10; n += 1) await breaker.recordFailure("dk", "HTTP 503");
    assert.throws(() => breaker.reset("dk"));
    breaker.reset("dk", { user: "ann", reason: "back", force: true });
    breaker.trip("dk", "w".repeat(100), "ann");
    breaker.trip("a bookmaker of a name that is too long for the host", "maintenance");
    assert.equal(breaker.getStatus("dk")?.persisted, true);
    await breaker.close();

    const again = new DatabaseSync(path);
    const states = again.prepare("SELECT bookmaker, tripped FROM circuit_breaker_state").all();
    const audits = again
      .prepare("SELECT action, user, environment FROM circuit_breaker_audit")
      .all();
    again.close();
    assert.deepEqual(
      states.map((row) => [String(row["bookmaker"]).slice(0, 11), row["tripped"]]),
      [
        ["dk", 1],
        ["a bookmaker", 1],
      ],
    );
    assert.deepEqual(
      audits.map((row) => Object.values(row).join(" ")),
      ["TRIP system production", "RESET ann production"],
    );
    // What the table refuses is in the log, in full and nowhere else.
    const refused = logs.filter(({ message }) => message.includes("Store refuses an audit"));
    assert.deepEqual(
      refused.map(
        ({ fields }) => `${String(fields["action"])} ${String(fields["reason"]).slice(0, 14)}`,
      ),
      ["RESET_DENIED Manual reset", "TRIP wwwwwwwwwwwwww", "TRIP maintenance"],
    );
  });
}
