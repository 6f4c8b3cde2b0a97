// The table of the model: every scenario before every guard, three seeds averaged, and the bars that ours
// must hold. Deterministic on a runtime: chance is seeded and time virtual.

import { COLUMNS } from "./columns.ts";
import { play, type Tally } from "./run.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";

export const SEEDS = [1, 2, 3] as const;
export type ColumnName = keyof typeof COLUMNS;
export const COLUMN_NAMES = Object.keys(COLUMNS) as ColumnName[];

/** Least or most of what ours may come to. Shares in percent. */
export interface Bar {
  readonly goodput?: number;
  readonly timeouts?: number;
  readonly top?: number;
  readonly admitted?: number;
  readonly p99Ms?: number;
}

export const BARS: Readonly<Record<string, Bar>> = {
  S1: { goodput: 97, timeouts: 0, top: 95 },
  S2: { goodput: 97, timeouts: 0, top: 38 },
  // Of the top tier, 83 % fit.
  S3: { goodput: 97, timeouts: 0, top: 80 },
  S4: { goodput: 82, timeouts: 25, top: 76 },
  // Of the calls of the five seconds before the hang is seen, those then in flight are lost: once.
  S5: { goodput: 97, timeouts: 60 },
  S6: { goodput: 97, timeouts: 0, top: 95 },
  S7: { admitted: 97 },
  S8: { goodput: 87 },
  S9: { goodput: 95 },
  SA: { timeouts: 0, p99Ms: 300 },
};

/** The mean of the seeds. */
export function average(scenario: Scenario, column: ColumnName): Tally {
  const tallies = SEEDS.map((seed) => play(scenario, COLUMNS[column], seed));
  const mean = (of: (tally: Tally) => number): number =>
    tallies.reduce((sum, tally) => sum + of(tally), 0) / tallies.length;
  return {
    goodput: mean(({ goodput }) => goodput),
    admitted: mean(({ admitted }) => admitted),
    timeouts: mean(({ timeouts }) => timeouts),
    timeoutsAtFirst: mean(({ timeoutsAtFirst }) => timeoutsAtFirst),
    topServed: mean(({ topServed }) => topServed),
    p99Ms: mean(({ p99Ms }) => p99Ms),
    p50Ms: mean(({ p50Ms }) => p50Ms),
    offered: mean(({ offered }) => offered),
  };
}

/** One line of the table. */
export function row(column: ColumnName, tally: Tally): string {
  const { goodput, admitted, timeouts, timeoutsAtFirst, topServed, p50Ms, p99Ms } = tally;
  const name = column === "ours" ? "**ours**" : column;
  const cells = [
    name,
    ...[goodput, admitted, topServed].map((share) => (100 * share).toFixed(1)),
    ...[timeouts, timeoutsAtFirst, p50Ms, p99Ms].map((number) => number.toFixed(0)),
  ];
  return `| ${cells.join(" | ")} |`;
}

export function page(): string {
  const parts = SCENARIOS.map((scenario) => {
    const rows = COLUMN_NAMES.map((column) => row(column, average(scenario, column)));
    return [
      `## ${scenario.name}`,
      `${scenario.about}.`,
      [
        "| | goodput % | admitted % | top tier served % | timeouts | in the first second | p50 ms | p99 ms |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
        ...rows,
      ].join("\n"),
    ].join("\n\n");
  });
  return `<!-- Written by \`npm run overload-model\`, a minute. -->

# Overload, modelled

What stands between callers and an upstream of finite capacity, and what comes of it. The model is a discrete-event one:
so many workers, one queue without end in arrival order, log-normal service times (σ 0.5), and work that its caller has
given up is done all the same. Callers wait for 1 s; a tenth of the calls are of the most critical tier, 30 % of the
next, 60 % of the third. Ten seconds at the base rate come first. Means of the seeds ${SEEDS.join(", ")}.

**Ours** is the shipped limiter with its defaults, told the time, with the line in which calls of the most critical tier
wait for room; their wait counts in their latency. **Breaker** is the shipped sliding window (50 % over
10 s) alone; the **fixed cap** is the shipped limiter held at 40, with its line. **AIMD** (20–200) and **Gradient2** are written anew
from what is published, with default parameters: a ranking of mechanisms, not of products. They know no tiers.

Goodput is what was served in time, of what was asked for and could be served; it can exceed 100 % by chance.
Timeouts are calls that were let in and were not back in time. p50 and p99 are those of calls that were served.

${parts.join("\n\n")}
`;
}
