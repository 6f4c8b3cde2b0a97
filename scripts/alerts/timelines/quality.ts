// What calls come to: shed, refused for no reason, and endpoints that fail some of them.

import type { Values } from "../values.ts";
import { strangers, warning } from "./breakers.ts";
import { NAMESPACE, series, TWO } from "./subject.ts";
import {
  at,
  counter,
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  twice,
  type Labels,
  type Line,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const STEP = 15;

export function loadShedding(values: Values): TimelineFile {
  const alert = "CircuitBreakerLoadShedding";
  const share = Math.min(1, values.shedShare * 2);
  const { labels, firing } = warning(values, alert, [
    "Calls to draftkings are shed because Switchgear is loaded",
    `${percentage(share)} of the calls to draftkings are refused because this process is loaded.`,
  ]);
  const calls = (part: number, more: Labels = {}, reason = "load_shed", total = 10_000): Line[] => {
    const of = { bookmaker: "draftkings", operation: "odds", ...more };
    const refused = Math.round(part * total);
    return [
      counter(series(values, "circuit_breaker_rejected_total", { ...of, reason }), refused, 0),
      counter(
        series(values, "switchgear_requests_total", { ...of, outcome: "refused" }),
        refused,
        0,
      ),
      counter(
        series(values, "switchgear_requests_total", { ...of, outcome: "ok" }),
        total - refused,
        total,
      ),
    ];
  };
  return {
    name: alert,
    about: "A share of all calls, whatever their number.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 120,
        keepSeconds: 300,
        delaySeconds: STEP,
        lagSeconds: shedLag(share, values.shedShare),
        lines: calls(share),
        firing,
        disagreeing: {
          says: "their calls are added up",
          lines: [...calls(values.shedShare * 1.2), ...calls(0, { instance: TWO })],
          firing: [],
        },
      }),
      {
        name: "at the share it is none, above it is one, over all operations",
        input_series: inputs(
          [
            ...calls(
              values.shedShare,
              { bookmaker: "fanduel" },
              "load_shed",
              evenTotal(values.shedShare),
            ),
            ...calls(values.shedShare * 1.5, { operation: "odds" }),
            ...calls(values.shedShare * 0.7, { operation: "markets" }),
            ...calls(0, { job: "other" }),
          ],
          times("on", 40),
        ),
        promql_expr_test: [isFiring(alert, 300, [labels]), isFiring(alert, 570, [labels])],
      },
      {
        name: "other reasons are no load; a restart of the counters is no load either",
        input_series: [
          ...inputs(calls(share, {}, "tripped"), times("on", 40)),
          ...inputs(calls(share, { job: "other", bookmaker: "fanduel" }), times("on", 40)),
        ],
        alert_rule_test: [tells(alert, 135), tells(alert, 600)],
      },
      {
        name: "the counters begin anew in the middle of it",
        input_series: twice(inputs(calls(share), times("on", 20))),
        promql_expr_test: [isFiring(alert, 240, [labels]), isFiring(alert, 570, [labels])],
      },
    ],
  };
}

/** Of so many calls the share of refused ones is the same number in floating point, too. */
function evenTotal(share: number): number {
  // As Prometheus reckons a rate of five minutes from scrapes that fall into place.
  const rate = (by: number): number => (300 / STEP - 1) * by * (300 / (300 - STEP) / 300);
  for (let total = 1000; total < 20_000; total += 100) {
    const [refused, rest] = [
      rate(Math.round(share * total)),
      rate(Math.round((1 - share) * total)),
    ];
    if (refused / (refused + rest) === share) return total;
  }
  return 10_000;
}

/** How long a window of five minutes still holds more than `limit` of what was `share` in it. */
export function shedLag(share: number, limit: number): number {
  const intervals = 300 / STEP - 1;
  // After n steps of none, (intervals − n) / intervals of the share is left.
  let n = 0;
  while ((share * (intervals - n)) / intervals > limit + 1e-12) n += 1;
  return (n - 1) * STEP;
}

export function percentage(part: number): string {
  return `${Number((part * 100).toPrecision(4))}%`;
}

