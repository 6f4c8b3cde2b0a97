// What Prometheus and Alertmanager of a stack say about alerts.

import { until } from "./processes.ts";

export interface Monitoring {
  readonly prometheusUrl: string;
  readonly alertmanagerUrl: string;
}

export interface Alert {
  /** `pending` or `firing`. */
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export async function get<Answer>(url: string): Promise<Answer> {
  const answer = await fetch(url);
  return (await answer.json()) as Answer;
}

export async function alertsOf({ prometheusUrl }: Monitoring): Promise<Alert[]> {
  const { data } = await get<{ data: { alerts: Alert[] } }>(`${prometheusUrl}/api/v1/alerts`);
  return data.alerts;
}

/** Waits until Prometheus says that this alert fires, or no longer does. */
export async function untilAlert(
  monitoring: Monitoring,
  name: string,
  labels: Readonly<Record<string, string>>,
  isFiring: boolean,
  msMax: number,
): Promise<true> {
  let seen: Alert[] = [];
  return until(
    `${name} ${isFiring ? "fires" : "no longer fires"}`,
    async () => {
      seen = await alertsOf(monitoring);
      const fires = seen.some(
        (one) =>
          one.state === "firing" &&
          one.labels["alertname"] === name &&
          Object.entries(labels).every(([key, value]) => one.labels[key] === value),
      );
      return fires === isFiring ? true : undefined;
    },
    msMax,
    () => JSON.stringify(seen.map(({ state, labels }) => [state, labels])),
  );
}

interface Told {
  readonly fingerprint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: { readonly inhibitedBy: readonly string[] };
}

/** Of each alert of this name that Alertmanager holds: the names of those that mute it. */
export async function mutersOf(
  { alertmanagerUrl }: Monitoring,
  name: string,
): Promise<readonly (readonly string[])[]> {
  const all = await get<Told[]>(`${alertmanagerUrl}/api/v2/alerts`);
  const names = new Map(
    all.map(({ fingerprint, labels }) => [fingerprint, labels["alertname"] ?? ""]),
  );
  return all
    .filter(({ labels }) => labels["alertname"] === name)
    .map(({ status }) => status.inhibitedBy.map((one) => names.get(one) ?? one));
}

/** What Alertmanager counts of itself, over all series with this label. */
export async function alertmanagerCount(
  { alertmanagerUrl }: Monitoring,
  name: string,
  label: string,
): Promise<number> {
  const text = await (await fetch(`${alertmanagerUrl}/metrics`)).text();
  let sum = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}{`) || !line.includes(label)) continue;
    sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}
