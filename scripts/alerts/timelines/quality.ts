// What calls come to: shed, refused for no reason, and endpoints that fail some of them.

import type { Values } from "../values.ts";
import { strangers, warning } from "./breakers.ts";
import { series, TWO } from "./subject.ts";
import {
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
  const calls = (part: number, more: Labels = {}, reason = "load_shed"): Line[] => {
    const of = { bookmaker: "draftkings", operation: "odds", ...more };
    const refused = Math.round(part * 10_000);
    return [
      counter(series(values, "circuit_breaker_rejected_total", { ...of, reason }), refused, 0),
      counter(
        series(values, "switchgear_requests_total", { ...of, outcome: "refused" }),
        refused,
        0,
      ),
      counter(
        series(values, "switchgear_requests_total", { ...of, outcome: "ok" }),
        10_000 - refused,
        10_000,
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
            ...calls(values.shedShare, { bookmaker: "fanduel" }),
            ...calls(values.shedShare * 1.5, { operation: "odds" }),
            ...calls(values.shedShare * 0.7, { operation: "markets" }),
          ],
          times("on", 40),
        ),
        promql_expr_test: [isFiring(alert, 300, [labels])],
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

/** How long a window of five minutes still holds more than `limit` of what was `share` in it. */
function shedLag(share: number, limit: number): number {
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
  const lines = [counter(refused(), 5), gauge(tripped(), 0, 0)];
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
    ],
  };
}
