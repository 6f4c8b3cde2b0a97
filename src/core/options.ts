// Checks options objects against their rules and reports every fault in one error, so that nobody
// mends a configuration one start at a time. Nothing is silently corrected.

import { InvalidOptionsError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";
import { oneLine } from "./one-line.ts";

/** What one option accepts. `least`/`above`/`most` are for finite numbers. */
export type OptionRule =
  | {
      readonly least?: number;
      readonly above?: number;
      readonly most?: number;
      readonly whole?: true;
    }
  | { readonly oneOf: readonly string[] }
  | { readonly is: "boolean" | "function" | "object" | "string" }
  /** Checked elsewhere: this only knows its name. */
  | { readonly is: "any" };

export type OptionRules<Options> = { readonly [Key in keyof Required<Options>]: OptionRule };

export function checkOptions<Options extends object>(
  subject: string,
  options: Options,
  rules: OptionRules<Options>,
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new InvalidOptionsError(subject, [`options must be an object, not ${show(options)}`]);
  }
  const faults: string[] = [];
  const known = Object.keys(rules);
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, key)) {
      faults.push(`${key} is not an option (${known.join(", ")})${didYouMean(key, known)}`);
    } else if (value !== undefined) {
      const wanted = violated(value, rules[key as keyof Options]);
      if (wanted !== undefined) faults.push(`${key} must be ${wanted}, not ${show(value)}`);
    }
  }
  if (faults.length > 0) throw new InvalidOptionsError(subject, faults);
}

/** An option given as undefined means its default, and must not overwrite it. */
export function withoutUndefined<Options extends object>(
  given: Options,
): { [Key in keyof Options]: Exclude<Options[Key], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Options]: Exclude<Options[Key], undefined>;
  };
}

/** What the rule wants instead, or undefined when the value is fine. */
function violated(value: unknown, rule: OptionRule): string | undefined {
  if ("oneOf" in rule) {
    return rule.oneOf.includes(value as string) ? undefined : `one of ${rule.oneOf.join(", ")}`;
  }
  if ("is" in rule) {
    if (rule.is === "any") return undefined;
    const fits = typeof value === rule.is && value !== null;
    return fits ? undefined : `${rule.is === "object" ? "an" : "a"} ${rule.is}`;
  }
  const { least, above, most, whole } = rule;
  const fits =
    typeof value === "number" &&
    Number.isFinite(value) &&
    (least === undefined || value >= least) &&
    (above === undefined || value > above) &&
    (most === undefined || value <= most) &&
    (whole === undefined || Number.isInteger(value));
  if (fits) return undefined;
  const bounds = [
    ...(least === undefined ? [] : [`at least ${least}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(most === undefined ? [] : [`at most ${most}`]),
  ].join(" and ");
  return `a ${whole === undefined ? "finite" : "whole"} number ${bounds}`.trimEnd();
}

/** A value in a sentence: short, on one line, and without calling anything of its own. */
export function show(value: unknown): string {
  if (typeof value === "string") return oneLine(JSON.stringify(value.slice(0, 60)));
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "bigint") return "a bigint";
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return Array.isArray(value) ? "an array" : "an object";
  } catch {
    // A revoked proxy.
    return "an object that cannot be read";
  }
}
