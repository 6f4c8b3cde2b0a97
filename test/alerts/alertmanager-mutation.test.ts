// Every change to Alertmanager's configuration that alertmanager-mutants.ts can think of, asked of the questions
// that alertmanager.test.ts and notification.test.ts ask.

import assert from "node:assert/strict";
import { test } from "node:test";
import { whyNoTools } from "../tools/available.ts";
import {
  allMutants,
  ask,
  KILLED_RATIO_MIN,
  mutationRun,
  survivors,
} from "./alertmanager-mutate.ts";
import { mutantsOf, type Mutant } from "./alertmanager-mutants.ts";
import { REASONS } from "./alertmanager-survivors.ts";
import { readConfig } from "./routing.ts";

// Alertmanager does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : whyNoTools();

/** Half a minute on two cores that have nothing else to do. */
const RUN_MS_MAX = 300_000;

test(
  "of all changes to Alertmanager's configuration 97 % or more are noticed, and each other has its reason",
  { skip, timeout: RUN_MS_MAX },
  async (t) => {
    const { count, survived, ratio } = await mutationRun(allMutants());

    t.diagnostic(`${count} changes, ${(ratio * 100).toFixed(1)} % noticed`);
    assert.deepEqual(survived, []);
    assert.ok(ratio >= KILLED_RATIO_MIN, `${ratio}`);
  },
);

test("every change is one, has a name of its own, and every excuse is of one that exists", () => {
  const mutants = allMutants();
  const config = readConfig();
  for (const { id, config: changed } of mutants) assert.notDeepEqual(changed, config, id);
  const ids = mutants.map(({ id }) => id);
  assert.ok(ids.length >= 400);
  assert.equal(new Set(ids).size, ids.length);
  for (const [excused] of REASONS) {
    assert.ok(
      ids.some((id) => excused.test(id)),
      String(excused),
    );
  }
});

test(
  "a change that nobody can notice is found out, and one that is no configuration is refused",
  { skip },
  async () => {
    const same: Mutant[] = ["mute", "receiver same"].map((id) => ({ id, config: readConfig() }));
    assert.deepEqual(survivors(await ask(same)), ["mute", "receiver same"]);
    const wrong = readConfig();
    wrong.route.receiver = "missing";
    await assert.rejects(ask([{ id: "wrong", config: wrong }]), /wrong is no valid configuration/);
  },
);

test("each thing is changed where it stands, and the configuration itself is left alone", () => {
  const config = {
    global: { resolve_timeout: "5m" },
    route: {
      receiver: "a",
      group_by: ["alertname"],
      routes: [{ matchers: ['severity=~"x|y"'], receiver: "b", group_wait: "0s" }],
    },
    inhibit_rules: [
      {
        source_matchers: ['alertname="A"'],
        target_matchers: ['alertname="B"'],
        equal: ["cluster"],
      },
    ],
    receivers: [
      { name: "a", webhook_configs: [{ url_file: "a", send_resolved: true }] },
      { name: "b", webhook_configs: [{ url_file: "b", send_resolved: true }] },
    ],
  };
  const before = structuredClone(config);
  assert.deepEqual(
    mutantsOf(config, ["A", "B", "C"]).map(({ id }) => id),
    [
      'mute by alertname="A": dropped',
      'mute by alertname="A": source and target swapped',
      'mute by alertname="A": source without alertname="A"',
      'mute by alertname="A": source alertname!="A"',
      'mute by alertname="A": target without alertname="B"',
      'mute by alertname="A": target alertname!="B"',
      'mute by alertname="A": target has C, too',
      'mute by alertname="A": equal without cluster',
      "route: receiver b",
      "route: group_by without alertname",
      "route: group_by everything",
      'route severity=~"x|y": receiver a',
      'route severity=~"x|y": no receiver',
      'route severity=~"x|y": group_by alertname',
      'route severity=~"x|y": continue',
      'route severity=~"x|y": without severity=~"x|y"',
      'route severity=~"x|y": severity!~"x|y"',
      'route severity=~"x|y": without x in severity',
      'route severity=~"x|y": without y in severity',
      'route severity=~"x|y": dropped',
      'route severity=~"x|y": no group_wait',
      'route severity=~"x|y": group_wait 10s',
      "global: resolve_timeout 150s",
      "global: resolve_timeout 600s",
      "receiver a: hears nothing",
      "receiver a: send_resolved turned round",
      "receiver a: url_file b",
      "receiver a: no send_resolved",
      "receiver b: hears nothing",
      "receiver b: send_resolved turned round",
      "receiver b: url_file a",
      "receiver b: no send_resolved",
    ],
  );
  assert.deepEqual(config, before);
});
