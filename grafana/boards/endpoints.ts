// Bookmakers with several base URLs: which of them are in use, and how healthy each is.

import type { Board } from "../lib/board.ts";
import { BAD, GOOD, SERVED, WARNING } from "../lib/colours.ts";
import { ENDPOINT_STATES } from "../lib/meanings.ts";
import { ALL, BOOKMAKER, BOOKMAKERS, CLUSTER, JOB, NAMESPACE } from "../lib/selectors.ts";

const by = "cluster, namespace, bookmaker, endpoint";
const where = "{{bookmaker}} {{endpoint}}";
const process = "cluster, namespace, job, instance, endpoint";

/** A series of endpoints that has no `bookmaker`, with the one that it belongs to; one series has upstreams, too. */
function of(series: string): string {
  return `(switchgear_endpoint_info{${BOOKMAKER}} * on (${process}) group_left () ${series}{${ALL}, endpoint!=""})`;
}

export const endpoints: Board = {
  page: "endpoints",
  title: "Endpoints",
  description:
    "Bookmakers with several base URLs: which of them are in use, and how healthy each is.",
  choices: [
    CLUSTER,
    NAMESPACE,
    JOB,
    { ...BOOKMAKERS, query: `label_values(switchgear_endpoint_info{${ALL}}, bookmaker)` },
  ],
  rows: [
    {
      title: "Now",
      panels: [
        {
          kind: "stat",
          title: "Cooling down",
          description: "Endpoints that any replica has taken out of use.",
          unit: "none",
          width: 8,
          noData: "no endpoints",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [
            {
              expr: `count(max by (${by}) ${of("circuit_breaker_state")} == 2) or 0 * count(switchgear_endpoint_info{${BOOKMAKER}})`,
              legend: "cooling down",
            },
          ],
        },
        {
          kind: "stat",
          title: "Bookmakers without an endpoint",
          description:
            "Bookmakers of which every endpoint cools down, on any replica: all calls are refused. It is CircuitBreakerNoEndpoint.",
          unit: "none",
          width: 8,
          noData: "no endpoints",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [
            {
              expr: `count(count by (cluster, namespace, bookmaker, instance) ${of("circuit_breaker_state")} == count by (cluster, namespace, bookmaker, instance) (${of("circuit_breaker_state")} == 2)) or 0 * count(switchgear_endpoint_info{${BOOKMAKER}})`,
              legend: "without one",
            },
          ],
        },
        {
          kind: "stat",
          title: "Least healthy",
          description:
            "The lowest health score: half of it the success ratio, three tenths latency, two tenths steadiness.",
          unit: "percentunit",
          decimals: 0,
          min: 0,
          max: 1,
          width: 8,
          noData: "no calls",
          steps: [{ color: BAD }, { from: 0.5, color: WARNING }, { from: 0.8, color: GOOD }],
          targets: [
            { expr: `min(${of("circuit_breaker_health_score")})`, legend: "least healthy" },
          ],
        },
      ],
    },
    {
      title: "State",
      panels: [
        {
          kind: "timeline",
          title: "Endpoints",
          description: "State of each endpoint, on the replica where it is worst.",
          unit: "none",
          width: 24,
          noData: "no endpoints",
          meanings: ENDPOINT_STATES,
          targets: [{ expr: `max by (${by}) ${of("circuit_breaker_state")}`, legend: where }],
        },
        {
          kind: "table",
          title: "Each endpoint",
          description: "The worst of all replicas.",
          unit: "none",
          width: 24,
          noData: "no endpoints",
          by: ["namespace", "bookmaker", "endpoint"],
          columns: [
            { name: "State", meanings: ENDPOINT_STATES },
            { name: "Health", unit: "percentunit" },
            { name: "Answered well", unit: "percentunit" },
            { name: "Last cooled down", unit: "dateTimeFromNow" },
          ],
          targets: [
            { expr: `max by (${by}) ${of("circuit_breaker_state")}`, legend: "" },
            { expr: `min by (${by}) ${of("circuit_breaker_health_score")}`, legend: "" },
            { expr: `min by (${by}) ${of("circuit_breaker_success_ratio")}`, legend: "" },
            {
              expr: `1000 * max by (${by}) ${of("circuit_breaker_last_opened")} > 0`,
              legend: "",
            },
          ],
        },
      ],
    },
    {
      title: "Calls",
      panels: [
        {
          kind: "curves",
          title: "Calls to each",
          description: "Calls a second that went to an endpoint and said something of it.",
          unit: "reqps",
          width: 8,
          noData: "no calls",
          stacked: true,
          targets: [
            {
              expr: `sum by (${by}) (rate(switchgear_endpoint_calls_total{${BOOKMAKER}}[$__rate_interval]))`,
              legend: where,
            },
          ],
        },
        {
          kind: "curves",
          title: "Failed calls to each",
          description: "Calls a second that failed, timeouts among them.",
          unit: "reqps",
          width: 8,
          noData: "no calls",
          stacked: true,
          targets: [
            {
              expr: `sum by (${by}) (rate(switchgear_endpoint_calls_total{${BOOKMAKER}, outcome="failed"}[$__rate_interval]))`,
              legend: where,
            },
          ],
        },
        {
          kind: "curves",
          title: "Health",
          description: "0 to 1, on the replica where it is lowest.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 8,
          noData: "no calls",
          steps: [{ color: SERVED }, { from: 0.5, color: WARNING }],
          targets: [
            { expr: `min by (${by}) ${of("circuit_breaker_health_score")}`, legend: where },
          ],
        },
        {
          kind: "curves",
          title: "Average of the latest 50 calls",
          description: "Milliseconds, of the replica where it is highest.",
          unit: "ms",
          min: 0,
          width: 12,
          noData: "no calls",
          targets: [{ expr: `max by (${by}) ${of("circuit_breaker_latency_ms")}`, legend: where }],
        },
        {
          kind: "curves",
          title: "Answered well",
          description: "Share of the latest 100 calls, of the replica where it is lowest.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 12,
          noData: "no calls",
          targets: [
            { expr: `min by (${by}) ${of("circuit_breaker_success_ratio")}`, legend: where },
          ],
        },
      ],
    },
  ],
};
