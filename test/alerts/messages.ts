// What PagerDuty is told of a page, written down whole.

import type { Labels } from "./muting.ts";

export interface Told {
  readonly labels: Labels;
  readonly annotations: Labels;
}

export const KEY = "0123456789abcdef0123456789abcdef";

export const EXTERNAL_URL = "http://alertmanager.example";

export const tripped = (bookmaker: string, instance: string): Told => ({
  labels: {
    alertname: "CircuitBreakerTripped",
    severity: "critical",
    namespace: "bets",
    bookmaker,
    instance,
  },
  annotations: {
    summary: `Circuit breaker tripped for ${bookmaker}`,
    description: `${instance} says. Failures: 10.`,
    runbook_url: "https://switchgear.example/runbooks/CircuitBreakerTripped.md",
    dashboard_url: `https://grafana.example/d/switchgear-overview?var-bookmaker=${bookmaker}`,
  },
});

/** Of two replicas, `a:1` and `b:1`, without the key of the incident. */
export function pageOf(bookmaker: string): { readonly trigger: object; readonly resolve: object } {
  const summary = `Circuit breaker tripped for ${bookmaker}`;
  const event = (action: string, details: object): object => ({
    event_action: action,
    routing_key: KEY,
    payload: {
      summary,
      source: "bets",
      severity: "critical",
      component: "switchgear",
      group: bookmaker,
      class: "CircuitBreakerTripped",
      custom_details: details,
    },
    client: "Alertmanager",
    client_url: EXTERNAL_URL,
    links: [
      { href: "https://switchgear.example/runbooks/CircuitBreakerTripped.md", text: "Runbook" },
      {
        href: `https://grafana.example/d/switchgear-overview?var-bookmaker=${bookmaker}`,
        text: "Dashboard",
      },
    ],
  });
  return {
    trigger: event("trigger", {
      firing: "* a:1 says. Failures: 10.\n* b:1 says. Failures: 10.\n",
      resolved: "none",
      // Alertmanager's own, which it adds to ours.
      num_firing: 2,
      num_resolved: 0,
    }),
    resolve: event("resolve", {
      firing: "none",
      resolved: `* ${summary}\n* ${summary}\n`,
      num_firing: 0,
      num_resolved: 2,
    }),
  };
}
