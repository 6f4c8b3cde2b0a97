// A scripted outage on the real gateway fills a real Prometheus; then every query of every panel, variable and
// annotation runs as Grafana would send it, and the panels that tell of the outage are held to what happened.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { get } from "../pager/alerts.ts";
import { whyNoTools } from "../tools/available.ts";
import { dashboards, filled, JOB, legendOf, panelsOf, type Dashboard, type Panel } from "./read.ts";
import { playOutage, RATE_INTERVAL, type Story } from "./story.ts";

const skip = whyNoTools();

/** What nothing in this story has to fill: k6 does not run, nothing is in shadow, and at the end nobody is tripped. */
const EMPTY: Readonly<Record<string, RegExp>> = {
  "switchgear-load-test": /^(?!Breakers|Limit|How long)/,
  "switchgear-overload": /^Heavy operations refused$/,
  "switchgear-bookmaker": /^(?:Tripped for|Would have been refused)$/,
  "switchgear-overview": /^Tripped, and at risk$/,
  "switchgear-pipeline": /^Failed notifications$/,
};

describe("an outage, as the dashboards show it", { skip }, () => {
  let story: Story;

  before(async () => {
    story = await playOutage({ calmMs: 2000 });
  });

  after(() => story?.stop());

  const filling = { rateInterval: RATE_INTERVAL, chosen: JOB };

  for (const dashboard of dashboards()) {
    test(`${dashboard.title}: every query is answered, and named`, async () => {
      for (const panel of panelsOf(dashboard)) {
        const isMomentary = panel.targets?.some((target) => target.instant === true) ?? false;
        let frames = 0;
        for (const { expr, legendFormat } of panel.targets ?? []) {
          const query = filled(expr, dashboard, filling);
          const answer = await (isMomentary ? story.instant(query) : story.range(query));
          assert.equal(answer.status, "success", `${panel.title}: ${answer.error} in ${query}`);
          assert.deepEqual(answer.warnings ?? [], [], `${panel.title}: ${query}`);
          frames += answer.data.result.length;
          for (const { metric } of answer.data.result) {
            if (panel.type === "table") continue;
            assert.match(legendOf(legendFormat, metric), /\w/, `${panel.title}: ${query}`);
          }
        }
        const isEmpty = EMPTY[dashboard.uid]?.test(panel.title) ?? false;
        assert.ok(frames > 0 || isEmpty, `${panel.title} has no frames`);
      }
      for (const { name, expr } of dashboard.annotations.list ?? []) {
        const answer = await story.range(filled(expr, dashboard, filling));
        assert.equal(answer.status, "success", `${name}: ${answer.error}`);
      }
    });
  }

  const panelOf = (uid: string, title: string): readonly [Dashboard, Panel] => {
    const dashboard = dashboards().find((one) => one.uid === `switchgear-${uid}`);
    const panel = dashboard?.panels.find((one) => one.title === title);
    assert.ok(dashboard && panel, `${uid}: ${title}`);
    return [dashboard, panel];
  };
  /** What the n-th query of a panel gives at a time, by legend. */
  const shown = async (
    uid: string,
    title: string,
    time: number,
    chosen: Record<string, string> = {},
    n = 0,
  ): Promise<Record<string, number>> => {
    const [dashboard, panel] = panelOf(uid, title);
    const { expr = "", legendFormat = "" } = panel.targets?.[n] ?? {};
    const { data } = await story.instant(
      filled(expr, dashboard, { ...filling, chosen: { ...JOB, ...chosen } }),
      time,
    );
    return Object.fromEntries(
      data.result.map(({ metric, value }) => [legendOf(legendFormat, metric), Number(value?.[1])]),
    );
  };
  /** Half way through the outage. */
  const during = (): number => (story.at.tripped + story.at.reset) / 2;

  test("the overview counts one of three tripped while it is, and none before and after", async () => {
    const tripped = (time: number) => shown("overview", "Breakers tripped", time);
    assert.deepEqual(await tripped(story.at.tripped - 0.6), { tripped: 0 });
    assert.deepEqual(await tripped(during()), { tripped: 1 });
    assert.deepEqual(await tripped(story.at.end), { tripped: 0 });
    assert.deepEqual(await shown("overview", "Breakers in all", during()), { breakers: 3 });
    assert.deepEqual(await shown("overview", "Replicas", during()), { up: 1 });
    assert.deepEqual(await shown("overview", "Pages that fire", story.at.reset), { pages: 1 });
  });

  test("the state of each is its own, and choosing one shows one", async () => {
    const states = await shown("overview", "Breakers", during());
    const last = (legend: string): string => legend.trim().split(" ").at(-1) ?? "";
    const byName = Object.entries(states).map(([legend, value]) => [last(legend), value] as const);
    assert.deepEqual(Object.fromEntries(byName), { draftkings: 1, fanduel: 0, feeds: 0 });
    const one = await shown("overview", "Breakers", during(), { bookmaker: "fanduel" });
    assert.deepEqual(Object.values(one), [0]);
    // And not once more under the label that it had before.
    const windows = await shown("bookmaker", "State of sliding windows", during());
    assert.deepEqual(Object.keys(windows).map(last), ["fanduel"]);
  });

  test("refusals are there by reason, and of the bookmaker by operation", async () => {
    const [dashboard, panel] = panelOf("overview", "Refused, by reason");
    const { data } = await story.range(filled(panel.targets?.[0]?.expr ?? "", dashboard, filling));
    const tripped = data.result.find(({ metric }) => metric["reason"] === "tripped");
    const most = Math.max(...(tripped?.values ?? []).map(([, value]) => Number(value)));
    assert.ok(most > 0, "somebody was refused because it was tripped");
  });

  test("failures rise to the threshold, which is drawn beside them", async () => {
    const chosen = { bookmaker: "draftkings" };
    const title = "Failures, and where it trips";
    assert.deepEqual(
      Object.values(await shown("bookmaker", title, story.at.tripped - 0.6, chosen)),
      [0],
    );
    assert.deepEqual(Object.values(await shown("bookmaker", title, during(), chosen)), [10]);
    assert.deepEqual(await shown("bookmaker", title, during(), chosen, 1), {
      "trips at draftkings": 10,
    });
    const [age = 0] = Object.values(await shown("bookmaker", "Tripped for", during(), chosen));
    assert.ok(Math.abs(age - (during() - story.at.tripped)) < 5, `${age} s`);
  });

  test("a trip and a reset are marks on all curves", async () => {
    const [dashboard] = panelOf("overview", "Breakers");
    for (const [name, when] of [
      ["Trips", story.at.tripped],
      ["Resets", story.at.reset],
    ] as const) {
      const annotation = dashboard.annotations.list?.find((one) => one.name === name);
      const { data } = await story.range(filled(annotation?.expr ?? "", dashboard, filling));
      const [series, ...others] = data.result;
      assert.deepEqual(others, []);
      assert.equal(series?.metric["bookmaker"], "draftkings");
      const [first = 0] = series?.values?.[0] ?? [];
      assert.ok(Math.abs(first - when) < 8, `${name} at ${first - when} s`);
    }
  });

  test("variables offer what there is", async () => {
    const [dashboard] = panelOf("overview", "Breakers");
    for (const [name, expected] of [
      ["bookmaker", ["draftkings", "fanduel", "feeds"]],
      ["job", ["switchgear"]],
    ] as const) {
      const { query = "" } = dashboard.templating.list.find((one) => one.name === name) ?? {};
      const [, selector = "", label = ""] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? [];
      const values = await get<{ data: string[] }>(
        `${story.prometheusUrl}/api/v1/label/${label}/values?${new URLSearchParams({
          "match[]": filled(selector, dashboard, filling),
        })}`,
      );
      assert.deepEqual(values.data, expected);
    }
  });
});
