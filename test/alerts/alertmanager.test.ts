// Who hears what: every alert of the rule files, asked of the real amtool, and what mutes what, asked of
// a real Alertmanager. It is given no secret, so it can notify nobody.
//
// Building the tools for the first time takes some minutes; it says so on standard error.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { parse } from "yaml";
import { freePorts, ready, start } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { keyOf, sent } from "./muting.ts";
import { readAlerts, readText, seconds } from "./rule-files.ts";

const FILE = "alerts/alertmanager/alertmanager.yml";

const skip = whyNoTools();

interface Route {
  readonly receiver?: string;
  readonly group_by?: readonly string[];
  readonly matchers?: readonly string[];
  readonly group_wait?: string;
  readonly group_interval?: string;
  readonly repeat_interval?: string;
  readonly routes?: readonly Route[];
}

interface Config {
  readonly global: Readonly<Record<string, string>>;
  readonly route: Route;
  readonly inhibit_rules: readonly {
    readonly source_matchers: readonly string[];
    readonly target_matchers: readonly string[];
  }[];
  readonly receivers: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[];
}

const text = readText(FILE);
const config = parse(text) as Config;
const alerts = readAlerts();

/** Written down, and not derived: a severity that changes changes who is woken. */
const RECEIVERS: Readonly<Record<string, string>> = {
  "CircuitBreakerEndpointCoolingDown warning": "tickets",
  "CircuitBreakerFlapping warning": "tickets",
  "CircuitBreakerLoadShedding warning": "tickets",
  "CircuitBreakerManyTripped critical": "pagerduty",
  "CircuitBreakerMostlyOpen critical": "pagerduty",
  "CircuitBreakerNoEndpoint critical": "pagerduty",
  "CircuitBreakerReplicaDisagreement warning": "tickets",
  "CircuitBreakerStateLost critical": "pagerduty",
  "CircuitBreakerStuckOpen warning": "tickets",
  "CircuitBreakerSuccessRatioLow warning": "tickets",
  "CircuitBreakerTripped critical": "pagerduty",
  "CircuitBreakerWindowOpen warning": "tickets",
  "SwitchgearConfigRejected warning": "tickets",
  "SwitchgearDown critical": "pagerduty",
  "SwitchgearErrorBudgetBurn critical": "pagerduty",
  "SwitchgearErrorBudgetBurn warning": "tickets",
  "SwitchgearInstanceDown warning": "tickets",
  "SwitchgearLogLost warning": "tickets",
  "SwitchgearMetricsAbsent critical": "pagerduty",
  "SwitchgearModeForgotten warning": "tickets",
  "SwitchgearPagerDeliveryFailing warning": "second-channel",
  "SwitchgearRejectingWhileClosed warning": "tickets",
  "SwitchgearRuleFailures warning": "tickets",
  "SwitchgearScrapeNearLimit warning": "tickets",
  "SwitchgearSeriesMissing warning": "tickets",
  "SwitchgearStoreDown warning": "tickets",
  "SwitchgearStoreError warning": "tickets",
  "SwitchgearStoreRecovered warning": "tickets",
  "SwitchgearWatchdog none": "dead-mans-switch",
};

async function amtool(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await start([toolPath("amtool"), ...args]).ended;
  assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
  return stdout.trim();
}

const receiverOf = (...labels: string[]): Promise<string> =>
  amtool("config", "routes", "test", `--config.file=${FILE}`, ...labels);

test("amtool accepts the configuration", { skip }, async () => {
  assert.match(await amtool("check-config", FILE), /SUCCESS/);
});

test("every alert in every severity has one receiver, the one written here", { skip }, async () => {
  const found: Record<string, string> = {};
  for (const { alert, labels } of alerts) {
    const severity = labels["severity"] ?? "";
    found[`${alert} ${severity}`] = await receiverOf(
      `alertname=${alert}`,
      `severity=${severity}`,
      "namespace=bets",
      "bookmaker=draftkings",
    );
  }
  assert.deepEqual(found, RECEIVERS);
});

