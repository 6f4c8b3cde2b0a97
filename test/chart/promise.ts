// What the chart promises. Each promise is asked of the chart as it is by chart.test.ts, and of the chart with one thing
// deleted by mutate.ts: some promise must then be broken.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { CHART, type Chart, type Manifest, type Manifests } from "./helm.ts";

export interface Promised {
  readonly name: string;
  readonly check: (chart: Chart) => Promise<void>;
}

export const UPSTREAMS = {
  fanduel: { url: "https://fanduel.example" },
  draftkings: { url: "https://draftkings.example", deadlineMs: 2000 },
};

export const REDIS = {
  replicas: 2,
  config: { store: { kind: "redis", url: "redis://redis:6379" }, upstreams: UPSTREAMS },
};

export const MEMORY = { config: { store: { kind: "memory" } } };

/** The values files of ci/, by their names. */
export function ciValues(): ReadonlyMap<string, object> {
  const files = readdirSync(join(CHART, "ci")).toSorted();
  return new Map(
    files.map((file) => [
      file.replace(/-values\.yaml$/, ""),
      (parse(readFileSync(join(CHART, "ci", file), "utf8")) ?? {}) as object,
    ]),
  );
}

/** Every set of values under ci/, rendered. */
export function renderCi(chart: Chart): Promise<readonly (readonly [string, Manifests])[]> {
  return Promise.all(
    [...ciValues()].map(async ([name, values]) => [name, await chart.render(values)] as const),
  );
}

/** What is rendered in the values' own namespace, but for what has none. */
export function labelsOf({ metadata }: Manifest): Readonly<Record<string, string>> {
  return metadata.labels ?? {};
}
