// Single breakers: forgotten ones, those that swing, and those about which replicas do not agree.

import { secondsOf, type Values } from "../values.ts";
import { links, NAMESPACE, series, TWO } from "./subject.ts";
import {
  counter,
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  type Firing,
  type Labels,
  type Line,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const STEP = 15;
const DRAFTKINGS = { namespace: NAMESPACE, bookmaker: "draftkings" };

interface Alert {
  readonly labels: Labels;
  readonly firing: Firing;
}

export function warning(
  values: Values,
  alert: string,
  [summary, description]: readonly [string, string],
  more: Labels = DRAFTKINGS,
): Alert {
  const labels = { severity: "warning", ...more };
  const { namespace, bookmaker } = more;
  const shown = Object.fromEntries(
    Object.entries({ namespace, bookmaker }).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value]],
    ),
  );
  return {
    labels,
    firing: { labels, annotations: { summary, description, ...links(values, alert, shown) } },
  };
}

/** Series of other programs, clusters and namespaces, which must change nothing. */
export function strangers(
  alert: string,
  seconds: readonly number[],
  lines: TestCase["input_series"],
): TestCase {
  return {
    name: "another program's series are no trouble of ours",
    input_series: lines,
    alert_rule_test: seconds.map((at) => tells(alert, at)),
  };
}

export function stuckOpen(values: Values): TimelineFile {
  const alert = "CircuitBreakerStuckOpen";
  const forSeconds = secondsOf(values.stuckOpenAfter);
  const { labels, firing } = warning(values, alert, [
    `Circuit breaker of draftkings has been tripped for ${values.stuckOpenAfter}`,
    `Nobody has reset the breaker of draftkings for ${values.stuckOpenAfter}. Decide whether this bookmaker stays out.`,
  ]);
  const tripped = (more: Labels = {}): string =>
    series(values, "circuit_breaker_tripped", { bookmaker: "draftkings", ...more });
  const resets = series(values, "circuit_breaker_resets_total", { bookmaker: "draftkings" });
  const count = forSeconds / STEP;
  const other = { ...labels, bookmaker: "fanduel" };
  return {
    name: alert,
    about: "Nobody has reset it for long; a reset begins the time anew.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds,
        keepSeconds: 120,
        lines: [gauge(tripped(), 1), counter(resets, 0)],
        firing,
        disagreeing: {
          says: "the one that nobody reset counts",
          lines: [gauge(tripped(), 1), gauge(tripped({ instance: TWO }), 0)],
          firing: [labels],
        },
      }),
      {
        name: "a reset between two scrapes begins the time anew, soon before a restart, too; a restart does not",
        input_series: [
          { series: tripped(), values: `1x${count + 40}` },
          { series: resets, values: `0x9 1x1 0x${count + 28}` },
          { series: tripped({ bookmaker: "fanduel" }), values: `1x${count + 40}` },
          {
            series: series(values, "circuit_breaker_resets_total", { bookmaker: "fanduel" }),
            values: `5x9 0x${count + 30}`,
          },
        ],
        // Five minutes after the last scrape before it, it is forgotten.
        promql_expr_test: [
          isFiring(alert, forSeconds, [other]),
          isFiring(alert, 9 * STEP + 300 + forSeconds - STEP, [other]),
          isFiring(alert, 9 * STEP + 300 + forSeconds, [labels, other]),
        ],
      },
      {
        name: "somebody else's reset is none, of another bookmaker, cluster, namespace or program",
        input_series: [
          { series: tripped(), values: `1x${count + 2}` },
          ...[
            { bookmaker: "fanduel" },
            { cluster: "west" },
            { namespace: "staging" },
            { job: "other" },
          ].map((more) => ({
            series: series(values, "circuit_breaker_resets_total", {
              bookmaker: "draftkings",
              ...more,
            }),
            values: `0+1x${count + 2}`,
          })),
        ],
        promql_expr_test: [isFiring(alert, forSeconds, [labels])],
      },
    ],
  };
}

