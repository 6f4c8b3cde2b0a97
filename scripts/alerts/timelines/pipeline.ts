// Prometheus' and Alertmanager's own troubles, and what is recorded for dashboards.

import type { Values } from "../values.ts";
import { NAMESPACE, pipelineLinks, series } from "./subject.ts";
import {
  counter,
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  type Firing,
  type Labels,
  type TimelineFile,
} from "./timeline.ts";

const STEP = 15;

export function ruleFailures(values: Values): TimelineFile {
  const alert = "SwitchgearRuleFailures";
  const failures = (group: string, instance = "p1:9090"): string =>
    `prometheus_rule_evaluation_failures_total{job="prometheus",instance="${instance}",rule_group="${group}"}`;
  const of = (group: string): Labels => ({
    severity: "warning",
    namespace: values.namespace,
    rule_group: group,
  });
  const group = "/rules/switchgear.yml;switchgear_breakers";
  const labels = of(group);
  const own = failures(group);
  const told = (count: number, own: Labels): Firing => ({
    labels: own,
    annotations: {
      summary: `Rules of ${group} fail`,
      description: `${count} evaluations failed within 5 minutes. What those rules watch is not watched.`,
      ...pipelineLinks(values, alert),
    },
  });
  return {
    name: alert,
    about: "Rules of ours that cannot be evaluated.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        isOfPipeline: true,
        stepSeconds: STEP,
        forSeconds: 0,
        keepSeconds: 600,
        delaySeconds: STEP,
        lagSeconds: 300 - 2 * STEP,
        lines: [counter(own, 1)],
        firing: told(1, labels),
        disagreeing: {
          says: "two Prometheus that fail are one alert",
          lines: [counter(own, 1), counter(failures(group, "p2:9090"), 1)],
          firing: [labels],
        },
      }),
      {
        name: "of several Prometheus the failures are added up, in each cluster for itself",
        input_series: [
          // Three of one, one of the other after a restart, none of the third.
          { series: own, values: "0x4 3x40" },
          { series: failures(group, "p2:9090"), values: "9x5 0x2 1x40" },
          { series: failures(group, "p3:9090"), values: "0x50" },
          { series: failures(group).replace("{", '{cluster="west",'), values: "0x4 2x40" },
        ],
        alert_rule_test: [
          tells(alert, 240, [told(4, labels), told(2, { ...labels, cluster: "west" })]),
        ],
      },
      {
        name: "the mandated group, too; other people's rules are theirs, and a restart is no failure",
        input_series: [
          ...inputs(
            [
              counter(failures("/etc/rules/circuit-breaker.yml;circuit_breaker_alerts"), 1),
              counter(failures("/etc/rules/node.yml;node"), 1),
            ],
            times("on", 30),
          ),
          { series: own, values: "9x10 0x20" },
        ],
        promql_expr_test: [
          isFiring(alert, 300, [of("/etc/rules/circuit-breaker.yml;circuit_breaker_alerts")]),
        ],
      },
    ],
  };
}

export function pagerDeliveryFailing(values: Values): TimelineFile {
  const alert = "SwitchgearPagerDeliveryFailing";
  const failed = (integration: string, more = ""): string =>
    `alertmanager_notifications_failed_total{job="alertmanager",instance="a1:9093",integration="${integration}"${more}}`;
  const labels = { severity: "warning", namespace: values.namespace, integration: "pagerduty" };
  const told = (count: number, own: Labels): Firing => ({
    labels: own,
    annotations: {
      summary: "Pages do not reach PagerDuty",
      description: `${count} notifications to pagerduty failed within 5 minutes, and so it goes on.`,
      ...pipelineLinks(values, alert),
    },
  });
  return {
    name: alert,
    about: "Pages that do not reach PagerDuty, whatever the reason.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        isOfPipeline: true,
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 300,
        delaySeconds: STEP,
        lagSeconds: 300 - 2 * STEP,
        lines: [counter(failed("pagerduty"), 1)],
        firing: told(20, labels),
        disagreeing: {
          says: "two Alertmanagers of which one fails",
          lines: [
            counter(failed("pagerduty"), 1),
            counter(failed("pagerduty").replace("a1:", "a2:"), 0),
          ],
          firing: [labels],
        },
      }),
      {
        name: "reasons are added up; another integration and a restart are none",
        input_series: [
          { series: failed("webhook"), values: "0+1x60" },
          { series: failed("pagerduty"), values: "7x20 0x40" },
        ],
        alert_rule_test: [tells(alert, 315), tells(alert, 600), tells(alert, 900)],
      },
      {
        name: "of several Alertmanagers and reasons the failures are added up, in each cluster for itself",
        input_series: [
          { series: failed("pagerduty", ',reason="serverError"'), values: "0+1x60" },
          { series: failed("pagerduty", ',reason="rateLimited"'), values: "0+2x60" },
          // Started anew in the middle.
          { series: failed("pagerduty").replace("a1:", "a2:"), values: "900+3x19 3+3x40" },
          { series: failed("pagerduty", ',cluster="west"'), values: "0+1x60" },
        ],
        alert_rule_test: [
          tells(alert, 450, [told(120, labels), told(20, { ...labels, cluster: "west" })]),
        ],
      },
      {
        name: "one reason after the other is one failure that goes on",
        input_series: [
          { series: failed("pagerduty", ',reason="serverError"'), values: "0+1x12 12x40" },
          { series: failed("pagerduty", ',reason="rateLimited"'), values: "0x12 1+1x40" },
        ],
        promql_expr_test: [isFiring(alert, 315, [labels]), isFiring(alert, 600, [labels])],
      },
    ],
  };
}

