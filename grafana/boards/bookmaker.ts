// One bookmaker: what its breaker counted, why it tripped, and whether its replicas agree.

import type { Board } from "../lib/board.ts";
import { BAD, GOOD, NEUTRAL, SERVED, TRYING, WARNING } from "../lib/colours.ts";
import { REASON_COLOURS, TRIPPED, WINDOW_STATES } from "../lib/meanings.ts";
import { CALLS_BY_OUTCOME } from "../lib/shared.ts";
import {
  BOOKMAKER,
  BOOKMAKERS,
  BY,
  CLUSTER,
  JOB,
  NAMESPACE,
  OPERATION,
  OPERATIONS,
} from "../lib/selectors.ts";

const tripped = `circuit_breaker_tripped{${BOOKMAKER}}`;
const who = "{{namespace}} {{bookmaker}}";

export const bookmaker: Board = {
  page: "bookmaker",
  title: "Bookmaker",
  description:
    "One bookmaker: what its breaker counted, why it tripped, whether its replicas agree.",
  choices: [CLUSTER, NAMESPACE, JOB, BOOKMAKERS, OPERATIONS],
  rows: [
    {
      title: "Now",
      panels: [
        {
          kind: "stat",
          title: "Tripped for",
          description: "How long its breaker has been tripped; of several the longest.",
          unit: "dtdurations",
          width: 6,
          noData: "not tripped",
          steps: [{ color: BAD }],
          targets: [
            {
              expr: `max(time() - switchgear_breaker_tripped_timestamp_seconds{${BOOKMAKER}})`,
              legend: "tripped for",
            },
          ],
        },
        {
          kind: "stat",
          title: "Tripped by hand",
          description:
            "Breakers that a person tripped: failures say nothing of them, and they are not reset without asking that person. The audit trail has the reason.",
          unit: "none",
          width: 6,
          noData: "no breaker",
          steps: [{ color: NEUTRAL }, { from: 1, color: WARNING }],
          targets: [
            {
              expr: `sum(max by (${BY}) (switchgear_breaker_tripped_by_hand{${BOOKMAKER}}))`,
              legend: "by hand",
            },
          ],
        },
        {
          kind: "stat",
          title: "Not in normal mode",
          description:
            "Breakers in shadow (report and refuse nothing) or forced closed (admit everything, learn nothing), by an operator's order.",
          unit: "none",
          width: 6,
          noData: "no breaker",
          steps: [{ color: GOOD }, { from: 1, color: WARNING }],
          targets: [
            {
              expr: `sum(max by (${BY}) (switchgear_breaker_mode{${BOOKMAKER}, mode!="normal"}))`,
              legend: "other modes",
            },
          ],
        },
        {
          kind: "stat",
          title: "Replicas that disagree",
          description:
            "Bookmakers that some replicas call and others refuse. In a fleet for seconds; for minutes it is CircuitBreakerReplicaDisagreement.",
          unit: "none",
          width: 6,
          noData: "no breaker",
          steps: [{ color: GOOD }, { from: 1, color: WARNING }],
          targets: [
            {
              expr: `count(max by (${BY}) (${tripped}) != min by (${BY}) (${tripped})) or 0 * count(${tripped})`,
              legend: "disagree",
            },
          ],
        },
      ],
    },
    {
      title: "Breaker",
      panels: [
        {
          kind: "timeline",
          title: "State on each replica",
          description: "Each replica decides from its own memory; an order reaches all of a fleet.",
          unit: "none",
          width: 12,
          noData: "no breaker",
          meanings: TRIPPED,
          targets: [
            {
              expr: `max by (cluster, namespace, bookmaker, instance) (${tripped})`,
              legend: "{{bookmaker}} {{instance}}",
            },
          ],
        },
        {
          kind: "timeline",
          title: "State of sliding windows",
          description: "Breakers that recover by themselves: closed, open, half-open, ramping.",
          unit: "none",
          width: 12,
          noData: "it has no sliding window",
          meanings: WINDOW_STATES,
          targets: [
            {
              expr: `max by (${BY}) (switchgear_window_state{${BOOKMAKER}})`,
              legend: who,
            },
          ],
        },
        {
          kind: "curves",
          title: "Failures, and where it trips",
          description:
            "Weighted failures since the last success, of the replica that has most; a timeout counts less. At the threshold the breaker trips. In spite of its series' name this is no window of a minute.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no breaker that counts failures",
          colours: [["trips at .*", BAD]],
          targets: [
            { expr: `max by (${BY}) (circuit_breaker_failures_1m{${BOOKMAKER}})`, legend: who },
            {
              expr: `max by (${BY}) (switchgear_breaker_failure_threshold{${BOOKMAKER}})`,
              legend: "trips at {{bookmaker}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Failed and slow in the window",
          description: "Of sliding windows: the share of calls that failed, and that were slow.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 12,
          noData: "it has no sliding window",
          targets: [
            {
              expr: `max by (${BY}) (switchgear_window_failure_rate{${BOOKMAKER}})`,
              legend: "{{bookmaker}} failed",
            },
            {
              expr: `max by (${BY}) (switchgear_window_slow_rate{${BOOKMAKER}})`,
              legend: "{{bookmaker}} slow",
            },
          ],
        },
        {
          kind: "curves",
          title: "Trips and resets",
          description:
            "In a quarter of an hour, over all replicas: each that trips by itself counts one.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no breaker",
          colours: [
            ["trips .*", BAD],
            ["resets .*", SERVED],
            ["denied .*", NEUTRAL],
          ],
          targets: [
            {
              expr: `sum by (${BY}) (increase(circuit_breaker_trips_total{${BOOKMAKER}}[15m]))`,
              legend: "trips {{bookmaker}}",
            },
            {
              expr: `sum by (${BY}) (increase(circuit_breaker_resets_total{${BOOKMAKER}}[15m]))`,
              legend: "resets {{bookmaker}}",
            },
            {
              expr: `sum by (${BY}) (increase(circuit_breaker_reset_denied_total{${BOOKMAKER}}[15m]))`,
              legend: "denied {{bookmaker}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Share of time tripped",
          description: "Share of the last hour in which any replica refused its calls.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 12,
          noData: "no breaker",
          targets: [{ expr: `max by (${BY}) (avg_over_time(${tripped}[1h]))`, legend: who }],
        },
      ],
    },
    {
      title: "Calls",
      panels: [
        CALLS_BY_OUTCOME,
        {
          kind: "curves",
          title: "Refused, by operation and reason",
          description: "Calls a second that were not sent.",
          unit: "reqps",
          width: 8,
          noData: "nothing was refused",
          stacked: true,
          colours: REASON_COLOURS.map(([reason, color]) => [`.* (${reason})`, color] as const),
          targets: [
            {
              expr: `sum by (operation, reason) (rate(circuit_breaker_rejected_total{${OPERATION}}[$__rate_interval])) > 0`,
              legend: "{{operation}} {{reason}}",
            },
          ],
        },
        {
          kind: "heatmap",
          title: "How long good answers take",
          description: "Good answers a second by how long they took.",
          unit: "s",
          width: 8,
          noData: "no good answers",
          targets: [
            {
              expr: `sum by (le) (increase(switchgear_request_duration_seconds_bucket{${OPERATION}, outcome="ok"}[$__rate_interval]))`,
              legend: "{{le}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Calls whose callers wait",
          description:
            "Calls in flight at this moment, and those that timed out and still run: one that only grows never heeds its signal.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no calls",
          colours: [["still run .*", WARNING]],
          targets: [
            { expr: `sum by (${BY}) (switchgear_in_flight{${BOOKMAKER}})`, legend: who },
            {
              expr: `sum by (${BY}) (switchgear_abandoned_calls{${BOOKMAKER}})`,
              legend: "still run {{bookmaker}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Would have been refused",
          description:
            "In shadow or forced closed: calls a second that were let in by an operator's order.",
          unit: "reqps",
          min: 0,
          width: 12,
          noData: "nothing would have been refused",
          colours: [[".*", TRYING]],
          targets: [
            {
              expr: `sum by (${BY}) (rate(switchgear_shadow_refused_total{${OPERATION}}[$__rate_interval]))`,
              legend: who,
            },
          ],
        },
      ],
    },
  ],
};
