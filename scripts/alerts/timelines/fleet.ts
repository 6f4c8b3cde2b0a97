// Replicas that share a store, and do not know the same orders.

import { secondsOf, type Values } from "../values.ts";
import { warning } from "./breakers.ts";
import { NAMESPACE, ONE, series, TWO } from "./subject.ts";
import {
  calm,
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  type Labels,
  type Line,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const ALERT = "CircuitBreakerFleetSplit";
const STEP = 15;
const BEHIND_SECONDS = 60;
const FOR_SECONDS = 300;
const KEEP_SECONDS = 120;
const FIRES = BEHIND_SECONDS + FOR_SECONDS;
const DK = "draftkings";
const THREE = "10.0.0.3:9464";

/** What a replica tells of its store, unless it is said otherwise. */
interface Health {
  readonly isSynced?: number | "absent";
  readonly isUp?: number;
}

export function fleetSplit(values: Values): TimelineFile {
  const [job = "", otherJob] = values.jobs;
  const version = (instance: string, more: Labels = {}): string =>
    series(values, "switchgear_fleet_order_version", { bookmaker: DK, ...more, instance });
  const tripped = (instance: string, more: Labels = {}): string =>
    series(values, "circuit_breaker_tripped", { bookmaker: DK, ...more, instance });
  const synced = (instance: string, more: Labels = {}): string =>
    series(values, "switchgear_fleet_synced", { ...more, instance });
  const up = (instance: string, more: Labels = {}): string =>
    series(values, "switchgear_store_up", { ...more, instance });
  const store = (instance: string, { isSynced = 1, isUp = 1 }: Health = {}, more: Labels = {}) => [
    gauge(synced(instance, more), isSynced, isSynced),
    gauge(up(instance, more), isUp, isUp),
  ];
  const knows = (instance: string, on: number, off = on, health: Health = {}): Line[] => [
    gauge(version(instance), on, off),
    ...store(instance, health),
  ];

  const both = [...knows(ONE, 5), ...knows(TWO, 3, 5)];
  const labels = { severity: "warning", namespace: NAMESPACE, job, bookmaker: DK };
  const { firing } = warning(
    values,
    ALERT,
    [
      "Replicas know different orders about draftkings",
      `For 5 minutes some replicas of ${job} have not known an order about draftkings that others know, and each says that its store works.`,
    ],
    { namespace: NAMESPACE, job, bookmaker: DK },
  );
  const gap = secondsOf(values.gap);
  const long = FIRES / STEP + 8;
  const quiet = (name: string, lines: readonly Line[]): TestCase => ({
    name,
    input_series: inputs(lines, times("on", long)),
    alert_rule_test: [tells(ALERT, FIRES), tells(ALERT, FIRES + 4 * STEP)],
  });
  const fires = (name: string, lines: readonly Line[]): TestCase => ({
    name,
    input_series: inputs(lines, times("on", long)),
    promql_expr_test: [
      isFiring(ALERT, FIRES - STEP, []),
      isFiring(ALERT, FIRES, [labels]),
      isFiring(ALERT, FIRES + 4 * STEP, [labels]),
    ],
  });
  /** Of two whose orders come at every scrape, the other so many behind. */
  const behind = (orders: number, isTold: boolean): TestCase => ({
    name: `orders at every scrape: ${orders} of them are ${isTold ? "more" : "no more"} than a minute`,
    input_series: [
      { series: version(ONE), values: `10+1x${long}` },
      { series: version(TWO), values: `${10 - orders}+1x${long}` },
      ...inputs([...store(ONE), ...store(TWO)], times("on", long)),
    ],
    promql_expr_test: [isFiring(ALERT, FIRES, isTold ? [labels] : [])],
  });
  /** `gone` ends while all else goes on. What it says counts for as long as the gap. */
  const ends = (name: string, others: readonly Line[], gone: Line): TestCase => ({
    name: `${name} counts for as long as the gap`,
    input_series: [
      ...inputs(others, times("on", 2 * long)),
      ...inputs([gone], times("on", long, "stale", 1)),
    ],
    promql_expr_test: [
      isFiring(ALERT, (long - 1) * STEP + gap + KEEP_SECONDS - STEP, [labels]),
      isFiring(ALERT, (long - 1) * STEP + gap + KEEP_SECONDS, []),
    ],
  });
  const [synced2, up2] = store(TWO) as [Line, Line];
  const fleetOf = (other: Labels): Line[] => [
    gauge(version(TWO, other), 3),
    ...store(TWO, {}, other),
  ];

  return {
    name: ALERT,
    about: "One replica knows an order, and another that says it is well does not.",
    stepSeconds: STEP,
    tests: [
      ...questions({
        alert: ALERT,
        gapSeconds: gap,
        stepSeconds: STEP,
        delaySeconds: BEHIND_SECONDS,
        forSeconds: FOR_SECONDS,
        keepSeconds: KEEP_SECONDS,
        lines: both,
        firing,
        disagreeing: { says: "that is the alert", lines: both, firing: [labels] },
      }),
      fires("one that knows no order knows an older one, be it tripped or not", [
        ...knows(ONE, 1),
        gauge(tripped(ONE), 1),
        gauge(tripped(TWO), 1),
        ...store(TWO),
      ]),
      fires("two that disagree, and a third whose store is away", [
        ...both,
        ...knows(THREE, 1, 1, { isUp: 0 }),
      ]),
      quiet("of one whose store is away SwitchgearStoreDown tells", [
        ...knows(ONE, 5),
        ...knows(TWO, 3, 3, { isUp: 0 }),
      ]),
      quiet("one that has not read its store yet knows nothing, and says so", [
        ...knows(ONE, 5),
        gauge(tripped(TWO), 0),
        ...store(TWO, { isSynced: 0 }),
        ...knows(THREE, 3, 3, { isSynced: 0 }),
      ]),
      quiet("a bookmaker that some have and others have not; nobody has ordered anything", [
        ...knows(ONE, 5),
        ...store(TWO),
        gauge(tripped(TWO, { bookmaker: "fanduel" }), 1),
        gauge(tripped(THREE, { bookmaker: "fanduel" }), 0),
        ...store(THREE),
      ]),
      quiet("a replica with a database of its own is of no fleet", [
        ...knows(ONE, 5),
        gauge(tripped(TWO), 0),
        ...store(TWO, { isSynced: "absent" }),
      ]),
      quiet("what is beyond the bound on series is something else on each", [
        gauge(version(ONE, { bookmaker: "__overflow__" }), 5),
        gauge(version(TWO, { bookmaker: "__overflow__" }), 4),
        gauge(tripped(TWO, { bookmaker: "__overflow__" }), 1),
        ...store(ONE),
        ...store(TWO),
      ]),
      quiet("fleets of two namespaces, clusters or programs need not agree, nor two bookmakers", [
        ...knows(ONE, 5),
        ...[
          { namespace: "staging" },
          { cluster: "west" },
          { job: "other" },
          ...(otherJob === undefined ? [] : [{ job: otherJob }]),
        ].flatMap(fleetOf),
        gauge(version(ONE, { bookmaker: "fanduel" }), 2),
      ]),
      ...[1, 3, 4].map((orders) => behind(orders, false)),
      behind(5, true),
      {
        name: "a replica that begins reads its store first; one that was gone before an order has no say after the gap",
        input_series: [
          ...inputs(store(ONE), times("on", 20, "stale", 1)),
          ...inputs(store(TWO), times("on", 100)),
          { series: version(ONE), values: "3x19 stale" },
          { series: version(TWO), values: "3x19 4x80" },
          { series: synced(THREE), values: "_x21 0x1 1x80" },
          { series: up(THREE), values: "_x21 0x1 1x80" },
          { series: tripped(THREE), values: "_x21 0x80" },
          { series: version(THREE), values: "_x23 4x80" },
        ],
        alert_rule_test: [600, 660, 720, 900].map((seconds) => tells(ALERT, seconds)),
      },
      ends("the version that is gone", [...knows(ONE, 5), ...store(TWO)], gauge(version(TWO), 3)),
      ends(
        "a breaker that is gone, and had no order,",
        [...knows(ONE, 5), ...store(TWO)],
        gauge(tripped(TWO), 0),
      ),
      ends(
        "that a store works, and is no longer told of,",
        [...knows(ONE, 5), gauge(version(TWO), 3), synced2],
        up2,
      ),
      ends(
        "that it was read, and is no longer told of,",
        [...knows(ONE, 5), gauge(version(TWO), 3), up2],
        synced2,
      ),
      {
        name: "the store of the one that was behind is away: it is over",
        input_series: [
          ...inputs(calm(both).slice(0, 3), times("on", 2 * long)),
          { series: version(TWO), values: `3x${2 * long}` },
          { series: synced(TWO), values: `1x${2 * long}` },
          { series: up(TWO), values: `1x${long - 1} 0x${long}` },
        ],
        promql_expr_test: [
          isFiring(ALERT, long * STEP + KEEP_SECONDS - STEP, [labels]),
          isFiring(ALERT, long * STEP + KEEP_SECONDS, []),
        ],
      },
    ],
  };
}
