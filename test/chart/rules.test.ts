// The chart's rules are those of alerts/, whatever the values: Helm fills in what `npm run alerts` renders.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { parse, stringify } from "yaml";
import { DEFAULT_VALUES, renderRules } from "../../scripts/alerts/render.ts";
import { readValues, ValuesError } from "../../scripts/alerts/values.ts";
import { promtool, readTestFiles, writeTest, type Group } from "../alerts/rule-files.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { Chart, ROOT, run, type Any, type Manifests } from "./helm.ts";

const skip = "Bun" in globalThis ? "once is enough" : whyNoTools(["helm", "promtool", "amtool"]);

const chart = new Chart();
const folder = mkdtempSync(join(tmpdir(), "switchgear-chart-rules-"));
after(() => {
  chart.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Each says something else than alerts/values.yaml, and all together everything. */
const VALUES: Readonly<Record<string, object>> = {
  "those of the repository": {},
  "another place": {
    jobs: ["hyper.bun", "switchgear", "a-b"],
    namespace: "betting",
    runbooks: "https://docs.example/a/b",
    grafana: "http://grafana.monitoring:3000",
    missedFor: "2h",
    gap: "1m",
    scrape: { interval: "10s", sampleLimit: 1_234_567 },
  },
  "other thresholds": {
    jobs: ["a.b"],
    scrape: { sampleLimit: 0 },
    manyTripped: { atLeast: 5, share: 0.25, anyway: 50 },
    flapping: { trips: 7, within: "20m" },
    mostlyOpen: { share: 0.7, within: "2h", trips: 4 },
    stuckOpenAfter: "2d",
    modeForgottenAfter: "90m",
    shedShare: 0.015,
    criticalRefused: { share: 0.002, calls: 1_000_000 },
    endpointSuccessRatio: 0.999,
    gap: "3m",
  },
  "other objectives": {
    slo: {
      success: { objective: 0.9995 },
      latency: { objective: 0.9, seconds: 0.25 },
      callsMin: 5,
      windows: [
        { long: "30m", short: "2m", factor: 9.5, for: "1m", severity: "critical" },
        { long: "1d", short: "30m", factor: 2, for: "1h", severity: "warning" },
        { long: "7d", short: "1d", factor: 0.5, for: "1h", severity: "warning" },
      ],
    },
  },
};

function rendered(values: object): Group[] {
  const file = join(folder, "values.yaml");
  writeFileSync(file, stringify(values));
  return renderRules(readValues(DEFAULT_VALUES, file)).flatMap(
    (text) => (parse(text) as { groups: Group[] }).groups,
  );
}

async function helmed(values: object): Promise<Group[]> {
  const manifests = await chart.render({
    monitoring: { prometheusRule: { enabled: true }, values },
  });
  return manifests.get("PrometheusRule", "switchgear").spec.groups;
}

const byName = (groups: readonly Group[]): Group[] =>
  groups.toSorted((a, b) => (a.name < b.name ? -1 : 1));

describe("the chart's rules", { skip }, () => {
  for (const [what, values] of Object.entries(VALUES)) {
    test(`are those that \`npm run alerts\` renders: ${what}`, async () => {
      const expected = byName(rendered(values));
      const found = byName(await helmed(values));
      assert.deepEqual(
        found.map(({ name, rules }) => [name, rules.length]),
        expected.map(({ name, rules }) => [name, rules.length]),
      );
      for (const [at, { name, rules }] of expected.entries()) {
        for (const [index, rule] of rules.entries())
          assert.deepEqual(found[at]?.rules[index], rule, `${name} ${rule.alert ?? rule.record}`);
      }
    });
  }

  test("pass promtool with all its lints, and tests of alerts/tests", async () => {
    const groups = await helmed({});
    const file = join(folder, "rules.yml");
    writeFileSync(file, stringify({ groups }));
    const checked = await promtool("check", "rules", "--lint=all", "--lint-fatal", file);
    assert.equal(checked.code, 0, checked.output);
    // Rules that are the same pass the same tests; these show that it is so.
    const names = ["CircuitBreakerTripped", "SwitchgearWatchdog"];
    const files = readTestFiles().filter(({ name }) => names.includes(name));
    assert.equal(files.length, names.length);
    for (const one of files) {
      const needed = groups.map(({ name, rules }) => ({
        name,
        rules: rules.filter(({ record, alert }) => record !== undefined || alert === one.alert),
      }));
      const path = writeTest(join(folder, one.name), one, needed);
      const { code, output } = await promtool("test", "rules", path);
      assert.equal(code, 0, output);
    }
  });

  /** Each wrong in one place, as test/alerts/values.test.ts has them. */
  const WRONG: readonly object[] = [
    { jobs: [] },
    { jobs: ["a b"] },
    { namespace: "a/b" },
    { runbooks: "ftp://docs.example" },
    { runbooks: "https://docs.example/" },
    { grafana: 'https://docs.example/"' },
    { scrape: { interval: "2m" } },
    { scrape: { interval: "0s" } },
    { scrape: { sampleLimit: -1 } },
    { scrape: { sampleLimit: 0.5 } },
    { gap: "40s" },
    { gap: "4m" },
    { gap: "65s" },
    { gap: "1m", scrape: { interval: "30s" } },
    { gap: "1m30s" },
    { missedFor: "59m" },
    { missedFor: "8d" },
    { manyTripped: { atLeast: 1 } },
    { manyTripped: { share: 1 } },
    { manyTripped: { anyway: 2 } },
    { flapping: { trips: 2 } },
    { flapping: { within: "9m" } },
    { flapping: { within: "61m" } },
    { mostlyOpen: { share: 0.1 } },
    { mostlyOpen: { within: "14m" } },
    { mostlyOpen: { within: "15m", share: 0.8 } },
    { mostlyOpen: { trips: 40 } },
    { stuckOpenAfter: "14m" },
    { modeForgottenAfter: "31d" },
    { shedShare: 0 },
    { criticalRefused: { calls: 0 } },
    { endpointSuccessRatio: 1 },
    { slo: { success: { objective: 1 } } },
    { slo: { latency: { seconds: 0.3 } } },
    { slo: { callsMin: 0 } },
    { slo: { windows: [] } },
    { slo: { windows: [{ long: "1h", short: "5m", factor: 14.4, for: "2m" }] } },
    { slo: { windows: [window({ short: "1h" })] } },
    { slo: { windows: [window({ factor: 20 })] } },
    { slo: { windows: [window({ factor: 0 })] } },
    { slo: { windows: [window({ long: "4m", short: "2m" })] } },
    { slo: { windows: [window({ severity: "info" })] } },
    { slo: { windows: [window({}), window({ long: "6h" })] } },
    { slo: { windows: [window({}), window({ factor: 6 })] } },
    { slo: { windows: [window({}), window({ long: "6h", factor: 6, for: "1m" })] } },
    { slo: { windows: [window({}), window({ long: "6h", factor: 6, for: "2d" })] } },
    { sloo: {} },
    { slo: { succes: {} } },
  ];

  test("refuse what `npm run alerts` refuses, by the same name", async () => {
    const taken: object[] = [];
    for (const values of WRONG) {
      const file = join(folder, "wrong.yaml");
      writeFileSync(file, stringify(values));
      assert.throws(() => readValues(DEFAULT_VALUES, file), ValuesError, JSON.stringify(values));
      const given = { monitoring: { values } };
      const { code, stderr } = await chart.template(given);
      if (code === 0) taken.push(values);
      else assert.match(stderr, /monitoring[./]values/, JSON.stringify(values));
    }
    assert.deepEqual(taken, []);
  });
});

function window(own: object): object {
  return { long: "1h", short: "5m", factor: 14.4, for: "2m", severity: "critical", ...own };
}

// ---- routes ----

/** An AlertmanagerConfig as the operator makes Alertmanager's own configuration of it, without what it adds. */
function asAlertmanager({ route, inhibitRules, receivers }: Any): Any {
  const snake = (value: Any): Any =>
    Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        key.replaceAll(/URL|[A-Z]/g, (found) => `_${found.toLowerCase()}`),
        one,
      ]),
    );
  const matchers = (all: Any[]): string[] =>
    all.map(({ name, matchType, value }) => `${name}${matchType}"${value}"`);
  const routeOf = ({ matchers: own, routes, ...rest }: Any): Any => ({
    ...snake(rest),
    ...(own === undefined ? {} : { matchers: matchers(own) }),
    ...(routes === undefined ? {} : { routes: routes.map(routeOf) }),
  });
  return {
    route: routeOf(route),
    inhibit_rules: inhibitRules.map(({ sourceMatch, targetMatch, equal }: Any) => ({
      source_matchers: matchers(sourceMatch),
      target_matchers: matchers(targetMatch),
      equal,
    })),
    receivers: receivers.map(({ name, pagerdutyConfigs, webhookConfigs }: Any) => ({
      name,
      ...(pagerdutyConfigs === undefined
        ? {}
        : {
            pagerduty_configs: pagerdutyConfigs.map(
              ({ routingKey: _key, details, pagerDutyLinkConfigs, ...rest }: Any) => ({
                routing_key_file: "/etc/alertmanager/secrets/pagerduty-routing-key",
                ...snake(rest),
                details: Object.fromEntries(details.map(({ key, value }: Any) => [key, value])),
                links: pagerDutyLinkConfigs.map(({ href, alt }: Any) => ({ href, text: alt })),
              }),
            ),
          }),
      ...(webhookConfigs === undefined
        ? {}
        : {
            webhook_configs: webhookConfigs.map(({ urlSecret, ...rest }: Any) => ({
              url_file: `/etc/alertmanager/secrets/${urlSecret.name}`,
              ...snake(rest),
            })),
          }),
    })),
  };
}

