// npm run chart:docs: the chart's README.md, from its template and the comments of values.yaml. Needs Go the first time.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { toolPath } from "../test/tools/build.ts";

const CHART = join(import.meta.dirname, "../deploy/helm/switchgear");

const { status } = spawnSync(
  toolPath("helm-docs"),
  [`--chart-search-root=${CHART}`, "--sort-values-order=file", "--log-level=error"],
  { stdio: "inherit" },
);
process.exitCode = status ?? 1;
