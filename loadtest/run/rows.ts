// Makes rows of 200 ms of k6's samples, which it writes as CSV.

import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { ROW_MS, type Row } from "./data.ts";

/** What is known of one bookmaker's calls in 200 ms. */
interface Cell {
  offered: number;
  ok: number;
  timeouts: number;
  errors: number;
  readonly refused: Record<string, number>;
  readonly okMs: Record<string, number[]>;
}

export interface Reduced {
  readonly rows: readonly Row[];
  /** When each step began, by its number. */
  readonly stepStartMs: ReadonlyMap<number, number>;
}

/** k6's columns are found by name; the tags of ours are in `extra_tags`. */
export async function reduceSamples(file: string): Promise<Reduced> {
  const cells = new Map<string, Cell>();
  const stepStartMs = new Map<number, number>();
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  let columns: readonly string[] | undefined;
  for await (const line of lines) {
    if (columns === undefined) {
      columns = line.split(",");
      continue;
    }
    // Nearly all lines are k6's own metrics.
    if (!line.startsWith("call_ms,") && !line.startsWith("step_start_ms,")) continue;
    const fields = line.split(",");
    const field = (name: string): string => fields[columns?.indexOf(name) ?? -1] ?? "";
    const tags = new URLSearchParams(field("extra_tags"));
    const value = Number(field("metric_value"));
    if (fields[0] === "step_start_ms") stepStartMs.set(Number(tags.get("step")), value);
    else addCall(cells, { endMs: Number(field("timestamp")), ms: value, tags });
  }
  return { rows: rowsOf(cells), stepStartMs };
}

function addCall(
  cells: Map<string, Cell>,
  call: { readonly endMs: number; readonly ms: number; readonly tags: URLSearchParams },
): void {
  const { endMs, ms, tags } = call;
  const bookmaker = tags.get("bookmaker") ?? "";
  cellAt(cells, bookmaker, endMs - ms).offered += 1;
  const cell = cellAt(cells, bookmaker, endMs);
  const outcome = tags.get("outcome");
  if (outcome === "ok") {
    cell.ok += 1;
    (cell.okMs[tags.get("tier") ?? ""] ??= []).push(ms);
  } else if (outcome === "refused") {
    const reason = tags.get("reason") ?? "";
    cell.refused[reason] = (cell.refused[reason] ?? 0) + 1;
  } else if (outcome === "timeout") cell.timeouts += 1;
  else cell.errors += 1;
}

function cellAt(cells: Map<string, Cell>, bookmaker: string, ms: number): Cell {
  const key = `${Math.floor(ms / ROW_MS) * ROW_MS} ${bookmaker}`;
  let cell = cells.get(key);
  if (cell === undefined) {
    cell = { offered: 0, ok: 0, timeouts: 0, errors: 0, refused: {}, okMs: {} };
    cells.set(key, cell);
  }
  return cell;
}

function rowsOf(cells: ReadonlyMap<string, Cell>): Row[] {
  const rows = [...cells].map(([key, cell]): Row => {
    const [atMs = "", bookmaker = ""] = key.split(" ");
    const { offered, ok, refused, timeouts, errors } = cell;
    const latency = Object.fromEntries(
      Object.entries(cell.okMs).map(([tier, values]) => {
        const sorted = values.toSorted((a, b) => a - b);
        return [tier, { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) }];
      }),
    );
    return { atMs: Number(atMs), bookmaker, offered, ok, refused, timeouts, errors, latency };
  });
  return rows.toSorted((a, b) => a.atMs - b.atMs || (a.bookmaker < b.bookmaker ? -1 : 1));
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
