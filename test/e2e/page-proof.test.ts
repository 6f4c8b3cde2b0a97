// From a bookmaker's death to the pager and back, on the real programs, sixty times faster: five
// minutes are five seconds. The tests are one story on one stack; each leaves it quiet for the next.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { alertmanagerCount, mutersOf } from "../pager/alerts.ts";
import { heard, incidentsOf, untilIncident } from "../pager/pages.ts";
import { until } from "../pager/processes.ts";
import { provePage } from "../pager/scenario.ts";
import { startStack, type Stack } from "../pager/stack.ts";
import { FACTOR } from "../pager/compress.ts";
import { ROOT } from "../pager/settings.ts";
import { whyNoTools } from "../tools/available.ts";
import { startEmpty } from "../runbooks/defect.ts";
import { onCall } from "../runbooks/on-call.ts";

// One runner starts all stacks: the runbooks' gateway is Node's, this one is Bun's.
const skip = "Bun" in globalThis ? "it is run from Node, with the gateway on Bun" : whyNoTools();

const BUN = join(ROOT, "node_modules/.bin/bun");

/** Everything here takes seconds; this is for a machine that others load, too. */
const WAIT_MS = 40_000;

let stack: Stack;
const { fires, ends, diagnose, verify, order } = onCall(() => stack);

before(async () => {
  if (skip === false) stack = await startStack({ runtime: BUN, msMax: 300_000 });
});

after(() => (skip === false ? stack.stop() : undefined));

const TRIPPED = "CircuitBreakerTripped";

function openIncident(alert: string, bookmaker?: string, after = 0) {
  return untilIncident(
    stack.pager,
    { alert, ...(bookmaker === undefined ? {} : { bookmaker }), isOpen: true, after },
    WAIT_MS,
  );
}

function resolvedIncident(alert: string, bookmaker?: string) {
  return untilIncident(
    stack.pager,
    { alert, ...(bookmaker === undefined ? {} : { bookmaker }), isOpen: false },
    WAIT_MS,
  );
}

/** The bookmaker is well again, and somebody says so. */
async function mend(name: "draftkings" | "fanduel"): Promise<void> {
  stack[name].restore();
  await order("reset", name);
}

async function breakIt(name: "draftkings" | "fanduel"): Promise<void> {
  stack[name].control({ status: 500 });
  const statuses = await stack.call(`/${name}/odds`, 12);
  assert.equal(statuses.at(-1), 503, `${name} is not tripped: ${statuses.join()}`);
}

/** A channel that wakes nobody has heard of this alert. */
function told(channel: string, alert: string): Promise<true> {
  return until(
    `${channel} hears of ${alert}`,
    () =>
      stack.channels.received(channel).some(({ groupLabels }) => groupLabels["alertname"] === alert)
        ? true
        : undefined,
    WAIT_MS,
    () => JSON.stringify(stack.channels.received(channel)),
  );
}

/** Alertmanager holds so many alerts of one name or more, and another alert mutes each of them. */
function muted(alert: string, by: string, count: number): Promise<true> {
  return until(
    `${count} or more of ${alert} are muted by ${by}`,
    async () => {
      const muters = await mutersOf(stack, alert);
      return muters.length >= count && muters.every((names) => names.includes(by))
        ? true
        : undefined;
    },
    WAIT_MS,
  );
}

test("the dead man's switch hears that the way of alerts works", { skip }, async () => {
  await told("dead-mans-switch", "SwitchgearWatchdog");
});

