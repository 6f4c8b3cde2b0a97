// Whether anybody would be told: scrape, rules, alerts, notifications.

import type { Board } from "../lib/board.ts";
import { BAD, GOOD, WARNING } from "../lib/colours.ts";
import type { Meaning } from "../lib/panel.ts";
import { ALL, CLUSTER, JOB, NAMESPACE } from "../lib/selectors.ts";

const OURS = `alertname=~"CircuitBreaker.+|Switchgear.+"`;
const GROUPS = `rule_group=~".*(switchgear|circuit-breaker|slo|process).*"`;
const PLACE = `cluster=~"$cluster", namespace=~"$namespace"`;

const UP: readonly Meaning[] = [
  { value: 1, text: "scraped", color: GOOD },
  { value: 0, text: "not scraped", color: BAD },
];
const FIRES: readonly Meaning[] = [{ value: 1, text: "fires", color: BAD }];

export const pipeline: Board = {
  page: "pipeline",
  title: "Pipeline health",
  description: "Whether anybody would be told: scrape, rules, alerts, notifications.",
  choices: [CLUSTER, NAMESPACE, JOB],
  annotations: [],
  rows: [
    {
      title: "Now",
      panels: [
        {
          kind: "stat",
          title: "The dead man's switch",
          description:
            "SwitchgearWatchdog fires always. Where it does not, no rule is evaluated, and nobody is paged.",
          unit: "none",
          width: 6,
          noData: "no watchdog: the rules are not loaded",
          steps: [{ color: BAD }, { from: 1, color: GOOD }],
          targets: [
            {
              expr: `count(ALERTS{alertname="SwitchgearWatchdog", alertstate="firing"})`,
              legend: "watchdogs",
            },
          ],
        },
        {
          kind: "stat",
          title: "Processes that are scraped",
          description: "Of all that Prometheus knows of.",
          unit: "percentunit",
          decimals: 0,
          width: 6,
          noData: "no target",
          steps: [{ color: BAD }, { from: 1, color: GOOD }],
          targets: [{ expr: `avg(up{${ALL}})`, legend: "scraped" }],
        },
        {
          kind: "stat",
          title: "Rules that failed",
          description: "Evaluations of Switchgear's rules that failed in an hour.",
          unit: "none",
          width: 6,
          noData: "Prometheus does not scrape itself",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [
            {
              expr: `sum(increase(prometheus_rule_evaluation_failures_total{${GROUPS}}[1h]))`,
              legend: "failed",
            },
          ],
        },
        {
          kind: "stat",
          title: "Notifications that failed",
          description: "In an hour, by any way: what PagerDuty is not given wakes nobody.",
          unit: "none",
          width: 6,
          noData: "Alertmanager is not scraped",
          steps: [{ color: GOOD }, { from: 1, color: BAD }],
          targets: [
            {
              expr: `sum(increase(alertmanager_notifications_failed_total[1h]))`,
              legend: "failed",
            },
          ],
        },
      ],
    },
    {
      title: "Alerts",
      panels: [
        {
          kind: "timeline",
          title: "Alerts that fire",
          description:
            "Each of Switchgear's alerts while it fires, the watchdog aside. Its name is its runbook's.",
          unit: "none",
          width: 24,
          noData: "nothing fires",
          meanings: FIRES,
          targets: [
            {
              expr: `max by (alertname, bookmaker, severity) (ALERTS{${OURS}, alertname!="SwitchgearWatchdog", alertstate="firing", ${PLACE}})`,
              legend: "{{alertname}} {{bookmaker}} ({{severity}})",
            },
          ],
        },
        {
          kind: "curves",
          title: "Alerts by state",
          description: "Pending ones wait for their time to pass; firing ones were sent.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no alert",
          colours: [
            ["firing", BAD],
            ["pending", WARNING],
          ],
          targets: [
            {
              expr: `count by (alertstate) (ALERTS{${OURS}, alertname!="SwitchgearWatchdog", ${PLACE}})`,
              legend: "{{alertstate}}",
            },
          ],
        },
        {
          kind: "timeline",
          title: "Scrapes",
          description: "Each process as Prometheus sees it.",
          unit: "none",
          width: 12,
          height: 8,
          noData: "no target",
          meanings: UP,
          targets: [{ expr: `up{${ALL}}`, legend: "{{instance}}" }],
        },
      ],
    },
    {
      title: "Prometheus and Alertmanager",
      panels: [
        {
          kind: "curves",
          title: "How long a turn of the rules takes",
          description: "Of each group; it must end before the next is due.",
          unit: "s",
          min: 0,
          width: 8,
          noData: "Prometheus does not scrape itself",
          targets: [
            {
              expr: `max by (group) (label_replace(prometheus_rule_group_last_duration_seconds{${GROUPS}}, "group", "$1", "rule_group", ".*;(.+)"))`,
              legend: "{{group}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Notifications",
          description: "Sent in a minute, by the way that they went.",
          unit: "none",
          min: 0,
          width: 8,
          noData: "Alertmanager is not scraped",
          targets: [
            {
              expr: `60 * sum by (integration) (rate(alertmanager_notifications_total[$__rate_interval])) > 0`,
              legend: "{{integration}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Failed notifications",
          description: "A minute, by way and reason. It is SwitchgearPagerDeliveryFailing.",
          unit: "none",
          min: 0,
          width: 8,
          noData: "nothing failed, or Alertmanager is not scraped",
          colours: [[".*", BAD]],
          targets: [
            {
              expr: `60 * sum by (integration, reason) (rate(alertmanager_notifications_failed_total[$__rate_interval])) > 0`,
              legend: "{{integration}} {{reason}}",
            },
          ],
        },
      ],
    },
  ],
};
