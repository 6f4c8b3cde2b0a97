// What k6 is asked for: enough users for the load, and thresholds that cannot hold by having seen nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  callsOf,
  callsPerIteration,
  isHeavyCall,
  needsControl,
  overloadSeconds,
  quotaCalls,
  quotaOf,
  replicaOf,
  SCENARIOS,
  scenariosOf,
  secondsOf,
  shapeOf,
  vusFor,
  type Shape,
} from "../../../loadtest/lib/shapes.ts";
import { tierOf } from "../../../loadtest/lib/tiers.ts";
import { claimsOf, judgedMetric, leastOf, thresholdsOf } from "../../../loadtest/lib/thresholds.ts";

const TIMEOUT_MS = 2500;
const short = (name: (typeof SCENARIOS)[number], scale = 1): Shape =>
  shapeOf(name, { scale, isShort: true });

test("a spike is fifty times the load before it, from one moment to the next, twice in its full form", () => {
  const { steps } = shapeOf("spike", { scale: 2, isShort: false });

  const rates = steps.map(({ phase, perSecond }) => [phase, perSecond]);
  assert.deepEqual(rates, [
    ["rest", 40],
    ["calm", 40],
    ["overload", 2000],
    ["settle", 40],
    ["after", 40],
    ["overload", 2000],
    ["settle", 40],
    ["after", 40],
  ]);
  assert.ok(steps.every(({ phase, seconds }) => phase !== "settle" || seconds === 5));
  assert.ok((steps[1]?.seconds ?? 0) >= 60);
});

test("the short form of each scenario takes less than a minute, and the calm is as long as was asked", () => {
  for (const name of SCENARIOS) {
    // The setup measures for a quarter of a minute beside its own two measurements.
    assert.ok(secondsOf(short(name)) + 2 * short(name).measureSeconds + 12 < 60, name);
    const { steps } = shapeOf(name, { scale: 1, isShort: true, calmSeconds: 3 });
    assert.deepEqual(
      steps.slice(0, 2).map(({ phase, seconds }) => [phase, seconds]),
      [
        ["rest", 3],
        ["calm", 3],
      ],
    );
    assert.equal(short(name).steps[0]?.seconds, 4);
  }
});

test("steps follow each other in k6's scenarios, one for each bookmaker, and all of their calls are due in them", () => {
  const shape = short("spike");
  let startSeconds = 0;
  const scenarios = scenariosOf(shape, TIMEOUT_MS);

  for (const [index, { phase, seconds, perSecond }] of shape.steps.entries()) {
    for (const [who, rate] of Object.entries({ target: perSecond, healthy: 50 })) {
      const scenario = scenarios[`${who}_${index}_${phase}`];
      assert.ok(scenario?.executor === "constant-arrival-rate");
      assert.equal(scenario.startTime, `${startSeconds}s`);
      assert.deepEqual(scenario.tags, { phase, step: String(index) });
      assert.equal(scenario.exec, who);
      // So many iterations in so long, each with so many calls.
      assert.equal((scenario.rate * callsPerIteration(rate)) / parseInt(scenario.timeUnit), rate);
      assert.equal(scenario.maxVUs, scenario.preAllocatedVUs);
      assert.ok(
        parseInt(scenario.gracefulStop) > TIMEOUT_MS + (callsPerIteration(rate) * 1000) / rate,
      );
    }
    startSeconds += seconds;
  }
  assert.equal(startSeconds, secondsOf(shape));
});

test("there are users for all calls of the longest time that one can take", () => {
  for (const perSecond of [1, 7, 20, 50, 400, 1000, 5000]) {
    const calls = vusFor(perSecond, TIMEOUT_MS) * callsPerIteration(perSecond);
    assert.ok(calls > (1.5 * perSecond * TIMEOUT_MS) / 1000, `${perSecond} a second`);
  }
});

test("all rates are whole and above 0 at every scale, as k6 wants them", () => {
  for (const name of SCENARIOS) {
    for (const scale of [0.01, 0.3, 1.7]) {
      const shape = short(name, scale);
      const rates = [shape.healthyPerSecond, ...shape.steps.map(({ perSecond }) => perSecond)];
      assert.ok(rates.every((rate) => Number.isInteger(rate) && rate > 0));
    }
  }
});

test("only what hangs has orders for the bookmaker, at the beginning of its step", () => {
  assert.ok(Object.keys(scenariosOf(short("spike"), 1)).every((name) => !name.startsWith("order")));
  const { order_2: order, target_2_overload: load } = scenariosOf(short("hang"), 1);
  assert.equal(order?.startTime, load?.startTime);
  assert.deepEqual(short("hang").steps[2]?.control, { hang: true });
});