test(
  "a trip pages with what the on-call needs, and the runbook's reset resolves it",
  { skip },
  async () => {
    const { trigger, resolve, tripToPageMs } = await provePage(stack, FACTOR);

    const replicas = /Tripped on: 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+\./;
    assert.match(JSON.stringify(trigger.payload), replicas);

    assert.equal(trigger.event_action, "trigger");
    assert.equal(trigger.payload?.severity, "critical");
    assert.match(trigger.payload?.summary ?? "", /draftkings/);
    const links = trigger.links?.map(({ href }) => href) ?? [];
    assert.ok(
      links.some((href) => href.endsWith("/runbooks/CircuitBreakerTripped.md")),
      links.join(),
    );
    assert.ok(
      links.some((href) => /\/d\/switchgear-overview\?.*draftkings/.test(href)),
      links.join(),
    );
    // Not the value of the rule, which is always 1.
    assert.match(JSON.stringify(trigger.payload), /Failures[^0-9]{1,9}10\b/);
    assert.equal(resolve.event_action, "resolve");
    assert.equal(resolve.dedup_key, trigger.dedup_key);
    assert.ok(tripToPageMs >= 5000, `paged after ${tripToPageMs} ms, before its time`);
    const [incident, ...others] = incidentsOf(stack.pager, TRIPPED);
    assert.equal(incident?.triggers.length, 1);
    assert.equal(others.length, 0);
  },
);

test(
  "two bookmakers are two incidents, even when PagerDuty refuses at first",
  { skip },
  async () => {
    const before = incidentsOf(stack.pager, TRIPPED, "draftkings").length;
    stack.pager.answerNext(429, 503);
    await breakIt("draftkings");
    await breakIt("fanduel");

    const first = await openIncident(TRIPPED, "draftkings", before);
    const second = await openIncident(TRIPPED, "fanduel");

    assert.notEqual(first.key, second.key);
    const deliveries = stack.pager.deliveries();
    const refused = deliveries.filter(({ status }) => status !== 202);
    assert.deepEqual(
      refused.map(({ status }) => status),
      [429, 503],
      heard(stack.pager),
    );
    for (const { atMs, event } of refused) {
      const again = deliveries.find(
        (later) =>
          later.status === 202 &&
          later.atMs >= atMs &&
          later.event?.event_action === event?.event_action &&
          later.event?.dedup_key === event?.dedup_key,
      );
      assert.ok(again, `never sent again: ${heard(stack.pager)}`);
    }
  },
);

test(
  "Alertmanager begins anew in the middle, and it is still the same two incidents",
  { skip },
  async () => {
    const before = stack.pager.incidents().length;
    await stack.alertmanager.stop();
    await stack.alertmanager.start();
    await until(
      "Prometheus tells the new Alertmanager of both",
      async () => ((await mutersOf(stack, TRIPPED)).length === 2 ? true : undefined),
      WAIT_MS,
    );

    await mend("draftkings");
    const first = await resolvedIncident(TRIPPED, "draftkings");

    assert.equal(first.triggers.length, 1);
    const [second] = incidentsOf(stack.pager, TRIPPED, "fanduel");
    assert.equal(second?.resolvedAtMs, undefined, "the other one's recovery closed it, too");
    assert.equal(second?.triggers.length, 1);
    await mend("fanduel");
    await resolvedIncident(TRIPPED, "fanduel");
    assert.equal(stack.pager.incidents().length, before, heard(stack.pager));
  },
);

test("a breaker that opens and closes again and again pages nobody", { skip }, async () => {
  const before = stack.pager.incidents().length;
  stack.draftkings.control({ status: 500 });
  const endMs = performance.now() + 9000;
  while (performance.now() < endMs) {
    await stack.call("/draftkings/odds", 10);
    await order("reset", "draftkings");
    await new Promise((done) => setTimeout(done, 1400));
  }

  await fires("CircuitBreakerFlapping", { bookmaker: "draftkings" });
  stack.draftkings.restore();
  await told("tickets", "CircuitBreakerFlapping");
  assert.equal(stack.pager.incidents().length, before, heard(stack.pager));
});

