// Hyper-Bun's line format.

import { oneLine } from "./escape.ts";

const NO_CODE = "-";
const SOURCE_BREAKER = "ProductionCircuitBreaker";
const SOURCE_OTHER = "Switchgear";

const LEVEL_NAMES: Readonly<Record<string, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO",
  40: "WARN",
  50: "ERROR",
  60: "FATAL",
};

/** One line of pino's JSON as `YYYY-MM-DD HH:MM:SS.ms | LEVEL | CODE | SOURCE | MESSAGE`, in UTC. */
export function hyperBunFormat(line: string): string {
  const record = parse(line);
  if (record === undefined) return oneLine(line.trimEnd());
  const message = textOf(record["msg"], "");
  const source = message.startsWith("[CIRCUIT_BREAKER]") ? SOURCE_BREAKER : SOURCE_OTHER;
  const level = textOf(record["level"], "info");
  return [
    when(record["time"]),
    LEVEL_NAMES[level] ?? level.toUpperCase(),
    textOf(record["code"], NO_CODE),
    textOf(record["source"], source),
    message,
  ]
    .map(oneLine)
    .join(" | ");
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const record: unknown = JSON.parse(line);
    return typeof record === "object" && record !== null ? { ...record } : undefined;
  } catch {
    return undefined;
  }
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : otherwise;
}

function when(time: unknown): string {
  const date = new Date(typeof time === "string" || typeof time === "number" ? time : Number.NaN);
  return Number.isNaN(date.getTime()) ? "-" : date.toISOString().replace("T", " ").replace("Z", "");
}
