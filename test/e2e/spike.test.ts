// The Super Bowl proof in its short form, on the gateway of the runtime that runs the tests: the command, real
// k6, and its verdict. What it says without protection takes minutes, and is `make spike`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RunRecord, Sample } from "../../loadtest/run/data.ts";
import { ROOT, temporaryFolder } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";

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

test("from 20 to 1,000 requests a second: the gateway is as claimed", { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const options = ["--short", "--subject", "gateway"];

  const { code, text } = await spike(...options, "--runtime", runtime, "--to", folder);

  const read = (name: string): string => readFileSync(join(folder, "gateway", name), "utf8");
  const record = JSON.parse(read("run.json")) as RunRecord;
  assert.equal(record.runtime, runtime);
  assert.ok((record.baseline?.capacity ?? 0) > 0, text);
  const samples = read("samples.jsonl").trim().split("\n");
  const { series } = JSON.parse(samples.at(-1) ?? "{}") as Sample;
  assert.ok((series['switchgear_limit_concurrency{bookmaker="draftkings"}'] ?? 0) > 0);
  assert.ok(read("rows.jsonl").split("\n").length > 100);
  assert.match(read("k6-dashboard.html"), /<title>k6 report/);
  // A machine that cannot send the load when it is due says nothing of the gateway.
  if (code === EXIT_VOID) return t.skip(`the machine was too busy for a verdict:\n${text}`);
  assert.equal(code, 0, text);
  assert.equal(record.outcome, "held");
  assert.ok(record.verdicts.length > 10 && record.verdicts.every(({ held }) => held));
});

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