export function watchdog(values: Values): TimelineFile {
  const alert = "SwitchgearWatchdog";
  const labels = { severity: "none", namespace: values.namespace };
  return {
    name: alert,
    about: "It always fires.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: questions({
      alert,
      isOfPipeline: true,
      stepSeconds: STEP,
      forSeconds: 0,
      keepSeconds: 0,
      lines: [],
      firing: {
        labels,
        annotations: {
          summary: "The way of alerts works",
          description: "This alert always fires. Whoever misses it knows that no other can arrive.",
          ...pipelineLinks(values, alert),
        },
      },
      isEternal: true,
      disagreeing: { says: "whatever they say", lines: [], firing: [labels] },
      absent: { says: "whatever is there", firing: [labels] },
    }),
  };
}

const WINDOW_SERIES = [
  "switchgear_window_state",
  "switchgear_window_failure_rate",
  "switchgear_window_slow_rate",
];

/** A series under an older name, or with an older label in the place of the newer one. */
function recorded(values: Values, name: string, labels: Labels, value: number): object {
  const older = name.startsWith("switchgear") ? '{bookmaker=""}' : "";
  return {
    expr: `${name}${older}`,
    eval_time: "45s",
    exp_samples: [{ labels: series(values, name, labels), value }],
  };
}

export function recording(values: Values): TimelineFile {
  const of = (more: Labels = {}): Labels => ({
    bookmaker: "draftkings",
    operation: "odds",
    reason: "tripped",
    ...more,
  });
  const rejected = (more: Labels = {}): string =>
    series(values, "circuit_breaker_rejected_total", of(more));
  const second = { instance: "10.0.0.2:9464" };
  return {
    name: "recording",
    about: "What is recorded for dashboards, and under older names.",
    stepSeconds: STEP,
    tests: [
      {
        name: "refusals a second of five minutes, over all replicas and operations, by reason",
        input_series: [
          { series: rejected(), values: "10+15x60" },
          { series: rejected(second), values: "0+30x30 30+30x28" },
          { series: rejected({ operation: "markets" }), values: "0+45x60" },
          { series: rejected({ reason: "load_shed" }), values: "0+150x20 3000x40" },
          { series: rejected({ job: "other" }), values: "0+999x60" },
          { series: rejected({ cluster: "west" }), values: "0+15x60" },
          { series: rejected({ bookmaker: "fanduel" }), values: "0+30x60" },
        ],
        promql_expr_test: [
          {
            expr: "round(namespace_bookmaker:circuit_breaker_rejected:rate5m, 0.01)",
            eval_time: "10m30s",
            exp_samples: [
              {
                labels: `{namespace="${NAMESPACE}",bookmaker="draftkings",reason="tripped"}`,
                value: 6,
              },
              {
                labels: `{namespace="${NAMESPACE}",bookmaker="draftkings",reason="load_shed"}`,
                value: 0,
              },
              {
                labels: `{cluster="west",namespace="${NAMESPACE}",bookmaker="draftkings",reason="tripped"}`,
                value: 1,
              },
              {
                labels: `{namespace="${NAMESPACE}",bookmaker="fanduel",reason="tripped"}`,
                value: 2,
              },
            ],
          },
          {
            expr: 'round(namespace_bookmaker:circuit_breaker_rejected:rate5m{reason="load_shed"}, 0.01)',
            eval_time: "5m",
            exp_samples: [
              {
                labels: `{namespace="${NAMESPACE}",bookmaker="draftkings",reason="load_shed"}`,
                value: 10,
              },
            ],
          },
        ],
      },
      {
        name: "names of the source systems, and labels of the release before",
        input_series: inputs(
          [
            counter(rejected(), 3),
            counter(rejected({ job: "other" }), 3),
            counter(
              series(values, "circuit_breaker_failures_total", { endpoint: "https://a.example" }),
              2,
            ),
            counter(
              series(values, "circuit_breaker_failures_total", { endpoint: "x", job: "other" }),
              2,
            ),
            ...WINDOW_SERIES.flatMap((name) => [
              gauge(series(values, name, { bookmaker: "draftkings" }), 0.5),
              gauge(series(values, name, { bookmaker: "other", job: "other" }), 0.5),
            ]),
          ],
          times("on", 4),
        ),
        promql_expr_test: [
          recorded(values, "circuit_breaker_rejected", of(), 9),
          recorded(values, "circuit_breaker_failures", { endpoint: "https://a.example" }, 6),
          ...WINDOW_SERIES.map((name) => recorded(values, name, { name: "draftkings" }, 0.5)),
        ],
      },
    ],
  };
}
