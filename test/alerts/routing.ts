// Who hears what, how soon and how often: written down, and not derived from Alertmanager's configuration.

import { parse } from "yaml";
import type { Labels } from "./muting.ts";
import { readText } from "./rule-files.ts";

export const ALERTMANAGER_FILE = "alerts/alertmanager/alertmanager.yml";

export interface Route {
  receiver?: string;
  group_by?: string[];
  matchers?: string[];
  continue?: boolean;
  group_wait?: string;
  group_interval?: string;
  repeat_interval?: string;
  routes?: Route[];
}

export interface InhibitRule {
  source_matchers: string[];
  target_matchers: string[];
  equal: string[];
}

export type Way = Record<string, unknown>;

/** A name, and its ways by kind, such as `webhook_configs`. */
export interface Receiver {
  name: string;
  pagerduty_configs?: Way[];
  webhook_configs?: Way[];
}

export interface Config {
  global: Record<string, string>;
  route: Route;
  inhibit_rules: InhibitRule[];
  receivers: Receiver[];
}

export function readConfig(): Config {
  return parse(readText(ALERTMANAGER_FILE)) as Config;
}

export function routesOf(route: Route): Route[] {
  return [route, ...(route.routes ?? []).flatMap(routesOf)];
}

/** A severity that changes changes who is woken. */
export const RECEIVERS: Labels = {
  "CircuitBreakerCriticalRefused critical": "pagerduty",
  "CircuitBreakerEndpointCoolingDown warning": "tickets",
  "CircuitBreakerFlapping warning": "tickets",
  "CircuitBreakerFleetSplit warning": "tickets",
  "CircuitBreakerLimitAtFloor warning": "tickets",
  "CircuitBreakerLoadShedding warning": "tickets",
  "CircuitBreakerManyTripped critical": "pagerduty",
  "CircuitBreakerMostlyOpen critical": "pagerduty",
  "CircuitBreakerNoEndpoint critical": "pagerduty",
  "CircuitBreakerReplicaDisagreement warning": "tickets",
  "CircuitBreakerStateLost critical": "pagerduty",
  "CircuitBreakerStuckOpen warning": "tickets",
  "CircuitBreakerSuccessRatioLow warning": "tickets",
  "CircuitBreakerTripped critical": "pagerduty",
  "CircuitBreakerWindowOpen warning": "tickets",
  "SwitchgearConfigRejected warning": "tickets",
  "SwitchgearDown critical": "pagerduty",
  "SwitchgearErrorBudgetBurn critical": "pagerduty",
  "SwitchgearErrorBudgetBurn warning": "tickets",
  "SwitchgearInstanceDown warning": "tickets",
  "SwitchgearLogLost warning": "tickets",
  "SwitchgearMetricsAbsent critical": "pagerduty",
  "SwitchgearModeForgotten warning": "tickets",
  "SwitchgearPagerDeliveryFailing warning": "second-channel",
  "SwitchgearRejectingWhileClosed warning": "tickets",
  "SwitchgearRuleFailures warning": "tickets",
  "SwitchgearScrapeNearLimit warning": "tickets",
  "SwitchgearSeriesMissing warning": "tickets",
  "SwitchgearStoreDown warning": "tickets",
  "SwitchgearStoreError warning": "tickets",
  "SwitchgearStoreRecovered warning": "tickets",
  "SwitchgearWatchdog none": "dead-mans-switch",
};

/** Of what no rule of ours says: seen by somebody if no route knows it, and told to nobody if it is for nobody. */
export const OTHERS: readonly (readonly [labels: Labels, receiver: string])[] = [
  [{ alertname: "Other", severity: "critical" }, "pagerduty"],
  [{ alertname: "Other", severity: "warning" }, "tickets"],
  [{ alertname: "Other", severity: "critcal" }, "tickets"],
  [{ alertname: "Other" }, "tickets"],
  [{ alertname: "Other", severity: "info" }, "nobody"],
  [{ alertname: "Other", severity: "none" }, "nobody"],
  // The way to people is broken: whatever severity somebody gives it, it must not take that way.
  [{ alertname: "SwitchgearPagerDeliveryFailing", severity: "critical" }, "second-channel"],
  [{ alertname: "SwitchgearWatchdog", severity: "critical" }, "dead-mans-switch"],
  [{ alertname: "SwitchgearWatchdog", severity: "warning" }, "dead-mans-switch"],
];

export function receiverOf(labels: Labels): string {
  const { alertname = "", severity = "" } = labels;
  const ours = RECEIVERS[`${alertname} ${severity}`];
  if (ours !== undefined) return ours;
  const others = OTHERS.find(
    ([one]) => one["alertname"] === alertname && one["severity"] === labels["severity"],
  );
  if (others === undefined) throw new RangeError(`${alertname} ${severity} has no receiver`);
  return others[1];
}

/** In what one incident agrees. */
export const GROUPED_BY = ["alertname", "cluster", "namespace", "job", "bookmaker", "slo"];

/** What is asked of the text itself: answers that take minutes or hours, or depend on Alertmanager's defaults. */
export const WRITTEN: readonly {
  readonly what: string;
  readonly of: (config: Config) => unknown;
  readonly is: unknown;
}[] = [
  {
    what: "each receiver is told as soon, as often and as long again as docs/alerts.md says",
    of: timesOf,
    is: {
      // Unless it is told that often, the switch wakes somebody.
      "dead-mans-switch": "0s 1m 1m",
      "second-channel": "0s 1m 1h",
      pagerduty: "20s 1m 4h",
      tickets: "30s 5m 12h",
    },
  },
  {
    what: "each bookmaker is an incident of its own: no route groups by less",
    of: ({ route }) =>
      routesOf(route).flatMap(({ group_by: by }) => (by === undefined ? [] : [by])),
    is: [GROUPED_BY],
  },
  {
    what: "PagerDuty has its own address, and what has no end ends after five minutes",
    of: ({ global }) => global,
    is: { pagerduty_url: "https://events.pagerduty.com/v2/enqueue", resolve_timeout: "5m" },
  },
  {
    what: "PagerDuty's receiver leaves nothing to Alertmanager's defaults, which change",
    of: ({ receivers }) =>
      receivers.flatMap(({ pagerduty_configs: ways = [] }) => ways).map((way) => Object.keys(way)),
    is: [
      [
        "routing_key_file",
        "send_resolved",
        "severity",
        "description",
        "source",
        "component",
        "group",
        "class",
        "client",
        "client_url",
        "details",
        "links",
      ],
    ],
  },
  {
    what: "each receiver says whether it tells of the end, whatever Alertmanager's default is",
    of: ({ receivers }) =>
      receivers.flatMap(({ name, pagerduty_configs: a = [], webhook_configs: b = [] }) =>
        [...a, ...b].map((way) => `${name} ${String(way["send_resolved"])}`),
      ),
    is: ["pagerduty true", "second-channel true", "tickets true", "dead-mans-switch false"],
  },
];

/** By receiver that tells anybody: group_wait, group_interval, repeat_interval, inherited where none stands. */
function timesOf({ route }: Config): Labels {
  const times: Record<string, string> = {};
  for (const one of routesOf(route)) {
    const { receiver = "", ...own } = { ...route, ...one };
    if (receiver === "nobody") continue;
    const found = `${own.group_wait} ${own.group_interval} ${own.repeat_interval}`;
    const known = times[receiver] ?? found;
    times[receiver] = known === found ? found : `${known}, ${found}`;
  }
  return times;
}
