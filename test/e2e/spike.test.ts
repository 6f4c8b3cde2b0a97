// The Super Bowl proof in its short form, on the gateway of the runtime that runs the tests: the command, real
// k6, and its verdict; and in a brief form what stands there in its place without protection.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Verdict } from "../../loadtest/lib/summary.ts";
import type { RunRecord, Sample, Subject } from "../../loadtest/run/data.ts";
import { runK6 } from "../../loadtest/run/k6.ts";
import { createWorld } from "../../loadtest/run/world.ts";
import { ROOT, temporaryFolder } from "../support/programs.ts";
import { isRough } from "../../loadtest/run/outcome.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";

/** Half a minute on a machine of its own; a hang is ended all the same. */
const MS_MAX = 150_000;
const EXIT_VOID = 3;

const runtime = "Bun" in globalThis ? "bun" : "node";
const skip = whyNoTools(["k6"]);

interface Ended {
  readonly code: number | null;
  readonly text: string;
}

function spike(...args: readonly string[]): Promise<Ended> {
  return new Promise((done, fail) => {
    const command = [join(ROOT, "scripts/spike.ts"), ...args];
    const child = spawn(join(ROOT, "node_modules/.bin/node"), command, { timeout: MS_MAX });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.once("error", fail);
    child.once("close", (code) => done({ code, text }));
  });
}

/**
 * Shares that a busy machine leaves in any case. Without protection a quarter of the goodput is left; beside a
 * hung bookmaker, with calls started 800 ms late, 95 % of the healthy one's were served.
 */
const LEAST = { goodput_of_capacity: 0.5, healthy_served: 0.9 } as const;

/** What says how long something took: a test that others run beside does not fail by it. */
const TIMES: ReadonlySet<string> = new Set([
  "refusal_ms",
  "first_shed_ms",
  "admitted_ms_of_deadline",
  "healthy_p99_of_own",
]);

function verdict({ verdicts }: RunRecord, name: string): Verdict {
  const found = verdicts.find((one) => one.name === name);
  assert.ok(found !== undefined, `${name} is claimed`);
  return found;
}

/** A quarter of the load, briefly: what a busy machine can still follow. */
async function briefly(t: TestContext, subject: Exclude<Subject, "against">): Promise<RunRecord> {
  const folder = temporaryFolder(t);
  const common = { subject, scenario: "spike", scale: 0.25, folder } as const;
  const world = await createWorld({ ...common, runtime });
  t.after(() => world.stop());
  const own = subject === "gateway" ? runtime : null;
  const sizes = { isShort: true, isBrief: true, runtime: own, k6: toolPath("k6") } as const;
  return runK6({ ...common, ...sizes, address: world.address, control: undefined });
}

/** The claims that hold though calls are started some hundred milliseconds late, or the gateway gets to run so late. */
function assertEssential(record: RunRecord, text: string): void {
  for (const name of ["dropped_iterations", "upstream_timeouts", "upstream_errors"])
    assert.ok(verdict(record, name).held, `${name}\n${text}`);
  const { judged, least } = verdict(record, "refusal_ms");
  assert.ok(judged >= least, `${judged} refusals\n${text}`);
  for (const [name, share] of Object.entries(LEAST)) {
    const value = verdict(record, name).value ?? 0;
    assert.ok(value >= share, `${name}: ${value}\n${text}`);
  }
}

