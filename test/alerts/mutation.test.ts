// A sample of the mutation run, spread over all rules: the whole takes minutes, and is mutate.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { mutantsOf, expressions } from "./mutants.ts";
import { subjects, survivors } from "./mutate.ts";
import { readAlerts, readGroups } from "./rule-files.ts";
import { REASONS, reasonFor } from "./survivors.ts";
import { toolPath } from "../tools/build.ts";

/** As many as take some ten seconds on two cores that have nothing else to do. */
const SAMPLE = 20;

toolPath("promtool");

// promtool does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : false;

test("a change to a rule is noticed by its tests", { skip }, async () => {
  const all = subjects();
  const stride = all.length / SAMPLE;
  const chosen = Array.from({ length: SAMPLE }, (_, n) => all[Math.floor(n * stride)]).filter(
    (subject) => subject !== undefined,
  );
  assert.equal(chosen.length, SAMPLE);

  const alive = await survivors(chosen);

  assert.deepEqual(
    alive.filter((id) => reasonFor(id) === undefined),
    [],
  );
});

test("every rule has changes of its own, and every excuse is of one that exists", () => {
  const all = subjects().map(({ mutant }) => mutant);
  const ids = all.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const changed = new Set(all.map(({ rule }) => rule));
  for (const { alert } of readAlerts()) assert.ok(changed.has(alert), alert);
  for (const [excused] of REASONS)
    assert.ok(
      ids.some((id) => excused.test(id)),
      String(excused),
    );
});

test("a rule whose tests cannot notice a change is found out", async () => {
  const subject = subjects().find(({ mutant }) => mutant.rule === "CircuitBreakerTripped");
  assert.ok(subject !== undefined);
  const groups = readGroups("alerts/circuit-breaker.yml");
  const unchanged = { ...subject.mutant, id: "unchanged", groups };
  assert.deepEqual(await survivors([{ ...subject, mutant: unchanged }]), ["unchanged"]);
});

test("changes are made where they mean something: not in strings, each thing once", () => {
  const changes = new Map(
    expressions('max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0'),
  );
  assert.deepEqual([...changes.values()].toSorted(), [
    'avg by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (increase(x{c="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{ e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{c!="d > 1", e!="f"}[5m] offset 1m)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[150s] offset 1m)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 120s)) > 0',
    'max by (a, b) (rate(x{c="d > 1", e!="f"}[5m] offset 1m)) < 0',
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