async function routed(namespace: string): Promise<Manifests> {
  return chart.render(
    {
      monitoring: {
        alertmanagerConfig: {
          enabled: true,
          tickets: { existingSecret: "tickets-url" },
          secondChannel: { existingSecret: "second-channel-url" },
          deadMansSwitch: { existingSecret: "dead-mans-switch-url" },
        },
      },
    },
    { namespace },
  );
}

describe("the chart's routes", { skip }, () => {
  test("are those of alerts/alertmanager, for the release's namespace", async () => {
    const file = join(ROOT, "alerts/alertmanager/alertmanager.yml");
    const { global: _clusters, ...expected } = parse(readFileSync(file, "utf8"));
    const { spec } = (await routed("switchgear")).get("AlertmanagerConfig", "switchgear");
    assert.deepEqual(asAlertmanager(spec), expected);
    const other = (await routed("betting")).get("AlertmanagerConfig").spec;
    assert.equal(
      other.receivers[0].pagerdutyConfigs[0].source,
      '{{ or .CommonLabels.namespace "betting" }}',
    );
  });

  test("lead where they should, says amtool", async () => {
    const { spec } = (await routed("switchgear")).get("AlertmanagerConfig");
    const file = join(folder, "alertmanager.yml");
    writeFileSync(file, stringify(asAlertmanager(spec)));
    const amtool = toolPath("amtool");
    const checked = await run(amtool, ["check-config", file]);
    assert.equal(checked.code, 0, checked.stderr);
    for (const [receiver, ...labels] of [
      ["pagerduty", "alertname=CircuitBreakerTripped", "severity=critical"],
      ["tickets", "alertname=CircuitBreakerFlapping", "severity=warning"],
      ["second-channel", "alertname=SwitchgearPagerDeliveryFailing", "severity=warning"],
      ["dead-mans-switch", "alertname=SwitchgearWatchdog", "severity=none"],
      ["nobody", "alertname=Other", "severity=info"],
    ] as const) {
      const args = ["config", "routes", "test", `--config.file=${file}`];
      const { code, stdout, stderr } = await run(amtool, [
        ...args,
        `--verify.receivers=${receiver}`,
        "namespace=switchgear",
        ...labels,
      ]);
      assert.equal(code, 0, stdout + stderr);
    }
  });
});