export function successRatioLow(values: Values): TimelineFile {
  const alert = "CircuitBreakerSuccessRatioLow";
  const limit = values.endpointSuccessRatio;
  const bad = Number((limit - 0.01).toPrecision(6));
  const { labels, firing } = warning(values, alert, [
    "An endpoint of draftkings fails some of its calls",
    `${percentage(bad)} of the latest 100 calls of the worst endpoint of draftkings that is in use succeeded.`,
  ]);
  const endpoint = (
    name: string,
    ratio: number,
    { state = 0, calls = 5, more = {} }: { state?: number; calls?: number; more?: Labels } = {},
  ): Line[] => {
    const of = { endpoint: name, ...more };
    return [
      gauge(series(values, "circuit_breaker_success_ratio", of), ratio, 1),
      gauge(series(values, "circuit_breaker_state", of), state, 0),
      gauge(series(values, "switchgear_endpoint_info", { bookmaker: "draftkings", ...of }), 1, 1),
      counter(
        series(values, "switchgear_endpoint_calls_total", {
          bookmaker: "draftkings",
          ...of,
          outcome: "ok",
        }),
        calls,
        calls,
      ),
    ];
  };
  const rarely = (name: string, bookmaker: string, calls: string): TestCase["input_series"] =>
    endpoint(name, bad, { more: { bookmaker } }).map(({ series: own, on }) => ({
      series: own.startsWith("switchgear_endpoint_info")
        ? own
        : own.replace(/bookmaker="[^"]*",?/, ""),
      values: own.startsWith("switchgear_endpoint_calls_total") ? calls : `${on}x120`,
    }));
  return {
    name: alert,
    about: "The worst endpoint of a bookmaker that is in use and called.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 600,
        keepSeconds: 300,
        delaySeconds: STEP,
        lines: [...endpoint("https://a.example", bad), ...endpoint("https://b.example", 1)],
        firing,
        startsAnew: true,
        disagreeing: {
          says: "the worst counts",
          lines: [
            ...endpoint("https://a.example", 1),
            ...endpoint("https://a.example", bad, { more: { instance: TWO } }),
          ],
          firing: [labels],
        },
      }),
      {
        name: "degraded is in use; one that cools down or is half-open is not, and keeps its last ratio",
        input_series: inputs(
          [
            ...endpoint("https://a.example", bad, { state: 1 }),
            ...endpoint("https://b.example", bad / 2, { state: 2 }),
            ...endpoint("https://c.example", bad / 3, { state: 3 }),
            // Another program may tell of one address twice.
            ...["a", "b"].map((zone) =>
              gauge(
                series(values, "circuit_breaker_success_ratio", {
                  endpoint: "https://a.example",
                  job: "other",
                  zone,
                }),
                0,
              ),
            ),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 615, [firing])],
      },
      {
        name: "a label of the target that changes under one address is no fault, and the worst of both is told",
        // The one that is gone is there until Prometheus marks it, and so is the one that came.
        input_series: inputs(
          [
            ...endpoint("https://a.example", bad, { more: { pod: "a" } }),
            ...endpoint("https://a.example", 1, { more: { pod: "b" } }),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 615, [firing])],
      },
      {
        name: "at the limit it is none, nor one that nobody calls, nor another program's",
        input_series: inputs(
          [
            ...endpoint("https://a.example", limit),
            ...endpoint("https://b.example", 0, { calls: 0 }),
            ...endpoint("https://c.example", 0, { more: { job: "other" } }),
          ],
          times("on", 90),
        ),
        alert_rule_test: [tells(alert, 615), tells(alert, 1200)],
      },
      {
        name: "states and calls of another program's endpoint at the same address are none of ours",
        input_series: inputs(
          [
            ...endpoint("https://a.example", bad, { state: 2 }),
            ...endpoint("https://a.example", bad, { more: { job: "other" } }),
            ...endpoint("https://b.example", bad, { calls: 0 }),
            ...endpoint("https://b.example", bad, { more: { job: "other" } }),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 615), tells(alert, 840)],
      },
      {
        name: "a call now and then is enough, with a restart between them, too",
        input_series: [
          ...rarely("https://a.example", "draftkings", "0x0 1x17 2x17 3x17"),
          ...rarely("https://b.example", "fanduel", "7x0 8x8 0x1 1x7 2x7 3x7 4x20"),
        ],
        promql_expr_test: [isFiring(alert, 615, [labels, { ...labels, bookmaker: "fanduel" }])],
      },
      {
        name: "five minutes after its last call an endpoint is one that nobody calls",
        input_series: rarely("https://a.example", "draftkings", `0+1x50 50x60`),
        // The window still holds the last two different values for 19 steps.
        promql_expr_test: [
          isFiring(alert, 50 * STEP + 300 - 2 * STEP + 300, [labels]),
          isFiring(alert, 50 * STEP + 300 - STEP + 300, []),
        ],
      },
    ],
  };
}

