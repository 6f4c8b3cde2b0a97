// watch: all breakers on a terminal, as they are; where nobody sees a terminal, a line for each change.

import { setTimeout as delay } from "node:timers/promises";
import { oneLine } from "../telemetry/log/escape.ts";
import type { AdminClient } from "./admin-client.ts";
import { inFlightOf, failuresOf, listStatuses, type Status } from "./breaker-commands.ts";
import { CommandError, EXIT } from "./exit-codes.ts";
import { duration, print, say, when } from "./print.ts";

export interface WatchOptions {
  /** Between two looks, seconds. */
  readonly interval: number;
  /** Looks, and then it ends; undefined is until somebody ends it. */
  readonly count?: number | undefined;
}

interface Terminal {
  readonly columns: number;
  readonly rows: number;
  readonly hasColour: boolean;
}

export async function watchCommand(
  client: AdminClient,
  { interval, count = Number.POSITIVE_INFINITY }: WatchOptions,
): Promise<void> {
  const before = new Map<string, string>();
  for (let n = 0; n < count; n += 1) {
    if (n > 0) await delay(interval * 1000);
    const terminal = terminalOf();
    const look = await lookOf(client, n === 0);
    if (terminal !== undefined) print(screenOf(look, Date.now(), terminal));
    else for (const line of changes(before, look, Date.now())) say(line);
  }
}

/** Breakers, or why there are none to see. */
type Look = readonly Status[] | string;

/** A server that does not answer the first time is a mistake; later it is news. */
async function lookOf(client: AdminClient, isFirst: boolean): Promise<Look> {
  try {
    return await listStatuses(client);
  } catch (error) {
    if (isFirst || !(error instanceof CommandError) || error.exitCode !== EXIT.unreachable)
      throw error;
    return error.message;
  }
}

function terminalOf(): Terminal | undefined {
  const { stdout } = process;
  if (!stdout.isTTY) return undefined;
  const isPlain = (process.env["NO_COLOR"] ?? "") !== "" || process.env["TERM"] === "dumb";
  return { columns: stdout.columns, rows: stdout.rows, hasColour: !isPlain };
}

function stateOf(status: Status): string {
  const { tripped, state, manual, mode, window } = status;
  const ramp = window?.rampPercent ?? null;
  if (mode !== "normal") return `${state} (${mode})`;
  if (ramp !== null) return `${ramp} % let in`;
  return tripped ? `${state.toUpperCase()}${manual ? " by hand" : ""}` : state;
}

/** What somebody should look at stands first. */
function urgency(status: Status): number {
  if (status.tripped) return 0;
  return status.mode === "normal" && (status.window?.rampPercent ?? null) === null ? 2 : 1;
}

const COLUMNS = [
  ["NAME", 24],
  ["STATE", 18],
  ["FOR", 9],
  ["FAILURES", 12],
  ["IN FLIGHT", 10],
] as const;
const HEAD_ROWS = 3;
const CLEAR = "\u001B[H\u001B[2J";
const RED = "\u001B[31m";
const YELLOW = "\u001B[33m";
const PLAIN = "\u001B[0m";

/** Pure: everything that a terminal of this size shows. */
export function screenOf(
  look: Look,
  nowMs: number,
  { columns, rows, hasColour }: Terminal,
): string {
  const cut = (text: string): string => oneLine(text).slice(0, columns);
  if (typeof look === "string") return `${CLEAR}${when(nowMs)}\n\n${cut(look)}\n`;
  const tripped = look.filter((one) => one.tripped).length;
  const lines = look
    .toSorted((a, b) => urgency(a) - urgency(b) || a.bookmaker.localeCompare(b.bookmaker))
    .map((status) => {
      const line = cut(rowOf(cellsOf(status, nowMs)));
      if (!hasColour || urgency(status) === 2) return line;
      return `${status.tripped ? RED : YELLOW}${line}${PLAIN}`;
    });
  const room = Math.max(1, rows - HEAD_ROWS - 1);
  const hidden = lines.length > room ? [`… and ${lines.length - room + 1} more`] : [];
  const shown = hidden.length === 0 ? lines : lines.slice(0, room - 1);
  const head = cut(`${when(nowMs)}  ${tripped} of ${look.length} tripped`);
  return `${[CLEAR + head, "", cut(rowOf(COLUMNS.map(([name]) => name))), ...shown, ...hidden].join("\n")}\n`;
}

function cellsOf(status: Status, nowMs: number): string[] {
  const { bookmaker, trippedAt, tripped } = status;
  const age = tripped && trippedAt !== null ? duration(nowMs - trippedAt) : "";
  return [bookmaker, stateOf(status), age, failuresOf(status), inFlightOf(status)];
}

function rowOf(cells: readonly string[]): string {
  return COLUMNS.map(([, width], index) => (cells[index] ?? "").slice(0, width - 1).padEnd(width))
    .join("")
    .trimEnd();
}

/** What differs from before, which is brought up to date. */
function changes(before: Map<string, string>, look: Look, nowMs: number): string[] {
  const at = when(nowMs);
  const now = new Map(
    typeof look === "string"
      ? [["", look]]
      : look.map((status) => [status.bookmaker, stateOf(status)] as const),
  );
  const lines = [...now]
    .filter(([name, state]) => before.get(name) !== state)
    .map(([name, state]) => (name === "" ? `${at} ${state}` : `${at} ${name} ${state}`));
  const gone =
    typeof look === "string"
      ? []
      : [...before.keys()].filter((name) => !now.has(name) && name !== "");
  for (const name of gone) lines.push(`${at} ${name} is gone`);
  if (typeof look !== "string") before.clear();
  for (const [name, state] of now) before.set(name, state);
  return lines;
}
