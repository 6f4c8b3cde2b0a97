// Panels that several dashboards show alike.

import { OUTCOME_COLOURS } from "./meanings.ts";
import type { Panel } from "./panel.ts";
import { OPERATION } from "./selectors.ts";

export const CALLS_BY_OUTCOME: Panel = {
  kind: "curves",
  title: "Calls by outcome",
  description:
    "Calls a second: ok, failed, timeout, ignored (says nothing of the bookmaker, such as a caller who left) and refused (never sent).",
  unit: "reqps",
  width: 8,
  noData: "no calls",
  stacked: true,
  colours: OUTCOME_COLOURS,
  targets: [
    {
      expr: `sum by (outcome) (rate(switchgear_requests_total{${OPERATION}}[$__rate_interval]))`,
      legend: "{{outcome}}",
    },
  ],
};
