// What limiters refuse: at their floor, and of the most critical calls.

import { secondsOf, type Values } from "../values.ts";
import { warning } from "./breakers.ts";
import { percentage, shedLag } from "./quality.ts";
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
  type Firing,
  type Labels,
  type Line,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const STEP = 15;
/** What 5 minutes hold of what grows by one in each step, as Prometheus extrapolates it. */
const STEPS = 300 / STEP;
const DK = { bookmaker: "draftkings" };

export function limitAtFloor(values: Values): TimelineFile {
  const alert = "CircuitBreakerLimitAtFloor";
  const told = (count: number): { readonly labels: Labels; readonly firing: Firing } =>
    warning(values, alert, [
      "The limit of draftkings is at its floor, and calls are refused for it",
      `For 5 minutes as few calls at once as the limit can say have been let in to draftkings, on one replica or more. ${count} were refused within 5 minutes.`,
    ]);
  const { labels, firing } = told(3 * STEPS);
  const floor = (more: Labels = {}): string =>
    series(values, "switchgear_limit_at_floor", { ...DK, ...more });
  const refused = (more: Labels = {}): string =>
    series(values, "switchgear_limit_refused_total", {
      ...DK,
      criticality: "sheddable",
      reason: "limit",
      ...more,
    });
  const limited = (more: Labels = {}): Line[] => [
    gauge(floor(more), 1),
    counter(refused(more), 1),
    counter(refused({ reason: "priority", ...more }), 2),
  ];
  const gap = secondsOf(values.gap) / STEP;
  /** At its floor once in so many steps. */
  const touching = (every: number, more: Labels): TestCase["input_series"] => [
    {
      series: floor(more),
      values: Array.from({ length: 90 }, (_, n) => Number(n % every === 0)).join(" "),
    },
    { series: refused(more), values: "0+5x90" },
  ];
  return {
    name: alert,
    about: "At the least it can be, on the same replica and endpoint where calls are refused.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 300,
        delaySeconds: STEP,
        lagSeconds: secondsOf(values.gap) - STEP,
        gapSeconds: secondsOf(values.gap),
        lines: limited(),
        firing,
        disagreeing: {
          says: "one at its floor is enough",
          lines: [...limited(), gauge(floor({ instance: TWO }), 0)],
          firing: [labels],
        },
      }),
      {
        name: "what is refused elsewhere than at the floor is none, nor a floor at which nothing is",
        input_series: inputs(
          [
            ...limited().slice(0, 1),
            counter(refused({ instance: TWO }), 9),
            gauge(floor({ instance: TWO }), 0),
            gauge(floor({ bookmaker: "feeds", endpoint: "a" }), 1),
            counter(refused({ bookmaker: "feeds", endpoint: "a" }), 0),
            gauge(floor({ bookmaker: "feeds", endpoint: "b" }), 0),
            counter(refused({ bookmaker: "feeds", endpoint: "b" }), 9),
            // Set by hand: it has no floor.
            counter(refused({ bookmaker: "capped" }), 9),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 315), tells(alert, 840)],
      },
      {
        name: "another program's refusals and floor at the same address are none of ours",
        input_series: inputs(
          [
            gauge(floor(), 1),
            counter(refused({ job: "other" }), 9),
            gauge(floor({ job: "other", bookmaker: "fanduel" }), 1),
            counter(refused({ bookmaker: "fanduel" }), 9),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 315), tells(alert, 840)],
      },
      {
        name: "replicas and endpoints are added up",
        input_series: inputs(
          [
            ...limited({ endpoint: "a" }),
            ...limited({ endpoint: "b" }),
            ...limited({ endpoint: "a", instance: TWO }),
          ],
          times("on", 40),
        ),
        alert_rule_test: [tells(alert, 315, [told(9 * STEPS).firing])],
      },
      {
        name: "one that falls back to its floor within the gap has not left it, and one that takes longer has",
        input_series: [...touching(gap, DK), ...touching(gap + 1, { bookmaker: "fanduel" })],
        promql_expr_test: [isFiring(alert, 315, [labels]), isFiring(alert, 1200, [labels])],
      },
      {
        name: "a refused call now and then is enough, with a restart between them, too",
        input_series: [
          { series: floor(), values: "1x60" },
          { series: refused(), values: "0 1x17 2x40" },
          { series: floor({ bookmaker: "fanduel" }), values: "1x60" },
          { series: refused({ bookmaker: "fanduel" }), values: "0 9x8 0 1x16 2x40" },
        ],
        promql_expr_test: [isFiring(alert, 315, [labels, { ...labels, bookmaker: "fanduel" }])],
      },
      {
        name: "five minutes after the last one that was refused it is over, whatever the limit",
        input_series: [
          { series: floor(), values: "1x120" },
          { series: refused(), values: "0+5x50 250x70" },
        ],
        // The window still holds the last two different values for 19 steps.
        promql_expr_test: [
          isFiring(alert, 50 * STEP + 300 - 2 * STEP + 300, [labels]),
          isFiring(alert, 50 * STEP + 300 - STEP + 300, []),
        ],
      },
    ],
  };
}

const REFUSED = "namespace_bookmaker:switchgear_limit_critical_refused:increase5m";
const CALLS = "namespace_bookmaker:switchgear_limit_critical_calls:increase5m";

