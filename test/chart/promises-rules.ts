// Rules: those of alerts/, whatever the values. Helm fills in what `npm run alerts` renders.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { DEFAULT_VALUES, renderRules } from "../../scripts/alerts/render.ts";
import { readValues, ValuesError, type Values } from "../../scripts/alerts/values.ts";
import type { Group } from "../alerts/rule-files.ts";
import type { Chart } from "./helm.ts";
import type { Promised } from "./promise.ts";

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

/** What `npm run alerts` makes of them. Throws `ValuesError`. */
function read(values: object): Values {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-values-"));
  try {
    const file = join(folder, "values.yaml");
    writeFileSync(file, stringify(values));
    return readValues(DEFAULT_VALUES, file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function rendered(values: object): Group[] {
  return renderRules(read(values)).flatMap((text) => (parse(text) as { groups: Group[] }).groups);
}

export async function chartRulesOf(chart: Chart, values: object): Promise<Group[]> {
  const monitoring = { prometheusRule: { enabled: true }, values };
  return (await chart.render({ monitoring })).get("PrometheusRule", "switchgear").spec.groups;
}

const byName = (groups: readonly Group[]): Group[] =>
  groups.toSorted((a, b) => (a.name < b.name ? -1 : 1));

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

function window(own: object): object {
  return { long: "1h", short: "5m", factor: 14.4, for: "2m", severity: "critical", ...own };
}

export const RULES: readonly Promised[] = [
  ...Object.entries(VALUES).map(([what, values]) => ({
    name: `the rules are those that \`npm run alerts\` renders: ${what}`,
    async check(chart: Chart) {
      const expected = byName(rendered(values));
      const found = byName(await chartRulesOf(chart, values));
      assert.deepEqual(
        found.map(({ name, rules }) => [name, rules.length]),
        expected.map(({ name, rules }) => [name, rules.length]),
      );
      for (const [at, { name, rules }] of expected.entries()) {
        for (const [index, rule] of rules.entries())
          assert.deepEqual(found[at]?.rules[index], rule, `${name} ${rule.alert ?? rule.record}`);
      }
    },
  })),
  {
    name: "values that `npm run alerts` refuses are refused, by the same name",
    async check(chart) {
      for (const values of WRONG) {
        assert.throws(() => read(values), ValuesError, JSON.stringify(values));
        const refusal = await chart.refuse({ monitoring: { values } });
        assert.match(refusal, /monitoring[./]values/, JSON.stringify(values));
      }
    },
  },
];
