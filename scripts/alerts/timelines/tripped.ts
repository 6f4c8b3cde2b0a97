// CircuitBreakerTripped: at 5 minutes and not at 4:59, for each bookmaker, whatever scrapes and pods do.

import { secondsOf, type Values } from "../values.ts";
import { links, NAMESPACE, ONE, series, TWO } from "./subject.ts";
import {
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  type Labels,
  type Step,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const ALERT = "CircuitBreakerTripped";
const STEP = 15;
const FOR = 300;

const DRAFTKINGS = { namespace: NAMESPACE, bookmaker: "draftkings" };

export function tripped(values: Values): TimelineFile {
  const of = (labels: Labels = {}): string =>
    series(values, "circuit_breaker_tripped", { bookmaker: "draftkings", ...labels });
  const failures = (labels: Labels = {}): string =>
    series(values, "circuit_breaker_failures_1m", { bookmaker: "draftkings", ...labels });
  const texts = (bookmaker: string, count: string, where: string): Record<string, string> => ({
    summary: `Circuit breaker tripped for ${bookmaker}`,
    description: `Circuit breaker has been tripped for ${bookmaker} for more than 5 minutes. Manual intervention required. Failures: ${count}. Tripped on: ${where}.`,
    ...links(values, ALERT, { namespace: NAMESPACE, bookmaker }),
  });
  const labels = { severity: "critical", ...DRAFTKINGS };

  return {
    name: ALERT,
    about:
      "The mandated alert: at 5 minutes and not at 4:59, for each bookmaker, whatever scrapes and pods do.",
    stepSeconds: STEP,
    rules: ["circuit-breaker.yml"],
    tests: [
      ...questions({
        alert: ALERT,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: FOR,
        keepSeconds: 120,
        lines: [gauge(of(), 1), gauge(failures(), 10.5, 10.5)],
        firing: { labels, annotations: texts("draftkings", "10.5", ONE) },
        disagreeing: {
          says: "the tripped one is enough, and is named",
          lines: [gauge(of({ instance: TWO }), 1), gauge(of(), 0)],
          firing: [labels],
        },
      }),
      ...outages(values, of, labels),
      {
        name: "each bookmaker has its own alert, from its own trip",
        input_series: [
          { series: of(), values: "1x43" },
          { series: of({ bookmaker: "fanduel" }), values: "0x3 1x40" },
        ],
        promql_expr_test: [
          isFiring(ALERT, 300, [labels]),
          isFiring(ALERT, 345, [labels]),
          isFiring(ALERT, 360, [labels, { ...labels, bookmaker: "fanduel" }]),
        ],
      },
      {
        name: "only 1 is tripped",
        input_series: inputs(
          [
            gauge(of(), 0.5),
            gauge(of({ bookmaker: "fanduel" }), 2),
            gauge(of({ bookmaker: "pinnacle" }), Number.NaN),
          ],
          times("on", 42),
        ),
        alert_rule_test: [tells(ALERT, 300), tells(ALERT, 600)],
      },
      {
        name: "a sample without a bookmaker tells nothing, and neither does another program's",
        input_series: inputs(
          [gauge(of({ bookmaker: "" }), 1), gauge(of({ job: "somebody-elses" }), 1)],
          times("on", 42),
        ),
        alert_rule_test: [tells(ALERT, 300), tells(ALERT, 600)],
      },
      {
        name: "one bookmaker in two clusters is two alerts",
        input_series: inputs(
          [gauge(of({ cluster: "east" }), 1), gauge(of({ cluster: "west" }), 1)],
          times("on", 24),
        ),
        promql_expr_test: [
          isFiring(ALERT, 300, [
            { ...labels, cluster: "east" },
            { ...labels, cluster: "west" },
          ]),
        ],
      },
      {
        name: "the worst replica's failures of this bookmaker, namespace and program; hostile names are escaped",
        input_series: inputs(
          [
            gauge(of({ bookmaker: HOSTILE }), 1),
            gauge(of({ bookmaker: HOSTILE, instance: TWO, pod: "switchgear-1" }), 1),
            gauge(failures({ bookmaker: HOSTILE }), 12),
            gauge(failures({ bookmaker: HOSTILE, instance: TWO }), 13),
            gauge(failures({ bookmaker: "other" }), 99),
            gauge(failures({ bookmaker: HOSTILE, namespace: "staging" }), 97),
            gauge(failures({ bookmaker: HOSTILE, cluster: "west" }), 96),
            gauge(of({ bookmaker: HOSTILE, instance: "legacy:1", job: "other" }), 1),
            gauge(failures({ bookmaker: HOSTILE, instance: "legacy:1", job: "other" }), 777),
          ],
          times("on", 24),
        ),
        alert_rule_test: [
          tells(ALERT, 300, [
            {
              labels: { ...labels, bookmaker: HOSTILE },
              annotations: texts(HOSTILE, "13", `${ONE}, switchgear-1`),
            },
          ]),
        ],
      },
      {
        name: "without the failures' series the text still comes",
        input_series: inputs([gauge(of(), 1)], times("on", 24)),
        alert_rule_test: [
          tells(ALERT, 300, [{ labels, annotations: texts("draftkings", "unknown", ONE) }]),
        ],
      },
    ],
  };
}

const HOSTILE = 'bet "365" & co';

/** What happens to scrapes and pods while a breaker is tripped. */
function outages(
  values: Values,
  of: (labels?: Labels) => string,
  labels: Labels,
): readonly TestCase[] {
  const hour = 3600 / STEP;
  const steps = (is: (n: number) => Step): Step[] => Array.from({ length: hour }, (_, n) => is(n));
  const always = [FOR, 1200, 3585].map((seconds) => isFiring(ALERT, seconds, [labels]));
  const lost = secondsOf(values.gap) / STEP;
  return [
    {
      name: "a scrape that fails each 4m30s costs no page",
      input_series: inputs(
        [gauge(of(), 1)],
        steps((n) => (n % 18 === 17 ? "stale" : "on")),
      ),
      promql_expr_test: always,
    },
    {
      name: "three scrapes of four that fail cost no page",
      input_series: inputs(
        [gauge(of(), 1)],
        steps((n) => (n % 4 === 0 ? "on" : "stale")),
      ),
      promql_expr_test: always,
    },
    {
      name: "a pod that restarts each 4 minutes under another address costs no page",
      input_series: [0, 1, 2, 3, 4, 5].map((pod) => ({
        series: of({ instance: `10.0.1.${pod}:9464` }),
        values: `${pod === 0 ? "" : `_x${pod * 16} `}1x13 stale`,
      })),
      promql_expr_test: [300, 900, 1380].map((seconds) => isFiring(ALERT, seconds, [labels])),
    },
    {
      name: "longer than the gap nothing is known, and the wait begins anew",
      input_series: inputs(
        [gauge(of(), 1)],
        times("on", 8, "stale", lost + 1, "on", FOR / STEP + 3),
      ),
      alert_rule_test: [tells(ALERT, FOR), tells(ALERT, (8 + lost + 1) * STEP + FOR - 1)],
      promql_expr_test: [isFiring(ALERT, (8 + lost + 1) * STEP + FOR, [labels])],
    },
  ];
}
