// The dashboards as they are committed, and what Grafana would ask Prometheus for them.

import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const FOLDER = resolve(import.meta.dirname, "../../grafana/dashboards");

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
  readonly instant?: boolean;
  readonly range?: boolean;
  readonly datasource: unknown;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: unknown;
  readonly targets?: readonly Target[];
  readonly fieldConfig: {
    readonly defaults: { readonly unit?: string; readonly noValue?: string };
  };
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
}

export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query?: string;
  readonly refresh?: number;
  readonly multi?: boolean;
  readonly includeAll?: boolean;
  readonly allValue?: string;
  readonly datasource?: unknown;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly editable: boolean;
  readonly schemaVersion: number;
  readonly tags: readonly string[];
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: {
    readonly list?: readonly {
      readonly name: string;
      readonly expr: string;
      readonly datasource: unknown;
    }[];
  };
}

export function dashboards(): Dashboard[] {
  return readdirSync(FOLDER)
    .toSorted()
    .map((file) => JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as Dashboard);
}

/** Those that show something; a row is a heading. */
export function panelsOf({ panels }: Dashboard): Panel[] {
  return panels.filter(({ type }) => type !== "row");
}

export interface Filling {
  /** Regular expressions, as Grafana makes them of what is chosen. What is not named is all. */
  readonly chosen?: Readonly<Record<string, string>>;
  /** Such as `15s`: four scrapes, or a step and a scrape where that is more. */
  readonly rateInterval: string;
}

/** The job that the stack's Prometheus, and the shipped rules, know Switchgear by. */
export const JOB = { job: "switchgear" } as const;

/** With its variables in their places, as Grafana sends it. Throws on one that the dashboard does not have. */
export function filled(text: string, { templating }: Dashboard, filling: Filling): string {
  return text.replaceAll(/\$(?:\{([a-z_]\w*)(?::\w+)?\}|([a-z_]\w*))/g, (whole, braced, bare) => {
    const name = String(braced ?? bare);
    if (name === "__rate_interval") return filling.rateInterval;
    const variable = templating.list.find((one) => one.name === name);
    if (variable === undefined) throw new Error(`there is no variable ${whole} in ${text}`);
    const value = filling.chosen?.[name] ?? variable.allValue;
    if (value === undefined) throw new Error(`"all" of ${whole} is what there is: say what`);
    return value;
  });
}

/** As Grafana names a curve. */
export function legendOf(format: string, labels: Readonly<Record<string, string>>): string {
  return format.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
}
