// All that the chart promises.

import type { Promised } from "./promise.ts";
import { CONFIG } from "./promises-config.ts";
import { LISTED } from "./promises-listed.ts";
import { MONITORING } from "./promises-monitoring.ts";
import { REST } from "./promises-rest.ts";
import { RULES } from "./promises-rules.ts";
import { WORKLOAD } from "./promises-workload.ts";

export const PROMISES: readonly Promised[] = [
  ...LISTED,
  ...WORKLOAD,
  ...CONFIG,
  ...MONITORING,
  ...REST,
  ...RULES,
];
