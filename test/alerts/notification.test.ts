// What arrives: alerts told to a real Alertmanager with the repository's own routes and receivers, sped
// up, and each message compared whole. Only PagerDuty and the webhooks' other ends are played.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { PagerEvent } from "../pager/event.ts";
import { startPagerDuty, type PagerDuty } from "../pager/pagerduty.ts";
import { until } from "../pager/processes.ts";
import { alertmanagerText } from "../pager/settings.ts";
import { startWebhooks, type Webhooks } from "../pager/webhooks.ts";
import { whyNoTools } from "../tools/available.ts";
import { startAlertmanager, type Alertmanager } from "./live.ts";
import { EXTERNAL_URL, KEY, pageOf, tripped, type Told } from "./messages.ts";

// Alertmanager does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : whyNoTools();

/** A minute's interval becomes a fifth of a second. */
const FACTOR = 300;

/** Everything here takes two seconds at most; this is for a machine that others load, too. */
const WAIT_MS = 40_000;

let folder: string;
let pager: PagerDuty;
let channels: Webhooks;
let alertmanager: Alertmanager;

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), "switchgear-notification-"));
  [pager, channels] = await Promise.all([startPagerDuty(KEY), startWebhooks()]);
  mkdirSync(join(folder, "secrets"));
  const secrets = {
    // As an editor leaves it: the end of the line is no part of the key.
    "pagerduty-routing-key": `${KEY}\n`,
    "tickets-url": channels.urlOf("tickets"),
    "second-channel-url": channels.urlOf("second-channel"),
    "dead-mans-switch-url": channels.urlOf("dead-mans-switch"),
  };
  for (const [name, text] of Object.entries(secrets)) {
    writeFileSync(join(folder, "secrets", name), text);
  }
  const config = join(folder, "alertmanager.yml");
  writeFileSync(config, alertmanagerText(pager.url, join(folder, "secrets"), FACTOR));
  alertmanager = await startAlertmanager(config, 4 * WAIT_MS, `--web.external-url=${EXTERNAL_URL}`);
});

