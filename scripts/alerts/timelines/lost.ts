// CircuitBreakerStateLost: garbage in a database at a start, and the breakers whose trips went with it.

import { secondsOf, type Values } from "../values.ts";
import { links, NAMESPACE, series, TWO } from "./subject.ts";
import { at, isFiring, tells, type Labels, type TestCase, type TimelineFile } from "./timeline.ts";

type Input = TestCase["input_series"][number];

const ALERT = "CircuitBreakerStateLost";
const LOST = "namespace_bookmaker:circuit_breaker_tripped:lost";
const STEP = 15;
const LABELS = { severity: "critical", namespace: NAMESPACE };

/** The step of the start that finds garbage, and the second it is. */
const START = 40;
const S = START * STEP;

/** How long after it a trip is told of, and for how long the page stays then. */
const TOLD = 600;
const KEEP = 1200;

/** Which breakers are told of at this second, and in which cluster. */
function lists(seconds: number, bookmakers: readonly string[], more: Labels = {}): object {
  return {
    expr: LOST,
    eval_time: at(seconds),
    exp_samples: bookmakers.map((bookmaker) => {
      const all = Object.entries({ ...more, namespace: NAMESPACE, bookmaker });
      return {
        labels: `${LOST}{${all.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(",")}}`,
        value: 1,
      };
    }),
  };
}

/**
 * `[40, 1]` begins at step 40 and finds its database broken, `[40, 0]` finds it well; `[40, "gone"]` is gone, and
 * `[40, "missed"]` is not asked. What is there again with a third number began at that step.
 */
type Life = readonly (readonly [step: number, found: 0 | 1 | "gone" | "missed", began?: number])[];

const END = 420;

function lifeOf(life: Life, value: (began: number, found: 0 | 1) => number): string {
  return life
    .map(([step, found, began = step], n) => {
      const steps = (life[n + 1]?.[0] ?? Math.max(END, step + 80)) - step;
      if (found === "missed") return `_x${steps}`;
      if (found === "gone") return `stale _x${steps - 1}`;
      return `${value(began, found)}x${steps - 1}`;
    })
    .join(" ");
}

function recoveredOf(values: Values, life: Life, more: Labels = {}): Input {
  return {
    series: series(values, "circuit_breaker_store_recovered", more),
    values: lifeOf(life, (_, found) => found),
  };
}

/** What a process tells of itself. */
function processOf(values: Values, life: Life, more: Labels = {}, step = STEP): Input[] {
  return [
    {
      series: series(values, "process_start_time_seconds", more),
      values: lifeOf(life, (at) => at * step),
    },
    recoveredOf(values, life, more),
  ];
}

const GARBAGE: Life = [
  [0, 0],
  [START, 1],
];
const WELL: Life = [[0, 0]];

