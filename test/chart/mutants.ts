// The chart with one thing deleted: a line of a template or of values.yaml that says something, with all that stands below
// it, or a field of a map in one line. What is left must be a template still, or deleting proves nothing.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CHART } from "./helm.ts";

export interface Mutant {
  /** Unique and stable: survivors are listed by it. */
  readonly id: string;
  readonly file: string;
  readonly text: string;
}

/** What Helm reads: templates, and the values that they are filled with. */
export function mutants(): Mutant[] {
  const templates = readdirSync(join(CHART, "templates"), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(yaml|tpl)$/.test(file))
    .map((file) => join("templates", file));
  return [...templates, "values.yaml"].toSorted().flatMap(mutantsOf);
}

function mutantsOf(file: string): Mutant[] {
  const lines = readFileSync(join(CHART, file), "utf8").split("\n");
  const found = lines.flatMap((_, at) =>
    [withoutBlock, withoutFields, withoutAction].flatMap((change) => change(lines, at)),
  );
  const seen = new Map<string, number>();
  return found.map(([what, changed]) => {
    const count = (seen.get(what) ?? 0) + 1;
    seen.set(what, count);
    const id = `${file}: ${what}${count === 1 ? "" : ` (${count})`}`;
    return { id, file, text: changed.join("\n") };
  });
}

type Change = readonly [what: string, lines: readonly string[]];

/** `key: …` or `- …`, with the lines below it that are further in, as long as each action that they begin ends there. */
function withoutBlock(lines: readonly string[], at: number): Change[] {
  const line = lines[at] ?? "";
  const key = /^(\s*)(?:- )?(?:[\w./"-]+|\{\{ [^{}]+ \}\}):(?: |$)|^(\s*)- /.exec(line);
  if (key === null || /^\s*(#|\{\{-)/.test(line)) return [];
  const indent = (key[1] ?? key[2] ?? "").length;
  let end = at + 1;
  while (end < lines.length && isBelow(lines[end] ?? "", indent)) end += 1;
  while (end > at + 1 && !isBalanced(lines.slice(at, end))) end -= 1;
  if (!isBalanced(lines.slice(at, end))) return [];
  return [[`no ${line.trim()}`, [...lines.slice(0, at), ...lines.slice(end)]]];
}

function isBelow(line: string, indent: number): boolean {
  if (line.trim() === "") return false;
  return (/^\s*/.exec(line)?.[0].length ?? 0) > indent;
}

/** Every `if`, `range`, `with` and `define` has its `end`, and no `else` is alone. */
function isBalanced(lines: readonly string[]): boolean {
  let depth = 0;
  for (const [, word] of lines.join("\n").matchAll(/\{\{-? *(if|range|with|define|end|else)\b/g)) {
    if (word === "end") depth -= 1;
    else if (word !== "else") depth += 1;
    if (depth < 0 || (word === "else" && depth === 0)) return false;
  }
  return depth === 0;
}

/** Of `{ a: 1, b: 2 }` in one line each alone. */
function withoutFields(lines: readonly string[], at: number): Change[] {
  const line = lines[at] ?? "";
  if (/^\s*#/.test(line)) return [];
  const map = /(?<![{$])\{ (?!\{)(.*) \}(?!\})/.exec(line);
  if (map === null) return [];
  const [whole, inside = ""] = map;
  const fields = split(inside);
  if (fields.length < 2) return [];
  return fields.map((field): Change => {
    const rest = fields.filter((other) => other !== field).join(", ");
    return [
      `no ${field.trim()} in ${line.trim()}`,
      lines.with(
        at,
        line.replace(whole, () => `{ ${rest} }`),
      ),
    ];
  });
}

/** At commas that stand in no inner map, list or action. */
function split(text: string): string[] {
  const fields: string[] = [];
  let depth = 0;
  let begin = 0;
  for (const [at, letter] of [...text].entries()) {
    if ("{[(".includes(letter)) depth += 1;
    else if ("}])".includes(letter)) depth -= 1;
    else if (letter === "," && depth === 0) {
      fields.push(text.slice(begin, at).trim());
      begin = at + 1;
    }
  }
  return [...fields, text.slice(begin).trim()];
}

/** An action in a line of its own: what is included, set, or refused. */
function withoutAction(lines: readonly string[], at: number): Change[] {
  const line = lines[at] ?? "";
  if (!/^\s*\{\{-? *(include|toYaml|\$_|\$\w+ =|- \. )/.test(line) || !isBalanced([line]))
    return [];
  const isWhole = (line.match(/\{\{/g) ?? []).length === (line.match(/\}\}/g) ?? []).length;
  return isWhole ? [[`no ${line.trim()}`, lines.toSpliced(at, 1)]] : [];
}
