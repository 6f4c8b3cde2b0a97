// Reads the project's sources for the tests that hold them to its rules.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { parseSync } from "oxc-parser";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly program: ReturnType<typeof parseSync>["program"];
  readonly imports: readonly Import[];
}

export interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readSource(join(ROOT, folder, name)))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

export function readSource(file: string, text = readFileSync(file, "utf8")): SourceFile {
  const { program, module, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const imports: Import[] = [];
  for (const { moduleRequest, entries } of module.staticImports) {
    const isTypeOnly = entries.length > 0 && entries.every((entry) => entry.isType);
    imports.push({ specifier: moduleRequest.value, isTypeOnly });
  }
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, isType } of entries) {
      if (moduleRequest !== null)
        imports.push({ specifier: moduleRequest.value, isTypeOnly: isType });
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const written = text.slice(moduleRequest.start, moduleRequest.end);
    // A computed specifier is kept as written, so that no rule matches it.
    imports.push({ specifier: written.replaceAll(/^["'`]|["'`]$/g, ""), isTypeOnly: false });
  }
  return { path: relative(ROOT, file).split(sep).join("/"), text, program, imports };
}

/** Every node of a syntax tree, parents first. */
export function* walk(node: unknown): Generator<Readonly<Record<string, unknown>>> {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    for (const item of node) yield* walk(item);
    return;
  }
  const record = node as Record<string, unknown>;
  if (typeof record["type"] === "string") yield record;
  for (const value of Object.values(record)) yield* walk(value);
}
