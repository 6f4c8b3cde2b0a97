// Bookmakers that are out: many at once, without an endpoint, or most of the time.

import { secondsOf, type Values } from "../values.ts";
import { links, NAMESPACE, ONE, series, TWO } from "./subject.ts";
import {
  at,
  counter,
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  type Labels,
  type Line,
  type TimelineFile,
} from "./timeline.ts";

const STEP = 15;

function trippedOf(values: Values, bookmaker: string, more: Labels = {}): string {
  return series(values, "circuit_breaker_tripped", { bookmaker, ...more });
}

function byHand(values: Values, bookmaker: string, more: Labels = {}): Line {
  return gauge(series(values, "switchgear_breaker_tripped_by_hand", { bookmaker, ...more }), 1);
}

/** So many tripped, so many well. */
function fleet(values: Values, out: number, well: number, more: Labels = {}): Line[] {
  return Array.from({ length: out + well }, (_, n) =>
    gauge(trippedOf(values, `b${n}`, more), n < out ? 1 : 0),
  );
}

export function manyTripped(values: Values): TimelineFile {
  const alert = "CircuitBreakerManyTripped";
  const { atLeast, share, anyway } = values.manyTripped;
  const most = (out: number): number => Math.floor(out / share) - out;
  const labels = { severity: "critical", namespace: NAMESPACE };
  const firing = (count: number): object => ({
    labels,
    annotations: {
      summary: `${count} bookmakers are out in ${NAMESPACE}`,
      description: `${count} upstreams have been tripped or without an endpoint for a minute. Look for what they share before you reset any.`,
      ...links(values, alert),
    },
  });
  const few = Math.max(1, Math.min(atLeast, anyway) - 1);
  const asked = [60, 600];
  const silent = (name: string, lines: readonly Line[]) => ({
    name,
    input_series: inputs(lines, times("on", 44)),
    alert_rule_test: asked.map((seconds) => tells(alert, seconds)),
  });
  const firingCase = (name: string, lines: readonly Line[]) => ({
    name,
    input_series: inputs(lines, times("on", 44)),
    promql_expr_test: asked.map((seconds) => isFiring(alert, seconds, [labels])),
  });
  return {
    name: alert,
    about: "A share of bookmakers and a number of them, or a number alone, within one namespace.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 60,
        keepSeconds: 120,
        lines: fleet(values, atLeast, most(atLeast)),
        firing: firing(atLeast) as never,
        disagreeing: {
          says: "any replica's trip counts, and each bookmaker once",
          lines: [
            ...fleet(values, atLeast, most(atLeast)),
            ...fleet(values, 0, atLeast + most(atLeast), { instance: TWO }),
          ],
          firing: [labels],
        },
      }),
      silent("too few are no fleet, whatever the share", fleet(values, few, 0)),
      silent("a smaller share is none", fleet(values, anyway - 1, most(anyway - 1) + 1)),
      firingCase("more than enough is enough", fleet(values, atLeast + 1, 0)),
      firingCase("so many are a fleet, whatever the share", fleet(values, anyway, anyway * 20)),
      firingCase("and more than so many", fleet(values, anyway + 1, anyway * 3)),
      silent("one fewer is none, in each of two clusters", [
        ...fleet(values, anyway - 1, anyway * 20, { cluster: "east" }),
        ...fleet(values, anyway - 1, anyway * 3, { cluster: "west" }),
      ]),
      silent("each counts once, whatever its replicas and endpoints say", [
        ...fleet(values, few, 0),
        ...fleet(values, few, 0, { instance: TWO }),
        ...Array.from({ length: few }, (_, n) => [
          ...endpointsOnly(values, `b${n}`, [2]),
          ...endpointsOnly(values, `b${n}`, [2], { instance: TWO }),
        ]).flat(),
        gauge(trippedOf(values, ""), 1),
      ]),
      silent("two namespaces are two fleets", [
        ...fleet(values, few, 0),
        ...fleet(values, atLeast - few, 0, { namespace: "staging" }),
      ]),
      silent("two clusters are two fleets", [
        ...fleet(values, few, 0, { cluster: "east" }),
        ...fleet(values, atLeast - few, 0, { cluster: "west" }),
      ]),
      firingCase(
        "upstreams without an endpoint are out, too",
        Array.from({ length: atLeast }, (_, n) => [
          ...endpoints(values, `b${n}`, [2, 3]),
          ...endpoints(values, `b${n}`, [0, 1], { instance: TWO }),
        ]).flat(),
      ),
      silent(
        "one endpoint that is left is enough",
        Array.from({ length: atLeast }, (_, n) => endpoints(values, `b${n}`, [2, 1])).flat(),
      ),
      silent(
        "another program's breakers are none of ours",
        fleet(values, anyway, 0, { job: "other" }),
      ),
      silent("those that a person holds are no outage, nor are their endpoints, on any replica", [
        ...fleet(values, few + 2, 0),
        byHand(values, "b0"),
        ...endpointsOnly(values, "b0", [2]),
        byHand(values, "b1"),
        gauge(trippedOf(values, "b1", { instance: TWO }), 1),
        gauge(byHand(values, "b1", { instance: TWO }).series, 0),
      ]),
      {
        name: "they are held through scrapes that fail",
        input_series: inputs(
          [...fleet(values, few + 1, 0), byHand(values, "b0")],
          Array.from({ length: 44 }, (_, n) => (n % 3 === 1 ? "stale" : "on")),
        ),
        alert_rule_test: [60, 75, 600].map((seconds) => tells(alert, seconds)),
      },
      {
        name: "whom nobody tells of as held any more is held for as long as the gap",
        input_series: [
          ...inputs(fleet(values, atLeast, 0), times("on", 80)),
          ...inputs([byHand(values, "b0")], times("on", 24, "stale", 1)),
        ],
        promql_expr_test: [
          isFiring(alert, 23 * STEP + secondsOf(values.gap) + 45, []),
          isFiring(alert, 23 * STEP + secondsOf(values.gap) + 60, [labels]),
        ],
      },
      silent("those that a person holds are some of all", [
        ...fleet(values, anyway + most(anyway - 1), 0),
        ...Array.from({ length: most(anyway - 1) + 1 }, (_, n) => byHand(values, `b${n}`)),
      ]),
      firingCase("what is held elsewhere, or was tripped by nobody, is no reason", [
        ...fleet(values, atLeast, most(atLeast)),
        byHand(values, "b0", { job: "other" }),
        byHand(values, "b0", { namespace: "staging" }),
        byHand(values, "b0", { cluster: "west" }),
        byHand(values, "elsewhere"),
        gauge(byHand(values, "b0").series, 0),
      ]),
    ],
  };
}

