// What somebody looks at first: which bookmakers are out, since when, and what their callers get meanwhile.

import type { Board } from "../lib/board.ts";
import { BAD, GOOD, NEUTRAL, SERVED, TRYING, WARNING } from "../lib/colours.ts";
import { OUTCOME_COLOURS, REASON_COLOURS, TRIPPED } from "../lib/meanings.ts";
import { CALLS_BY_OUTCOME } from "../lib/shared.ts";
import {
  ALL,
  BOOKMAKER,
  BOOKMAKERS,
  BY,
  CLUSTER,
  JOB,
  NAMESPACE,
  OPERATION,
  OPERATIONS,
} from "../lib/selectors.ts";

const tripped = `max by (${BY}) (circuit_breaker_tripped{${BOOKMAKER}})`;
const failures = `max by (${BY}) (circuit_breaker_failures_1m{${BOOKMAKER}})`;
const threshold = `max by (${BY}) (switchgear_breaker_failure_threshold{${BOOKMAKER}})`;
const rate = (outcome: string): string =>
  `sum(rate(switchgear_requests_total{${OPERATION}, outcome=~"${outcome}"}[$__rate_interval]))`;
const quantile = (share: number): string =>
  `histogram_quantile(${share}, sum by (le) (rate(switchgear_request_duration_seconds_bucket{${OPERATION}, outcome="ok"}[$__rate_interval])))`;