export function flapping(values: Values): TimelineFile {
  const alert = "CircuitBreakerFlapping";
  const { trips, within } = values.flapping;
  const window = secondsOf(within);
  const { labels, firing } = warning(values, alert, [
    "Circuit breaker of draftkings trips again and again",
    `It tripped ${trips} times in ${within} on one replica. The upstream is half-dead, or resets come too early.`,
  ]);
  const trip = (more: Labels = {}): string =>
    series(values, "circuit_breaker_trips_total", { bookmaker: "draftkings", ...more });
  const steps = window / STEP;
  // Evenly, so that what a range guesses at its edges is what happened there.
  const every = Math.floor(steps / trips);
  const counted = (by: number, from = 0): string =>
    Array.from({ length: 6 * steps }, (_, n) => from + Math.floor(n / by)).join(" ");
  // So many trips, one a scrape.
  const fires = (steps + trips - 1) * STEP;
  const full = window + 2 * STEP;
  const asked = [full, 2 * window, 3 * window];
  const rare = counted(Math.ceil(steps / (trips - 1)) + 2);
  return {
    name: alert,
    about: "Trips of one replica within a while, which is all that a counter tells.",
    stepSeconds: STEP,
    tests: [
      {
        name: "fires",
        input_series: [
          { series: trip(), values: `0x${steps - 1} ${burst(trips)} ${trips}x${steps}` },
        ],
        alert_rule_test: [tells(alert, fires, [firing])],
      },
      {
        name: "does not fire one step before",
        input_series: [
          { series: trip(), values: `0x${steps - 1} ${burst(trips)} ${trips}x${steps}` },
        ],
        alert_rule_test: [tells(alert, fires - STEP), tells(alert, fires - 1)],
      },
      {
        name: "resolves when the window is empty, after keep_firing_for",
        input_series: [
          { series: trip(), values: `0x${steps - 1} ${burst(trips)} ${trips}x${5 * steps}` },
        ],
        alert_rule_test: [tells(alert, (2 * steps - 1) * STEP + 900)],
        promql_expr_test: [
          isFiring(alert, (steps + trips + 1) * STEP, [labels]),
          isFiring(alert, (2 * steps - 1) * STEP + 885, [labels]),
        ],
      },
      {
        name: "survives a missed scrape: a gap is no zero",
        input_series: [
          {
            series: trip(),
            values:
              `0x${steps - 1} 1 _ 3 ${burst(trips).split(" ").slice(3).join(" ")} ${trips}x${steps}`.replaceAll(
                "  ",
                " ",
              ),
          },
        ],
        promql_expr_test: [isFiring(alert, fires, [labels])],
      },
      {
        name: "stale marker: a restart sets the counter to 0, and what came before still counts",
        input_series: [
          {
            series: trip(),
            values: `7x${steps - 1} ${burst(trips - 1, 7)} stale ${trips}x${steps}`,
          },
        ],
        promql_expr_test: [isFiring(alert, (steps + trips) * STEP + STEP, [labels])],
      },
      {
        name: "two replicas that disagree: the worst counts, not their sum",
        input_series: [
          { series: trip(), values: rare },
          { series: trip({ instance: TWO }), values: rare },
        ],
        alert_rule_test: asked.map((seconds) => tells(alert, seconds)),
      },
      {
        name: "absent series: nothing to tell",
        input_series: [],
        alert_rule_test: [tells(alert, 0), tells(alert, window)],
      },
      {
        name: "it goes on as long as it goes on",
        input_series: [{ series: trip(), values: counted(Math.max(1, every - 1)) }],
        promql_expr_test: asked.map((seconds) => isFiring(alert, seconds, [labels])),
      },
      strangers(alert, asked, [
        { series: trip({ job: "other" }), values: counted(1) },
        { series: trip({ bookmaker: "fanduel" }), values: rare },
      ]),
      {
        name: "each cluster, namespace and bookmaker for itself; of two replicas the worst",
        input_series: [
          { series: trip({ cluster: "east" }), values: counted(Math.max(1, every - 1)) },
          { series: trip({ cluster: "east", instance: TWO }), values: rare },
          { series: trip({ cluster: "west" }), values: rare },
          { series: trip({ cluster: "east", namespace: "staging" }), values: rare },
          { series: trip({ cluster: "east", bookmaker: "fanduel" }), values: rare },
        ],
        promql_expr_test: [isFiring(alert, full, [{ ...labels, cluster: "east" }])],
      },
    ],
  };
}

/** One trip a step. */
function burst(trips: number, from = 0): string {
  return Array.from({ length: trips }, (_, n) => from + n + 1).join(" ");
}

