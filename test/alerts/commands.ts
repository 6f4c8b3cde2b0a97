// What the commands of a runbook ask for, in the shell's own reading of them: bash runs each block with
// no program on its path, and whatever it would have started notes its arguments instead.
//
// A program says nothing that matters, so a block is read twice: as if all succeeded, and as if all
// failed. What only a third course would reach is not seen.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Block } from "../runbooks/page.ts";

/** What every variable holds: any value, for whoever reads what was asked. */
export const ANY = "ANYTHING";

export const URLS = {
  PROMETHEUS_URL: "http://prometheus",
  ALERTMANAGER_URL: "http://alertmanager",
  SWITCHGEAR_URL: "http://switchgear",
  SWITCHGEAR_URLS: "http://switchgear",
} as const;

export interface Call {
  readonly args: readonly string[];
  /** The address that the program before it in the pipe was given, if any. */
  readonly from: string;
}

// curl's output is the address that it was given, so that what reads it knows where it comes from. All
// others say a word: for loops over what they find, and for queries that what they find goes into.
const NOTE = `
command_not_found_handle() {
  local from=
  if [ "$1" = grep ]; then read -r from; fi
  # One write: the programs of a pipe note at the same time.
  printf '%s\\0' "$from" "$@" '' '' >> "$NOTES"
  if [ "$1" = curl ]; then
    for one in "$@"; do case $one in http://*) printf '%s\\n' "$one" ;; esac; done
  elif [ "$1" = grep ]; then printf '%s\\n' "$from"
  else printf '%s\\n' ${ANY}
  fi
  return "$STATUS"
}
`;

/** Nothing waits in there; a loop that never ends is cut. */
const BLOCK_MS_MAX = 5000;

/** Every program that the block would start. */
export function callsOf({ commands }: Block, variables: readonly string[]): Call[] {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-commands-"));
  try {
    return ["0", "1"].flatMap((status) => {
      const notes = join(folder, status);
      const env = {
        ...Object.fromEntries(variables.map((name) => [name, ANY])),
        ...URLS,
        // A folder without programs: an empty path would mean this one, or a default.
        PATH: folder,
        NOTES: notes,
        STATUS: status,
      };
      const { error } = spawnSync("/bin/bash", ["-c", NOTE + commands], {
        cwd: folder,
        env,
        // With a socket there, bash would take this for a login from afar and read the user's own settings.
        stdio: ["ignore", "pipe", "pipe"],
        timeout: BLOCK_MS_MAX,
      });
      if (error !== undefined) throw error;
      return readCalls(notes);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readCalls(notes: string): Call[] {
  return readFileSync(notes, "utf8")
    .split("\0\0\0")
    .filter((note) => note !== "")
    .map((note) => {
      const [from = "", ...args] = note.split("\0");
      return { from, args };
    });
}

/** What it asks of Prometheus, or undefined. */
export function queryOf({ args }: Call): string | undefined {
  const [program, command] = args;
  if (program !== "promtool" || command !== "query") return undefined;
  return args[args.indexOf(URLS.PROMETHEUS_URL) + 1];
}

/** What it looks for among the series of a page of metrics: one pattern for each alternative. */
export function patternsOf({ args: [program, ...args], from }: Call): string[] {
  if (program !== "grep" || !from.endsWith("/metrics")) return [];
  const isFixed = args.some((arg) => /^-\w*F/.test(arg));
  const pattern = args.find((arg) => !arg.startsWith("-")) ?? "";
  const patterns = isFixed ? [RegExp.escape(pattern)] : alternatives(pattern);
  return patterns.map((one) => one.replaceAll(ANY, '[^"]*'));
}

/** `a(b|c)?` means `a`, `ab` and `ac`: each must be something that there is. */
export function alternatives(pattern: string): string[] {
  const tokens = pattern.match(/\\.|\[[^\]]*\]|[^]/g) ?? [];
  let at = 0;
  const choice = (): string[] => {
    const all: string[] = [];
    let current = [""];
    while (at < tokens.length && tokens[at] !== ")") {
      const token = tokens[at] ?? "";
      at += 1;
      if (token === "|") {
        all.push(...current);
        current = [""];
        continue;
      }
      let next = [token];
      if (token === "(") {
        next = choice();
        at += 1;
        if (tokens[at] === "?") {
          next.push("");
          at += 1;
        }
      }
      current = current.flatMap((before) => next.map((after) => before + after));
    }
    return [...all, ...current];
  };
  return choice();
}
