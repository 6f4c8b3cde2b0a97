// A load test of loadtest/ beside what the gateway says of it: k6 writes its series to Prometheus itself.

import type { Board } from "../lib/board.ts";
import { BAD, GOOD, SERVED, TRYING, WARNING } from "../lib/colours.ts";
import { OUTCOME_COLOURS, TIER_COLOURS, TRIPPED } from "../lib/meanings.ts";
import { BOOKMAKER, BY, CLUSTER, JOB, NAMESPACE } from "../lib/selectors.ts";

const RUN = `testrun_name=~"$testrun", bookmaker=~"$bookmaker"`;
const RUN_ALONE = `testrun_name=~"$testrun"`;
const quantile = (share: number): string =>
  `histogram_quantile(${share}, sum by (le, bookmaker) (rate(switchgear_request_duration_seconds_bucket{${BOOKMAKER}, outcome="ok"}[$__rate_interval])))`;

export const loadTest: Board = {
  page: "load-test",
  title: "Super Bowl load test",
  description: "What k6 sent and got, and what the gateway did meanwhile, on one axis of time.",
  from: "now-15m",
  refresh: "5s",
  choices: [
    CLUSTER,
    NAMESPACE,
    JOB,
    {
      label: "testrun",
      title: "Run",
      all: ".+",
      query: "label_values(k6_call_ms_count, testrun_name)",
    },
    {
      label: "bookmaker",
      title: "Bookmaker",
      all: ".+",
      query: "label_values(k6_call_ms_count, bookmaker)",
    },
  ],
  rows: [
    {
      title: "Was the load delivered?",
      panels: [
        {
          kind: "stat",
          title: "Calls that could not be made",
          description: "Due calls for which k6 had no virtual user. With any the run says nothing.",
          unit: "none",
          width: 6,
          noData: "none",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [{ expr: `sum(k6_dropped_iterations_total{${RUN_ALONE}})`, legend: "not made" }],
        },
        {
          kind: "stat",
          title: "How late calls began",
          description:
            "99th percentile. Above 10 ms k6's machine is too small; above 100 ms there is no verdict.",
          unit: "ms",
          width: 6,
          noData: "no run",
          steps: [{ color: GOOD }, { from: 10, color: WARNING }, { from: 100, color: BAD }],
          targets: [{ expr: `max(k6_generator_lag_ms_p99{${RUN_ALONE}})`, legend: "late" }],
        },
        {
          kind: "stat",
          title: "Timeouts after the step",
          description: "Admitted calls that timed out. The claim is none.",
          unit: "none",
          width: 6,
          noData: "no run",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [{ expr: `sum(k6_upstream_timeouts_total{${RUN_ALONE}})`, legend: "timeouts" }],
        },
        {
          kind: "stat",
          title: "Goodput of capacity",
          description:
            "Good answers during the spike, as share of what the same run measured before it. The claim is 95 %.",
          unit: "percentunit",
          decimals: 1,
          width: 6,
          noData: "no run",
          steps: [{ color: BAD }, { from: 0.95, color: GOOD }],
          targets: [{ expr: `sum(k6_goodput_of_capacity_total{${RUN_ALONE}})`, legend: "goodput" }],
        },
      ],
    },
    {
      title: "k6",
      panels: [
        {
          kind: "curves",
          title: "Calls by outcome, as k6 saw them",
          description: "Calls a second that k6 sent, by what became of them.",
          unit: "reqps",
          width: 12,
          noData: "no run",
          stacked: true,
          colours: [...OUTCOME_COLOURS, ["error", BAD]],
          targets: [
            {
              expr: `sum by (outcome) (rate(k6_call_ms_count{${RUN}}[$__rate_interval]))`,
              legend: "{{outcome}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Slowest hundredth of the good answers",
          description: "So far in each step, by tier. k6 can give no percentile of a moment.",
          unit: "ms",
          min: 0,
          width: 12,
          noData: "no run",
          colours: TIER_COLOURS,
          targets: [
            {
              expr: `max by (tier) (k6_call_ms_p99{${RUN}, outcome="ok"})`,
              legend: "{{tier}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Virtual users",
          description: "Of k6: at work, and allocated beforehand.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no run",
          targets: [
            { expr: `sum(k6_vus{${RUN_ALONE}})`, legend: "at work" },
            { expr: `sum(k6_vus_max{${RUN_ALONE}})`, legend: "allocated" },
          ],
        },
        {
          kind: "curves",
          title: "What refusals took",
          description: "99th percentile so far. The claim is 10 ms.",
          unit: "ms",
          min: 0,
          width: 12,
          noData: "no run",
          steps: [{ color: GOOD }, { from: 10, color: BAD }],
          targets: [{ expr: `max(k6_refusal_ms_p99{${RUN_ALONE}})`, legend: "refusals" }],
        },
      ],
    },
    {
      title: "The gateway meanwhile",
      panels: [
        {
          kind: "timeline",
          title: "Breakers",
          description: "Tripped or closed, on any replica.",
          unit: "none",
          width: 24,
          height: 5,
          noData: "no breaker",
          meanings: TRIPPED,
          targets: [
            {
              expr: `max by (${BY}) (circuit_breaker_tripped{${BOOKMAKER}})`,
              legend: "{{namespace}} {{bookmaker}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Limit, and in flight",
          description: "What each limit lets in at once, and what is in flight, over all replicas.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "nothing is limited",
          targets: [
            {
              expr: `sum by (bookmaker) (switchgear_limit_concurrency{${BOOKMAKER}})`,
              legend: "limit {{bookmaker}}",
            },
            {
              expr: `sum by (bookmaker) (switchgear_limit_in_flight{${BOOKMAKER}})`,
              legend: "in flight {{bookmaker}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "How long good answers take, as the gateway saw it",
          description: "95th and 99th percentile of the good answers, without the way from k6.",
          unit: "s",
          min: 0,
          width: 12,
          noData: "no good answers",
          colours: [
            ["p95 .*", SERVED],
            ["p99 .*", TRYING],
          ],
          targets: [
            { expr: quantile(0.95), legend: "p95 {{bookmaker}}" },
            { expr: quantile(0.99), legend: "p99 {{bookmaker}}" },
          ],
        },
      ],
    },
  ],
};
