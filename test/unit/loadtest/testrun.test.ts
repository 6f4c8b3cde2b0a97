// The manifest for k6-operator: what a cluster would refuse, or what would go wrong there in silence.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { flatFiles } from "../../../scripts/testrun.ts";
import { ROOT, temporaryFolder } from "../../support/programs.ts";
import { readTestRun, TEST_RUN } from "../../support/testrun.ts";

/** Of a ConfigMap, and of what `kubectl apply` writes into an annotation. */
const CONFIG_MAP_BYTES_MAX = 1024 * 1024;
const ANNOTATION_BYTES_MAX = 256 * 1024;

test("has the form that the operator knows, and refers to what is there", () => {
  const { testRun, configMap } = readTestRun();

  const { script, runner } = testRun.spec;
  assert.equal(script.configMap.name, configMap.metadata.name);
  assert.ok(script.configMap.file in configMap.data);
  // Prettier leaves them as they are.
  assert.deepEqual(Object.fromEntries(flatFiles()), configMap.data);
  assert.deepEqual(
    runner.volumeMounts.map(({ name }) => name),
    runner.volumes.map(({ name }) => name),
  );
  // The operator takes an output's name from its options by looking at the word after `-o`.
  assert.equal(testRun.spec.arguments, "-o experimental-prometheus-rw");
  assert.ok(readFileSync(TEST_RUN).length < Math.min(CONFIG_MAP_BYTES_MAX, ANNOTATION_BYTES_MAX));
});

test("the command of the README names gateway and Prometheus, and changes nothing else", () => {
  const page = readFileSync(join(ROOT, "loadtest/README.md"), "utf8");
  const command = /^sed -e [^|]*(?:\|[^|]*)*?testrun\.yaml(?= \| kubectl apply -f -$)/m.exec(
    page,
  )?.[0];
  assert.ok(command !== undefined);

  const text = execFileSync("sh", ["-c", command], { cwd: ROOT, encoding: "utf8" });

  const before = readTestRun();
  const { runner } = before.testRun.spec;
  const named = new Map([
    ["GATEWAY", "http://switchgear.staging:8080"],
    ["K6_PROMETHEUS_RW_SERVER_URL", "http://prometheus.monitoring:9090/api/v1/write"],
  ]);
  const env = runner.env.map(({ name, value }) => ({ name, value: named.get(name) ?? value }));
  const testRun = {
    ...before.testRun,
    spec: { ...before.testRun.spec, runner: { ...runner, env } },
  };
  assert.deepEqual(readTestRun(text), { ...before, testRun });
});

test("names nobody whom the load or its results would go to", () => {
  const { testRun } = readTestRun();

  const env = new Map(testRun.spec.runner.env.map(({ name, value }) => [name, value]));
  assert.equal(env.size, testRun.spec.runner.env.length);
  assert.equal(env.get("GATEWAY"), "");
  assert.equal(env.get("K6_PROMETHEUS_RW_SERVER_URL"), "");
  assert.ok([...env.values()].every((value) => !/[/@]|\.(?:local|svc|com)\b/.test(value)));
});

test("a misspelt field, a missing one and one of root's are found", () => {
  const text = readFileSync(TEST_RUN, "utf8");
  const faults: readonly (readonly [string, string, RegExp])[] = [
    ["parallelism: 1", "paralelism: 1", /paralelism/],
    ["parallelism: 1", "parallelism: 2", /parallelism/],
    ["  starter:", "  cleanup: post\n  starter:", /cleanup/],
    ["runAsUser: 12345", "runAsUser: 0", /runAsUser/],
    ["  calls.ts: |", "  lib/calls.ts: |", /lib\/calls\.ts/],
  ];
  for (const [right, wrong, expected] of faults) {
    assert.ok(text.includes(right), right);
    assert.throws(() => readTestRun(text.replace(right, wrong)), expected);
  }
});

test("every import of the ConfigMap's files is one of k6 or a file beside it", () => {
  const { configMap } = readTestRun();

  const found: string[] = [];
  for (const [name, text] of Object.entries(configMap.data)) {
    for (const [, specifier = ""] of text.matchAll(/\bfrom "([^"]+)"/g)) {
      if (specifier === "k6" || specifier.startsWith("k6/")) continue;
      assert.ok(specifier.startsWith("./"), `${name} imports ${specifier}`);
      assert.ok(specifier.slice(2) in configMap.data, `${name} imports ${specifier}`);
      found.push(specifier);
    }
  }
  assert.ok(found.includes("./calls.ts"));
});

test("two files of one name are refused, since one key cannot hold both", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "a"));
  mkdirSync(join(folder, "b"));
  writeFileSync(join(folder, "a/lib.ts"), 'export * from "../b/lib.ts";\n');
  writeFileSync(join(folder, "b/lib.ts"), "export const one = 1;\n");
  writeFileSync(join(folder, "test.ts"), 'import { one } from "./a/lib.ts";\n');

  assert.throws(() => flatFiles(join(folder, "test.ts")), /b.lib\.ts would have one name/);
});