after(async () => {
  if (skip !== false) return;
  await Promise.all([alertmanager.kill(), pager.close(), channels.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** As Prometheus tells it: one that fires ends later, one that is over has ended. */
async function tell(alerts: readonly Told[], isFiring: boolean): Promise<void> {
  const endsAt = new Date(Date.now() + (isFiring ? 3_600_000 : -1000)).toISOString();
  // One that is older than its route waits is told of at once, alone.
  const startsAt = new Date(Date.now() - (isFiring ? 0 : 60_000)).toISOString();
  const answer = await fetch(`${alertmanager.url}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(alerts.map((one) => Object.assign({ startsAt, endsAt }, one))),
  });
  assert.equal(answer.status, 200, await answer.text());
}

/** The event that PagerDuty took, once there is one of this kind for this bookmaker. */
function event(action: PagerEvent["event_action"], bookmaker: string): Promise<PagerEvent> {
  return until(
    `PagerDuty hears a ${action} for ${bookmaker}`,
    () =>
      pager
        .deliveries()
        .map((one) => one.event)
        .find((one) => one?.event_action === action && one.payload?.group === bookmaker),
    WAIT_MS,
    () => JSON.stringify(pager.deliveries()) + alertmanager.output(),
  );
}

test("a page says what, where and how bad, with its links, and resolves", { skip }, async () => {
  const both = [tripped("draftkings", "a:1"), tripped("draftkings", "b:1")];
  await tell(both, true);

  const { dedup_key: key, ...trigger } = await event("trigger", "draftkings");
  const page = pageOf("draftkings");
  assert.deepEqual(trigger, page.trigger);

  await tell(both, false);
  const { dedup_key: sameKey, ...resolve } = await event("resolve", "draftkings");
  assert.equal(sameKey, key);
  assert.deepEqual(resolve, page.resolve);
});

test("a second bookmaker is an incident of its own", { skip }, async () => {
  await tell([tripped("fanduel", "a:1")], true);
  await event("trigger", "fanduel");
  await tell([tripped("betmgm", "a:1")], true);
  const { payload } = await event("trigger", "betmgm");

  assert.equal(payload?.summary, "Circuit breaker tripped for betmgm");
  assert.equal(new Set(pager.incidents().map(({ key }) => key)).size, pager.incidents().length);
});

test("what is muted by another of the same breath pages nobody", { skip }, async () => {
  // The ones that are muted first: they are told of before Alertmanager has read what mutes them.
  const namespaces = Array.from({ length: 40 }, (_, n) => `breath-${n}`);
  const burns = (namespace: string, more: object): Told => ({
    labels: {
      alertname: "SwitchgearErrorBudgetBurn",
      severity: "critical",
      slo: "success",
      namespace,
      ...more,
    },
    annotations: { summary: namespace },
  });
  for (const namespace of namespaces) {
    const some = ["draftkings", "fanduel"].map((bookmaker) => burns(namespace, { bookmaker }));
    await tell([...some, burns(namespace, {})], true);
  }
  const heard = (): readonly string[] =>
    pager
      .deliveries()
      .map(({ event: one }) => one?.payload)
      .filter((payload) => payload?.source.startsWith("breath-"))
      .map((payload) => `${payload?.source} ${payload?.group ?? ""}`.trim());
  await until(
    "each namespace pages",
    () => (namespaces.every((name) => heard().includes(name)) ? true : undefined),
    WAIT_MS,
    () => heard().join(),
  );
  assert.deepEqual(heard().toSorted(), namespaces.toSorted());
});

test("a name that speaks YAML and templates stays text, on its own line", { skip }, async () => {
  const evil = tripped("evil", "a:1");
  const description = 'x: "{{ len `abc` }}"\n* and so is this';
  await tell([{ ...evil, annotations: { ...evil.annotations, description } }], true);
  const { payload } = await event("trigger", "evil");

  assert.equal(payload?.custom_details?.["firing"], '* x: "{{ len `abc` }}" * and so is this\n');
});

test("an alert without texts or a namespace pages, too", { skip }, async () => {
  await tell([{ labels: { alertname: "Bare", severity: "critical" }, annotations: {} }], true);
  const payload = await until(
    "PagerDuty takes it",
    () =>
      pager
        .deliveries()
        .filter(({ status }) => status === 202)
        .map((one) => one.event?.payload)
        .find((one) => one?.class === "Bare"),
    WAIT_MS,
    () => JSON.stringify(pager.deliveries()) + alertmanager.output(),
  );
  assert.deepEqual([payload.summary, payload.source], ["Bare", "switchgear"]);
});

/** What a channel heard of one alert: the statuses, in order, each once. */
function heard(channel: string, alert: string): string[] {
  const statuses = channels
    .received(channel)
    .filter(({ groupLabels }) => groupLabels["alertname"] === alert)
    .map(({ status }) => status);
  return [...new Set(statuses)];
}

test(
  "tickets and the second channel hear both ends, the dead man's switch one",
  { skip },
  async () => {
    const at = (alertname: string, severity: string): Told => ({
      labels: { alertname, severity, namespace: "bets" },
      annotations: { summary: alertname },
    });
    const switched = at("SwitchgearWatchdog", "none");
    const told = {
      tickets: at("SwitchgearStoreDown", "warning"),
      "second-channel": at("SwitchgearPagerDeliveryFailing", "warning"),
    };
    const untilHeard = (
      channel: string,
      alert: string,
      statuses: readonly string[],
    ): Promise<true> =>
      until(
        `${channel} hears of ${alert}: ${statuses.join()}`,
        () => (heard(channel, alert).join() === statuses.join() ? true : undefined),
        WAIT_MS,
        () => JSON.stringify(channels.received(channel)) + alertmanager.output(),
      );

    // First of all, so that it has had more than its interval to say that it ended.
    await tell([switched], true);
    await untilHeard("dead-mans-switch", "SwitchgearWatchdog", ["firing"]);
    await tell([switched], false);

    for (const [channel, alert] of Object.entries(told)) {
      const name = alert.labels["alertname"] ?? "";
      await tell([alert], true);
      await untilHeard(channel, name, ["firing"]);
      await tell([alert], false);
      await untilHeard(channel, name, ["firing", "resolved"]);
    }
    assert.deepEqual(heard("dead-mans-switch", "SwitchgearWatchdog"), ["firing"]);
    assert.equal(
      pager.deliveries().filter(({ event: one }) => one?.payload?.group === "").length,
      0,
    );
  },
);