test(
  "what no route knows is seen by somebody, and what is for nobody wakes nobody",
  { skip },
  async () => {
    assert.equal(await receiverOf("alertname=Other", "severity=critcal"), "tickets");
    assert.equal(await receiverOf("alertname=Other"), "tickets");
    assert.equal(await receiverOf("alertname=Other", "severity=info"), "nobody");
  },
);

function routesOf(route: Route): Route[] {
  return [route, ...(route.routes ?? []).flatMap(routesOf)];
}

test("each bookmaker is an incident of its own: no route groups by less", () => {
  const [root, ...others] = routesOf(config.route);
  assert.deepEqual(root?.group_by, ["alertname", "cluster", "namespace", "bookmaker"]);
  for (const route of others) assert.equal(route.group_by, undefined, route.receiver);
});

/** Written down, too: what is left out is inherited, and a page would wait half a minute more. */
const ROUTES = [
  ["", "tickets", "30s", "5m", "12h"],
  ['alertname="SwitchgearWatchdog"', "dead-mans-switch", "0s", "1m", "1m"],
  ['alertname="SwitchgearPagerDeliveryFailing"', "second-channel", "0s", "1m", "1h"],
  ['severity="critical"', "pagerduty", "20s", "1m", "4h"],
  ['severity="warning"', "tickets", undefined, undefined, undefined],
  ['severity=~"info|none"', "nobody", undefined, undefined, undefined],
];

test("each route tells as soon and as often as is written here, to PagerDuty's own address", () => {
  assert.deepEqual(
    routesOf(config.route).map((route) => [
      (route.matchers ?? []).join(),
      route.receiver,
      route.group_wait,
      route.group_interval,
      route.repeat_interval,
    ]),
    ROUTES,
  );
  assert.deepEqual(config.global, {
    pagerduty_url: "https://events.pagerduty.com/v2/enqueue",
    resolve_timeout: "5m",
  });
});

test("a page waits for what mutes it, and comes and ends as soon as docs/alerts.md says", () => {
  const [, from = "", to = "", ends = ""] =
    /comes between (\d+) and (\d+) minutes after the trip and resolves (\d+) minutes after/.exec(
      readText("docs/alerts.md"),
    ) ?? [];
  const prometheus = parse(readText("alerts/prometheus/prometheus.yml")) as {
    readonly global: { readonly scrape_interval: string; readonly evaluation_interval: string };
  };
  const scrape = seconds(prometheus.global.scrape_interval);
  const evaluation = seconds(prometheus.global.evaluation_interval);
  const rule = alerts.find(({ alert }) => alert === "CircuitBreakerTripped");
  const route = config.route.routes?.find(({ receiver }) => receiver === "pagerduty");
  const wait = seconds(route?.group_wait ?? "");
  const ruleWaits = seconds(rule?.for ?? "");

  // Two rules of one cause are evaluated up to an interval apart.
  assert.ok(wait > evaluation);
  assert.ok(ruleWaits >= Number(from) * 60);
  assert.ok(scrape + evaluation + ruleWaits + wait <= Number(to) * 60);
  const interval = seconds(route?.group_interval ?? "");
  assert.equal(seconds(rule?.keep_firing_for ?? "") + interval, Number(ends) * 60);
});

/** `A(B|C)|D` is AB, AC and D. */
function namesOf(pattern: string): string[] {
  return [...pattern.matchAll(/(\w+)(?:\(([^)]*)\))?/g)].flatMap(([, start = "", ends]) =>
    ends === undefined ? [start] : ends.split("|").map((end) => start + end),
  );
}

test("matchers are quoted, and name alerts that exist", () => {
  const matchers = [
    ...routesOf(config.route).flatMap((route) => route.matchers ?? []),
    ...config.inhibit_rules.flatMap((rule) => [...rule.source_matchers, ...rule.target_matchers]),
  ];
  assert.ok(matchers.length >= 10);
  const names = new Set(alerts.map(({ alert }) => alert));
  for (const matcher of matchers) {
    const [, label, value = ""] = /^(\w+)(?:=|=~|!=)"([^"]*)"$/.exec(matcher) ?? [];
    assert.ok(label !== undefined, matcher);
    if (label === "alertname") for (const name of namesOf(value)) assert.ok(names.has(name), name);
  }
});

