// Who hears what: every alert of the rule files, asked of the real amtool, and what mutes what, asked of
// a real Alertmanager. It is given no secret, so it can notify nobody.
//
// Building the tools for the first time takes some minutes; it says so on standard error.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { start } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { answersOf, differences, reload, SILENT, tellAll } from "./asking.ts";
import { startAlertmanager } from "./live.ts";
import { ALERTMANAGER_FILE, OTHERS, readConfig, RECEIVERS, routesOf, WRITTEN } from "./routing.ts";
import { readAlerts, readText, ROOT, seconds } from "./rule-files.ts";

const FILE = ALERTMANAGER_FILE;

/** Everything here takes a second; this is for a machine that others load, too. */
const MS_MAX = 40_000;

const skip = whyNoTools();

const text = readText(FILE);
const config = readConfig();
const alerts = readAlerts();

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
    for (const [labels, receiver] of OTHERS) {
      const given = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
      assert.equal(await receiverOf(...given), receiver, given.join());
    }
  },
);

for (const { what, of, is } of WRITTEN) test(what, () => assert.deepEqual(of(config), is));

test("a page waits for what mutes it, and comes and ends as soon as docs/alerts.md says", () => {
  const [, from = "", to = "", endsFrom = "", endsTo = ""] =
    /comes between (\d+) and (\d+) minutes after the trip and resolves (\d+) to (\d+) minutes after/.exec(
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
  const keepsFiring = seconds(rule?.keep_firing_for ?? "");
  assert.ok(keepsFiring >= Number(endsFrom) * 60);
  assert.ok(scrape + evaluation + keepsFiring + interval <= Number(endsTo) * 60);
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

test(
  "who hears what, what is one incident and what mutes what: in its own cluster and namespace, and no neighbour",
  { skip },
  async (t) => {
    const { url, kill } = await startAlertmanager(join(ROOT, FILE), MS_MAX, ...SILENT);
    t.after(kill);
    await tellAll(url);
    await reload(url);
    assert.deepEqual(differences(await answersOf(url)), []);
  },
);
