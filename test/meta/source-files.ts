// Reads the project's sources for the tests that hold them to its rules.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { parse } from "@babel/parser";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly program: object;
  readonly imports: readonly Import[];
}

/** Of values and of types alike: rooms are held apart at both. */
export interface Import {
  readonly specifier: string;
}

export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readSource(join(ROOT, folder, name)))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

export function readSource(file: string, text = readFileSync(file, "utf8")): SourceFile {
  const { program } = parse(text, {
    sourceType: "module",
    sourceFilename: file,
    plugins: ["typescript"],
    createImportExpressions: true,
  });
  const imports: Import[] = [];
  for (const node of walk(program)) {
    const specifier = specifierOf(node, text);
    if (specifier !== undefined) imports.push({ specifier });
  }
  return { path: relative(ROOT, file).split(sep).join("/"), text, program, imports };
}

/** What a node imports, types included. A computed specifier is kept as written: no rule allows it. */
function specifierOf(node: Node, text: string): string | undefined {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportNamedDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
    case "TSImportType": {
      const source = (node["source"] ?? node["argument"]) as Literal | null | undefined;
      if (source === null || source === undefined) return undefined;
      return typeof source.value === "string" ? source.value : text.slice(source.start, source.end);
    }
    default:
      return undefined;
  }
}

interface Literal {
  readonly value?: unknown;
  readonly start: number;
  readonly end: number;
}

export type Node = Readonly<Record<string, unknown>> & { readonly type: string };

/** Every node of a syntax tree, parents first. */
export function* walk(node: unknown): Generator<Node> {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    for (const item of node) yield* walk(item);
    return;
  }
  const record = node as Record<string, unknown>;
  if (typeof record["type"] === "string") yield record as Node;
  for (const value of Object.values(record)) yield* walk(value);
}
