// Every timeline, as the files of alerts/tests.

import { stringify } from "yaml";
import type { Values } from "../values.ts";
import type { TimelineFile } from "./timeline.ts";
import {
  endpointCoolingDown,
  flapping,
  modeForgotten,
  replicaDisagreement,
  stuckOpen,
  windowOpen,
} from "./breakers.ts";
import {
  configRejected,
  down,
  downForDays,
  instanceDown,
  logLost,
  metricsAbsent,
  modeForgottenEverywhere,
  scrapeNearLimit,
  seriesMissing,
  storeDown,
  storeError,
  storeRecovered,
} from "./processes.ts";
import { fleetSplit } from "./fleet.ts";
import { criticalRecorded, criticalRefused, limitAtFloor } from "./limits.ts";
import { stateLost, stateLostForDays } from "./lost.ts";
import { manyTripped, mostlyOpen, noEndpoint } from "./outs.ts";
import { pagerDeliveryFailing, recording, ruleFailures, watchdog } from "./pipeline.ts";
import {
  loadShedding,
  recordedRefusals,
  rejectingWhileClosed,
  successRatioLow,
} from "./quality.ts";
import { budgets, budgetsRecorded } from "./slo.ts";
import { tripped } from "./tripped.ts";

const FILES: readonly ((values: Values) => TimelineFile | readonly TimelineFile[])[] = [
  tripped,
  manyTripped,
  noEndpoint,
  stateLost,
  stateLostForDays,
  mostlyOpen,
  stuckOpen,
  flapping,
  replicaDisagreement,
  fleetSplit,
  windowOpen,
  endpointCoolingDown,
  modeForgotten,
  modeForgottenEverywhere,
  down,
  downForDays,
  instanceDown,
  metricsAbsent,
  seriesMissing,
  storeDown,
  storeError,
  storeRecovered,
  configRejected,
  logLost,
  scrapeNearLimit,
  loadShedding,
  limitAtFloor,
  criticalRefused,
  rejectingWhileClosed,
  successRatioLow,
  pagerDeliveryFailing,
  ruleFailures,
  watchdog,
  recording,
  recordedRefusals,
  criticalRecorded,
  budgets,
  budgetsRecorded,
];

export function timelineFiles(values: Values): { readonly path: string; readonly text: string }[] {
  return FILES.flatMap((make) => make(values)).map((file) => {
    const { name, about, stepSeconds, tests, rules = ["switchgear.yml"] } = file;
    const body = {
      rule_files: rules.map((file) => `../${file}`),
      evaluation_interval: `${stepSeconds}s`,
      tests,
    };
    const note = "Written by `npm run alerts` from scripts/alerts/timelines.";
    return {
      path: `alerts/tests/${name}.yml`,
      text: `# ${note} ${about}\n${stringify(body, { lineWidth: 0, aliasDuplicateObjects: false })}`,
    };
  });
}
