// Reads a runbook the way an on-call engineer does: sections, commands, and what they should show.
//
// A `text` block after a `sh` block is what that block shows: each of its lines is found in the
// output, in this order, `…` standing for anything and blanks for any blanks. Where that depends on the
// cause there is a `text` block per cause, and what stands after `text` names it.

import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "runbooks");

export interface Block {
  readonly section: string;
  /** What stands after `sh`: `kubectl` asks for a cluster, `refused` ends with another code than 0. */
  readonly tag: string;
  readonly commands: string;
  /** What it shows, by cause; a block without a cause is under "". Empty when the page does not say. */
  readonly shows: ReadonlyMap<string, readonly string[]>;
}

export interface Page {
  /** The alert's name; `README` is the index. */
  readonly name: string;
  readonly text: string;
  readonly sections: readonly string[];
  readonly blocks: readonly Block[];
}

export function pageNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".md"))
    .map((file) => file.slice(0, -".md".length))
    .toSorted();
}

export function readPage(name: string): Page {
  return parsePage(name, readFileSync(join(FOLDER, `${name}.md`), "utf8"));
}

export function parsePage(name: string, text: string): Page {
  const sections: string[] = [];
  const blocks: Block[] = [];
  const fence = /^```(\w+)(?: +(\w+))?\n([\s\S]*?)^```$/gm;
  const parts = text.split(/^## /m).slice(1);
  for (const part of parts) {
    const [section = ""] = part.split("\n", 1);
    sections.push(section);
    for (const [, language, tag = "", body = ""] of part.matchAll(fence)) {
      if (language === "sh") blocks.push({ section, tag, commands: body, shows: new Map() });
      const last = blocks.at(-1);
      if (language !== "text" || last === undefined || last.section !== section) continue;
      const shows = new Map([...last.shows, [tag, body.trimEnd().split("\n")]]);
      blocks[blocks.length - 1] = { ...last, shows };
    }
  }
  return { name, text, sections, blocks };
}

/** How many lines of commands and of what they show, such as `2>2`, or `kubectl 3`. */
export function outline({ tag, commands, shows }: Block): string {
  const count = (lines: readonly string[]): number => lines.filter((line) => line !== "").length;
  const shown = [...shows].map(([cause, lines]) => `>${cause} ${count(lines)}`.replace("> ", ">"));
  return [`${tag} ${count(commands.split("\n"))}`.trim(), ...shown].join("");
}

/** Variables that the commands read and do not set themselves. */
export function variablesOf({ commands }: Block): string[] {
  const own = new Set(
    [...commands.matchAll(/\b(?:for\s+(\w+)\s+in|([A-Za-z_]\w*)=)/g)].map(
      ([, loop, assigned]) => loop ?? assigned,
    ),
  );
  const read = [...commands.matchAll(/\$\{?([A-Za-z_]\w*)/g)].map(([, name = ""]) => name);
  return [...new Set(read)].filter((name) => !own.has(name)).toSorted();
}

export interface Shown {
  readonly code: number | null;
  readonly output: string;
}

/** A block that takes longer than this would keep a person waiting, too. */
const BLOCK_MS_MAX = 60_000;

export function runBlock(
  { commands }: Block,
  env: Readonly<Record<string, string>>,
): Promise<Shown> {
  return new Promise((done, fail) => {
    const child = spawn("bash", ["-euo", "pipefail", "-c", commands], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: BLOCK_MS_MAX,
      killSignal: "SIGKILL",
    });
    let output = "";
    const listen = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.on("error", fail);
    child.on("close", (code) => done({ code, output }));
  });
}

/** The first line that the page promises and the output lacks, or undefined. */
export function missingLine(shows: readonly string[], output: string): string | undefined {
  const lines = output.split("\n");
  let next = 0;
  for (const promised of shows) {
    const pattern = new RegExp(
      promised
        .trim()
        .split(/(…|\s+)/)
        .map((part) => {
          if (part === "") return "";
          if (part === "…") return ".*";
          return part.trim() === "" ? String.raw`\s+` : RegExp.escape(part);
        })
        .join("")
        // A gap between blanks may be empty.
        .replaceAll(String.raw`\s+.*\s+`, String.raw`\s+(?:.*\s+)?`),
    );
    const found = lines.findIndex((line, at) => at >= next && pattern.test(line));
    if (found === -1) return promised;
    next = found + 1;
  }
  return undefined;
}
