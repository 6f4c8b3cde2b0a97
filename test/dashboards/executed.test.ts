// A scripted outage on the real gateway fills a real Prometheus; then every query of every panel, variable and
// annotation runs as Grafana would send it, and the panels that tell of the outage are held to what happened.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { get } from "../pager/alerts.ts";
import { until } from "../pager/processes.ts";
import { startStack, type Stack } from "../pager/stack.ts";
import { whyNoTools } from "../tools/available.ts";
import { dashboards, filled, legendOf, panelsOf, type Dashboard, type Panel } from "./read.ts";

const skip = whyNoTools();
const STACK_MS_MAX = 240_000;
/** Scrapes come each half second here. */
const RATE_INTERVAL = "2s";
const STEP_SECONDS = 0.5;
const WAIT_MS_MAX = 60_000;

/** What nothing in this story fills: k6 does not run, nothing is in shadow, and at the end nobody is tripped. */
const EMPTY: Readonly<Record<string, RegExp>> = {
  "switchgear-load-test": /^(?!Breakers|Limit|How long)/,
  "switchgear-overload": /^Heavy operations refused$/,
  "switchgear-bookmaker": /^(?:Tripped for|Would have been refused)$/,
  "switchgear-overview": /^Tripped, and at risk$/,
  "switchgear-pipeline": /^Failed notifications$/,
};

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly (readonly [number, string])[];
  readonly value?: readonly [number, string];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly data: { readonly result: readonly Series[] };
}