export const overview: Board = {
  page: "overview",
  title: "Overview",
  description: "Which bookmakers are out, since when, and what callers get meanwhile.",
  choices: [CLUSTER, NAMESPACE, JOB, BOOKMAKERS, OPERATIONS],
  rows: [
    {
      title: "Now",
      panels: [
        {
          kind: "stat",
          title: "Breakers tripped",
          description:
            "Bookmakers whose breaker refuses calls, on any replica; half-open ones among them. A latching one stays so until a person resets it.",
          unit: "none",
          width: 4,
          noData: "no breaker",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [{ expr: `count(${tripped} == 1) or 0 * count(${tripped})`, legend: "tripped" }],
        },
        {
          kind: "stat",
          title: "Breakers in all",
          description: "Bookmakers that have a breaker.",
          unit: "none",
          width: 4,
          noData: "no breaker",
          targets: [{ expr: `count(${tripped})`, legend: "breakers" }],
        },
        {
          kind: "stat",
          title: "At risk",
          description:
            "Bookmakers with four fifths or more of the failures at which their breaker trips, and not tripped yet.",
          unit: "none",
          width: 4,
          noData: "no breaker",
          steps: [{ color: GOOD }, { from: 1, color: WARNING }],
          targets: [
            {
              expr: `count(${failures} >= 0.8 * ${threshold} unless ${tripped} == 1) or 0 * count(${tripped})`,
              legend: "at risk",
            },
          ],
        },
        {
          kind: "stat",
          title: "Pages that fire",
          description:
            "Critical alerts of Switchgear that fire now, as Prometheus has them; silenced ones too.",
          unit: "none",
          width: 4,
          noData: "none known",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [
            {
              expr: `count(ALERTS{alertstate="firing", severity="critical", cluster=~"$cluster", namespace=~"$namespace", alertname=~"CircuitBreaker.+|Switchgear.+"}) or 0 * count(${tripped})`,
              legend: "pages",
            },
          ],
        },
        {
          kind: "stat",
          title: "Answered well",
          description:
            "Share of the calls that reached a bookmaker and were answered well. Refused calls are not among them: see Refused.",
          unit: "percentunit",
          decimals: 2,
          width: 4,
          noData: "no calls",
          steps: [{ color: BAD }, { from: 0.95, color: WARNING }, { from: 0.99, color: GOOD }],
          targets: [
            { expr: `${rate("ok")} / ${rate("ok|failed|timeout")}`, legend: "answered well" },
          ],
        },
        {
          kind: "stat",
          title: "Refused",
          description:
            "Calls a second that were refused and never reached a bookmaker, for any reason.",
          unit: "reqps",
          decimals: 1,
          width: 4,
          noData: "no calls",
          targets: [{ expr: rate("refused"), legend: "refused" }],
        },
      ],
    },
    {
      title: "State",
      panels: [
        {
          kind: "timeline",
          title: "Breakers",
          description:
            "Each bookmaker's breaker: tripped where any replica refuses its calls, half-open probes included.",
          unit: "none",
          width: 24,
          noData: "no breaker",
          meanings: TRIPPED,
          targets: [{ expr: tripped, legend: "{{namespace}} {{bookmaker}}" }],
        },
        {
          kind: "table",
          title: "Tripped, and at risk",
          description:
            "Bookmakers that are tripped or have four fifths of the failures for it. A latching breaker waits for a person: its runbook is CircuitBreakerTripped.",
          unit: "none",
          width: 24,
          noData: "nobody is tripped or at risk",
          by: ["namespace", "bookmaker"],
          columns: [
            { name: "State", meanings: TRIPPED },
            { name: "Tripped for", unit: "dtdurations" },
            { name: "Failures" },
            { name: "Trips at" },
            { name: "Trips in 24 h", decimals: 0 },
            { name: "Resets in 24 h", decimals: 0 },
          ],
          link: {
            title: "This bookmaker",
            url: "/d/switchgear-bookmaker?${datasource:queryparam}&${cluster:queryparam}&${job:queryparam}&var-namespace=${__data.fields.namespace}&var-bookmaker=${__data.fields.bookmaker}&${__url_time_range}",
          },
          targets: [
            { expr: `${tripped} and ${ofNote()}`, legend: "" },
            {
              expr: `time() - min by (${BY}) (switchgear_breaker_tripped_timestamp_seconds{${BOOKMAKER}})`,
              legend: "",
            },
            { expr: `${failures} and ${ofNote()}`, legend: "" },
            { expr: `${threshold} and ${ofNote()}`, legend: "" },
            {
              expr: `sum by (${BY}) (increase(circuit_breaker_trips_total{${BOOKMAKER}}[24h])) and ${ofNote()}`,
              legend: "",
            },
            {
              expr: `sum by (${BY}) (increase(circuit_breaker_resets_total{${BOOKMAKER}}[24h])) and ${ofNote()}`,
              legend: "",
            },
          ],
        },
      ],
    },
    {
      title: "Calls",
      panels: [
        CALLS_BY_OUTCOME,
        {
          kind: "curves",
          title: "Errors of those that were sent",
          description: "Share of the calls that reached a bookmaker and failed or timed out.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 8,
          noData: "no calls",
          colours: OUTCOME_COLOURS,
          targets: ["failed", "timeout"].map((outcome) => ({
            expr: `${rate(outcome)} / ${rate("ok|failed|timeout")}`,
            legend: outcome,
          })),
        },
        {
          kind: "curves",
          title: "How long good answers take",
          description: "Median, 95th and 99th percentile of the calls that were answered well.",
          unit: "s",
          min: 0,
          width: 8,
          noData: "no good answers",
          colours: [
            ["median", GOOD],
            ["p95", TRYING],
            ["p99", WARNING],
          ],
          targets: [
            { expr: quantile(0.5), legend: "median" },
            { expr: quantile(0.95), legend: "p95" },
            { expr: quantile(0.99), legend: "p99" },
          ],
        },
      ],
    },
    {
      title: "Protection",
      panels: [
        {
          kind: "curves",
          title: "Refused, by reason",
          description:
            "Calls a second that were not sent: tripped (its breaker), limit, priority and no_time (its limiter), load_shed (this process is loaded), rate_limited (the bookmaker's quota).",
          unit: "reqps",
          width: 12,
          noData: "nothing was refused",
          stacked: true,
          colours: REASON_COLOURS,
          targets: [
            {
              expr: `sum by (reason) (rate(circuit_breaker_rejected_total{${OPERATION}}[$__rate_interval]))`,
              legend: "{{reason}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Refused, as share of all",
          description: "Share of all calls that was refused before it was sent.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 12,
          noData: "no calls",
          colours: [["refused", NEUTRAL]],
          targets: [{ expr: `${rate("refused")} / ${rate(".+")}`, legend: "refused" }],
        },
      ],
    },
    {
      title: "Promises",
      panels: [
        {
          kind: "curves",
          title: "Error budget burnt in an hour",
          description:
            "How many times faster than allowed the budget of each promise is used, over the last hour; 1 uses up exactly what there is. Pages come by CircuitBreaker error budgets in alerts/slo.yml.",
          unit: "none",
          decimals: 1,
          min: 0,
          width: 12,
          noData: "no calls, or the rules of alerts/slo.yml are not loaded",
          steps: [{ color: SERVED }, { from: 14.4, color: BAD }],
          targets: [
            {
              expr: `max by (slo) (switchgear_slo:bad:increase1h{cluster=~"$cluster", namespace=~"$namespace", bookmaker=~"$bookmaker"} / switchgear_slo:calls:increase1h) / on (slo) group_left () switchgear_slo:budget`,
              legend: "{{slo}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Replicas",
          description:
            "Processes that are scraped, and those that cannot be. A bookmaker's breaker lives in each of them.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no process",
          colours: [
            ["up", GOOD],
            ["down", BAD],
          ],
          targets: [
            { expr: `sum(up{${ALL}})`, legend: "up" },
            { expr: `count(up{${ALL}} == 0) or 0 * count(up{${ALL}})`, legend: "down" },
          ],
        },
      ],
    },
  ],
};

/** Of two hundred bookmakers those that somebody should look at. */
function ofNote(): string {
  return `(${tripped} == 1 or ${failures} >= 0.8 * ${threshold})`;
}