export function replicaDisagreement(values: Values): TimelineFile {
  const alert = "CircuitBreakerReplicaDisagreement";
  const { labels, firing } = warning(values, alert, [
    "Replicas disagree about draftkings",
    "For 5 minutes some replicas have refused calls to draftkings and others have not.",
  ]);
  const tripped = (more: Labels = {}): string =>
    series(values, "circuit_breaker_tripped", { bookmaker: "draftkings", ...more });
  const both = [gauge(tripped(), 1, 0), gauge(tripped({ instance: TWO }), 0, 0)];
  // A replica that is gone after so many steps has no opinion so much later.
  const steps = 24;
  const over = (steps - 1) * STEP + secondsOf(values.gap) + 120;
  return {
    name: alert,
    about: "One replica is tripped, and another is not.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 120,
        lines: both,
        firing,
        disagreeing: { says: "that is the alert", lines: both, firing: [labels] },
      }),
      {
        name: "replicas of two namespaces, clusters or programs need not agree, and those that agree do",
        input_series: inputs(
          [
            gauge(tripped(), 1),
            gauge(tripped({ namespace: "staging" }), 0),
            gauge(tripped({ cluster: "west" }), 0),
            gauge(tripped({ job: "other" }), 0),
            gauge(tripped({ bookmaker: "fanduel" }), 1),
            gauge(tripped({ bookmaker: "fanduel", instance: TWO }), 1),
            gauge(tripped({ bookmaker: "bet365" }), 0),
            gauge(tripped({ bookmaker: "bet365", job: "other" }), 1),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 300), tells(alert, 600)],
      },
      {
        name: "a pod that moved is not another opinion for longer than the gap",
        input_series: [
          { series: tripped(), values: "0x10 stale" },
          { series: tripped({ instance: TWO }), values: "_x11 1x60" },
        ],
        alert_rule_test: [tells(alert, 300), tells(alert, 600), tells(alert, 900)],
      },
      ...[1, 0].map((gone) => ({
        name: `a replica that is gone, ${gone === 1 ? "tripped" : "closed"}, has an opinion for as long as the gap`,
        input_series: [
          { series: tripped(), values: `${gone}x${steps - 1} stale` },
          { series: tripped({ instance: TWO }), values: `${1 - gone}x60` },
        ],
        promql_expr_test: [isFiring(alert, over - STEP, [labels]), isFiring(alert, over, [])],
      })),
    ],
  };
}

export function windowOpen(values: Values): TimelineFile {
  const alert = "CircuitBreakerWindowOpen";
  const { labels, firing } = warning(values, alert, [
    "Sliding-window breaker of draftkings is not closed",
    "The breaker of draftkings has been open, half-open or ramping for 2 minutes.",
  ]);
  const state = (more: Labels = {}): string =>
    series(values, "switchgear_window_state", { bookmaker: "draftkings", ...more });
  return {
    name: alert,
    about: "Open, half-open and ramping are one.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 120,
        keepSeconds: 120,
        lines: [gauge(state(), 1)],
        firing,
        disagreeing: {
          says: "any replica's is one",
          lines: [gauge(state(), 0), gauge(state({ instance: TWO }), 3)],
          firing: [labels],
        },
      }),
      {
        name: "it swings between open, half-open and ramping",
        input_series: [{ series: state(), values: "1 2 1 2 1 3 2 1 1 2 3 1 2 1 1" }],
        promql_expr_test: [isFiring(alert, 120, [labels]), isFiring(alert, 210, [labels])],
      },
      strangers(
        alert,
        [120, 300],
        inputs(
          [gauge(state({ job: "other" }), 1), gauge(state({ bookmaker: "" }), 1)],
          times("on", 30),
        ),
      ),
    ],
  };
}

