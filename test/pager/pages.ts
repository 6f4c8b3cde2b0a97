// What PagerDuty has heard, told by alert and bookmaker.

import type { Incident, PagerDuty } from "./pagerduty.ts";
import { until } from "./processes.ts";

/** An incident is an alert's when its first trigger links the alert's runbook. */
export function incidentsOf(pager: PagerDuty, alert: string, bookmaker?: string): Incident[] {
  return pager.incidents().filter(({ triggers: [first] }) => {
    if (first?.links?.some(({ href }) => href.endsWith(`/${alert}.md`)) !== true) return false;
    return bookmaker === undefined || first.payload?.summary.includes(bookmaker) === true;
  });
}

/** What has arrived so far, for a sentence about what has not. */
export function heard(pager: PagerDuty): string {
  const told = pager.deliveries().map(({ status, event, errors }) => {
    const what = errors.length > 0 ? errors.join("; ") : event?.payload?.summary;
    return [status, event?.event_action, what];
  });
  return JSON.stringify(told);
}

export interface Wanted {
  readonly alert: string;
  readonly bookmaker?: string;
  readonly isOpen: boolean;
  /** Incidents that were there before and do not count. */
  readonly after?: number;
}

/** Waits for the latest incident of an alert to be open, or to be resolved. */
export function untilIncident(pager: PagerDuty, wanted: Wanted, msMax: number): Promise<Incident> {
  const { alert, bookmaker, isOpen, after = 0 } = wanted;
  return until(
    `PagerDuty's incident of ${alert} ${bookmaker ?? ""} ${isOpen ? "opens" : "is resolved"}`,
    () => {
      const latest = incidentsOf(pager, alert, bookmaker).slice(after).at(-1);
      if (latest === undefined) return undefined;
      return (latest.resolvedAtMs === undefined) === isOpen ? latest : undefined;
    },
    msMax,
    () => heard(pager),
  );
}
