// Whoever reads what a command prints may be slow, may leave before the end, or have no room for it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Pipe } from "../support/pipe.ts";
import {
  TOKEN,
  freePorts,
  serve,
  switchgear,
  temporaryFolder,
  type Program,
  type Serving,
  type StartOptions,
} from "../support/programs.ts";

const CONFIG = `
store: { kind: memory }
upstreams: { dk: { url: "http://127.0.0.1:9" } }
`;

/** Together more than pipes and sockets hold. */
const ORDERS = 400;
const REASON = "r".repeat(1000);

async function withHistory(t: TestContext): Promise<Serving> {
  const serving = await serve(t, temporaryFolder(t), CONFIG);
  for (let n = 0; n < ORDERS; n += 1) {
    const answer = await fetch(`${serving.admin}/api/circuit-breakers/dk/trip`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify({ reason: REASON }),
    });
    await answer.body?.cancel();
    assert.equal(answer.status, 200);
  }
  return serving;
}

function history(serving: Serving, how: StartOptions, ...more: readonly string[]): Program {
  return switchgear(["history", "--limit", String(ORDERS), ...more], {
    ...how,
    env: { SWITCHGEAR_URL: serving.admin, SWITCHGEAR_ADMIN_TOKEN: TOKEN },
  });
}

test("what a command prints", async (t) => {
  const serving = await withHistory(t);

  await t.test("is whole, however slow its reader is", async (t) => {
    for (const more of [["--json"], []]) {
      const pipe = new Pipe(t, { folder: temporaryFolder(t), blocks: true });
      const program = history(serving, { stdout: pipe.fd }, ...more);
      // Long after it could have ended.
      await new Promise((done) => setTimeout(done, 1500));
      let text = "";
      while (program.child.exitCode === null) {
        text += pipe.read();
        await new Promise((done) => setTimeout(done, 5));
      }
      text += pipe.read();

      const { code, stderr } = await program.ended;
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(text.match(new RegExp(REASON, "g"))?.length, ORDERS);
    }
  });

  await t.test("is no fault when its reader has seen enough", async () => {
    for (const more of [["--json"], []]) {
      const program = history(serving, {}, ...more);
      assert.ok(program.child.stdout);
      await once(program.child.stdout, "data");
      program.child.stdout.destroy();
      const { code, stderr } = await program.ended;
      assert.deepEqual([code, stderr], [0, ""]);
    }
  });

  await t.test("is a fault when there is no room for it", async (t) => {
    const full = openSync("/dev/full", "w");
    t.after(() => closeSync(full));
    const { code, stderr } = await history(serving, { stdout: full }).ended;
    assert.equal(code, 1);
    assert.match(stderr, /^switchgear: the answer cannot be written: ENOSPC[^\n]*\n$/);
  });
});

test("help is no fault when nobody reads it", async () => {
  const program = switchgear(["--help"]);
  program.child.stdout?.destroy();
  const { code, stderr } = await program.ended;
  assert.deepEqual([code, stderr], [0, ""]);
});

test("an exit code is right when nobody reads the sentence", async () => {
  for (const [args, wanted] of [
    [["frobnicate"], 2],
    [["check", "/nowhere.yaml"], 2],
    [["status"], 4],
  ] as const) {
    const program = switchgear(args, { env: { SWITCHGEAR_URL: "http://127.0.0.1:1" } });
    program.child.stderr?.destroy();
    assert.equal((await program.ended).code, wanted, args.join(" "));
  }
});

test("a start that fails does not wait for a reader of its sentence that is stuck", async (t) => {
  const blocker = createServer();
  blocker.listen(0, "127.0.0.1");
  await once(blocker, "listening");
  t.after(() => blocker.close());
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "switchgear.yaml"), CONFIG);
  const pipe = new Pipe(t, { folder, blocks: true });
  pipe.fill();
  const [free = 0] = await freePorts(1);
  const started = performance.now();
  const program = switchgear(["serve"], {
    cwd: folder,
    stdout: pipe.fd,
    stderr: pipe.fd,
    env: {
      SWITCHGEAR_PORT: String((blocker.address() as AddressInfo).port),
      SWITCHGEAR_ADMIN_PORT: String(free),
    },
  });
  assert.equal((await program.ended).code, 1);
  assert.ok(performance.now() - started < 10_000);
});
