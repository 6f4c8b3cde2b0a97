// The rules, held to what they promise, on the real promtool.
//
// Building promtool for the first time takes some minutes; it says so on standard error.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, test } from "node:test";
import { CASES, faultsOf } from "./cases.ts";
import {
  ROOT,
  RULE_FILES,
  eachOf,
  groupsOf,
  promtool,
  readAlerts,
  readGroups,
  readTestFiles,
  variantOf,
  writeTest,
} from "./rule-files.ts";
import { programsOf } from "../support/docs.ts";
import { start } from "../support/programs.ts";
import { toolPath } from "../tools/build.ts";
import { whyNoTools } from "../tools/available.ts";

const noTools = whyNoTools();

const alerts = readAlerts();
const files = readTestFiles();
const groups = RULE_FILES.flatMap(readGroups);

const folder = mkdtempSync(join(tmpdir(), "switchgear-alerts-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("promtool accepts the rules, with all its lints", { skip: noTools }, async () => {
  const { code, output } = await promtool(
    "check",
    "rules",
    "--lint=all",
    "--lint-fatal",
    ...RULE_FILES,
  );
  assert.equal(code, 0, output);
});

test(
  "the command that README.md gives to a service's own CI passes in the package",
  { skip: noTools },
  async () => {
    const block = programsOf("README.md", "sh").find((text) => text.includes("promtool"));
    const [, command] = block?.split(/^cd node_modules\/switchgear\/alerts\n/m) ?? [];
    // All of them take minutes in one process; below they run side by side.
    const short = command?.replace("tests/*.yml", "tests/CircuitBreakerTripped.yml");
    assert.ok(short !== undefined && short !== command);
    const { code, stdout, stderr } = await start(["sh", "-c", short], {
      cwd: join(ROOT, "alerts"),
      env: { PATH: `${dirname(toolPath("promtool"))}${delimiter}${process.env["PATH"]}` },
    }).ended;
    assert.equal(code, 0, stdout + stderr);
  },
);

// promtool does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : noTools;

test("every test of the rules passes", { skip }, async () => {
  const failures: string[] = [];
  // The largest first, so that no core is left with it at the end.
  const queue = files.toSorted((a, b) => b.tests.length - a.tests.length);
  await eachOf(queue, availableParallelism(), async (file) => {
    const path = writeTest(join(folder, file.name), file, groupsOf(file.alert));
    const { code, output } = await promtool("test", "rules", path);
    if (code !== 0) failures.push(`${file.name}: ${output}`);
  });
  assert.deepEqual(failures, []);
});

test(
  "promtool passes a test file as it stands, with the rules as they stand",
  { skip: noTools },
  async () => {
    const { code, output } = await promtool(
      "test",
      "rules",
      "alerts/tests/CircuitBreakerTripped.yml",
      "alerts/tests/CircuitBreakerManyTripped.yml",
    );
    assert.equal(code, 0, output);
  },
);

test("every alert answers every question, and every test file is about an alert", () => {
  for (const alert of alerts) {
    const variant = variantOf(alert, alerts);
    assert.deepEqual(faultsOf(alert.alert, variant, files), [], `${alert.alert} ${variant ?? ""}`);
  }
  const names = new Set(alerts.map(({ alert }) => alert));
  for (const { alert, name } of files) assert.ok(alert === undefined || names.has(alert), name);
  for (const alert of [...names, undefined]) {
    const cases = files.filter((file) => file.alert === alert).flatMap(({ tests }) => tests);
    const told = cases.map(({ name }) => name);
    assert.equal(new Set(told).size, told.length, `two cases of ${alert} have one name`);
  }
});

test("an alert without one of the questions would be noticed", () => {
  const tripped = files.find(({ name }) => name === "CircuitBreakerTripped");
  assert.ok(tripped !== undefined);
  const faults = (tests: typeof tripped.tests): string[] =>
    faultsOf("CircuitBreakerTripped", undefined, [{ ...tripped, tests }]);
  assert.deepEqual(faults(tripped.tests), []);
  for (const name of CASES) {
    const without: typeof tripped.tests = tripped.tests.filter((one) => !one.name.startsWith(name));
    assert.equal(faults(without)[0], `no case "${name}"`);
    const silent = tripped.tests.map((one) =>
      one.name.startsWith(name) ? { name: one.name, input_series: one.input_series } : one,
    );
    assert.match(faults(silent)[0] ?? "", /asks nothing/);
  }
  const late = tripped.tests.map((one) =>
    one.name.startsWith("does not fire")
      ? { ...one, alert_rule_test: [{ alertname: "CircuitBreakerTripped", eval_time: "4m" }] }
      : one,
  );
  assert.match(faults(late)[0] ?? "", /one second before 5m/);
  const other = tripped.tests.map((one) =>
    one.name.startsWith("does not fire") ? { ...one, input_series: [] } : one,
  );
  assert.match(faults(other)[0] ?? "", /other series/);
  const [fires, ...rest] = tripped.tests;
  assert.ok(fires !== undefined);
  const quiet = { alertname: "CircuitBreakerTripped", eval_time: "5m" };
  const bare = [{ ...fires, alert_rule_test: [quiet] }, ...rest];
  assert.match(faults(bare)[0] ?? "", /labels and annotations/);
});

test("the mandated alert is the mandated one", () => {
  const [group, ...others] = readGroups("alerts/circuit-breaker.yml");
  assert.deepEqual(others, []);
  assert.equal(group?.name, "circuit_breaker_alerts");
  const [rule, ...more] = group?.rules ?? [];
  assert.deepEqual(more, []);
  assert.equal(rule?.alert, "CircuitBreakerTripped");
  // Its heart is the seeds' text; the file says what stands around it, and why.
  assert.match(
    rule?.expr ?? "",
    /circuit_breaker_tripped\{[^}]*bookmaker=~"\.\+"\}[^=]*\)\s*== 1\s*$/,
  );
  assert.equal(rule?.for, "5m");
  assert.deepEqual(rule?.labels, { severity: "critical" });
  assert.equal(
    rule?.annotations?.["summary"],
    "Circuit breaker tripped for {{ $labels.bookmaker }}",
  );
  assert.match(
    rule?.annotations?.["description"] ?? "",
    /^Circuit breaker has been tripped for \{\{ \$labels\.bookmaker \}\} for more than 5 minutes\. Manual intervention required\./,
  );
});

test("every alert tells whom it wakes and why, and where to read on", () => {
  for (const { alert, labels, annotations, comment } of alerts) {
    const { severity = "" } = labels;
    assert.match(severity, /^(critical|warning|info|none)$/, alert);
    assert.match(
      comment,
      severity === "critical" ? /^Wakes somebody\b.{20}/ : /^Wakes nobody\b.{20}/,
      alert,
    );
    assert.deepEqual(
      Object.keys(annotations).toSorted(),
      ["dashboard_url", "description", "runbook_url", "summary"],
      alert,
    );
    assert.doesNotMatch(Object.values(labels).join(), /\{\{/, `${alert}: identity must not change`);
    assert.doesNotMatch(annotations["summary"] ?? "", /\n/, alert);
    assert.equal(annotations["runbook_url"], `https://switchgear.example/runbooks/${alert}.md`);
    assert.ok(annotations["dashboard_url"]?.startsWith("https://grafana.example/d/"), alert);
  }
});

test("groups have names of their own, and every alert has one file of tests or more", () => {
  const names = groups.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const tested = new Set(readdirSync(join(ROOT, "alerts/tests")));
  for (const { alert } of alerts) assert.ok(tested.has(`${alert}.yml`), alert);
});
