// The drop-in in a host that gave it no logger: every line goes to the console, and no call waits for it.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Pipe } from "../support/pipe.ts";
import {
  ROOT,
  start,
  temporaryFolder,
  type Program,
  type StartOptions,
} from "../support/programs.ts";

function flood(times: number, how: StartOptions): Program {
  const fixture = join(ROOT, "test/fixtures/hyper-bun-flood.ts");
  return start([process.execPath, fixture, String(times)], how);
}

test("each refusal is a line on standard error", async () => {
  const { code, stdout, stderr } = await flood(1500, {}).ended;

  assert.equal(code, 0);
  assert.equal(stdout, "");
  const lines = stderr.trimEnd().split("\n");
  const rejected =
    / \| WARN \| HBCB-003 \| ProductionCircuitBreaker \| \[CIRCUIT_BREAKER\] Rejected /;
  assert.equal(lines.filter((line) => rejected.test(line)).length, 1500);
});

test("a reader that is stuck holds up no call", async (t) => {
  const pipe = new Pipe(t, { folder: temporaryFolder(t), blocks: true });
  const program = flood(5000, { stdout: pipe.fd, stderr: pipe.fd });
  const started = performance.now();

  assert.equal((await program.ended).code, 0);
  assert.ok(performance.now() - started < 20_000);
  assert.match(pipe.read(), / \| HBCB-003 \| /);
});
