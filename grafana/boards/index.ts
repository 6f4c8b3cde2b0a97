// All dashboards, in the order in which somebody who looks for a fault opens them.

import { jsonOf, type Board } from "../lib/board.ts";
import { bookmaker } from "./bookmaker.ts";
import { endpoints } from "./endpoints.ts";
import { loadTest } from "./load-test.ts";
import { overload } from "./overload.ts";
import { overview } from "./overview.ts";
import { pipeline } from "./pipeline.ts";
import { runtime } from "./runtime.ts";

export const BOARDS: readonly Board[] = [
  overview,
  bookmaker,
  overload,
  endpoints,
  runtime,
  loadTest,
  pipeline,
];

export interface DashboardFile {
  readonly path: string;
  readonly content: string;
}

export function dashboardFiles(): DashboardFile[] {
  return BOARDS.map((board) => ({
    path: `grafana/dashboards/switchgear-${board.page}.json`,
    content: jsonOf(board),
  }));
}