test(
  "half of all bookmakers at once are one page, and the single ones keep quiet",
  { skip },
  async () => {
    const before = incidentsOf(stack.pager, TRIPPED).length;
    // By failures: what a person holds is no outage that they share.
    await breakIt("draftkings");
    stack.fanduel.control({ status: 500 });
    await stack.call("/fanduel/odds", 11);
    await stack.call("/feeds/odds", 60);

    await openIncident("CircuitBreakerManyTripped");
    await muted(TRIPPED, "CircuitBreakerManyTripped", 2);

    await mend("draftkings");
    await mend("fanduel");
    await order("reset", "feeds");
    await resolvedIncident("CircuitBreakerManyTripped");
    assert.equal(incidentsOf(stack.pager, TRIPPED).length, before, heard(stack.pager));
  },
);

test("a gateway that is killed pages as down, and not as a breaker", { skip }, async () => {
  const before = incidentsOf(stack.pager, TRIPPED).length;
  await stack.gateway.kill();

  await openIncident("SwitchgearDown");

  await stack.gateway.start();
  await resolvedIncident("SwitchgearDown");
  assert.equal(incidentsOf(stack.pager, TRIPPED).length, before, heard(stack.pager));
  // Its metrics are gone, too, which is no second page for the same.
  assert.deepEqual(incidentsOf(stack.pager, "SwitchgearMetricsAbsent"), []);
});

test("of two replicas one trips: one incident, until that one is reset", { skip }, async () => {
  const before = incidentsOf(stack.pager, TRIPPED, "draftkings").length;
  const second = await stack.startReplica();
  await order("trip", "draftkings", second.adminUrl);

  await openIncident(TRIPPED, "draftkings", before);
  await told("tickets", "CircuitBreakerReplicaDisagreement");
  // Then the other one, too: that is more of the same, and wakes nobody again.
  await order("trip", "draftkings");
  await fires(TRIPPED, { bookmaker: "draftkings" });
  await order("reset", "draftkings");
  await order("reset", "draftkings", second.adminUrl);

  await resolvedIncident(TRIPPED, "draftkings");
  const incidents = incidentsOf(stack.pager, TRIPPED, "draftkings");
  assert.equal(incidents.length, before + 1, heard(stack.pager));
  await second.stop();
  await stack.scrape(stack.gateway.adminPort);
});

test("a scrape that is answered 200 with nothing in it pages", { skip }, async () => {
  await stack.gateway.stop();
  const empty = await startEmpty(stack.gateway.adminPort);
  try {
    await openIncident("SwitchgearMetricsAbsent");
  } finally {
    await empty.close();
  }

  await stack.gateway.start();
  await resolvedIncident("SwitchgearMetricsAbsent");
});

test(
  "a wrong routing key shows in Alertmanager's own numbers and through another channel",
  { skip },
  async () => {
    const before = incidentsOf(stack.pager, TRIPPED, "draftkings").length;
    const failed = (): Promise<number> =>
      alertmanagerCount(
        stack,
        "alertmanager_notifications_failed_total",
        'integration="pagerduty"',
      );
    await ends("SwitchgearPagerDeliveryFailing");
    const wrong = stack.pager.deliveries().filter(({ errors }) => errors.length > 0);
    assert.deepEqual(wrong, [], "PagerDuty did not understand an event");
    const failedBefore = await failed();
    stack.useRoutingKey("f".repeat(32));
    await order("trip", "draftkings");

    await fires("SwitchgearPagerDeliveryFailing");
    await told("second-channel", "SwitchgearPagerDeliveryFailing");
    await diagnose("SwitchgearPagerDeliveryFailing");

    assert.ok((await failed()) > failedBefore);
    assert.equal(incidentsOf(stack.pager, TRIPPED, "draftkings").length, before);
    assert.deepEqual(stack.pager.deliveries().at(-1)?.errors, ["Invalid routing key"]);
    stack.useRoutingKey(stack.pager.routingKey);
    await openIncident(TRIPPED, "draftkings", before);
    await mend("draftkings");
    await resolvedIncident(TRIPPED, "draftkings");
    await verify("SwitchgearPagerDeliveryFailing");
    await ends("SwitchgearPagerDeliveryFailing");
  },
);