export function criticalRefused(values: Values): TimelineFile {
  const alert = "CircuitBreakerCriticalRefused";
  const { share: most, calls: count } = values.criticalRefused;
  const share = Math.min(1, most * 2);
  const told = warning(values, alert, [
    "The most critical calls to draftkings are refused",
    `${percentage(share)} of the calls of critical_plus to draftkings have been refused by its limiter for 5 minutes. Room is kept for these before all others.`,
  ]);
  const labels: Labels = { ...told.labels, severity: "critical" };
  const firing: Firing = { ...told.firing, labels };
  const calls = (part: number, more: Labels = {}, total = 10_000): Line[] => {
    const of = { ...DK, criticality: "critical_plus", ...more };
    const refused = Math.round(part * total);
    const byReason = (reason: string, by: number): Line =>
      counter(series(values, "switchgear_limit_refused_total", { ...of, reason }), by);
    return [
      byReason("limit", Math.floor(refused / 4)),
      byReason("no_time", Math.ceil((refused * 3) / 4)),
      counter(series(values, "switchgear_limit_admitted_total", of), total - refused, total),
    ];
  };
  const given = (bookmaker: string, part: number, of: number): TestCase["input_series"] =>
    (
      [
        [REFUSED, part * of],
        [CALLS, of],
      ] as const
    ).map(([name, value]) => ({
      series: `${name}{namespace="${NAMESPACE}",bookmaker="${bookmaker}"}`,
      values: `${value}x30`,
    }));
  // With this many, a share of them is their quotient to the last bit.
  const many = 2 ** Math.ceil(Math.log2(count / most + 1));
  return {
    name: alert,
    about: "A share of the calls of the most critical tier, when they are some.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 300,
        delaySeconds: STEP,
        lagSeconds: shedLag(share, most),
        lines: calls(share),
        firing,
        disagreeing: {
          says: "their calls are added up",
          lines: [...calls(most * 1.2), ...calls(0, { instance: TWO })],
          firing: [],
        },
      }),
      {
        name: "at the share it is none, nor of too few",
        input_series: [
          given("over", most * 1.05, many),
          given("exactly", most, many),
          given("enough", share, count / share),
          given("few", share, (count - 1) / share),
        ].flat(),
        promql_expr_test: [
          isFiring(
            alert,
            315,
            ["over", "enough"].map((bookmaker) => Object.assign({}, labels, { bookmaker })),
          ),
        ],
      },
      {
        name: "other tiers neither make it nor hide it",
        input_series: inputs(
          [
            ...calls(share),
            ...calls(0, { criticality: "critical" }, 1e6),
            ...calls(1, { criticality: "sheddable_plus" }, 1e6),
            ...calls(0, { bookmaker: "fanduel" }),
            ...calls(1, { bookmaker: "fanduel", criticality: "sheddable" }),
          ],
          times("on", 40),
        ),
        alert_rule_test: [tells(alert, 315, [firing])],
      },
      {
        name: "another program's calls at the same address hide nothing",
        input_series: inputs(
          [
            ...calls(share),
            ...calls(0, { job: "other" }, 1e6),
            ...calls(1, { job: "other", bookmaker: "fanduel" }),
          ],
          times("on", 40),
        ),
        alert_rule_test: [tells(alert, 315, [firing])],
      },
      {
        name: "the counters begin anew in the middle of it",
        input_series: twice(inputs(calls(share), times("on", 20))),
        promql_expr_test: [isFiring(alert, 315, [labels]), isFiring(alert, 585, [labels])],
      },
    ],
  };
}

/** What is recorded, itself: it sees what a window holds, and of whom. */
export function criticalRecorded(values: Values): TimelineFile {
  const of = (name: string, more: Labels = {}): string =>
    series(values, `switchgear_limit_${name}_total`, {
      ...DK,
      criticality: "critical_plus",
      ...(name === "refused" ? { reason: "limit" } : {}),
      ...more,
    });
  const asked = (seconds: number, refused: number, calls: number): object[] =>
    [[REFUSED, refused] as const, [CALLS, calls] as const].map(([name, value]) => ({
      expr: `round(${name})`,
      eval_time: at(seconds),
      exp_samples: [{ labels: `{namespace="${NAMESPACE}",bookmaker="draftkings"}`, value }],
    }));
  return {
    name: "recording-limits",
    about: "Calls of the most critical tier, and those that were refused.",
    stepSeconds: STEP,
    tests: [
      {
        name: "five minutes of all replicas, reasons and endpoints, with a restart among them",
        input_series: [
          { series: of("refused"), values: "0+10x40 400x40" },
          { series: of("refused", { reason: "no_time" }), values: "0+5x30 5+5x9 50x40" },
          { series: of("refused", { instance: TWO, endpoint: "a" }), values: "0+20x40 800x40" },
          { series: of("admitted"), values: "0+100x40 4000x40" },
          {
            series: of("admitted", { instance: TWO, endpoint: "a" }),
            values: "0+200x30 200+200x9 2000x40",
          },
          { series: of("refused", { criticality: "critical" }), values: "0+1000x80" },
          { series: of("admitted", { criticality: "critical" }), values: "0+1000x80" },
          { series: of("refused", { job: "other" }), values: "0+1000x80" },
          { series: of("admitted", { job: "other" }), values: "0+1000x80" },
        ],
        promql_expr_test: [
          ...asked(600, 35 * STEPS, 335 * STEPS),
          // Of the last steps of growth that a window of five minutes holds, 8 are left.
          ...asked(765, round(35 * 8), round(335 * 8)),
        ],
      },
    ],
  };
}

/** As Prometheus extrapolates what 20 samples hold to all of their window. */
function round(grown: number): number {
  return Math.round((grown * STEPS) / (STEPS - 1));
}
