// The chart's rules and routes, as promtool and amtool see them. That they are those of alerts/, whatever the values, is
// a promise (promises-rules.ts).

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { parse, stringify } from "yaml";
import { promtool, readTestFiles, writeTest } from "../alerts/rule-files.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { Chart, ROOT, run, type Any, type Manifests } from "./helm.ts";
import { chartRulesOf } from "./promises-rules.ts";

const skip = "Bun" in globalThis ? "once is enough" : whyNoTools(["helm", "promtool", "amtool"]);

const chart = new Chart();
const folder = mkdtempSync(join(tmpdir(), "switchgear-chart-rules-"));
after(() => {
  chart.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("the chart's rules", { skip }, () => {
  test("pass promtool with all its lints, and tests of alerts/tests", async () => {
    const groups = await chartRulesOf(chart, {});
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
});

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