/** An upstream, closed, whose endpoints are in these states. */
function endpoints(
  values: Values,
  bookmaker: string,
  states: readonly number[],
  more: Labels = {},
): Line[] {
  return [
    gauge(trippedOf(values, bookmaker, more), 0),
    ...endpointsOnly(values, bookmaker, states, more),
  ];
}

function endpointsOnly(
  values: Values,
  bookmaker: string,
  states: readonly number[],
  more: Labels = {},
): Line[] {
  return states.flatMap((state, n) => {
    const endpoint = `https://${bookmaker}-${n}.example`;
    return [
      gauge(series(values, "circuit_breaker_state", { endpoint, ...more }), state, 0),
      gauge(series(values, "switchgear_endpoint_info", { bookmaker, endpoint, ...more }), 1, 1),
    ];
  });
}

export function noEndpoint(values: Values): TimelineFile {
  const alert = "CircuitBreakerNoEndpoint";
  const labels = { severity: "critical", namespace: NAMESPACE, bookmaker: "draftkings" };
  const gap = secondsOf(values.gap);
  const state = (more: Labels = {}): string =>
    series(values, "circuit_breaker_state", { endpoint: "https://a.example", ...more });
  const info = (bookmaker: string, more: Labels = {}): string =>
    series(values, "switchgear_endpoint_info", {
      bookmaker,
      endpoint: "https://a.example",
      ...more,
    });
  // What is gone after so many steps is over so much later.
  const steps = 24;
  const over = (steps - 1) * STEP + gap + 120;
  return {
    name: alert,
    about: "No endpoint in use, on any replica, whether calls come or not.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 120,
        lines: endpoints(values, "draftkings", [2, 3]),
        firing: {
          labels,
          annotations: {
            summary: "draftkings has no endpoint left",
            description:
              "None of the endpoints of draftkings has been in use for 5 minutes, on one replica or more. Its calls are refused.",
            ...links(values, alert, { namespace: NAMESPACE, bookmaker: "draftkings" }),
          },
        },
        disagreeing: {
          says: "the one without an endpoint refuses a share of the calls",
          lines: [
            ...endpoints(values, "draftkings", [2, 2]),
            ...endpoints(values, "draftkings", [2, 0], { instance: TWO }),
          ],
          firing: [labels],
        },
      }),
      {
        name: "one endpoint that is left is enough, healthy or degraded; two replicas with one each have one",
        input_series: inputs(
          [
            ...endpoints(values, "draftkings", [2, 1]),
            ...endpoints(values, "draftkings", [1, 2], { instance: TWO }),
            ...endpoints(values, "fanduel", [0, 3]),
          ],
          times("on", 44),
        ),
        alert_rule_test: [tells(alert, 300), tells(alert, 600)],
      },
      {
        name: "an adaptive upstream without endpoints has CircuitBreakerTripped",
        input_series: inputs(
          [
            gauge(trippedOf(values, "draftkings"), 1),
            gauge(series(values, "circuit_breaker_state", { endpoint: "draftkings" }), 2),
          ],
          times("on", 44),
        ),
        alert_rule_test: [tells(alert, 300), tells(alert, 600)],
      },
      {
        name: "another program's endpoints are none of ours; a scrape that fails each minute changes nothing",
        input_series: [
          ...inputs(endpoints(values, "fanduel", [2, 2], { job: "other" }), times("on", 44)),
          ...inputs(
            endpoints(values, "draftkings", [2, 2]),
            Array.from({ length: 44 }, (_, n) => (n % 4 === 3 ? "stale" : "on")),
          ),
        ],
        promql_expr_test: [isFiring(alert, 300, [labels]), isFiring(alert, 600, [labels])],
      },
      {
        name: "an endpoint that moved to another bookmaker is that one's, and is no trouble meanwhile",
        input_series: [
          { series: state(), values: "2x80" },
          { series: info("draftkings"), values: `1x${steps - 1} stale` },
          { series: info("fanduel"), values: `_x${steps} 1x60` },
        ],
        promql_expr_test: [
          isFiring(alert, over - STEP, [labels], {
            bookmaker: "draftkings",
          }),
          isFiring(alert, over, [], { bookmaker: "draftkings" }),
          isFiring(alert, steps * STEP + 300, [{ ...labels, bookmaker: "fanduel" }], {
            bookmaker: "fanduel",
          }),
        ],
      },
      {
        name: "a label of the target that changes under one address is no fault, and the worst of both is told",
        input_series: [
          { series: state({ pod: "a" }), values: "2x11 stale" },
          { series: info("draftkings", { pod: "a" }), values: "1x11 stale" },
          { series: state({ pod: "b" }), values: "_x12 0x0 2x80" },
          { series: info("draftkings", { pod: "b" }), values: "_x12 1x80" },
        ],
        promql_expr_test: [
          ...[12, 13].map((step) => ({
            expr: "namespace_bookmaker:switchgear_endpoints_out:max",
            eval_time: at(step * STEP),
            exp_samples: [
              {
                labels: `namespace_bookmaker:switchgear_endpoints_out:max{namespace="${NAMESPACE}",bookmaker="draftkings"}`,
                value: 1,
              },
            ],
          })),
          isFiring(alert, 300, [labels]),
        ],
      },
      {
        name: "a state that is no longer told is none; what another program tells of one address twice is no fault",
        input_series: [
          { series: state(), values: `2x${steps - 1} stale` },
          { series: info("draftkings"), values: "1x80" },
          ...["a", "b"].map((zone) => ({ series: state({ job: "other", zone }), values: "2x80" })),
        ],
        promql_expr_test: [isFiring(alert, over - STEP, [labels]), isFiring(alert, over, [])],
      },
    ],
  };
}

