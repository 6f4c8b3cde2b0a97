// `make run` as a newcomer uses it: the printed commands are run as printed.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import {
  ROOT,
  freePortPair,
  freePorts,
  ready,
  start,
  temporaryFolder,
  type Ended,
} from "../support/programs.ts";

// The demo starts the gateway on Bun whatever runs the tests; once is enough.
const skip =
  "Bun" in globalThis ? "the demo chooses its runtimes itself; it is run under Node" : false;

test("the printed commands work when pasted, and Ctrl-C ends it", { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const [port = 0, adminPort = 0] = await freePorts(2);
  const base = await freePortPair();
  const demo = start([process.execPath, join(ROOT, "scripts/demo.ts")], {
    cwd: folder,
    env: {
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      SWITCHGEAR_DEMO_BASE_PORT: String(base),
    },
  });
  t.after(() => demo.child.kill("SIGKILL"));
  while (!demo.stderr().includes("Ctrl-C")) {
    assert.equal(demo.child.exitCode, null, demo.stderr());
    await new Promise((done) => setTimeout(done, 50));
  }
  const command = (name: string): Promise<Ended> => {
    const line = demo
      .stderr()
      .split("\n")
      .find((candidate) => candidate.includes(` ${name}: `));
    assert.ok(line, `no command to ${name}`);
    return start(["bash", "-c", line.slice(line.indexOf(": ") + 2)]).ended;
  };

  const call = await command("call");
  assert.match(call.stdout, /^HTTP\/1\.1 200 /);
  assert.match(call.stdout, /"bookmaker":"draftkings"/);

  const broken = await command("break");
  assert.match(broken.stdout, /(500 ){10}/);
  assert.match(broken.stdout, /HTTP\/1\.1 503 [\s\S]*x-switchgear-reason: tripped/);

  const reset = await command("reset");
  assert.match(reset.stdout, /Circuit breaker for draftkings reset/);
  assert.match(reset.stdout, /HTTP\/1\.1 200 /);

  const started = performance.now();
  demo.child.kill("SIGINT");
  assert.equal((await demo.ended).code, 0);
  assert.ok(performance.now() - started < 7000);
});

test("the demo goes on when nobody reads what it says", { skip }, async (t) => {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const demo = start([process.execPath, join(ROOT, "scripts/demo.ts")], {
    cwd: temporaryFolder(t),
    env: {
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      SWITCHGEAR_DEMO_BASE_PORT: String(await freePortPair()),
    },
  });
  t.after(() => demo.child.kill("SIGKILL"));
  demo.child.stdout?.destroy();
  demo.child.stderr?.destroy();
  await ready(demo, `http://127.0.0.1:${adminPort}/readyz`);
  const answer = await fetch(`http://127.0.0.1:${port}/draftkings/odds`);
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { bookmaker: string }).bookmaker, "draftkings");

  demo.child.kill("SIGINT");
  assert.equal((await demo.ended).code, 0);
});

test("a bookmaker's port in use is a sentence", { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const { startBookmaker } = await import("../../loadtest/bookmaker/server.ts");
  const blocker = await startBookmaker({});
  t.after(() => blocker.close());
  const demo = start([process.execPath, join(ROOT, "scripts/demo.ts")], {
    cwd: folder,
    env: { SWITCHGEAR_DEMO_BASE_PORT: String(blocker.port) },
  });
  const { code, stderr } = await demo.ended;
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(`^demo: port ${blocker.port} .* is in use.*SWITCHGEAR_DEMO_BASE_PORT`),
  );
  assert.doesNotMatch(stderr, /\n +at /);
});
