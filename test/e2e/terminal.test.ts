// What people on call type, against a gateway that runs: why a breaker is as it is, modes, and all of them as they change.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { until } from "../pager/processes.ts";
import { serve, switchgear, temporaryFolder } from "../support/programs.ts";

const WAIT_MS_MAX = 60_000;

test("a trip is explained, seen by whoever watches, and the command that it names mends it", async (t) => {
  const bookmaker = await startBookmaker({ name: "draftkings", port: 0 });
  t.after(() => bookmaker.close());
  const serving = await serve(
    t,
    temporaryFolder(t),
    `upstreams:
  draftkings:
    url: ${bookmaker.url}
    breaker: { kind: latching, failureThreshold: 3, cooldownMs: 600000 }
`,
  );
  const watching = switchgear(["watch", "--interval", "0.2", "--url", serving.admin]);
  t.after(() => watching.child.kill("SIGKILL"));
  const seen = (text: RegExp): Promise<true> =>
    until(String(text), () => (text.test(watching.stdout()) ? true : undefined), WAIT_MS_MAX);
  await seen(/^\S+Z draftkings closed$/m);
  bookmaker.control({ status: 500 });
  for (let n = 0; n < 4; n += 1) {
    const answer = await fetch(`${serving.gateway}/draftkings/odds`);
    await answer.body?.cancel();
  }
  await seen(/draftkings OPEN$/m);
  const { stdout } = await serving.run("explain", "draftkings");
  assert.match(stdout, /^draftkings: TRIPPED for \d/m);
  assert.match(stdout, /^ {2}why {6}3 failures, and it trips at 3; the last error: /m);
  assert.match(stdout, /^ {2}changes {2}a reset by a person alone, which needs --force for/m);
  assert.match(stdout, /^ {2}runbook {2}runbooks\/CircuitBreakerTripped\.md$/m);
  assert.ok(stdout.split("\n").every((line) => !line.includes("undefined")));

  const denied = await serving.run("reset", "draftkings", "--reason", "…");
  assert.equal(denied.code, 3);
  const reset = await serving.run("reset", "draftkings", "--reason", "mended", "--force");
  assert.equal(reset.code, 0);
  const json = JSON.parse((await serving.run("explain", "draftkings", "--json")).stdout) as object;
  assert.deepEqual(Object.keys(json), [
    "bookmaker",
    "state",
    "why",
    "calls",
    "changes",
    "next",
    "runbook",
  ]);
  const after = await serving.run("explain", "draftkings");
  assert.match(after.stdout, /^ {2}orders {3}\S+ RESET by ann: mended$/m);

  await seen(/draftkings closed\n\S+Z draftkings OPEN\n\S+Z draftkings closed$/m);
});

test("a mode is set by its name, with a reason, and a slip is told from what was meant", async (t) => {
  const serving = await serve(
    t,
    temporaryFolder(t),
    "upstreams: { draftkings: { url: http://127.0.0.1:9 } }\n",
  );
  const shadow = await serving.run("mode", "draftkings", "shadow", "--reason", "migration");
  assert.match(shadow.stdout, /^Circuit breaker for draftkings set to shadow/);
  assert.match((await serving.run("explain", "draftkings")).stdout, /in the mode shadow/);
  const slip = await serving.run("mode", "draftkings", "shadwo", "--reason", "x");
  assert.equal(slip.code, 2);
  assert.match(slip.stderr, /normal, shadow, forced-closed/);
  const silent = await serving.run("mode", "draftkings", "normal");
  assert.equal(silent.code, 2);
  const other = await serving.run("explain", "draftking");
  assert.notEqual(other.code, 0);
  assert.match(other.stderr, /did you mean "draftkings"\?/);
});

test("where nobody listens the reason behind it is said", async () => {
  const { code, stderr } = await switchgear(["status", "--url", "http://127.0.0.1:9"]).ended;
  assert.equal(code, 4);
  assert.match(stderr, /ECONNREFUSED|Unable to connect|bad port/);
  assert.doesNotMatch(stderr, /fetch failed/);
});
