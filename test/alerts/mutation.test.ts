// Every change to the rules that mutants.ts can think of, asked of their tests.

import assert from "node:assert/strict";
import { test } from "node:test";
import { mutantsOf, expressions, type Mutant } from "./mutants.ts";
import { KILLED_RATIO_MIN, ask, mutationRun, readReport, survivors } from "./mutate.ts";
import { subjects, type Subject } from "./questions.ts";
import { readAlerts } from "./rule-files.ts";
import { REASONS, reasonFor } from "./survivors.ts";
import { whyNoTools } from "../tools/available.ts";

const noTools = whyNoTools();

// promtool does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : noTools;

/** Two minutes on two cores that have little else to do. */
const RUN_MS_MAX = 300_000;

test(
  "of all changes to the rules 97 % or more are noticed by their tests, and each other has its reason",
  { skip, timeout: RUN_MS_MAX },
  async (t) => {
    const { count, survived, ratio } = await mutationRun(subjects());

    t.diagnostic(`${count} changes, ${(ratio * 100).toFixed(1)} % noticed`);
    assert.deepEqual(survived, []);
    assert.ok(ratio >= KILLED_RATIO_MIN, `${ratio}`);
  },
);

test("every rule has changes of its own, and every excuse is of one that exists", () => {
  const all = subjects();
  const ids = all.flatMap(({ mutants }) => mutants.map(({ id }) => id));
  assert.ok(ids.length >= 800);
  assert.equal(new Set(ids).size, ids.length);
  const changed = new Set(all.filter(({ mutants }) => mutants.length > 0).map(({ rule }) => rule));
  for (const { alert } of readAlerts()) assert.ok(changed.has(alert), alert);
  for (const [excused] of REASONS) {
    assert.ok(
      ids.some((id) => excused.test(id)),
      String(excused),
    );
  }
});

/** The mandated alert, and one change to it. */
function mandated(changeOf: (expr: string) => string): Subject {
  const subject = subjects().find(({ rule }) => rule === "CircuitBreakerTripped");
  const [mutant] = subject?.mutants ?? [];
  assert.ok(subject !== undefined && mutant !== undefined);
  const expr = changeOf(mutant.original.expr);
  const changed: Mutant = { ...mutant, id: "changed", changed: { ...mutant.original, expr } };
  return Object.assign({}, subject, { mutants: [changed] });
}

test(
  "a change that no test can notice is found out, and one that is no rule is refused",
  { skip: noTools },
  async () => {
    const same = mandated((expr) => `${expr} or vector(0) == 1`);
    assert.deepEqual(survivors(await ask([same])), ["changed"]);
    assert.deepEqual(survivors(await ask([mandated(() => "vector(0) == 1")])), []);
    await assert.rejects(ask([mandated(() => "== 1")]), /changed is no valid rule/);
  },
);

test("a rule that is not changed is noticed by no case", { skip: noTools }, async () => {
  const chosen = ["SwitchgearErrorBudgetBurn", "switchgear_slo:bad:increase5m"].flatMap((name) => {
    const found = subjects().find(({ rule, mutants }) => rule === name && mutants.length > 0);
    const [mutant] = found?.mutants ?? [];
    assert.ok(found !== undefined && mutant !== undefined);
    const same: Mutant = { ...mutant, id: name, changed: mutant.original };
    return [{ ...found, mutants: [same], questions: found.questions.slice(0, 12) }];
  });
  assert.equal(survivors(await ask(chosen)).length, chosen.length);
});

test("a case that was not run proves nothing", () => {
  const report =
    '<testsuites><testsuite name="a" tests="1"><testcase name="fires"></testcase></testsuite>' +
    '<testsuite name="b" tests="1"><testcase name="fires"><failure>why</failure></testcase></testsuite>' +
    '<testsuite name="c" tests="0"></testsuite></testsuites>';
  assert.deepEqual([...readReport(report, ["a", "b"])], [["b", "why"]]);
  for (const path of ["c", "d"]) {
    assert.throws(() => readReport(report, ["a", path]), new Error(`${path} was not run`));
  }
});

test("a change with a reason counts as unnoticed, and is not asked", { skip }, async () => {
  const subject = mandated(() => "vector(0) == 1");
  const excused = "SwitchgearInstanceDown/warning: == → <= @7";
  assert.ok(reasonFor(excused) !== undefined);
  const mutants = [excused, "changed"].map((id) => Object.assign({}, subject.mutants[0], { id }));
  const result = await mutationRun([Object.assign({}, subject, { mutants })]);
  const { noticed, ...counted } = result;
  assert.deepEqual(counted, { count: 2, excused: [excused], survived: [], ratio: 0.5 });
  assert.deepEqual([...noticed], [["changed", "each cluster and namespace for itself"]]);
});

test("changes are made where they mean something: not in strings, each thing once", () => {
  const changes = new Map(
    expressions('max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0'),
  );
  assert.deepEqual([...changes.values()].toSorted(), [
    'avg by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by () (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (delta(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (increase(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{ e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{c!="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[150s] offset 1m)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 120s)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) < 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) == 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 1',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) >= 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 30s)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[600s] offset 1m)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{c="d > 1", }[5m] offset 1m)) > 0',
    'max by (a, b, instance) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'min by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'sum by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
  ]);
  assert.deepEqual(
    [...expressions("sum by (instance) (x)")].map(([what]) => what),
    ["sum → max @0", "sum → min @0", "sum → avg @0", "not by instance @4"],
  );
  const rule = { alert: "X", expr: "x", for: "5m", labels: { severity: "info", team: "a" } };
  const groups = [{ name: "g", rules: [rule] }];
  assert.deepEqual(
    mutantsOf(
      groups,
      () => true,
      () => 15,
    ).map(({ id }) => id),
    [
      "X/info: no for",
      "X/info: for 285s",
      "X/info: for 315s",
      "X/info: no label severity",
      "X/info: severity critical",
      "X/info: severity warning",
      "X/info: severity none",
      "X/info: no label team",
      "X/info: team a-other",
    ],
  );
});
