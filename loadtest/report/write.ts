// Writes the files of a report.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Resvg } from "@resvg/resvg-js";
import { byScenario, reportPage, summaryOf } from "./page.ts";
import { outcomesPlot } from "./plots.ts";
import { readRun } from "./runs.ts";
import { proofOf, type Proof } from "./verdict.ts";

/** Pixels for each of the plot's: sharp on the screens that people have. */
const ZOOM = 1.5;

export function writeReport(out: string, folders: readonly string[]): Proof {
  const runs = folders.map(readRun);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "report.html"), reportPage(runs, out));
  writeFileSync(join(out, "summary.json"), `${JSON.stringify(summaryOf(runs), null, 2)}\n`);
  for (const [scenario, group] of byScenario(runs)) {
    writeFileSync(join(out, `${scenario}.png`), pictureOf(outcomesPlot(group).svg));
  }
  return proofOf(runs.map(({ record }) => record));
}

export function pictureOf(svg: string): Uint8Array {
  return new Resvg(svg, { fitTo: { mode: "zoom", value: ZOOM } }).render().asPng();
}
