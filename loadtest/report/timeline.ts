// A run as points over time, in seconds from the first step of the load.

import type { Row, RunRecord } from "../run/data.ts";
import type { Run } from "./runs.ts";

export type Point = readonly [seconds: number, value: number | null];

/** Rates are means over this long: shorter ones show the rows' own edges. */
const BIN_MS = 1000;

export interface Rates {
  readonly offered: readonly Point[];
  readonly ok: readonly Point[];
  readonly refused: readonly Point[];
  readonly timeouts: readonly Point[];
  readonly errors: readonly Point[];
}

/** When the first overload began; without one, when the first row was. */
export function zeroMs({ record, rows }: Run): number {
  const step = record.steps.find(({ phase }) => phase === "overload");
  return step?.startMs ?? rows[0]?.atMs ?? record.startMs;
}

function binned<Value>(
  run: Run,
  bookmaker: string,
  valueOf: (rows: readonly Row[]) => Value,
): [seconds: number, value: Value][] {
  const zero = zeroMs(run);
  const bins = new Map<number, Row[]>();
  for (const row of run.rows) {
    if (row.bookmaker !== bookmaker) continue;
    const bin = Math.floor((row.atMs - zero) / BIN_MS);
    const rows = bins.get(bin) ?? [];
    rows.push(row);
    bins.set(bin, rows);
  }
  const keys = [...bins.keys()];
  const points: [number, Value][] = [];
  // Seconds without any call are seconds, too.
  for (let bin = Math.min(...keys); bin <= Math.max(...keys); bin += 1) {
    points.push([(bin * BIN_MS) / 1000, valueOf(bins.get(bin) ?? [])]);
  }
  return points;
}

function sum(rows: readonly Row[], of: (row: Row) => number): number {
  return (rows.reduce((total, row) => total + of(row), 0) * 1000) / BIN_MS;
}

function refusedOf({ refused }: Row): number {
  return Object.values(refused).reduce((total, count) => total + count, 0);
}

export function ratesOf(run: Run, bookmaker: string = run.record.target): Rates {
  const of = (value: (row: Row) => number): Point[] =>
    binned(run, bookmaker, (rows) => sum(rows, value));
  return {
    offered: of((row) => row.offered),
    ok: of((row) => row.ok),
    refused: of(refusedOf),
    timeouts: of((row) => row.timeouts),
    errors: of((row) => row.errors),
  };
}

/** The worst tier's quantile of the rows of a second: what k6 left of single calls is no more than that. */
export function latencyOf(
  run: Run,
  quantile: "p50" | "p99",
  bookmaker: string = run.record.target,
): Point[] {
  return binned(run, bookmaker, (rows) => {
    const values = rows.flatMap(({ latency }) => Object.values(latency).map((of) => of[quantile]));
    return values.length === 0 ? null : Math.max(...values);
  });
}

/** One series of the gateway, summed over those of its labels that hold `bookmaker`. */
export function seriesOf(run: Run, name: string, bookmaker: string = run.record.target): Point[] {
  const zero = zeroMs(run);
  const wanted = `bookmaker="${bookmaker}"`;
  return run.samples.flatMap(({ atMs, series }): Point[] => {
    const values = Object.entries(series).flatMap(([key, value]) =>
      (key === name || key.startsWith(`${name}{`)) && key.includes(wanted) ? [value] : [],
    );
    if (values.length === 0) return [];
    return [[(atMs - zero) / 1000, values.reduce((total, value) => total + value, 0)]];
  });
}

/** The stretches of overload, for shading. */
export function overloads(record: RunRecord, zero: number): [from: number, to: number][] {
  return record.steps.flatMap(({ phase, startMs, seconds }): [number, number][] => {
    if (phase !== "overload" || startMs === undefined) return [];
    const from = (startMs - zero) / 1000;
    return [[from, from + seconds]];
  });
}