describe("an outage, as the dashboards show it", { skip }, () => {
  let stack: Stack;
  const at = { begin: 0, tripped: 0, reset: 0, end: 0 };

  const seconds = (): number => Date.now() / 1000;
  const ask = async (path: string, query: Record<string, string | number>): Promise<Answer> => {
    const parts = Object.entries(query).map(([name, value]) => [name, String(value)]);
    return get<Answer>(`${stack.prometheusUrl}/api/v1/${path}?${new URLSearchParams(parts)}`);
  };
  const range = (query: string): Promise<Answer> =>
    ask("query_range", { query, start: at.begin, end: at.end, step: STEP_SECONDS });
  const instant = (query: string, time = at.end): Promise<Answer> => ask("query", { query, time });
  const scraped = async (query: string, value: string): Promise<void> => {
    await until(
      `${query} is ${value}`,
      async () => {
        const { data } = await instant(query, seconds());
        return data.result[0]?.value?.[1] === value ? true : undefined;
      },
      WAIT_MS_MAX,
    );
  };

  before(async () => {
    stack = await startStack({
      msMax: STACK_MS_MAX,
      config: (demo) =>
        demo.replaceAll("deadlineMs: 2000", "deadlineMs: 2000\n    limit: { kind: adaptive }"),
    });
    at.begin = seconds();
    await stack.call("/draftkings/odds", 20);
    await stack.call("/fanduel/odds", 20);
    await stack.call("/feeds/odds", 20);
    await scraped('circuit_breaker_tripped{bookmaker="draftkings"}', "0");
    stack.draftkings.control({ status: 500 });
    await stack.call("/draftkings/odds", 10);
    at.tripped = seconds();
    await scraped('circuit_breaker_tripped{bookmaker="draftkings"}', "1");
    await stack.call("/draftkings/odds", 30);
    await stack.call("/feeds/odds", 40);
    // Long enough for a page.
    await until(
      "a page",
      async () => {
        const { data } = await instant(
          'ALERTS{alertname="CircuitBreakerTripped", alertstate="firing"}',
          seconds(),
        );
        return data.result.length > 0 ? true : undefined;
      },
      WAIT_MS_MAX,
    );
    stack.draftkings.restore();
    const reset = await fetch(`${stack.gateway.adminUrl}/api/circuit-breakers/draftkings/reset`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${stack.env["SWITCHGEAR_ADMIN_TOKEN"] ?? ""}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ reason: "mended", force: true }),
    });
    assert.equal(reset.status, 200, await reset.text());
    at.reset = seconds();
    await scraped('circuit_breaker_tripped{bookmaker="draftkings"}', "0");
    await stack.call("/draftkings/odds", 10);
    await new Promise((done) => setTimeout(done, 4 * 1000 * STEP_SECONDS));
    at.end = seconds();
  });

  after(() => stack?.stop());

  const filling = { rateInterval: RATE_INTERVAL };

  for (const dashboard of dashboards()) {
    test(`${dashboard.title}: every query is answered, and named`, async () => {
      for (const panel of panelsOf(dashboard)) {
        const isMomentary = panel.targets?.some((target) => target.instant === true) ?? false;
        let frames = 0;
        for (const { expr, legendFormat } of panel.targets ?? []) {
          const query = filled(expr, dashboard, filling);
          const answer = await (isMomentary ? instant(query) : range(query));
          assert.equal(answer.status, "success", `${panel.title}: ${answer.error} in ${query}`);
          assert.deepEqual(answer.warnings ?? [], [], `${panel.title}: ${query}`);
          frames += answer.data.result.length;
          for (const { metric } of answer.data.result) {
            if (panel.type === "table") continue;
            assert.match(legendOf(legendFormat, metric), /\w/, `${panel.title}: ${query}`);
          }
        }
        const isEmpty = EMPTY[dashboard.uid]?.test(panel.title) ?? false;
        assert.equal(frames === 0, isEmpty, `${panel.title} has ${frames} frames`);
      }
      for (const { name, expr } of dashboard.annotations.list ?? []) {
        const answer = await range(filled(expr, dashboard, filling));
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
    const { data } = await instant(filled(expr, dashboard, { ...filling, chosen }), time);
    return Object.fromEntries(
      data.result.map(({ metric, value }) => [legendOf(legendFormat, metric), Number(value?.[1])]),
    );
  };
  /** Half way through the outage. */
  const during = (): number => (at.tripped + at.reset) / 2;

  test("the overview counts one of three tripped while it is, and none before and after", async () => {
    const tripped = (time: number) => shown("overview", "Breakers tripped", time);
    assert.deepEqual(await tripped(at.tripped - 0.6), { tripped: 0 });
    assert.deepEqual(await tripped(during()), { tripped: 1 });
    assert.deepEqual(await tripped(at.end), { tripped: 0 });
    assert.deepEqual(await shown("overview", "Breakers in all", during()), { breakers: 3 });
    assert.deepEqual(await shown("overview", "Pages that fire", at.reset), { pages: 1 });
  });

  test("the state of each is its own, and choosing one shows one", async () => {
    const states = await shown("overview", "Breakers", during());
    const last = (legend: string): string => legend.trim().split(" ").at(-1) ?? "";
    const byName = Object.entries(states).map(([legend, value]) => [last(legend), value] as const);
    assert.deepEqual(Object.fromEntries(byName), { draftkings: 1, fanduel: 0, feeds: 0 });
    const one = await shown("overview", "Breakers", during(), { bookmaker: "fanduel" });
    assert.deepEqual(Object.values(one), [0]);
  });

  test("refusals are there by reason, and of the bookmaker by operation", async () => {
    const [dashboard, panel] = panelOf("overview", "Refused, by reason");
    const { data } = await range(filled(panel.targets?.[0]?.expr ?? "", dashboard, filling));
    const tripped = data.result.find(({ metric }) => metric["reason"] === "tripped");
    const most = Math.max(...(tripped?.values ?? []).map(([, value]) => Number(value)));
    assert.ok(most > 0, "somebody was refused because it was tripped");
  });

  test("failures rise to the threshold, which is drawn beside them", async () => {
    const chosen = { bookmaker: "draftkings" };
    const title = "Failures, and where it trips";
    assert.deepEqual(Object.values(await shown("bookmaker", title, at.tripped - 0.6, chosen)), [0]);
    assert.deepEqual(Object.values(await shown("bookmaker", title, during(), chosen)), [10]);
    assert.deepEqual(await shown("bookmaker", title, during(), chosen, 1), {
      "trips at draftkings": 10,
    });
    const [age = 0] = Object.values(await shown("bookmaker", "Tripped for", during(), chosen));
    assert.ok(Math.abs(age - (during() - at.tripped)) < 1.5, `${age} s`);
  });

  test("a trip and a reset are marks on all curves", async () => {
    const [dashboard] = panelOf("overview", "Breakers");
    for (const [name, when] of [
      ["Trips", at.tripped],
      ["Resets", at.reset],
    ] as const) {
      const annotation = dashboard.annotations.list?.find((one) => one.name === name);
      const { data } = await range(filled(annotation?.expr ?? "", dashboard, filling));
      const [series, ...others] = data.result;
      assert.deepEqual(others, []);
      assert.equal(series?.metric["bookmaker"], "draftkings");
      const [first = 0] = series?.values?.[0] ?? [];
      assert.ok(Math.abs(first - when) < 3, `${name} at ${first - when} s`);
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
        `${stack.prometheusUrl}/api/v1/label/${label}/values?${new URLSearchParams({
          "match[]": filled(selector, dashboard, filling),
        })}`,
      );
      assert.deepEqual(values.data, expected);
    }
  });
});
