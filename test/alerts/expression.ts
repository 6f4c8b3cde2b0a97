// What an expression reads: names of metrics with the labels it matches, and labels it groups by.
//
// No parser of the language, only of what promtool's own formatter writes: it has refused what is no
// PromQL, and puts every expression in one shape. Strings, ranges and comments are gone before names
// are looked for.

import { promtool } from "./rule-files.ts";

export interface Reads {
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  readonly grouping: readonly string[];
}

const WORDS = new Set(
  "and or unless by without on ignoring group_left group_right bool offset inf nan start end".split(
    " ",
  ),
);

/** Throws when promtool cannot parse it. */
export async function reads(expression: string): Promise<Reads> {
  const { code, output } = await promtool("promql", "format", "--experimental", expression);
  if (code !== 0) throw new SyntaxError(`${expression}: ${output}`);
  return readsOf(output);
}

export function readsOf(formatted: string): Reads {
  const text = formatted.replaceAll(/"(?:\\.|[^"\\])*"/g, '""').replaceAll(/\[[^\]]*\]/g, "");
  const grouping: string[] = [];
  const rest = text
    .replaceAll(
      /\b(?:by|without|on|ignoring|group_left|group_right) \(([^)]*)\)/g,
      (_, list: string) => {
        grouping.push(...list.split(/,\s*/).filter((label) => label !== ""));
        return "";
      },
    )
    .replaceAll(/\boffset -?\d\S*/g, "");
  const selectors = [];
  for (const [, metric = "", call, matchers] of rest.matchAll(
    /\b([a-zA-Z_:][\w:]*)(\s*\()?(?:\{([^}]*)\})?/g,
  )) {
    if (call !== undefined || WORDS.has(metric.toLowerCase())) continue;
    const labels = [...(matchers ?? "").matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)];
    selectors.push({ metric, labels: labels.map(([, label = ""]) => label) });
  }
  return { selectors, grouping };
}