export function rejectingWhileClosed(values: Values): TimelineFile {
  const alert = "SwitchgearRejectingWhileClosed";
  const { labels, firing } = warning(values, alert, [
    "Calls to draftkings are refused although its breaker is closed",
    "100 calls to draftkings were refused as tripped within 5 minutes, and no replica's breaker is.",
  ]);
  const refused = (more: Labels = {}): string =>
    series(values, "circuit_breaker_rejected_total", {
      bookmaker: "draftkings",
      operation: "odds",
      reason: "tripped",
      ...more,
    });
  const tripped = (more: Labels = {}): string =>
    series(values, "circuit_breaker_tripped", { bookmaker: "draftkings", ...more });
  const lines = [
    counter(refused(), 3),
    counter(refused({ operation: "markets" }), 2),
    gauge(tripped(), 0, 0),
  ];
  return {
    name: alert,
    about: "Refused as tripped while nothing is: a defect.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 300,
        delaySeconds: STEP,
        lagSeconds: 300 - 2 * STEP,
        lines,
        firing,
        disagreeing: {
          says: "one that is tripped explains it",
          lines: [...lines, gauge(tripped({ instance: TWO }), 1)],
          firing: [],
        },
        absent: { says: "nothing is refused" },
      }),
      {
        name: "a trip within the last ten minutes explains it, another bookmaker's or program's does not",
        input_series: [
          { series: refused(), values: "0+5x120" },
          { series: tripped(), values: "1x20 0x100" },
          { series: tripped({ bookmaker: "fanduel" }), values: "1x120" },
          { series: tripped({ job: "other" }), values: "1x120" },
          { series: tripped({ cluster: "west" }), values: "1x120" },
        ],
        alert_rule_test: [tells(alert, 600), tells(alert, 20 * STEP + 600 + 285)],
        promql_expr_test: [isFiring(alert, 21 * STEP + 600 + 300, [labels])],
      },
      {
        name: "other reasons are explained otherwise, and names beyond the bound are not compared",
        input_series: inputs(
          [
            counter(refused({ reason: "half_open_limit" }), 5),
            counter(refused({ bookmaker: "__overflow__" }), 5),
            counter(refused({ job: "other", bookmaker: "fanduel" }), 5),
          ],
          times("on", 90),
        ),
        alert_rule_test: [tells(alert, 315), tells(alert, 900)],
      },
      strangers(alert, [315, 900], [{ series: refused(), values: "9x20 0x80" }]),
      {
        name: "a call now and then is enough, with a restart between them, too",
        input_series: [
          { series: refused(), values: "0 1x17 2x17" },
          { series: refused({ bookmaker: "fanduel" }), values: "0+5x9 0+5x20" },
        ],
        promql_expr_test: [isFiring(alert, 315, [labels, { ...labels, bookmaker: "fanduel" }])],
      },
    ],
  };
}

export function recordedRefusals(values: Values): TimelineFile {
  const rejected = series(values, "circuit_breaker_rejected_total", {
    bookmaker: "draftkings",
    operation: "odds",
    reason: "load_shed",
  });
  const labels = `{namespace="${NAMESPACE}",bookmaker="draftkings",reason="load_shed"}`;
  const asked = (seconds: number, value: number): object => ({
    expr: "round(namespace_bookmaker:circuit_breaker_rejected:rate5m, 0.01)",
    eval_time: at(seconds),
    exp_samples: [{ labels, value }],
  });
  return {
    name: "recording-refusals",
    about: "For how long refusals count.",
    stepSeconds: STEP,
    tests: [
      {
        name: "refusals that are over count for five minutes",
        input_series: [{ series: rejected, values: "0+300x20 6000x40" }],
        promql_expr_test: [asked(300, 20), asked(555, 2.11), asked(600, 0)],
      },
    ],
  };
}