export function stateLost(values: Values): TimelineFile {
  const breaker = (bookmaker: string, tripped: string, more: Labels = {}): Input => ({
    series: series(values, "circuit_breaker_tripped", { bookmaker, ...more }),
    values: tripped,
  });
  const one = processOf(values, GARBAGE);
  const two = processOf(values, WELL, { instance: TWO });
  const held = `1x${START - 1} 0x${END}`;
  const never = `0x${END}`;
  const both = [
    ...one,
    breaker("fanduel", held),
    breaker("draftkings", held),
    breaker("bet365", never),
  ];
  const all = ["draftkings", "fanduel"];
  const gap = secondsOf(values.gap) / STEP;
  return {
    name: ALERT,
    about: "Garbage in a database at a start: one page, with each breaker that was tripped.",
    stepSeconds: STEP,
    tests: [
      {
        name: "fires",
        input_series: both,
        alert_rule_test: [
          tells(ALERT, S + 60, [
            {
              labels: LABELS,
              annotations: {
                summary: `Trips that may be lost with a database of ${NAMESPACE}: 2`,
                description:
                  "A database was found broken and put aside. These breakers were tripped before, and are closed now, maybe reset by nobody: draftkings, fanduel.",
                ...links(values, ALERT),
              },
            },
          ]),
        ],
      },
      {
        name: "does not fire one step before",
        input_series: both,
        alert_rule_test: [tells(ALERT, S + 45), tells(ALERT, S + 59)],
        promql_expr_test: [lists(S - STEP, []), lists(S, all)],
      },
      {
        name: "resolves: twenty minutes after the ten for which it is told of",
        input_series: both,
        promql_expr_test: [
          lists(S + TOLD - STEP, all),
          lists(S + TOLD, []),
          lists(S + TOLD + STEP, []),
          isFiring(ALERT, S + TOLD + KEEP - STEP, [LABELS]),
          isFiring(ALERT, S + TOLD + KEEP, []),
        ],
      },
      {
        name: "one that tripped anew for a moment is told of for as long",
        input_series: [...one, breaker("draftkings", `1x${START} 1x3 0x${END}`)],
        promql_expr_test: [
          lists(S + TOLD - STEP, ["draftkings"]),
          lists(S + TOLD, []),
          lists(S + TOLD + STEP, []),
        ],
      },
      {
        name: "those that trip again within the minute page for themselves, and the others are told of",
        input_series: [
          ...one,
          breaker("draftkings", `1x${START - 1} 0x1 1x${END}`),
          breaker("fanduel", held),
        ],
        promql_expr_test: [lists(S + STEP, all), lists(S + 60, ["fanduel"])],
      },
      {
        name: "where all trip again within the minute there is nothing to tell",
        input_series: [...one, breaker("draftkings", `1x${START - 1} 0x2 1x${END}`)],
        alert_rule_test: [S + 60, S + 120, S + TOLD].map((seconds) => tells(ALERT, seconds)),
      },
      {
        name: "survives a missed scrape: a gap is no zero",
        input_series: [
          ...processOf(values, [
            [0, 0],
            [START, "missed"],
            [START + 3, 1, START],
          ]),
          breaker("draftkings", `1x${START - 1} _x3 0x${END}`),
        ],
        promql_expr_test: [isFiring(ALERT, S + 60 + 3 * STEP, [LABELS])],
      },
      {
        name: "stale marker: the restart itself leaves one, and scrapes fail before and after it",
        input_series: [
          ...processOf(values, [
            [0, 0],
            [START - 2, "gone"],
            [START, 1],
            [START + 6, "gone"],
            [START + 8, 1, START],
          ]),
          breaker("draftkings", `1x${START - 3} stale _x1 0x5 stale _x1 0x${END}`),
        ],
        promql_expr_test: [S + 60, S + 120, S + TOLD].map((seconds) =>
          isFiring(ALERT, seconds, [LABELS]),
        ),
      },
      {
        name: "two replicas that disagree: where one is tripped still, its own page is there still",
        input_series: [
          ...one,
          ...two,
          breaker("draftkings", held),
          breaker("draftkings", `1x${END}`, { instance: TWO }),
        ],
        alert_rule_test: [S + 60, S + 300, S + 1200].map((seconds) => tells(ALERT, seconds)),
      },
      {
        name: "the replica that kept its trip is reset: nothing was lost, but soon after it nobody can tell",
        input_series: [
          ...one,
          ...two,
          breaker("draftkings", `1x${START + gap + 5} 0x${END}`, { instance: TWO }),
          breaker("fanduel", `1x${START + gap + 4} 0x${END}`, { instance: TWO }),
          ...all.map((name) => breaker(name, held)),
        ],
        promql_expr_test: [S + (gap + 5) * STEP, S + TOLD - STEP].map((seconds) =>
          lists(seconds, ["fanduel"]),
        ),
      },
      {
        name: "a pod that moved: the trip is looked for over the gap, and then lost",
        input_series: [
          ...processOf(values, [
            [0, 0],
            [START - 1, "gone"],
          ]),
          breaker("draftkings", `1x${START - 2} stale`),
          ...processOf(
            values,
            [
              [0, "gone"],
              [START, 1],
            ],
            { instance: TWO },
          ),
          breaker("draftkings", `_x${START} 0x${END}`, { instance: TWO }),
        ],
        promql_expr_test: [
          lists(S + (gap - 3) * STEP, []),
          lists(S + (gap - 2) * STEP, ["draftkings"]),
          isFiring(ALERT, S + gap * STEP + 60, [LABELS]),
        ],
      },
      {
        name: "one database after the other, as a deploy goes: the trip that the second one kept is lost with it",
        input_series: [
          ...one,
          ...processOf(
            values,
            [
              [0, 0],
              [START + 2 * gap + 12, 1],
            ],
            { instance: TWO },
          ),
          breaker("draftkings", held),
          breaker("draftkings", `1x${START + 2 * gap + 11} 0x${END}`, { instance: TWO }),
        ],
        promql_expr_test: [
          lists(S + (2 * gap + 11) * STEP, []),
          lists(S + (2 * gap + 12) * STEP, ["draftkings"]),
        ],
      },
      {
        name: "a second database within the hour, and the third at the same address, are told as well",
        input_series: [
          ...processOf(values, [...GARBAGE, [200, 1], [360, 1]]),
          breaker("draftkings", `1x39 0x59 1x99 0x99 1x59 0x${END}`),
        ],
        promql_expr_test: [
          isFiring(ALERT, S + 60, [LABELS]),
          isFiring(ALERT, 200 * STEP, []),
          isFiring(ALERT, 200 * STEP + 60, [LABELS]),
          isFiring(ALERT, 360 * STEP + 15, []),
          isFiring(ALERT, 360 * STEP + 60, [LABELS]),
        ],
      },
      {
        name: "a restart that finds its database well has lost nothing, and takes nothing back that was lost",
        input_series: [
          ...processOf(values, [...GARBAGE, [START + 6, 0], [300, 0]]),
          breaker("draftkings", `1x39 0x200 1x59 0x${END}`),
        ],
        promql_expr_test: [
          lists(S + TOLD - STEP, ["draftkings"]),
          lists(S + TOLD, []),
          lists(300 * STEP, []),
          lists(300 * STEP + 60, []),
        ],
      },
      {
        name: "nor does its end, where another replica tells of the breaker",
        input_series: [
          ...processOf(values, [...GARBAGE, [START + 4, "gone"]]),
          ...two,
          breaker("draftkings", `1x${START - 1} 0x3 stale`),
          breaker("draftkings", never, { instance: TWO }),
        ],
        promql_expr_test: [lists(S + TOLD - STEP, ["draftkings"])],
      },
      {
        name: "a breaker that closes by itself has lost nothing: long after, or tripped anew since",
        input_series: [
          ...one,
          ...processOf(
            values,
            [
              [0, "missed"],
              [START - 10, 1],
            ],
            { instance: TWO },
          ),
          breaker("draftkings", `0x${START + 60} 1x9 0x${END}`),
          breaker("fanduel", `1x${START - 1} 0x1 1x${gap + 8} 0x${END}`),
        ],
        promql_expr_test: [
          lists(S + (gap + 14) * STEP, []),
          lists((START + 71) * STEP, []),
          lists((START + 75) * STEP, []),
        ],
      },
      {
        name: "what was reset before is none; what tripped just before is one for as long",
        input_series: [
          ...processOf(values, [
            [0, 0],
            [100, 1],
          ]),
          breaker("draftkings", `1x39 0x${END}`),
          breaker("fanduel", `0x95 1x3 0x${END}`),
        ],
        promql_expr_test: [100, 134].map((step) => lists(step * STEP, ["fanduel"])),
      },
      {
        name: "the process was away for seventy minutes",
        input_series: [
          ...processOf(values, [
            [0, 0],
            [10, "gone"],
            [290, 1],
          ]),
          breaker("draftkings", `1x9 stale _x279 0x80`),
        ],
        promql_expr_test: [
          lists(289 * STEP, []),
          isFiring(ALERT, 290 * STEP + 60, [LABELS]),
          lists(290 * STEP + TOLD - STEP, ["draftkings"]),
        ],
      },
      {
        name: "Prometheus was away meanwhile",
        input_series: [
          ...processOf(values, [
            [0, 0],
            [START - 2, "missed"],
            [START + 30, 1, START],
          ]),
          breaker("draftkings", `1x${START - 3} _x32 0x${END}`),
        ],
        promql_expr_test: [isFiring(ALERT, S + 30 * STEP + 60, [LABELS])],
      },
      {
        name: "a bookmaker that was taken out of the configuration is none",
        input_series: [
          ...one,
          breaker("draftkings", `1x${START - 1} stale`),
          breaker("bet365", never),
        ],
        promql_expr_test: [S, S + 60, S + gap * STEP, S + 300].map((seconds) => lists(seconds, [])),
      },
      {
        name: "a service that does not tell when it began: the first that it told of it",
        input_series: [
          recoveredOf(values, GARBAGE),
          breaker("draftkings", held),
          breaker("fanduel", `0x${START + 100} 1x9 0x${END}`),
        ],
        promql_expr_test: [
          lists(S, ["draftkings"]),
          lists(S + TOLD - STEP, ["draftkings"]),
          lists(S + TOLD, []),
          lists((START + 111) * STEP, []),
        ],
      },
      {
        name: "each cluster and namespace for itself: its trips and its databases",
        input_series: (
          [
            ["east", GARBAGE, held],
            ["west", WELL, held],
            ["north", GARBAGE, never],
            ["south", [[0, 1]], held],
          ] as const
        ).flatMap(([cluster, life, own]) => {
          const elsewhere = { cluster, namespace: "staging" };
          return [
            processOf(values, life, { cluster }),
            breaker("draftkings", own, { cluster }),
            processOf(values, WELL, elsewhere),
            breaker("draftkings", held, elsewhere),
          ].flat();
        }),
        promql_expr_test: [
          lists(S, ["draftkings"], { cluster: "east" }),
          isFiring(ALERT, S + 60, [{ ...LABELS, cluster: "east" }]),
          isFiring(ALERT, S + 300, [{ ...LABELS, cluster: "east" }]),
        ],
      },
      {
        name: "another program's start, database and trips are none of ours",
        input_series: [
          // Ours began long ago, with a broken database; another at its address began now.
          ...processOf(values, [[0, 1]]),
          ...processOf(values, GARBAGE, { job: "other" }),
          breaker("draftkings", `0x${START - 10} 1x9 0x${END}`),
          // Ours began now, with one that is well; another at its address has a broken one.
          ...processOf(
            values,
            [
              [0, 0],
              [START, 0],
            ],
            { instance: TWO },
          ),
          recoveredOf(values, GARBAGE, { instance: TWO, job: "other" }),
          // None of ours is at this address.
          recoveredOf(values, GARBAGE, { instance: "10.0.0.3:9464", job: "other" }),
          breaker("x", held, { job: "other" }),
        ],
        promql_expr_test: [lists(S, []), lists(S + 60, []), lists(S + 300, [])],
      },
      {
        name: "absent series: nothing to tell",
        input_series: [],
        alert_rule_test: [tells(ALERT, 0), tells(ALERT, 600)],
      },
    ],
  };
}

/** Days of steps: these are long ones. */
const LONG_STEP = 300;

export function stateLostForDays(values: Values): TimelineFile {
  const steps = secondsOf(values.missedFor) / LONG_STEP;
  const cases = [
    ["missed for so long", 0.6, ["draftkings"]],
    ["away for longer than that: nobody knows", 1.3, []],
  ] as const;
  return {
    name: `${ALERT}-days`,
    about: "A process that was away for long.",
    stepSeconds: LONG_STEP,
    tests: cases.map(([name, part, told]) => {
      const away = Math.ceil(steps * part);
      const life: Life = [
        [0, 0],
        [10, "gone"],
        [10 + away, 1],
      ];
      return {
        name,
        input_series: [
          ...processOf(values, life, {}, LONG_STEP),
          {
            series: series(values, "circuit_breaker_tripped", { bookmaker: "draftkings" }),
            values: `1x9 stale _x${away - 1} 0x80`,
          },
        ],
        promql_expr_test: [lists((10 + away) * LONG_STEP, told)],
      };
    }),
  };
}
