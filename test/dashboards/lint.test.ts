// What dashboard-linter asks for, which cannot be had here, and what these dashboards promise beside it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseQuery } from "../alerts/promql.ts";
import { dashboards, filled, JOB, panelsOf, type Dashboard } from "./read.ts";

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
/** Of k6, of Prometheus and of Alertmanager: they have no `job` of ours. */
const FOREIGN = /^(?:k6_|prometheus_|alertmanager_|ALERTS$|switchgear_slo:)/;
/** Counted from the start of a process: only their growth says anything. */
const COUNTER = /_(?:total|bucket|count|sum)$/;

function queriesOf(dashboard: Dashboard): string[] {
  const { annotations } = dashboard;
  return [
    ...panelsOf(dashboard).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...(annotations.list ?? []).map(({ expr }) => expr),
  ];
}

const filling = { rateInterval: "1m", chosen: JOB };

for (const dashboard of dashboards()) {
  describe(dashboard.uid, () => {
    test("is found by its address, cannot be edited, and is small enough for a ConfigMap", () => {
      assert.match(dashboard.uid, /^switchgear-[a-z-]{1,29}$/);
      assert.equal(dashboard.editable, false);
      assert.ok(dashboard.schemaVersion >= 42);
      assert.deepEqual(dashboard.tags, ["switchgear"]);
      assert.ok(JSON.stringify(dashboard).length < 1024 * 1024);
    });

    test("takes its data source from a variable, everywhere", () => {
      const [first, ...others] = dashboard.templating.list;
      assert.equal(first?.name, "datasource");
      const asking = [
        ...others,
        ...panelsOf(dashboard),
        ...panelsOf(dashboard).flatMap(({ targets = [] }) => targets),
        ...(dashboard.annotations.list ?? []),
      ];
      for (const { datasource } of asking) assert.deepEqual(datasource, DATASOURCE);
      assert.equal(JSON.stringify(dashboard).includes("__inputs"), false);
    });

    test("can be asked for one, several or all, and asks again when the time changes", () => {
      for (const { name, type, refresh, multi, includeAll, allValue } of dashboard.templating
        .list) {
        if (type === "datasource") continue;
        assert.deepEqual(
          { refresh, multi, includeAll, allValue },
          {
            refresh: 2,
            multi: true,
            includeAll: true,
            // Of jobs, those that have our series: others are `up`, too.
            allValue:
              name === "job" ? undefined : /^(?:cluster|namespace)$/.test(name) ? ".*" : ".+",
          },
          name,
        );
      }
    });

    test("each panel has a title of its own, a description, a unit, a query and a word for no data", () => {
      const titles = panelsOf(dashboard).map(({ title }) => title);
      assert.deepEqual(titles, [...new Set(titles)]);
      for (const { title, description = "", fieldConfig, targets = [] } of panelsOf(dashboard)) {
        assert.ok(title.length > 0 && title.length <= 60, title);
        assert.match(description, /^[A-Z0-9].{20,}\.$/s, title);
        assert.ok(fieldConfig.defaults.unit, title);
        assert.ok(fieldConfig.defaults.noValue, title);
        assert.ok(targets.length > 0, title);
      }
    });

    test("no panel lies on another or beyond the edge", () => {
      const taken = new Set<string>();
      for (const { title, gridPos } of dashboard.panels) {
        assert.ok(gridPos.x + gridPos.w <= 24, title);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
            assert.equal(taken.has(`${x} ${y}`), false, `${title} lies on another`);
            taken.add(`${x} ${y}`);
          }
        }
      }
    });

    test("panels are numbered once for all: a link to one leads there tomorrow", () => {
      assert.deepEqual(
        dashboard.panels.map(({ id }) => id),
        dashboard.panels.map((_, index) => index + 1),
      );
    });

    test("queries are PromQL, choose what is chosen, and read counters as rates over a fitting time", () => {
      for (const text of queriesOf(dashboard)) {
        const query = parseQuery(filled(text, dashboard, filling));
        for (const { metric = "", matchers } of query.selectors) {
          const chosen = new Set(matchers.map(({ label, value }) => `${label}=${value}`));
          if (!FOREIGN.test(metric)) {
            for (const choice of ["cluster=.*", "namespace=.*", "job=switchgear"]) {
              assert.ok(chosen.has(choice), `${choice} in ${metric} of ${text}`);
            }
          }
        }
        for (const [found = ""] of text.matchAll(/\b[a-z_:]+[a-z](?=\{)/g)) {
          if (!COUNTER.test(found) || found.startsWith("k6_")) continue;
          assert.match(text, new RegExp(`(?:rate|increase)\\(${found}\\{`), `${found} in ${text}`);
        }
        for (const [, range = ""] of text.matchAll(/\brate\([^[]+\[([^\]]+)\]/g)) {
          assert.equal(range, "$__rate_interval", text);
        }
      }
    });

    test("variables ask for values of the label that they are named after", () => {
      for (const { name, type, query = "" } of dashboard.templating.list) {
        if (type === "datasource") continue;
        const [, selector = "", label] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? [];
        assert.ok(label === name || label === "testrun_name", query);
        parseQuery(filled(selector, dashboard, filling));
      }
    });
  });
}

test("a name has one colour on all of them", () => {
  const colours = new Map<string, string>();
  for (const dashboard of dashboards()) {
    const text = JSON.stringify(dashboard);
    for (const [, name = "", color = ""] of text.matchAll(
      /"options":"(ok|failed|timeout|refused)"\},"properties":\[\{"id":"color","value":\{"mode":"fixed","fixedColor":"(#\w+)"/g,
    )) {
      assert.equal(colours.get(name) ?? color, color, name);
      colours.set(name, color);
    }
  }
  assert.deepEqual([...colours.keys()].toSorted(), ["failed", "ok", "refused", "timeout"]);
});
