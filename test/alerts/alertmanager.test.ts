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
import { readAlerts, readText } from "./rule-files.ts";

const FILE = "alerts/alertmanager.yml";

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
  "CircuitBreakerHalfOpenStuck warning": "tickets",
  "CircuitBreakerHealthLow warning": "tickets",
  "CircuitBreakerLatencyHigh warning": "tickets",
  "CircuitBreakerLoadShedding warning": "tickets",
  "CircuitBreakerManyTripped critical": "pagerduty",
  "CircuitBreakerNoEndpoint critical": "pagerduty",
  "CircuitBreakerReplicaDisagreement warning": "tickets",
  "CircuitBreakerStuckOpen critical": "pagerduty",
  "CircuitBreakerSuccessRatioLow critical": "pagerduty",
  "CircuitBreakerSuccessRatioLow warning": "tickets",
  "CircuitBreakerTripped critical": "pagerduty",
  "CircuitBreakerWindowOpen warning": "tickets",
  "SwitchgearDown critical": "pagerduty",
  "SwitchgearErrorBudgetBurn critical": "pagerduty",
  "SwitchgearErrorBudgetBurn warning": "tickets",
  "SwitchgearInstanceDown warning": "tickets",
  "SwitchgearMetricsAbsent critical": "pagerduty",
  "SwitchgearPagerDeliveryFailing warning": "second-channel",
  "SwitchgearRejectingWhileClosed warning": "tickets",
  "SwitchgearRuleFailures warning": "tickets",
  "SwitchgearScrapeNearLimit warning": "tickets",
  "SwitchgearSeriesMissing warning": "tickets",
  "SwitchgearStoreDown warning": "tickets",
  "SwitchgearStoreError warning": "tickets",
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
  assert.deepEqual(root?.group_by, ["alertname", "namespace", "bookmaker", "endpoint"]);
  for (const route of others) assert.equal(route.group_by, undefined, route.receiver);
});

/** Written down, too: what is left out is inherited, and a page would wait half a minute more. */
const ROUTES = [
  ["", "tickets", "30s", "5m", "12h"],
  ['alertname="SwitchgearWatchdog"', "dead-mans-switch", "0s", "1m", "1m"],
  ['alertname="SwitchgearPagerDeliveryFailing"', "second-channel", "0s", "1m", "1h"],
  ['severity="critical"', "pagerduty", "0s", "1m", "4h"],
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

test("matchers are quoted, and name alerts that exist", () => {
  const matchers = [
    ...routesOf(config.route).flatMap((route) => route.matchers ?? []),
    ...config.inhibit_rules.flatMap((rule) => [...rule.source_matchers, ...rule.target_matchers]),
  ];
  assert.ok(matchers.length >= 10);
  const names = new Set(alerts.map(({ alert }) => alert));
  for (const matcher of matchers) {
    const [, label, value = ""] = /^(\w+)=~?"([^"]+)"$/.exec(matcher) ?? [];
    assert.ok(label !== undefined, matcher);
    if (label === "alertname")
      for (const name of value.split("|")) assert.ok(names.has(name), name);
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

test(
  "a common cause mutes what follows from it, in its own namespace only",
  { skip },
  async (t) => {
    const url = await alertmanager(t);
    const at = (alertname: string, severity: string, more: Record<string, string>) => ({
      labels: { alertname, severity, ...more },
    });
    const a = { namespace: "a" };
    const b = { namespace: "b" };
    const dk = { bookmaker: "draftkings" };
    const sent = [
      at("CircuitBreakerManyTripped", "critical", a),
      at("CircuitBreakerTripped", "critical", { ...a, ...dk }),
      at("CircuitBreakerTripped", "critical", { ...b, ...dk }),
      at("CircuitBreakerStuckOpen", "critical", { ...a, ...dk }),
      at("SwitchgearDown", "critical", a),
      at("SwitchgearMetricsAbsent", "critical", a),
      at("SwitchgearInstanceDown", "warning", { ...a, instance: "1" }),
      at("SwitchgearInstanceDown", "warning", { ...b, instance: "1" }),
      at("SwitchgearMetricsAbsent", "critical", b),
      at("SwitchgearSeriesMissing", "warning", { ...b, ...dk }),
      at("SwitchgearSeriesMissing", "warning", { namespace: "c", ...dk }),
      at("SwitchgearStoreDown", "warning", { namespace: "c" }),
      at("CircuitBreakerSuccessRatioLow", "critical", { ...a, endpoint: "x" }),
      at("CircuitBreakerSuccessRatioLow", "warning", { ...a, endpoint: "x" }),
      at("CircuitBreakerSuccessRatioLow", "info", { ...a, endpoint: "x" }),
      at("CircuitBreakerSuccessRatioLow", "warning", { ...a, endpoint: "y" }),
      at("CircuitBreakerSuccessRatioLow", "critical", { ...a, ...dk }),
      at("CircuitBreakerSuccessRatioLow", "warning", { ...a, ...dk }),
      at("CircuitBreakerSuccessRatioLow", "warning", { ...a, bookmaker: "fanduel" }),
      at("SwitchgearErrorBudgetBurn", "critical", { ...a, window: "1h" }),
      at("SwitchgearErrorBudgetBurn", "critical", { ...a, window: "6h" }),
      at("SwitchgearErrorBudgetBurn", "warning", { ...a, window: "1d" }),
      at("SwitchgearErrorBudgetBurn", "warning", { ...b, window: "1d" }),
      at("SwitchgearStoreDown", "warning", a),
    ];
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(sent),
    });
    assert.equal(answer.status, 200, await answer.text());

    const expected = [
      "CircuitBreakerSuccessRatioLow warning a draftkings",
      "CircuitBreakerSuccessRatioLow warning a x",
      "CircuitBreakerTripped critical a draftkings",
      "SwitchgearErrorBudgetBurn warning a 1d",
      "SwitchgearInstanceDown warning a 1",
      "SwitchgearMetricsAbsent critical a",
      "SwitchgearSeriesMissing warning b draftkings",
    ];
    let muted: string[] = [];
    const deadlineMs = performance.now() + MUTED_MS_MAX;
    do {
      const seen = (await (await fetch(url)).json()) as Seen[];
      assert.equal(seen.length, sent.length);
      muted = seen
        .filter(({ status }) => status.inhibitedBy.length > 0)
        .map(({ labels: { alertname, severity, namespace, ...more } }) =>
          [alertname, severity, namespace, ...Object.values(more)].join(" "),
        )
        .toSorted();
      if (muted.length >= expected.length) break;
      await new Promise((next) => setTimeout(next, 100));
    } while (performance.now() < deadlineMs);
    assert.deepEqual(muted, expected);
  },
);
