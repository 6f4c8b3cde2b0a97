// The drop-in where the runtime has no `node:sqlite`, as Bun 1.3 has none: it loads, uses `bun:sqlite`
// where that is there, and where nothing is says so and guards from memory.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ROOT, start, temporaryFolder, type Ended } from "../support/programs.ts";
import { BUN } from "../support/stand-in.ts";

const NODE = join(ROOT, "node_modules/.bin/node");
const PRELOAD = join(ROOT, "test/fixtures/without-sqlite.ts");
const PROGRAM = join(ROOT, "test/fixtures/hyper-bun-trip.ts");

interface Said {
  readonly wasTripped: boolean;
  readonly refused: string;
  readonly status: { readonly tripped: boolean; readonly persisted: boolean };
}

function run(runtime: "bun" | "node", without: string, path: string): Promise<Ended> {
  const [program, flag] = runtime === "bun" ? [BUN, "--preload"] : [NODE, "--import"];
  const command = [program, flag, PRELOAD, PROGRAM] as const;
  return start(command, { env: { WITHOUT: without, CIRCUIT_BREAKER_DB: path } }).ended;
}

function said({ code, stdout, stderr }: Ended): Said {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.split("\n")[0] ?? "") as Said;
}

test("on Bun without node:sqlite a path is opened with bun:sqlite, and a trip outlives the process", async (t) => {
  const path = join(temporaryFolder(t), "data", "circuit_breaker.db");

  const first = said(await run("bun", "node:sqlite", path));
  const second = said(await run("bun", "node:sqlite", path));

  assert.deepEqual([first.wasTripped, first.status.persisted], [false, true]);
  assert.deepEqual([second.wasTripped, second.refused], [true, "CircuitBreakerTrippedError"]);
  const db = new DatabaseSync(path);
  const rows = db.prepare("SELECT tripped, last_error FROM circuit_breaker_state").all();
  db.close();
  assert.equal(JSON.stringify(rows), '[{"tripped":1,"last_error":"maintenance"}]');
});

for (const journal of ["WAL", "DELETE"]) {
  test(`bun:sqlite reads trips beside a file that another process holds locked (${journal})`, async (t) => {
    const path = join(temporaryFolder(t), "circuit_breaker.db");
    said(await run("bun", "node:sqlite", path));
    const holder = new DatabaseSync(path);
    holder.exec(`PRAGMA journal_mode = ${journal}; PRAGMA locking_mode = EXCLUSIVE`);
    holder.exec("UPDATE circuit_breaker_state SET last_error = 'held'; BEGIN EXCLUSIVE");
    t.after(() => holder.close());

    const { wasTripped } = said(await run("bun", "node:sqlite", path));

    assert.equal(wasTripped, true);
  });
}

test("bun:sqlite reads trips in the place of a file that is locked and has no log", async (t) => {
  const path = join(temporaryFolder(t), "circuit_breaker.db");
  said(await run("bun", "node:sqlite", path));
  const holder = new DatabaseSync(path);
  t.after(() => holder.close());
  holder.exec("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
  assert.deepEqual(
    ["-wal", "-journal"].filter((log) => existsSync(path + log)),
    [],
  );

  assert.equal(said(await run("bun", "node:sqlite", path)).wasTripped, true);
});

for (const runtime of ["bun", "node"] as const) {
  test(`on ${runtime} without any SQLite it loads, guards from memory, and says so`, async (t) => {
    const path = join(temporaryFolder(t), "circuit_breaker.db");

    const ended = await run(runtime, "node:sqlite,bun:sqlite", path);

    const { refused, status } = said(ended);
    assert.equal(refused, "CircuitBreakerTrippedError");
    assert.deepEqual([status.tripped, status.persisted], [true, false]);
    assert.match(
      ended.stderr,
      /ERROR \| SG_STORE .*this runtime has no SQLite: neither node:sqlite/,
    );
    assert.equal(existsSync(path), false);
  });
}
