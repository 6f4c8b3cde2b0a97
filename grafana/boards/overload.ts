// Where more is asked for than a bookmaker serves: its limit, who is let in, and who is not.

import type { Board } from "../lib/board.ts";
import { BAD, GOOD, NEUTRAL, TRYING, WARNING } from "../lib/colours.ts";
import { REASON_COLOURS, TIER_COLOURS } from "../lib/meanings.ts";
import {
  BOOKMAKER,
  BOOKMAKERS,
  BY,
  CLUSTER,
  INSTANCE,
  INSTANCES,
  JOB,
  NAMESPACE,
} from "../lib/selectors.ts";

const who = "{{namespace}} {{bookmaker}}";
const refused = `rate(switchgear_limit_refused_total{${BOOKMAKER}}[$__rate_interval])`;
const admitted = `rate(switchgear_limit_admitted_total{${BOOKMAKER}}[$__rate_interval])`;
const byTier = (expr: string): string => `sum by (criticality) (${expr})`;

export const overload: Board = {
  page: "overload",
  title: "Overload",
  description:
    "Limits of calls at once: what each bookmaker serves, who is let in, who is refused.",
  choices: [CLUSTER, NAMESPACE, JOB, BOOKMAKERS, INSTANCES],
  rows: [
    {
      title: "Now",
      panels: [
        {
          kind: "stat",
          title: "Limits at their floor",
          description:
            "Bookmakers whose adaptive limit is the least that it shrinks to, on any replica. For minutes it is CircuitBreakerLimitAtFloor: they serve hardly anything.",
          unit: "none",
          width: 6,
          noData: "nothing is limited",
          steps: [{ color: GOOD }, { from: 1, color: WARNING }],
          targets: [
            {
              expr: `sum(max by (${BY}) (switchgear_limit_at_floor{${BOOKMAKER}}))`,
              legend: "at their floor",
            },
          ],
        },
        {
          kind: "stat",
          title: "Hung",
          description:
            "Bookmakers to which calls are out and from which none has come back for half a deadline.",
          unit: "none",
          width: 6,
          noData: "nothing is limited",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [
            { expr: `sum(max by (${BY}) (switchgear_limit_hung{${BOOKMAKER}}))`, legend: "hung" },
          ],
        },
        {
          kind: "stat",
          title: "Critical calls refused",
          description:
            "Calls a second of critical_plus and critical that the limiter refused. While sheddable ones are let in there should be none.",
          unit: "reqps",
          decimals: 1,
          width: 6,
          noData: "nothing was refused",
          steps: [{ color: GOOD }, { from: 0.1, color: WARNING }],
          targets: [
            {
              expr: `sum(rate(switchgear_limit_refused_total{${BOOKMAKER}, criticality=~"critical|critical_plus"}[$__rate_interval]))`,
              legend: "critical, refused",
            },
          ],
        },
        {
          kind: "stat",
          title: "Load of the most loaded process",
          description:
            "As the load shedder sees it, 0 to 1; heavy operations are refused above its threshold.",
          unit: "percentunit",
          decimals: 0,
          min: 0,
          max: 1,
          width: 6,
          noData: "no process",
          steps: [{ color: GOOD }, { from: 0.8, color: WARNING }, { from: 0.95, color: BAD }],
          targets: [{ expr: `max(switchgear_system_load{${INSTANCE}})`, legend: "load" }],
        },
      ],
    },
    {
      title: "Limit",
      panels: [
        {
          kind: "curves",
          title: "Limit, and in flight",
          description:
            "Calls that may be in flight to each bookmaker, over all replicas, and those that are. A limit grows only while it is used.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "nothing is limited",
          targets: [
            {
              expr: `sum by (${BY}) (switchgear_limit_concurrency{${BOOKMAKER}})`,
              legend: `limit ${who}`,
            },
            {
              expr: `sum by (${BY}) (switchgear_limit_in_flight{${BOOKMAKER}})`,
              legend: `in flight ${who}`,
            },
          ],
        },
        {
          kind: "curves",
          title: "What the median call takes",
          description:
            "Now, and when nothing waits at the bookmaker (base). Far above base the bookmaker has a queue, and the limit shrinks.",
          unit: "s",
          min: 0,
          width: 12,
          noData: "nothing is limited, or nothing is known yet",
          targets: [
            {
              expr: `max by (${BY}) (switchgear_limit_latency_seconds{${BOOKMAKER}})`,
              legend: `now ${who}`,
            },
            {
              expr: `max by (${BY}) (switchgear_limit_base_latency_seconds{${BOOKMAKER}})`,
              legend: `base ${who}`,
            },
          ],
        },
      ],
    },
    {
      title: "Tiers",
      panels: [
        {
          kind: "curves",
          title: "Let in, by criticality",
          description: "Calls a second that the limiter let in.",
          unit: "reqps",
          width: 8,
          noData: "nothing is limited",
          stacked: true,
          colours: TIER_COLOURS,
          targets: [{ expr: byTier(admitted), legend: "{{criticality}}" }],
        },
        {
          kind: "curves",
          title: "Refused, by criticality",
          description: "Calls a second that the limiter refused, the least critical first.",
          unit: "reqps",
          width: 8,
          noData: "nothing is limited",
          stacked: true,
          colours: TIER_COLOURS,
          targets: [{ expr: byTier(refused), legend: "{{criticality}}" }],
        },
        {
          kind: "curves",
          title: "Served, as share of what was asked for",
          description:
            "By criticality. Under overload the upper tiers keep what they ask for as long as it fits.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 8,
          noData: "nothing is limited",
          colours: TIER_COLOURS,
          targets: [
            {
              expr: `${byTier(admitted)} / (${byTier(admitted)} + ${byTier(refused)})`,
              legend: "{{criticality}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Refused by the limiter, by reason",
          description:
            "For limit as many are in flight as may be; priority is room kept for more critical calls; for no_time no answer is to be expected before the deadline.",
          unit: "reqps",
          width: 8,
          noData: "nothing is limited",
          stacked: true,
          colours: REASON_COLOURS,
          targets: [{ expr: `sum by (reason) (${refused})`, legend: "{{reason}}" }],
        },
        {
          kind: "curves",
          title: "Waiting for room",
          description: "Calls of critical_plus that wait, for a tenth of their deadline at most.",
          unit: "none",
          min: 0,
          width: 8,
          noData: "nothing is limited",
          targets: [
            { expr: `sum by (${BY}) (switchgear_limit_waiting{${BOOKMAKER}})`, legend: who },
          ],
        },
        {
          kind: "curves",
          title: "In flight that nobody waits for",
          description:
            "Calls that timed out, or whose callers left, and that hold their bookmaker up: they count against its limit until they end.",
          unit: "none",
          min: 0,
          width: 8,
          noData: "nothing is limited",
          targets: [
            { expr: `sum by (${BY}) (switchgear_limit_abandoned{${BOOKMAKER}})`, legend: who },
          ],
        },
      ],
    },
    {
      title: "This process",
      panels: [
        {
          kind: "curves",
          title: "System load",
          description: "Of each process, 0 to 1, as the load shedder sees it.",
          unit: "percentunit",
          min: 0,
          max: 1,
          width: 12,
          noData: "no process",
          targets: [{ expr: `switchgear_system_load{${INSTANCE}}`, legend: "{{instance}}" }],
        },
        {
          kind: "curves",
          title: "Heavy operations refused",
          description:
            "Calls a second that were refused because this process is loaded, by operation.",
          unit: "reqps",
          width: 12,
          noData: "nothing was shed",
          stacked: true,
          colours: [[".*", NEUTRAL]],
          targets: [
            {
              expr: `sum by (operation) (rate(load_shed_rejected_total{${BOOKMAKER}}[$__rate_interval])) > 0`,
              legend: "{{operation}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Would have been refused",
          description: "Calls a second that a limiter in shadow would have refused.",
          unit: "reqps",
          width: 24,
          height: 6,
          noData: "nothing is limited",
          colours: TIER_COLOURS.map(([tier]) => [tier, TRYING] as const),
          targets: [
            {
              expr: byTier(
                `rate(switchgear_limit_would_refuse_total{${BOOKMAKER}}[$__rate_interval])`,
              ),
              legend: "{{criticality}}",
            },
          ],
        },
      ],
    },
  ],
};
