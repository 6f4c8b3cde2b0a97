// Tables that read well in a terminal and are Markdown, and the files they are kept in.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type Row = readonly string[];

/** The first column is text, all others are numbers. */
export function markdownTable(head: Row, rows: readonly Row[]): string {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => (row[column] ?? "").length)),
  );
  const line = (row: Row): string =>
    `| ${widths
      .map((width, column) => {
        const cell = row[column] ?? "";
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(" | ")} |`;
  const rule = `| ${widths
    .map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
    .join(" | ")} |`;
  return [line(head), rule, ...rows.map((row) => line(row))].join("\n");
}

/** Three significant digits at most, thousands apart. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  const digits =
    Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

export interface Target {
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly reached: boolean;
}

export function targetTable(targets: readonly Target[]): string {
  return markdownTable(
    ["target", "wanted", "measured", ""],
    targets.map(({ what, wanted, measured, reached }) => [
      what,
      wanted,
      measured,
      reached ? "reached" : "**not reached**",
    ]),
  );
}

const RESULTS = join(import.meta.dirname, "../results");

/** Writes both shapes of a report, formatted as the repository wants its files. */
export async function writeReport(name: string, markdown: string, data: unknown): Promise<void> {
  await write(`${name}.md`, markdown, "markdown");
  await writeData(name, data);
}

export function writeData(name: string, data: unknown): Promise<void> {
  return write(`${name}.json`, JSON.stringify(data), "json");
}

async function write(file: string, text: string, parser: "markdown" | "json"): Promise<void> {
  const { format } = await import("prettier");
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, file), await format(text, { printWidth: 100, parser }));
}