test("every receiver is used, and no secret stands in the file", () => {
  const used = new Set(routesOf(config.route).map(({ receiver = "" }) => receiver));
  assert.deepEqual(new Set(config.receivers.map(({ name }) => name)), used);
  assert.doesNotMatch(text, /\b(routing_key|service_key|url|password|token|api_key):/);
  const files = [...text.matchAll(/\b\w+_file: (.*)/g)].map(([, file = ""]) => file);
  assert.equal(files.length, 4);
  for (const file of files) {
    const [, name = ""] = /^\/etc\/alertmanager\/secrets\/([a-z-]+)$/.exec(file) ?? [];
    assert.ok(text.includes(`#   ${name} `), `${file} is not explained`);
  }
});

test("PagerDuty's receiver leaves nothing to Alertmanager's defaults, which change", () => {
  const pagerduty = config.receivers.find(({ name }) => name === "pagerduty");
  const ways = (pagerduty?.["pagerduty_configs"] ?? []) as readonly object[];
  assert.equal(ways.length, 1);
  assert.deepEqual(ways.flatMap(Object.keys), [
    "routing_key_file",
    "send_resolved",
    "severity",
    "description",
    "source",
    "component",
    "group",
    "class",
    "client",
    "client_url",
    "details",
    "links",
  ]);
});

test("each receiver says whether it tells of the end, whatever Alertmanager's default is", () => {
  const told = config.receivers.flatMap(({ name, ...ways }) =>
    Object.values(ways).flatMap((way) =>
      (way as readonly { readonly send_resolved?: boolean }[]).map(
        (one) => `${name} ${one.send_resolved}`,
      ),
    ),
  );
  assert.deepEqual(told, [
    "pagerduty true",
    "second-channel true",
    "tickets true",
    "dead-mans-switch false",
  ]);
});

interface Seen {
  readonly labels: Readonly<Record<string, string>>;
  readonly status: { readonly inhibitedBy: readonly string[] };
}

async function alertmanager(t: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-alertmanager-"));
  const [port = 0] = await freePorts(1);
  const program = start([
    toolPath("alertmanager"),
    `--config.file=${FILE}`,
    `--storage.path=${folder}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--cluster.listen-address=",
  ]);
  t.after(async () => {
    program.child.kill("SIGKILL");
    await program.ended;
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${port}`;
  await ready(program, `${url}/-/ready`);
  return `${url}/api/v2/alerts`;
}

/** Sources come in asynchronously: how long they may take before it counts as never. */
const MUTED_MS_MAX = 20_000;

async function mutedAt(url: string): Promise<Map<string, boolean>> {
  const seen = (await (await fetch(url)).json()) as Seen[];
  return new Map(seen.map(({ labels, status }) => [keyOf(labels), status.inhibitedBy.length > 0]));
}

test(
  "what mutes what: each pair, in its own cluster and namespace, and no neighbour",
  { skip },
  async (t) => {
    const url = await alertmanager(t);
    const told = sent();
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(told.map(({ labels }) => ({ labels }))),
    });
    assert.equal(answer.status, 200, await answer.text());

    const wanted = new Map(told.map(({ labels, isMuted }) => [keyOf(labels), isMuted]));
    assert.equal(wanted.size, told.length, "each is told once");
    let found = new Map<string, boolean>();
    const deadlineMs = performance.now() + MUTED_MS_MAX;
    do {
      found = await mutedAt(url);
      if ([...wanted].every(([key, isMuted]) => found.get(key) === isMuted)) break;
      await new Promise((next) => setTimeout(next, 100));
    } while (performance.now() < deadlineMs);
    const wrong = [...wanted].filter(([key, isMuted]) => found.get(key) !== isMuted);
    assert.deepEqual(wrong, []);
  },
);
