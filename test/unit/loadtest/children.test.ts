// Whoever ends a long proof before it is done is left with none of its programs.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ROOT } from "../../../loadtest/run/processes.ts";
import { temporaryFolder } from "../../support/programs.ts";

/** Starts a program of its own that would run for ten minutes, and tells its process id. */
const PARENT = `
import { endOnSignals } from ${JSON.stringify(join(ROOT, "loadtest/run/children.ts"))};
import { startProgram } from ${JSON.stringify(join(ROOT, "loadtest/run/processes.ts"))};
endOnSignals();
const command = [process.execPath, "-e", "console.log('up'); setTimeout(() => {}, 600_000)"];
const child = startProgram({ name: "child", command });
await child.said(/up/);
console.log(child.pid);
process.on("message", () => { throw new Error("a fault of its own"); });
`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function childOfEnded(t: TestContext, how: NodeJS.Signals | "fault"): Promise<number> {
  const file = join(temporaryFolder(t), "parent.ts");
  writeFileSync(file, PARENT);
  const parent = spawn(process.execPath, [file], {
    stdio: ["ignore", "pipe", "ignore", "ipc"],
  });
  t.after(() => parent.kill("SIGKILL"));
  const [told] = (await once(parent.stdout as NonNullable<typeof parent.stdout>, "data")) as [
    Buffer,
  ];
  const pid = Number(String(told));
  t.after(() => isAlive(pid) && process.kill(pid, "SIGKILL"));
  assert.ok(isAlive(pid));
  const ended = once(parent, "exit");
  if (how === "fault") parent.send("now");
  else parent.kill(how);
  await ended;
  return pid;
}

for (const how of ["SIGINT", "SIGTERM", "SIGHUP", "fault"] as const) {
  test(`ended by ${how}, it takes its programs along`, async (t) => {
    const pid = await childOfEnded(t, how);
    const endMs = performance.now() + 5000;
    while (isAlive(pid) && performance.now() < endMs) {
      await new Promise((done) => setTimeout(done, 20));
    }
    assert.equal(isAlive(pid), false);
  });
}