export function endpointCoolingDown(values: Values): TimelineFile {
  const alert = "CircuitBreakerEndpointCoolingDown";
  const { labels, firing } = warning(values, alert, [
    "2 of the endpoints of draftkings are out of use",
    "Cooling down or half-open for 10 minutes: https://a.example, https://b.example.",
  ]);
  const endpoint = (name: string, on: number, more: Labels = {}) => [
    gauge(series(values, "circuit_breaker_state", { endpoint: name, ...more }), on),
    gauge(
      series(values, "switchgear_endpoint_info", {
        bookmaker: "draftkings",
        endpoint: name,
        ...more,
      }),
      1,
      1,
    ),
  ];
  const lines = [
    ...endpoint("https://a.example", 2),
    ...endpoint("https://b.example", 3),
    ...endpoint("https://c.example", 1),
  ];
  // What is gone after so many steps is over so much later.
  const steps = 48;
  const over = (steps - 1) * STEP + secondsOf(values.gap) + 300;
  const until = (alone: Line): TestCase["input_series"] => {
    const [own] = inputs([alone], [...times("on", steps), "stale"]);
    return own === undefined ? [] : [own];
  };
  return {
    name: alert,
    about: "One ticket for each bookmaker, whatever number of its endpoints is out of use.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 600,
        keepSeconds: 300,
        lines,
        firing,
        disagreeing: {
          says: "an endpoint that one replica cannot reach is out of use there",
          lines: [
            ...endpoint("https://a.example", 0),
            ...endpoint("https://a.example", 2, { instance: TWO }),
          ],
          firing: [labels],
        },
      }),
      {
        name: "each endpoint counts once, however many replicas say so",
        input_series: inputs(
          [
            ...endpoint("https://a.example", 2),
            ...endpoint("https://a.example", 2, { instance: TWO }),
            ...endpoint("https://b.example", 2),
            // Neither another program's nor a second pod's series change the text.
            ...endpoint("https://c.example", 2, { job: "other" }),
            ...endpoint("https://a.example", 2, { pod: "switchgear-1" }),
          ],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 600, [firing])],
      },
      {
        name: "healthy and degraded ones are in use; the upstream's own breaker and another program's are no endpoints",
        input_series: inputs(
          [
            ...endpoint("https://a.example", 0),
            ...endpoint("https://b.example", 1),
            gauge(series(values, "circuit_breaker_state", { endpoint: "draftkings" }), 2),
            ...endpoint("draftkings", 0, { job: "other" }),
            ...endpoint("https://d.example", 2, { job: "other" }),
            ...endpoint("https://a.example", 2, { job: "other" }),
            ...endpoint("https://d.example", 0),
          ],
          times("on", 90),
        ),
        alert_rule_test: [tells(alert, 600), tells(alert, 900)],
      },
      ...[0, 1].map((gone) => ({
        name: `an endpoint that is no longer ${gone === 0 ? "told of" : "the bookmaker's"} is none of it after the gap`,
        input_series: endpoint("https://a.example", 2).flatMap((line, n) =>
          n === gone ? until(line) : inputs([line], times("on", 120)),
        ),
        promql_expr_test: [isFiring(alert, over - STEP, [labels]), isFiring(alert, over, [])],
      })),
    ],
  };
}

export function modeForgotten(values: Values): TimelineFile {
  const alert = "SwitchgearModeForgotten";
  const after = values.modeForgottenAfter;
  const forSeconds = secondsOf(after);
  const step = 60;
  const texts = (mode: string): Alert =>
    warning(
      values,
      alert,
      [
        `draftkings has been ${mode} for ${after}`,
        `Somebody set the breaker of draftkings to ${mode}, and it has been so for ${after}. As long as it is, CircuitBreakerTripped cannot fire.`,
      ],
      { ...DRAFTKINGS, mode },
    );
  const forced = texts("forced-closed");
  const mode = (name: string, more: Labels = {}): string =>
    series(values, "switchgear_breaker_mode", { bookmaker: "draftkings", mode: name, ...more });
  return {
    name: alert,
    about: "Set by hand, and left so.",
    stepSeconds: step,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: step,
        forSeconds,
        keepSeconds: 0,
        // More would be longer than the gap.
        lossOf: 2,
        lines: [gauge(mode("forced-closed"), 1), gauge(mode("normal"), 0, 1)],
        firing: forced.firing,
        disagreeing: {
          says: "an order that did not reach all is as easily forgotten",
          lines: [
            gauge(mode("forced-closed"), 0),
            gauge(mode("forced-closed", { instance: TWO }), 1),
          ],
          firing: [forced.labels],
        },
      }),
      {
        name: "shadow, too; normal is none, nor another program's",
        input_series: inputs(
          [
            gauge(mode("shadow"), 1),
            gauge(mode("normal"), 1),
            gauge(mode("shadow", { job: "other", bookmaker: "fanduel" }), 1),
          ],
          times("on", forSeconds / step + 4),
        ),
        alert_rule_test: [tells(alert, forSeconds, [texts("shadow").firing])],
      },
    ],
  };
}
