// The programs of the documentation, cut out of its pages and run as they stand there.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Upstream } from "../../src/index.ts";
import { ROOT } from "./programs.ts";

export interface Block {
  /** Empty where the fence names none. */
  readonly language: string;
  readonly text: string;
}

export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  return [...text.matchAll(/^( *)```(\w*).*\n([\s\S]*?)^\1```$/gm)].map(
    ([, , language = "", text = ""]) => ({ language, text }),
  );
}

/** The blocks of a page in these languages, in order. */
export function programsOf(page: string, ...languages: readonly string[]): string[] {
  return blocksOf(page)
    .filter(({ language }) => languages.includes(language))
    .map(({ text }) => text);
}

const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  exports: Record<string, { readonly default?: string }>;
};

/** Where a program that lies anywhere finds what it imports: our own names lead to the sources. */
function addressOf(specifier: string): string {
  const [, path] = /^switchgear(\/[\w-]+)?$/.exec(specifier) ?? [undefined, undefined];
  if (!/^switchgear(?:\/|$)/.test(specifier)) return import.meta.resolve(specifier);
  const built = exports[`.${path ?? ""}`]?.default;
  assert.ok(built, `${specifier} is exported`);
  return pathToFileURL(join(ROOT, built.replace("./dist/", "./src/").replace(/\.js$/, ".ts"))).href;
}

/** A program of a page that can run in any folder. */
export function runnable(program: string): string {
  return program.replaceAll(
    /^((?:import|\}).* from )"([^".][^"]*)"/gm,
    (_all, head: string, specifier: string) => `${head}${JSON.stringify(addressOf(specifier))}`,
  );
}

const folder = mkdtempSync(join(tmpdir(), "switchgear-docs-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** Runs the program as a module of this process; `more` is what it exports beyond what it does itself. */
export async function load<Module>(program: string, more = ""): Promise<Module> {
  count += 1;
  const file = join(folder, `${count}.mjs`);
  writeFileSync(file, `${runnable(program)}\n${more}`);
  return (await import(pathToFileURL(file).href)) as Module;
}

export type Behaviour = keyof typeof ANSWERS;

const ANSWERS = {
  odds: (response) => void response.end('{"price":1.9}'),
  "500": (response) => void response.writeHead(500).end("down"),
  "404": (response) => void response.writeHead(404).end("none"),
  "304": (response) => void response.writeHead(304).end(),
  "429": (response) => void response.writeHead(429, { "retry-after": "1" }).end("slow down"),
  "503, come again": (response) =>
    void response.writeHead(503, { "retry-after": "60" }).end("down"),
  "503 of a Switchgear": (response) =>
    void response.writeHead(503, { "x-switchgear-reason": "tripped" }).end("{}"),
  hang: () => {},
  stall: (response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("{");
  },
  break: (response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("{");
    setTimeout(() => response.destroy(), 20);
  },
  "error inside": (response) => void response.end('{"error":"down"}'),
} satisfies Record<string, (response: ServerResponse) => void>;

/** A bookmaker that does what it is told, and counts who asks it and who leaves before its answer is whole. */
export interface Bookmaker {
  readonly url: string;
  behaviour: Behaviour;
  asked: number;
  left: number;
  close(): void;
}

export async function startBookmaker(): Promise<Bookmaker> {
  const server = createServer((_request, response) => {
    bookmaker.asked += 1;
    response.on("close", () => {
      if (!response.writableFinished) bookmaker.left += 1;
    });
    ANSWERS[bookmaker.behaviour](response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const bookmaker: Bookmaker = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    behaviour: "odds",
    asked: 0,
    left: 0,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return bookmaker;
}

/** How a call ended: its value, or the code or name of its error. */
export async function endOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    const { code, name } = error as { readonly code?: string; readonly name: string };
    return code ?? name;
  }
}

export async function repeat(times: number, call: () => Promise<unknown>): Promise<unknown[]> {
  const ends: unknown[] = [];
  for (let n = 0; n < times; n += 1) ends.push(await endOf(call()));
  return ends;
}

/**
 * Calls until so many have timed out: one whose deadline passes while this process stands still counts as
 * nothing, and a busy machine has such moments.
 */
export async function repeatUntilTimedOut(
  guard: Upstream,
  times: number,
  call: () => Promise<unknown>,
): Promise<unknown[]> {
  const ends: unknown[] = [];
  for (let n = 0; n < 40 && (outcomes(guard)["timeout"] ?? 0) < times; n += 1) {
    ends.push(await endOf(call()));
  }
  return ends;
}

/** What the guard's calls came to, without those that came to nothing. */
export function evidence(guard: Upstream): Record<string, number> {
  const { ignored: _, ...rest } = outcomes(guard);
  return rest;
}

/** What the guard's calls came to, over all operations. */
export function outcomes(guard: Upstream): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const one of guard.operations) {
    for (const key of ["ok", "failed", "timeout", "ignored"] as const) {
      if (one[key] > 0) sum[key] = (sum[key] ?? 0) + one[key];
    }
  }
  return sum;
}
