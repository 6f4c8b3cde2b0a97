// Who may import whom: the table of the architecture, held against every import of `src`.

import assert from "node:assert/strict";
import { join, posix } from "node:path";
import { test } from "node:test";
import { ROOT, readSource, sourceFiles, walk, type Node, type SourceFile } from "./source-files.ts";

interface Rule {
  /** The first rule whose pattern matches a file applies to it. */
  readonly files: RegExp;
  readonly may: readonly RegExp[];
}

const CORE = /^src\/core\//;
const PORTS = /^src\/pipeline\/ports\.ts$/;
const PIPELINE = /^src\/pipeline\//;
/** What all rooms of the pipeline stand on. */
const FOOT = /^src\/pipeline\/(?:ports|emitter|orders|names)\.ts$/;
const FLEET_PORT = /^src\/pipeline\/fleet-port\.ts$/;
const NODE = /^node:/;
const OTEL = /^src\/telemetry\/otel\//;
const LOGGING = /^src\/telemetry\/log\//;
const SERIES = /^src\/telemetry\/series\//;
const PROM_CLIENT = /^src\/telemetry\/prom-client\.ts$/;

const RULES: readonly Rule[] = [
  { files: CORE, may: [CORE] },
  // From the top: the registry, `call`, what stands around a breaker, the ports. No arrow runs upward, and
  // neighbours know each other through `call` only; but an endpoint has a limiter of its own.
  { files: /^src\/pipeline\/(?:shared|registry|registry-options)\.ts$/, may: [CORE, PIPELINE] },
  {
    files: /^src\/pipeline\/call\//,
    // The one module of the runtime: a call keeps its async context.
    may: [
      CORE,
      FOOT,
      /^src\/pipeline\/(?:call|endpoints|overload|breaker)\//,
      /^node:async_hooks$/,
    ],
  },
  {
    files: /^src\/pipeline\/endpoints\//,
    may: [CORE, FOOT, /^src\/pipeline\/(?:endpoints|overload)\//],
  },
  ...["overload", "breaker", "tasks"].map((room) => ({
    files: new RegExp(`^src/pipeline/${room}/`),
    may: [CORE, FOOT, new RegExp(`^src/pipeline/${room}/`)],
  })),
  {
    files: /^src\/pipeline\/fleet\//,
    may: [CORE, FOOT, FLEET_PORT, /^src\/pipeline\/(?:fleet|breaker)\//],
  },
  { files: FLEET_PORT, may: [CORE, PORTS] },
  // Names that are too long are told apart by a hash.
  { files: /^src\/pipeline\/names\.ts$/, may: [/^node:crypto$/] },
  { files: FOOT, may: [CORE, FOOT] },
  {
    files: /^src\/config\//,
    may: [CORE, /^src\/config\//, NODE, /^(zod|yaml)$/],
  },
  { files: /^src\/store\/memory\.ts$/, may: [CORE, PORTS, /^src\/store\/audit\.ts$/] },
  {
    files: /^src\/store\/redis/,
    may: [CORE, PORTS, FLEET_PORT, /^src\/store\//, /^node:(os|crypto|fs)$/, /^@redis\/client$/],
  },
  {
    files: /^src\/store\//,
    may: [CORE, PORTS, /^src\/store\//, /^node:(sqlite|fs|path|os|url|crypto)$/],
  },
  // Adapters know their one package and what is measured; what is measured knows no package.
  {
    files: OTEL,
    may: [
      CORE,
      PIPELINE,
      SERIES,
      /^src\/telemetry\/log\/escape\.ts$/,
      OTEL,
      /^@opentelemetry\//,
      NODE,
    ],
  },
  { files: LOGGING, may: [CORE, PIPELINE, LOGGING, /^(pino|@opentelemetry\/api)$/, NODE] },
  // It imports nothing of prom-client: what answers a registry's question is a metric.
  { files: PROM_CLIENT, may: [SERIES] },
  { files: SERIES, may: [CORE, PIPELINE, SERIES, /^node:crypto$/] },
  { files: /^src\/runtime\//, may: [CORE, PORTS, /^src\/runtime\//, NODE] },
  {
    files: /^src\/gateway\//,
    may: [CORE, PIPELINE, /^src\/config\//, /^src\/gateway\//, NODE, /^undici$/],
  },
  {
    files: /^src\/admin\//,
    may: [
      CORE,
      PIPELINE,
      /^src\/config\//,
      /^src\/admin\//,
      NODE,
      /^(hono($|\/)|@hono\/node-server$|zod$)/,
    ],
  },
  { files: /^src\/testing\//, may: [CORE, PIPELINE, /^src\/testing\//] },
  { files: /^src\/fetch\//, may: [CORE, PIPELINE, /^src\/index\.ts$/, /^src\/fetch\//] },
  {
    files: /^src\/index\.ts$/,
    may: [CORE, PIPELINE, /^src\/runtime\//, /^src\/store\/memory\.ts$/],
  },
  {
    // The drop-in: the public library with what a host would wire to it, and no package.
    files: /^src\/hyper-bun\//,
    may: [
      /^src\/index\.ts$/,
      // Names are guessed, options refused and strangers' promises contained as the library does.
      /^src\/core\/(nearest|options|foreign|classify)\.ts$/,
      /^src\/store\/sqlite/,
      /^src\/runtime\//,
      /^src\/telemetry\/(log\/(attach|lines|format|escape|output|standard-output)|series\/(catalogue|label))\.ts$/,
      /^src\/hyper-bun\//,
    ],
  },
  {
    // Façades over machines and sets of them, which the public API does not offer one by one.
    files: /^src\/compat\//,
    may: [
      CORE,
      PIPELINE,
      SERIES,
      PROM_CLIENT,
      /^src\/index\.ts$/,
      /^src\/runtime\//,
      /^src\/compat\//,
    ],
  },
  { files: /^src\/cli\//, may: [/^(?!src\/testing\/)/] },
];

const files = sourceFiles("src");

/** Where an import leads: a path from the root, or the package's own name. */
function target(file: SourceFile, specifier: string): string {
  return specifier.startsWith(".") ? posix.join(posix.dirname(file.path), specifier) : specifier;
}

function violations(file: SourceFile): string[] {
  const rule = RULES.find((candidate) => candidate.files.test(file.path));
  if (rule === undefined) return [`${file.path} stands in no room of the table`];
  return file.imports
    .map(({ specifier }) => target(file, specifier))
    .filter((to) => !rule.may.some((allowed) => allowed.test(to)))
    .map((to) => `${file.path} must not import ${to}`);
}

test("every import keeps to the table", () => {
  assert.ok(files.length > 40);
  assert.deepEqual(files.flatMap(violations), []);
});

test("nobody imports the command line", () => {
  for (const file of files.filter(({ path }) => !path.startsWith("src/cli/"))) {
    for (const { specifier } of file.imports) {
      assert.doesNotMatch(target(file, specifier), /^src\/cli\//, file.path);
    }
  }
});

test("stores and telemetry adapters are only handed in", () => {
  for (const file of files.filter(({ path }) => /^src\/(gateway|admin|pipeline)\//.test(path))) {
    for (const { specifier } of file.imports) {
      assert.doesNotMatch(target(file, specifier), /^src\/(store|telemetry)\//, file.path);
    }
  }
});

test("the table would notice: a forbidden import of each sort is found", () => {
  const at = (path: string, text: string): string[] =>
    violations(readSource(join(ROOT, path), text));
  assert.equal(at("src/core/x.ts", 'import { readFileSync } from "node:fs";').length, 1);
  assert.equal(at("src/core/x.ts", 'export type { Store } from "../pipeline/ports.ts";').length, 1);
  assert.equal(at("src/core/x.ts", 'const x = await import("pino");').length, 1);
  assert.equal(at("src/core/x.ts", "const x = await import(name);").length, 1);
  assert.equal(at("src/pipeline/ports.ts", 'import type { z } from "zod";').length, 1);
  assert.equal(at("src/pipeline/endpoints/x.ts", 'import "../breaker/guard.ts";').length, 1);
  assert.equal(at("src/pipeline/breaker/x.ts", 'import "../call/upstream.ts";').length, 1);
  assert.equal(at("src/gateway/x.ts", 'import "../store/sqlite.ts";').length, 1);
  assert.equal(at("src/nowhere/x.ts", "").length, 1);
});

test("there is no import cycle, types included", () => {
  const graph = new Map(
    files.map((file) => [file.path, file.imports.map(({ specifier }) => target(file, specifier))]),
  );
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `cycle: ${[...trail, path].join(" → ")}`);
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) if (graph.has(next)) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
});

/** What would make the core impure: time, chance, I/O, the process, and anything that waits. */
const IMPURE = new Set([
  "Date",
  "performance",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "process",
  "console",
  "fetch",
  "crypto",
  "Bun",
  "globalThis",
]);

function impurities(file: SourceFile): string[] {
  const found: string[] = [];
  const parsers = new Set<unknown>();
  for (const node of walk(file.program)) {
    const { type, name, async } = node as { type: string; name?: unknown; async?: unknown };
    if (isDateParse(node)) parsers.add((node as Node & { object: unknown }).object);
    const isImpure = type === "Identifier" && typeof name === "string" && IMPURE.has(name);
    if (isImpure && !parsers.has(node)) found.push(name);
    if (async === true || type === "AwaitExpression") found.push("async");
    if (type === "MemberExpression") {
      const { object, property } = node as Node & {
        object: { name?: string };
        property: { name?: string };
      };
      if (object.name === "Math" && property.name === "random") found.push("Math.random");
    }
  }
  return found.map((what) => `${file.path} uses ${what}`);
}

/** What is read from a text is no time of now. */
function isDateParse(node: Node): boolean {
  const { type, object, property } = node as Node & {
    type: string;
    object?: { name?: string };
    property?: { name?: string };
  };
  return type === "MemberExpression" && object?.name === "Date" && property?.name === "parse";
}

test("the core is pure: time and chance are arguments, and nothing waits", () => {
  assert.deepEqual(files.filter(({ path }) => CORE.test(path)).flatMap(impurities), []);
  const bad = "export const a = async () => Date.now() + Math.random() + performance.now();";
  assert.equal(impurities(readSource(join(ROOT, "src/core/x.ts"), bad)).length, 4);
  const fine = 'export const at = Date.parse("2026-11-27");';
  assert.deepEqual(impurities(readSource(join(ROOT, "src/core/x.ts"), fine)), []);
});