export function mostlyOpen(values: Values): TimelineFile {
  const alert = "CircuitBreakerMostlyOpen";
  const { share, within, trips } = values.mostlyOpen;
  const window = secondsOf(within);
  const labels = { severity: "critical", namespace: NAMESPACE, bookmaker: "draftkings" };
  const tripsOf = (more: Labels = {}): string =>
    series(values, "circuit_breaker_trips_total", { bookmaker: "draftkings", ...more });
  // Open for most of a turn, closed for two steps, until the window is full and five minutes more.
  const turn = Math.max(4, Math.min(21, Math.floor(window / STEP / (trips + 1))));
  const open = Math.max(Math.ceil(turn * (share + (1 - share) * 0.6)), turn - 2);
  const steps = Math.ceil((window * 3) / STEP);
  const swings = (openSteps: number): { tripped: string; trips: string } => {
    const on = Array.from({ length: steps }, (_, n) => n % turn < openSteps);
    let count = 0;
    // The process begins anew after the second window, and its counter with it.
    const counted = on.map((is, n) => {
      if (n === (2 * window) / STEP) count = 0;
      return is && !(on[n - 1] ?? false) && n > 0 ? (count += 1) : count;
    });
    return { tripped: on.map(Number).join(" "), trips: counted.join(" ") };
  };
  const { tripped: swinging, trips: counted } = swings(open);
  const lines = [
    { series: trippedOf(values, "draftkings"), values: swinging },
    { series: tripsOf(), values: counted },
  ];
  const full = 2 * window;
  const firing = (
    name: string,
    bookmaker: string,
    given: string,
    more: Labels = {},
  ): { series: string; values: string } => ({
    series: series(values, "ALERTS", {
      job: "",
      instance: "",
      alertname: `CircuitBreaker${name}`,
      alertstate: "firing",
      severity: "critical",
      bookmaker,
      ...more,
    }),
    values: given,
  });
  // The last step at which it has paged: its window is full by then.
  const fired = window / STEP;
  const endpointsOut = (
    bookmaker: string,
    states: string,
  ): { series: string; values: string }[] => {
    const [state, ...info] = inputs(endpointsOnly(values, bookmaker, [0]), times("on", steps));
    return [...info, { series: state?.series ?? "", values: states }];
  };
  // A quiet window, then trips over more than half of the next one, the last of which stays.
  const turnSeen = Math.floor((window / STEP / Math.max(1, trips - 1)) * 0.6);
  const seen = (count: number): string =>
    `0x${window / STEP - 1} ${`1x${turnSeen - 2} 0 `.repeat(count - 1)}1x${steps}`;
  const enough = Math.floor((share * window) / STEP) + trips;
  const edge = window + (Math.max((trips - 1) * turnSeen + 1, enough) + 19) * STEP;
  const apart = Math.floor(turnSeen / 2);
  // Trips so far from each other that a window holds too few.
  const turnSlow = Math.ceil(window / STEP / Math.max(1, trips - 1)) + 1;
  const slow = `1x${turnSlow - 8} 0x6 `.repeat(Math.ceil(steps / turnSlow));
  // Tripped all the while, and once more at each step: what counts is where the two conditions begin and end.
  const line = (more: Labels, value: number): Line[] => [
    gauge(trippedOf(values, "draftkings", more), value),
    counter(tripsOf(more), value),
  ];
  const delaySeconds = trips * STEP;
  const onSteps = (delaySeconds + 300) / STEP + 8;
  return {
    name: alert,
    about: "Closed for a moment again and again, which CircuitBreakerTripped never sees.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 300,
        delaySeconds,
        lossOf: trips,
        lagSeconds: openLag(onSteps, window / STEP, share),
        lines: line({}, 1),
        firing: {
          labels,
          annotations: {
            summary: "draftkings is out most of the time",
            description: `It has refused for 100% of the last ${within}, by its breaker or for want of an endpoint, and came back in between.`,
            ...links(values, alert, { namespace: NAMESPACE, bookmaker: "draftkings" }),
          },
        },
        disagreeing: {
          says: "the one that is open counts, and the worst one's trips",
          lines: [...line({}, 1), ...line({ instance: TWO }, 0)],
          firing: [labels],
        },
      }),
      {
        name: "stays, hour after hour, where CircuitBreakerTripped never fires",
        input_series: lines,
        promql_expr_test: [full, full + 5 * STEP, full + window / 2].map((seconds) =>
          isFiring(alert, seconds, [labels]),
        ),
      },
      {
        name: "its trips are seen where nobody counted them: under a pod's next address, or of all its endpoints",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: swinging },
          ...endpointsOut("fanduel", swinging.replaceAll("1", "3")),
        ],
        promql_expr_test: [isFiring(alert, full, [labels, { ...labels, bookmaker: "fanduel" }])],
      },
      {
        name: "so many trips are enough, and one fewer is not",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: seen(trips) },
          { series: trippedOf(values, "fanduel"), values: seen(trips - 1) },
          { series: trippedOf(values, "bet365"), values: slow.trim() },
        ],
        promql_expr_test: [isFiring(alert, edge, [labels])],
      },
      {
        name: "its trips are counted where nobody sees them: between two looks, and by a process that begins anew",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: `1x${2 * steps}` },
          {
            series: tripsOf(),
            values: `0x${window / STEP} ${`0x${apart - 1} 1x${apart - 1} `.repeat(trips)}0x${steps}`,
          },
        ],
        promql_expr_test: [
          isFiring(alert, window + (apart * (2 * trips - 1) + 22) * STEP, [labels]),
        ],
      },
      {
        name: "one that a person holds is none",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: swinging },
          ...inputs([byHand(values, "draftkings")], times("on", steps)),
        ],
        alert_rule_test: [tells(alert, full)],
      },
      {
        name: "one long trip that somebody ended is none",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: `1x${steps} 0x${steps}` },
          { series: tripsOf(), values: `1x${2 * steps}` },
        ],
        alert_rule_test: [window, steps * STEP + 300, steps * STEP + window / 2].map((seconds) =>
          tells(alert, seconds),
        ),
      },
      {
        name: "what was before the window is over: a quiet time, or trips before a long one",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: `0x${window / STEP} ${swinging}` },
          { series: tripsOf(), values: `0x${window / STEP} ${counted}` },
          { series: trippedOf(values, "fanduel"), values: `1x${steps}` },
          {
            series: tripsOf({ bookmaker: "fanduel" }),
            values: `0 ${Array.from({ length: trips }, (_, n) => n + 1).join(" ")}x${steps}`,
          },
        ],
        promql_expr_test: [
          isFiring(alert, full + 300, [labels]),
          isFiring(alert, window + (trips + 1) * STEP + 600, [], { bookmaker: "fanduel" }),
        ],
      },
      {
        name: "the trips are one replica's, and no other program's",
        input_series: [
          { series: trippedOf(values, "draftkings"), values: `1x${steps}` },
          ...[ONE, TWO].map((instance) => ({
            series: tripsOf({ instance }),
            values: `0x3 ${Array.from({ length: trips - 1 }, (_, n) => `${n + 1}x3`).join(" ")} ${trips - 1}x${steps}`,
          })),
          { series: tripsOf({ job: "other" }), values: `0+1x${steps}` },
        ],
        alert_rule_test: [window / 2, window].map((seconds) => tells(alert, seconds)),
      },
      {
        name: "an outage that has paged is none when it is over, however often it was reset",
        input_series: [
          // Reset twice too early; and open twice more, for a moment, soon after.
          { series: trippedOf(values, "draftkings"), values: "0x39 1x39 0 1x6 0 1x50 0x400" },
          firing("Tripped", "draftkings", "_x60 1x28 stale _x19 1x39 stale"),
          { series: trippedOf(values, "fanduel"), values: "0x39 1x79 0x7 1x3 0x7 1x3 0x400" },
          firing("NoEndpoint", "fanduel", "_x60 1x67 stale"),
        ],
        alert_rule_test: Array.from({ length: 30 }, (_, n) => tells(alert, 1800 + n * 60)),
      },
      {
        name: "it has paged for so long, and no longer; what waits has not, nor has another one's",
        input_series: [
          ...lines,
          firing("Tripped", "draftkings", `1x${fired} stale`),
          ...["fanduel", "bet365"].map((one) => ({
            series: trippedOf(values, one),
            values: swinging,
          })),
          firing("Tripped", "fanduel", `1x${steps}`, { alertstate: "pending" }),
          firing("StuckOpen", "fanduel", `1x${steps}`),
          firing("Tripped", "bet365", `1x${steps}`, { cluster: "west" }),
          firing("Tripped", "bet365", `1x${steps}`, { namespace: "staging" }),
        ],
        promql_expr_test: [
          isFiring(alert, fired * STEP + window + 300 - STEP, [], { bookmaker: "draftkings" }),
          isFiring(alert, fired * STEP + window + 300, [labels], { bookmaker: "draftkings" }),
          ...["fanduel", "bet365"].map((bookmaker) =>
            isFiring(alert, full, [{ ...labels, bookmaker }], { bookmaker }),
          ),
        ],
      },
      {
        name: "one that is closed most of the time is flapping at most",
        input_series: ((rare) => [
          { series: trippedOf(values, "draftkings"), values: rare.tripped },
          { series: tripsOf(), values: rare.trips },
        ])(swings(Math.floor(turn * share * 0.8))),
        alert_rule_test: [window, full, full + window / 2].map((seconds) => tells(alert, seconds)),
      },
    ],
  };
}

/** How long more than `share` of the window is left of what was on for so many steps. */
function openLag(onSteps: number, windowSteps: number, share: number): number {
  let off = 0;
  const isMost = (n: number): boolean =>
    Math.min(onSteps, windowSteps - n) / Math.min(onSteps + n, windowSteps) > share;
  while (isMost(off + 1)) off += 1;
  return off * STEP;
}
