// Reads what runs left in their folders.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DASHBOARD, type Row, type RunRecord, type Sample } from "../run/data.ts";

export interface Run {
  readonly folder: string;
  readonly record: RunRecord;
  readonly rows: readonly Row[];
  readonly samples: readonly Sample[];
  /** k6's own report, if there is one. */
  readonly dashboard: string | undefined;
}

export function readRun(folder: string): Run {
  const dashboard = join(folder, DASHBOARD);
  return {
    folder,
    record: JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as RunRecord,
    rows: readLines<Row>(join(folder, "rows.jsonl")),
    samples: readLines<Sample>(join(folder, "samples.jsonl")),
    dashboard: existsSync(dashboard) ? dashboard : undefined,
  };
}

function readLines<Line>(file: string): Line[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}
