// Budgets: of each bookmaker and of all, of failures and of slowness, at each pace.

import { budget, secondsOf, type Values } from "../values.ts";
import { percentage } from "./quality.ts";
import { links, NAMESPACE, series, TWO } from "./subject.ts";
import {
  at,
  counter,
  inputs,
  isFiring,
  questions,
  times,
  twice,
  type Firing,
  type Labels,
  type Line,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const ALERT = "SwitchgearErrorBudgetBurn";

type Kind = "success" | "latency";
type Window = Values["slo"]["windows"][number];

export function budgets(values: Values): readonly TimelineFile[] {
  return values.slo.windows.map((window, index) => {
    const { long, short } = window;
    return {
      name: index === 0 ? ALERT : `${ALERT}-${long}`,
      about: `The pace of ${long} and ${short}. A bookmaker's budget, and that of all.`,
      stepSeconds: stepOf(window),
      rules: ["slo.yml"],
      tests: [...asked(values, window, "success"), ...particular(values, window)],
    };
  });
}

/** At least five steps in the short window, and whole ones in the wait. */
function stepOf({ short, for: wait }: Window): number {
  const common = gcd(secondsOf(short), secondsOf(wait));
  for (let parts = 1; ; parts += 1) {
    if (common % parts === 0 && (secondsOf(short) * parts) / common >= 5) return common / parts;
  }
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** More than the pace, and less than the next faster one's. */
function badShare(values: Values, window: Window, kind: Kind): number {
  const most = window.factor * budget(values.slo[kind].objective);
  return Number(Math.min(most * 1.05, (most + 1) / 2).toPrecision(4));
}

/** A share that only just is none; the tests' own share is a little more than the pace. */
function below(values: Values, window: Window, kind: Kind): number {
  return window.factor * budget(values.slo[kind].objective) * 0.97;
}

/** Enough that the worst of them is a small part. */
const FLEET = Array.from({ length: 20 }, (_, n) => `f${n}`);

function fleet(values: Values, bad: number): Line[] {
  return FLEET.flatMap((bookmaker) => load(values, "success", bad, { bookmaker }));
}

interface Load {
  readonly bookmaker?: string;
  /** In a step. */
  readonly calls?: number;
  readonly more?: Labels;
}

function callsOf(values: Values): number {
  // Many enough that a share of them is whole, and that one step says something.
  return Math.max(20_000, values.slo.callsMin * 10);
}

/** Calls of which a share is bad while the condition holds, and none else. */
function load(values: Values, kind: Kind, bad: number, given: Load = {}): Line[] {
  const { bookmaker = "draftkings", calls = callsOf(values), more = {} } = given;
  const of = { bookmaker, operation: "odds", ...more };
  const failed = Math.round(calls * bad);
  const requests = (outcome: string, on: number, off: number): Line =>
    counter(series(values, "switchgear_requests_total", { ...of, outcome }), on, off);
  if (kind === "success") {
    return [
      requests("ok", calls - failed, calls),
      requests("failed", Math.floor(failed / 2), 0),
      requests("timeout", Math.ceil(failed / 2), 0),
    ];
  }
  const { seconds } = values.slo.latency;
  const bucket = (le: string, on: number, off: number): Line =>
    counter(
      series(values, "switchgear_request_duration_seconds_bucket", { ...of, outcome: "ok", le }),
      on,
      off,
    );
  const count = series(values, "switchgear_request_duration_seconds_count", {
    ...of,
    outcome: "ok",
  });
  return [
    requests("ok", calls, calls),
    counter(count, calls, calls),
    // As Prometheus 3 stores it.
    bucket(Number.isInteger(seconds) ? `${seconds}.0` : String(seconds), calls - failed, calls),
    bucket("0.005", 0, 0),
    bucket("+Inf", calls, calls),
  ];
}

function firingOf(
  values: Values,
  window: Window,
  slo: Kind,
  share: number,
  bookmaker?: string,
): Firing {
  const { long, short, factor, severity } = window;
  const where = bookmaker === undefined ? {} : { bookmaker };
  const how =
    slo === "latency" ? `took longer than ${values.slo.latency.seconds} s` : "failed or were shed";
  const allowed = Number((budget(values.slo[slo].objective) * 100).toPrecision(4));
  return {
    labels: { severity, window: long, slo, namespace: NAMESPACE, ...where },
    annotations: {
      summary: `${bookmaker ?? NAMESPACE} burns its ${slo} budget ${factor} times too fast`,
      description: `${percentage(share)} of the calls of the last ${long} ${how}, and no fewer of the last ${short}${bookmaker === undefined ? ", without the worst bookmaker's" : ""}; the objective allows ${allowed} %.`,
      ...links(values, ALERT, { namespace: NAMESPACE, bookmaker: bookmaker ?? "" }),
    },
  };
}

/** Seconds for which both windows still hold more than the pace, after so many steps of it. */
function lagOf(values: Values, window: Window, kind: Kind, share: number, onSteps: number): number {
  const most = window.factor * budget(values.slo[kind].objective);
  const step = stepOf(window);
  const inWindow = (length: string, off: number): number => {
    const intervals = Math.min(secondsOf(length) / step - 1, onSteps - 1 + off);
    return (share * Math.max(0, intervals - off)) / intervals;
  };
  let off = 0;
  const holds = (): boolean =>
    inWindow(window.short, off + 1) > most + 1e-9 && inWindow(window.long, off + 1) > most + 1e-9;
  while (holds()) off += 1;
  return off * step;
}

function asked(values: Values, window: Window, kind: Kind): TestCase[] {
  const stepSeconds = stepOf(window);
  const share = badShare(values, window, kind);
  const forSeconds = secondsOf(window.for);
  const firing = firingOf(values, window, kind, share, "draftkings");
  const onSteps = Math.ceil((stepSeconds + forSeconds) / stepSeconds) + 8;
  // Both replicas' calls are added up: of one that is well, the share of all is no burn.
  const half = (more: Labels, bad: number): Line[] => load(values, kind, bad, { more });
  return questions({
    alert: ALERT,
    variant: window.long,
    stepSeconds,
    forSeconds,
    keepSeconds: Math.ceil(300 / stepSeconds) * stepSeconds,
    delaySeconds: stepSeconds,
    lagSeconds: lagOf(values, window, kind, share, onSteps),
    lossOf: 2,
    lines: load(values, kind, share),
    firing,
    only: { window: window.long },
    disagreeing: {
      says: "their calls are added up",
      lines: [...half({}, share), ...half({ instance: TWO }, 0)],
      firing: [],
    },
  });
}

/**
 * Just at and just below what is asked, which no calls that are counted would meet: as if it were recorded so.
 * Of each bookmaker one thing is less than the others.
 */
function edges(values: Values, window: Window): TestCase {
  const { long, short, factor } = window;
  const forSeconds = secondsOf(window.for);
  const { callsMin } = values.slo;
  // With this many, a share of them is their quotient to the last bit.
  const many = 2 ** Math.ceil(Math.log2(callsMin + 1));
  const pace = factor * budget(values.slo.success.objective);
  const [exactly, under, over] = [pace, pace * 0.97, (pace + 1) / 2];
  const of = (
    bookmaker: string,
    inLong: number,
    inShort: number,
    calls = many,
  ): TestCase["input_series"] =>
    (
      [
        ["bad", long, inLong * calls],
        ["calls", long, calls],
        ["bad", short, inShort * calls],
        ["calls", short, calls],
      ] as const
    ).map(([name, length, value]) => ({
      series: `switchgear_slo:${name}:increase${length}{slo="success",namespace="${NAMESPACE}",bookmaker="${bookmaker}"}`,
      values: `${value}x${forSeconds / stepOf(window) + 2}`,
    }));
  return {
    name: `what is exactly at the pace, or has one call too few, burns nothing, ${long}`,
    input_series: [
      of("over", over, over),
      of("enough", over, over, callsMin),
      of("few", over, over, callsMin - 1),
      of("long-exactly", exactly, over),
      of("long-under", under, over),
      of("short-exactly", over, exactly),
      of("short-under", over, under),
      // So many that all together are well.
      of("rest", 0, 0, many * Math.ceil(10 / pace)),
    ].flat(),
    promql_expr_test: [
      isFiring(
        ALERT,
        forSeconds + stepOf(window),
        ["over", "enough"].map(
          (bookmaker) => firingOf(values, window, "success", 0, bookmaker).labels,
        ),
        { window: long },
      ),
    ],
  };
}

function particular(values: Values, window: Window): TestCase[] {
  const stepSeconds = stepOf(window);
  const only = { window: window.long };
  const steps = Math.ceil(secondsOf(window.for) / stepSeconds) + 6;
  const end = (steps - 1) * stepSeconds;
  const success = badShare(values, window, "success");
  const slow = badShare(values, window, "latency");
  const labelsOf = (slo: Kind, ...bookmakers: (string | undefined)[]): Labels[] =>
    bookmakers.map((bookmaker) => firingOf(values, window, slo, 0, bookmaker).labels);
  const on = (name: string, lines: readonly Line[], firing: readonly Labels[]): TestCase => ({
    name: `${name}, ${window.long}`,
    input_series: inputs(lines, times("on", steps)),
    promql_expr_test: [isFiring(ALERT, end, firing, only)],
  });
  /** Of each bookmaker, so that all without one have so many times the pace; each one's own is above it. */
  const fleetShare = (times: number): number =>
    Math.min(0.99, (times * window.factor * budget(values.slo.success.objective) * 20) / 19);
  const few = Math.floor((values.slo.callsMin - 1) / (steps + 1));
  const many = Math.max(1, Math.round(1 / success) + 1);
  const refused = (reason: string, count: number): Line[] => [
    counter(
      series(values, "circuit_breaker_rejected_total", {
        bookmaker: "draftkings",
        operation: "odds",
        reason,
      }),
      count,
    ),
    counter(
      series(values, "switchgear_requests_total", {
        bookmaker: "draftkings",
        operation: "odds",
        outcome: "refused",
      }),
      count,
    ),
  ];
  const calls = callsOf(values);
  return [
    on(
      "just below the pace it is none, of failures and of slowness",
      [
        ...load(values, "success", below(values, window, "success")),
        ...load(values, "latency", below(values, window, "latency"), { bookmaker: "fanduel" }),
      ],
      [],
    ),
    on("slow answers are a budget of their own", load(values, "latency", slow), [
      ...labelsOf("latency", "draftkings"),
    ]),
    on(
      "one bookmaker of many fails, and all together do not",
      [
        ...load(values, "success", success),
        ...Array.from({ length: many }, (_, n) =>
          load(values, "success", 0, { bookmaker: `b${n}` }),
        ).flat(),
      ],
      labelsOf("success", "draftkings"),
    ),
    {
      name: `many fail, and so do all together, ${window.long}`,
      input_series: inputs(fleet(values, fleetShare(1.05)), times("on", steps)),
      promql_expr_test: [isFiring(ALERT, end, labelsOf("success", undefined, ...FLEET), only)],
    },
    {
      name: `many fail, and all but the worst only just do not, ${window.long}`,
      input_series: inputs(fleet(values, fleetShare(0.97)), times("on", steps)),
      promql_expr_test: [isFiring(ALERT, end, labelsOf("success", ...FLEET), only)],
    },
    on(
      "what a tripped breaker refuses burns nothing",
      [...load(values, "success", 0), ...refused("tripped", calls * 3)],
      [],
    ),
    on(
      "what is over its rate burns nothing: the quota was bought as it is",
      [...load(values, "success", 0), ...refused("rate_limited", calls * 3)],
      [],
    ),
    on(
      "what is shed does",
      [
        ...load(values, "success", 0),
        ...refused("load_shed", Math.round((calls * success) / (1 - success)) + 1),
      ],
      labelsOf("success", "draftkings"),
    ),
    on(
      "what a limiter refuses does, too, of whatever tier and for whatever reason",
      [
        ...load(values, "success", 0),
        ...(["limit", "priority", "no_time"] as const).map((reason) =>
          counter(
            series(values, "switchgear_limit_refused_total", {
              bookmaker: "draftkings",
              criticality: "sheddable",
              reason,
            }),
            Math.round((calls * success) / (1 - success) / 3) + 1,
          ),
        ),
      ],
      labelsOf("success", "draftkings"),
    ),
    edges(values, window),
    on("few calls say nothing", load(values, "success", 1, { calls: few }), []),
    on(
      "another program's calls are none of ours",
      load(values, "success", 1, { more: { job: "other" } }),
      [],
    ),
    on(
      "of each cluster and namespace its own",
      [
        ...load(values, "success", success, { more: { cluster: "east" } }),
        ...load(values, "success", 0, { calls: calls * 50, more: { cluster: "west" } }),
        ...load(values, "success", 0, {
          calls: calls * 50,
          more: { cluster: "east", namespace: "staging" },
        }),
      ],
      labelsOf("success", "draftkings").map((labels) =>
        Object.assign({}, labels, { cluster: "east" }),
      ),
    ),
    {
      name: `counters that begin anew in the middle, ${window.long}`,
      input_series: twice(inputs(load(values, "success", success), times("on", steps))),
      promql_expr_test: [
        isFiring(ALERT, end, labelsOf("success", "draftkings"), only),
        isFiring(ALERT, 2 * end, labelsOf("success", "draftkings"), only),
      ],
    },
    {
      name: `what is over is over: the short window says so, ${window.long}`,
      input_series: inputs(
        load(values, "success", 1),
        times(
          "on",
          steps,
          "off",
          Math.ceil(secondsOf(window.short) / stepSeconds) + Math.ceil(300 / stepSeconds) + 2,
        ),
      ),
      promql_expr_test: [
        isFiring(ALERT, end, labelsOf("success", "draftkings"), only),
        isFiring(
          ALERT,
          end +
            (Math.ceil(secondsOf(window.short) / stepSeconds) + Math.ceil(300 / stepSeconds) + 1) *
              stepSeconds,
          [],
          only,
        ),
      ],
    },
  ];
}

/** What is recorded, itself: cheaper to ask than by way of what alerts on it after hours. */
export function budgetsRecorded(values: Values): TimelineFile {
  const windows = values.slo.windows.flatMap(({ long, short }) => [long, short]);
  const [first = "", ...others] = [...new Set(windows)].toSorted(
    (a, b) => secondsOf(a) - secondsOf(b),
  );
  const parts = partsOf(secondsOf(first));
  return {
    name: "recording-slo",
    about: "What service levels are made of.",
    stepSeconds: secondsOf(first) / parts,
    rules: ["slo.yml"],
    tests: [
      successRecorded(values, first, parts),
      latencyRecorded(values, first, parts),
      ...others.map((window) => labelled(values, window, secondsOf(first) / parts)),
      {
        name: "the budgets",
        input_series: [],
        promql_expr_test: [
          {
            expr: "switchgear_slo:budget",
            eval_time: at(secondsOf(first) / parts),
            exp_samples: (["success", "latency"] as const).map((slo) => ({
              labels: `switchgear_slo:budget{slo="${slo}"}`,
              value: budget(values.slo[slo].objective),
            })),
          },
        ],
      },
    ],
  };
}

/** Five samples in the window, or as few more as make whole seconds. */
function partsOf(seconds: number): number {
  for (let parts = 5; ; parts += 1) if (seconds % parts === 0) return parts;
}

interface Counted {
  readonly name: string;
  readonly labels: Labels;
  /** What the window holds is ten times that, where it has five samples. */
  readonly weight: number;
  /** A process that starts anew within the window: its counter does, too. */
  readonly isReset?: boolean;
}

/** Now faster, now slower, so that half of the window and the double hold another part of the calls. */
function growth(parts: number): number[] {
  // The last ones but one window's add up to two each.
  const inside = [...Array.from({ length: parts - 5 }, () => 2), 1, 1, 5, 1];
  return [...Array.from({ length: 3 * parts }, () => 3), ...inside];
}

function countedInputs(
  values: Values,
  parts: number,
  all: readonly Counted[],
): TestCase["input_series"] {
  return all.map(({ name, labels, weight, isReset = false }) => {
    const grown = growth(parts);
    const started = grown.length - 3;
    let total = 1000 * weight;
    const samples = grown.map((by, step) => {
      if (isReset && step === started) total = 0;
      return (total += by * weight);
    });
    return { series: series(values, name, labels), values: samples.join(" ") };
  });
}

interface Sum {
  readonly where: Labels;
  readonly weight: number;
}

function recordedSums(
  record: string,
  only: Labels,
  parts: number,
  stepSeconds: number,
  sums: readonly Sum[],
): object {
  const wanted = Object.entries(only).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return {
    expr: `round(${record}{${wanted.join(", ")}})`,
    eval_time: at((growth(parts).length - 1) * stepSeconds),
    exp_samples: sums.map(({ where, weight }) => {
      const labels = Object.entries(where).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      return { labels: `{${labels.join(",")}}`, value: weight * 2 * parts };
    }),
  };
}

const OTHER = { job: "other", instance: "10.9.9.9:1" };
const HERE = { namespace: NAMESPACE };
const WEST = { namespace: NAMESPACE, cluster: "west" };
const STAGING = { namespace: "staging" };

function successRecorded(values: Values, window: string, parts: number): TestCase {
  const stepSeconds = secondsOf(window) / parts;
  const counted =
    (name: string, label: string) =>
    (value: string, weight: number, more: Labels = {}, isReset = false): Counted => ({
      name,
      labels: { bookmaker: "draftkings", operation: "odds", [label]: value, ...more },
      weight,
      isReset,
    });
  const requests = counted("switchgear_requests_total", "outcome");
  const rejected = counted("circuit_breaker_rejected_total", "reason");
  const limited = counted("switchgear_limit_refused_total", "reason");
  const slo = { slo: "success" };
  const bad = `switchgear_slo:bad:increase${window}`;
  const calls = `switchgear_slo:calls:increase${window}`;
  const draftkings = { bookmaker: "draftkings", ...slo };
  const fanduel = { bookmaker: "fanduel", ...slo };
  const pinnacle = { bookmaker: "pinnacle", ...slo };
  return {
    name: "what was called and what was bad of it, of each bookmaker and of all, over all replicas and operations",
    input_series: countedInputs(values, parts, [
      requests("ok", 40),
      requests("failed", 2),
      requests("timeout", 3, {}, true),
      requests("refused", 100),
      rejected("load_shed", 11, {}, true),
      rejected("tripped", 100),
      rejected("rate_limited", 100),
      limited("limit", 17, { criticality: "critical" }, true),
      limited("priority", 31, { criticality: "sheddable", instance: TWO }),
      limited("limit", 3000, OTHER),
      requests("ok", 60, { instance: TWO }, true),
      requests("failed", 5, { instance: TWO }),
      rejected("load_shed", 13, { instance: TWO }),
      requests("failed", 7, { operation: "markets" }, true),
      requests("failed", 1000, OTHER),
      rejected("load_shed", 2000, OTHER),
      requests("ok", 50, { bookmaker: "fanduel" }),
      requests("failed", 29, { bookmaker: "fanduel" }),
      requests("timeout", 30, { bookmaker: "pinnacle" }),
      requests("ok", 4, WEST),
      requests("failed", 19, WEST),
      requests("failed", 23, STAGING),
    ]),
    promql_expr_test: [
      recordedSums(bad, slo, parts, stepSeconds, [
        { where: { ...HERE, ...draftkings }, weight: 89 },
        { where: { ...HERE, ...fanduel }, weight: 29 },
        { where: { ...HERE, ...pinnacle }, weight: 30 },
        { where: { ...WEST, ...draftkings }, weight: 19 },
        { where: { ...STAGING, ...draftkings }, weight: 23 },
        // The worst one's is its own.
        { where: { ...HERE, ...slo }, weight: 59 },
        { where: { ...WEST, ...slo }, weight: 0 },
        { where: { ...STAGING, ...slo }, weight: 0 },
      ]),
      recordedSums(calls, slo, parts, stepSeconds, [
        { where: { ...HERE, ...draftkings }, weight: 189 },
        { where: { ...HERE, ...fanduel }, weight: 79 },
        { where: { ...HERE, ...pinnacle }, weight: 30 },
        { where: { ...WEST, ...draftkings }, weight: 23 },
        { where: { ...STAGING, ...draftkings }, weight: 23 },
        { where: { ...HERE, ...slo }, weight: 298 },
        { where: { ...WEST, ...slo }, weight: 23 },
        { where: { ...STAGING, ...slo }, weight: 23 },
      ]),
    ],
  };
}

function latencyRecorded(values: Values, window: string, parts: number): TestCase {
  const stepSeconds = secondsOf(window) / parts;
  const { seconds } = values.slo.latency;
  const le = Number.isInteger(seconds) ? `${seconds}.0` : String(seconds);
  /** So many calls, of which so many were in time. */
  const answered = (
    count: number,
    inTime: number,
    more: Labels = {},
    isReset = false,
  ): Counted[] => {
    const labels = { bookmaker: "draftkings", operation: "odds", outcome: "ok", ...more };
    const bucket = (edge: string, weight: number): Counted => ({
      name: "switchgear_request_duration_seconds_bucket",
      labels: { ...labels, le: edge },
      weight,
      isReset,
    });
    return [
      { name: "switchgear_request_duration_seconds_count", labels, weight: count, isReset },
      bucket("0.005", 1),
      bucket(le, inTime),
      bucket("+Inf", count),
    ];
  };
  const slo = { slo: "latency" };
  const sums = (of: (sums: readonly [calls: number, inTime: number]) => number): Sum[] =>
    (
      [
        [{ ...HERE, bookmaker: "draftkings", ...slo }, [59, 26]],
        [{ ...HERE, bookmaker: "fanduel", ...slo }, [8, 3]],
        [{ ...WEST, bookmaker: "draftkings", ...slo }, [7, 5]],
        [{ ...STAGING, bookmaker: "draftkings", ...slo }, [6, 2]],
      ] as const
    ).map(([where, counts]) => ({ where, weight: of(counts) }));
  const bad = `switchgear_slo:bad:increase${window}`;
  const calls = `switchgear_slo:calls:increase${window}`;
  return {
    name: "what was answered and how much of it too late, over all replicas and operations",
    input_series: countedInputs(
      values,
      parts,
      [
        answered(20, 12, {}, true),
        answered(30, 10, { instance: TWO }),
        answered(9, 4, { operation: "markets" }),
        answered(500, 100, { outcome: "failed" }),
        answered(1000, 200, OTHER),
        answered(8, 3, { bookmaker: "fanduel" }),
        answered(7, 5, WEST),
        answered(6, 2, STAGING),
      ].flat(),
    ),
    promql_expr_test: [
      recordedSums(bad, slo, parts, stepSeconds, [
        ...sums(([all, inTime]) => all - inTime),
        { where: { ...HERE, ...slo }, weight: 5 },
        { where: { ...WEST, ...slo }, weight: 0 },
        { where: { ...STAGING, ...slo }, weight: 0 },
      ]),
      recordedSums(calls, slo, parts, stepSeconds, [
        ...sums(([all]) => all),
        { where: { ...HERE, ...slo }, weight: 67 },
        { where: { ...WEST, ...slo }, weight: 7 },
        { where: { ...STAGING, ...slo }, weight: 6 },
      ]),
    ],
  };
}

/** The windows differ in nothing but their length: of the others only who is told apart. */
function labelled(values: Values, window: string, stepSeconds: number): TestCase {
  const end = 6;
  return {
    name: `the same of ${window}`,
    input_series: inputs(
      [...load(values, "success", 0.5), ...load(values, "latency", 0.5, { bookmaker: "fanduel" })],
      times("on", end + 1),
    ),
    promql_expr_test: ["bad", "calls"].map((name) => ({
      expr: `group by (slo, bookmaker) (switchgear_slo:${name}:increase${window})`,
      eval_time: at(end * stepSeconds),
      exp_samples: [
        '{slo="success"}',
        '{slo="latency"}',
        '{slo="success",bookmaker="draftkings"}',
        '{slo="latency",bookmaker="fanduel"}',
        // Its calls are counted there, too, and none of them is bad.
        '{slo="success",bookmaker="fanduel"}',
      ]
        .filter((labels) => name === "calls" || !labels.endsWith('"success",bookmaker="fanduel"}'))
        .map((labels) => ({ labels, value: 1 })),
    })),
  };
}