test(
  "fifty times as many requests from one moment to the next: the gateway is as claimed",
  { skip },
  async (t) => {
    const folder = temporaryFolder(t);
    const options = ["--short", "--scenario", "spike", "--subject", "gateway", "--scale", "0.5"];

    const { code, text } = await spike(...options, "--runtime", runtime, "--to", folder);

    const read = (name: string): string =>
      readFileSync(join(folder, "spike/gateway", name), "utf8");
    const record = JSON.parse(read("run.json")) as RunRecord;
    assert.equal(record.runtime, runtime);
    assert.ok((record.baseline?.capacity ?? 0) > 0, text);
    const samples = read("samples.jsonl").trim().split("\n");
    const limits = samples.flatMap((line) => {
      const { series } = JSON.parse(line) as Sample;
      return series['switchgear_limit_concurrency{bookmaker="draftkings"}'] ?? [];
    });
    assert.ok(limits.length > 10 && limits.length < samples.length / 4);
    assert.ok(limits.every((limit) => limit > 0));
    assert.ok(read("rows.jsonl").split("\n").length > 100);
    assert.match(read("k6-dashboard.html"), /<title>k6 report/);
    assert.match(readFileSync(join(folder, "report/report.html"), "utf8"), /<h2>spike<\/h2>/);
    // Where the machine could not send the load when it was due, the essence is claimed of a load that it can.
    if (record.outcome === "void") {
      const isWhole = record.verdicts.every(({ isAboutTheRun, held }) => held || !isAboutTheRun);
      assert.ok(!isWhole || isRough(record.verdicts, record.wakeMs), text);
      assert.equal(code, EXIT_VOID, text);
      t.diagnostic(`the machine was too busy for a verdict on all claims:\n${text}`);
      assertEssential(await briefly(t, "gateway"), text);
      return;
    }
    assert.ok(record.verdicts.length > 10);
    const breached = record.verdicts
      .filter(({ held }) => !held)
      .map(({ name }) => name.replace(/\{.*/, ""));
    assert.equal(code === 0, breached.length === 0, text);
    assert.equal(record.outcome, breached.length === 0 ? "held" : "breached");
    // Milliseconds are for `make spike`, which has the machine for itself.
    if (breached.length > 0) t.diagnostic(`too late on this machine: ${breached.join(", ")}`);
    assert.ok(
      breached.every((name) => TIMES.has(name)),
      text,
    );
    assertEssential(record, text);
  },
);

// The same programs whatever runs the test.
const skipControls = skip || (runtime === "bun" && "Node runs it");
for (const subject of ["none", "opossum"] as const) {
  test(`the same load breaks the claims on ${subject}`, { skip: skipControls }, async (t) => {
    const record = await briefly(t, subject);

    const breached = ["upstream_timeouts", "goodput_of_capacity", "admitted_ms_of_deadline"];
    for (const name of [...breached, "top_tier_served"]) {
      const { held, judged, least, value } = verdict(record, name);
      assert.ok(!held && judged >= least, `${name}: ${value} of ${judged} calls`);
    }
    assert.ok(verdict(record, "dropped_iterations").held);
  });
}

test("used wrongly it says how it would be right, and sends nothing", { skip }, async () => {
  const wrong: readonly (readonly [RegExp, ...string[]])[] = [
    [/no scenario "surge"\nusage: /, "--scenario", "surge"],
    [/--scale must be above 0 and at most 100, not "0"/, "--scale", "0"],
    [/--scale must be .* not "x"/, "--scale", "x"],
    [/--scale must be .* not "101"/, "--scale", "101"],
    [/--runtime must be node or bun, not "deno"/, "--runtime", "deno"],
    [/no subject "haproxy"/, "--subject", "haproxy"],
    [/--against must be an address, not "staging"/, "--against", "staging"],
    [/exclude each other/, "--against", "http://127.0.0.1:1", "--subject", "none"],
    [/as hang needs it/, "--against", "http://127.0.0.1:1", "--scenario", "hang"],
    [/'--agaisnt'/, "--agaisnt", "http://127.0.0.1:1"],
  ];
  for (const [expected, ...args] of wrong) {
    const { code, text } = await spike(...args);
    assert.match(text, expected);
    assert.equal(code, 2, text);
  }
});

test("against an address where no gateway is there is no verdict", { skip }, async (t) => {
  const folder = temporaryFolder(t);

  const { code, text } = await spike("--short", "--against", "http://127.0.0.1:1", "--to", folder);

  assert.match(text, /gave no good answer; the last was: error .*refused/);
  assert.equal(code, 3, text);
});
