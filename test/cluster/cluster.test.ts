// What of the cluster test needs no cluster: that it says why it is skipped, that images are the same each time, that
// traces are found, and that what it follows is there.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT, start, temporaryFolder } from "../support/programs.ts";
import { packImage } from "../tools/cluster/image.ts";
import { differences } from "../tools/cluster/leftovers.ts";
import { Checks } from "./checks.ts";
import { commandsOfPage } from "./docs-story.ts";
import { kubectlBlocks, namedBlocks } from "./runbooks-story.ts";

test("where there can be no cluster it says why, and only CI takes that for a failure", async () => {
  for (const [CI, code] of [
    ["", 0],
    ["true", 1],
  ] as const) {
    const ended = await start([process.execPath, join(ROOT, "test/cluster/run.ts")], {
      env: { PATH: "/nowhere", CI },
    }).ended;
    assert.match(ended.stdout, /^The cluster test is skipped\. A cluster needs [^\n]+\.\n/);
    assert.ok(ended.stdout.endsWith(`\n0 passed, ${code} failed\n`), ended.stdout);
    assert.equal(ended.code, code, ended.stderr);
  }
});

test("an image of the same files has the same bytes, and one of others has not", (t) => {
  const folder = temporaryFolder(t);
  const pack = (name: string, text: string): string => {
    const file = join(folder, name);
    packImage(file, {
      name: "localhost/one:1",
      files: {},
      texts: { "/etc/one": text },
      entrypoint: ["/one"],
    });
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  };
  const first = pack("first.tar", "one");
  assert.equal(pack("second.tar", "one"), first);
  assert.notEqual(pack("third.tar", "two"), first);
});

test("what is left behind is told, and what was taken away, too", () => {
  const then = { mounts: ["/", "/proc"], links: ["lo"], groups: [], settings: ["ip_forward 0"] };
  assert.deepEqual(differences(then, then), []);
  const now = { mounts: ["/"], links: ["lo", "pods0"], groups: ["/g"], settings: ["ip_forward 1"] };
  assert.deepEqual(differences(then, now), [
    "mounts: - /proc",
    "links: + pods0",
    "groups: + /g",
    "settings: + ip_forward 1",
    "settings: - ip_forward 0",
  ]);
});

test("a check that fails ends its story, is told with what helps, and counts", async (t) => {
  const told = t.mock.method(console, "log", () => {});
  const checks = new Checks(async () => "the pods");
  let isReached = false;
  const isGood = await checks.story("one", async () => {
    await checks.check("holds", () => {});
    await checks.check("does not", () => assert.fail("because"));
    isReached = true;
  });
  await checks.story("two", () => Promise.reject(new Error("between checks")));
  const lines = told.mock.calls.map(({ arguments: [line] }) => String(line)).join("\n");
  told.mock.restore();
  assert.deepEqual([isGood, isReached, checks.passed, checks.failed], [false, false, 1, 2]);
  assert.match(
    lines,
    /ok +holds[\s\S]*FAIL does not[\s\S]*because[\s\S]*the pods[\s\S]*between checks/,
  );
});

test("docs/kubernetes.md has ten commands, each on one line", () => {
  const commands = commandsOfPage();
  assert.equal(commands.length, 10);
  for (const command of commands) assert.match(command, /^(?:kubectl|helm) .*[^\\]$/);
});

test("every command of the runbooks that needs a cluster is given in one", () => {
  assert.deepEqual(namedBlocks().toSorted(), [...kubectlBlocks().keys()].toSorted());
});
