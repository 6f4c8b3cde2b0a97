// What all timelines share: where things are scraped, and what texts link to.

import type { Values } from "../values.ts";
import type { Labels } from "./timeline.ts";

/** The cases are of this namespace: it must not be the one that is written into the rules. */
export const NAMESPACE = "bets";
export const ONE = "10.0.0.1:9464";
export const TWO = "10.0.0.2:9464";

/** A series of Switchgear's as it is stored: `of(values, "circuit_breaker_tripped", { bookmaker: "dk" })`. */
export function series(values: Values, name: string, labels: Labels = {}): string {
  const scraped: Labels = { job: values.jobs[0] ?? "", namespace: NAMESPACE, instance: ONE };
  const all = Object.entries({ ...scraped, ...labels }).filter(([, value]) => value !== "");
  return `${name}{${all.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(",")}}`;
}

export function links(
  values: Values,
  alert: string,
  labels: Labels = { namespace: NAMESPACE },
): Readonly<Record<"runbook_url" | "dashboard_url", string>> {
  const query = Object.entries(labels).map(([key, value]) => `var-${key}=${encoded(value)}`);
  return {
    runbook_url: `${values.runbooks}/${alert}.md`,
    dashboard_url: `${values.grafana}/d/switchgear-overview?${query.join("&")}`,
  };
}

export function pipelineLinks(
  values: Values,
  alert: string,
): Readonly<Record<"runbook_url" | "dashboard_url", string>> {
  return {
    runbook_url: `${values.runbooks}/${alert}.md`,
    dashboard_url: `${values.grafana}/d/switchgear-pipeline`,
  };
}

/** As Go's `urlquery`. */
function encoded(value: string): string {
  return encodeURIComponent(value).replaceAll("%20", "+");
}
