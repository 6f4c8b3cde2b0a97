// Answers on standard output: tables for people, JSON for programs.

import Table from "cli-table3";
import { oneLine } from "../telemetry/log/escape.ts";
import { tellPeople } from "../telemetry/log/standard-output.ts";
import { EXIT } from "./exit-codes.ts";

let isHeard = false;

/** Waits for a reader that is slow, for this process is there for its answer. */
export function print(text: string): void {
  // Not before somebody prints: to look at the stream changes how the descriptor is open.
  if (!isHeard) process.stdout.on("error", printFailed);
  isHeard = true;
  process.stdout.write(text);
}

function printFailed({ code, message }: NodeJS.ErrnoException): void {
  // A reader that has seen enough, as `head` does, is no fault.
  if (code === "EPIPE") return;
  tellPeople(`the answer cannot be written: ${message}`);
  process.exitCode = EXIT.failed;
}

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    wordWrap: true,
    chars: PLAIN,
  });
  table.push(...rows.map((row) => row.map(printable)));
  print(`${table.toString()}\n`);
}

export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
}

export function say(line: string): void {
  print(`${printable(line)}\n`);
}

/** Epoch milliseconds as UTC to the second, or a dash where no calendar knows the date. */
export function when(ms: number | null | undefined): string {
  const date = new Date(ms ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? "-" : date.toISOString().replace(/\.\d+Z$/, "Z");
}

/** A share of 1. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

const SPANS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
] as const;

/** Milliseconds in words, in the unit that fits, cut down to whole ones from ten of them on. */
export function duration(ms: number): string {
  const [size, unit] = SPANS.find(([least]) => ms >= 2 * least) ?? [1000, "s"];
  const count = Math.max(0, ms) / size;
  return `${count >= 10 ? Math.floor(count) : Math.floor(10 * count) / 10} ${unit}`;
}

export function orDash(value: string | number | null | undefined): string {
  return value === null || value === undefined || value === "" ? "-" : String(value);
}

/** Names and errors are strangers' texts: an escape sequence must not reach the terminal, nor a line end a cell. */
const printable = oneLine;

const PLAIN = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
} as const;
