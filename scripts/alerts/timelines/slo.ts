// Budgets: of each bookmaker and of all, of failures and of slowness, at each pace.

import { budget, secondsOf, type Values } from "../values.ts";
import { percentage } from "./quality.ts";
import { links, NAMESPACE, series, TWO } from "./subject.ts";
import {
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
  return values.slo.windows.map((window, at) => {
    const { long, short } = window;
    return {
      name: at === 0 ? ALERT : `${ALERT}-${long}`,
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
      "what is shed does",
      [
        ...load(values, "success", 0),
        ...refused("load_shed", Math.round((calls * success) / (1 - success)) + 1),
      ],
      labelsOf("success", "draftkings"),
    ),
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