test("each claim needs its share of the calls that it is about, whatever the scale", () => {
  for (const name of SCENARIOS) {
    for (const scale of [0.01, 1, 5]) {
      const shape = short(name, scale);
      const thresholds = thresholdsOf(name, shape);
      for (const [claim, { who, phases, leastShare, least: own }] of claimsOf(name)) {
        const due = who.reduce((sum, one) => sum + callsOf(shape, one, phases), 0);
        const least = leastOf(claim, shape);
        if (own === undefined)
          assert.ok(least >= 1 && Math.abs(least - leastShare * due) <= 1, claim);
        else assert.equal(least, own);
        assert.equal(thresholds[judgedMetric(claim)]?.[0]?.threshold, `count>=${least}`);
        assert.ok(
          Object.keys(thresholds).some((key) => key.replace(/\{.*/, "") === claim),
          claim,
        );
      }
    }
  }
});

test("each spike has a first refusal of its own, and a load that was not delivered ends the run", () => {
  const shape = shapeOf("spike", { scale: 1, isShort: false });
  const thresholds = thresholdsOf("spike", shape);

  assert.deepEqual(
    Object.keys(thresholds).filter((name) => name.startsWith("first_shed_ms")),
    ["first_shed_ms{step:2}", "first_shed_ms{step:5}"],
  );
  assert.deepEqual(
    thresholds["dropped_iterations"]?.map(({ threshold, abortOnFail }) => [threshold, abortOnFail]),
    [["count==0", true]],
  );
  assert.equal(overloadSeconds(shape), 25);
});

test("a bookmaker that flaps is ill and well in turn, and nothing may reach it after the first time", () => {
  const orders = short("flapping").steps.map(({ phase, control }) => [phase, control?.["status"]]);

  assert.deepEqual(orders, [
    ["rest", undefined],
    ["calm", undefined],
    ["overload", 500],
    ["tripped", null],
    ["tripped", 500],
    ["tripped", null],
    ["tripped", 500],
  ]);
  const longer = shapeOf("flapping", { scale: 1, isShort: false });
  assert.ok(secondsOf(longer) > secondsOf({ ...longer, steps: longer.steps.slice(0, 7) }));
});

test("what the bookmaker received is asked when the load rises above the quota, and when it ends", () => {
  const shape = short("rate");
  const scenarios = scenariosOf(shape, TIMEOUT_MS);

  const { count_2: from, count_3: to, target_2_overload: over, target_3_settle: end } = scenarios;
  assert.equal(from?.exec, "count");
  assert.equal(from.startTime, over?.startTime);
  assert.equal(to?.startTime, end?.startTime);
  assert.deepEqual([shape.steps[2]?.counts, shape.steps[3]?.counts], ["from", "to"]);
  // Those of a second at once, and a second's worth in each second.
  assert.equal(quotaCalls(shape, 2), 100 + 100 * overloadSeconds(shape));
  for (const step of shape.steps) {
    const isOver = step.phase === "overload";
    assert.equal(step.perSecond > quotaOf(1), isOver);
  }
  assert.deepEqual([quotaOf(0.001), quotaOf(0.5)], [1, 25]);
});

test("a simulated bookmaker is needed by those scenarios in which it has orders or is asked", () => {
  const needed = SCENARIOS.filter((name) => needsControl(short(name)));

  assert.deepEqual(needed, ["hang", "brownout", "flapping", "slow-body", "rate"]);
});

test("replicas are called in turn, and each with calls of every tier", () => {
  const indexes = Array.from({ length: 200 }, (_, index) => index);
  for (const count of [1, 2, 3]) {
    for (let replica = 0; replica < count; replica += 1) {
      const own = indexes.filter((index) => replicaOf(index, count) === replica);
      assert.ok(Math.abs(own.length - 200 / count) <= count, `${own.length} of ${count}`);
      assert.equal(new Set(own.map(tierOf)).size, 3);
    }
  }
});

test("one call in five is of the heavy operation, in its scenario alone", () => {
  const heavy = (name: (typeof SCENARIOS)[number]): number[] =>
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter((index) => isHeavyCall(name, index));

  assert.deepEqual(heavy("heavy"), [4, 9]);
  assert.deepEqual(heavy("spike"), []);
});

test("a brief form has all of the steps, none longer than in the short one, and measures at once", () => {
  for (const name of SCENARIOS) {
    const brief = shapeOf(name, { scale: 1, isShort: true, isBrief: true });
    const { steps } = short(name);
    assert.deepEqual(
      brief.steps.map((step) => ({ ...step, seconds: 0 })),
      steps.map((step) => ({ ...step, seconds: 0 })),
    );
    assert.ok(brief.steps.every(({ seconds }, index) => seconds <= (steps[index]?.seconds ?? 0)));
    assert.ok(secondsOf(brief) <= 11 && brief.measureSeconds < 1, name);
  }
  assert.equal(shapeOf("spike", { scale: 1, isShort: true, measureSeconds: 2 }).measureSeconds, 2);
});
