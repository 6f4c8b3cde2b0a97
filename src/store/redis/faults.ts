// What the parts of the options have in common when they are checked. No fault shows a value that may be secret.

import { didYouMean } from "../../core/nearest.ts";

export function isSecret(given: unknown, name: string, faults: string[]): void {
  const fits = typeof given === "function" || (typeof given === "string" && given !== "");
  if (given !== undefined && !fits) {
    faults.push(`${name} must be a text that is not empty, or a function that answers with one`);
  }
}

export function unknownNames(
  given: object,
  known: readonly string[],
  before: string,
  faults: string[],
): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    faults.push(
      `${before}${name} is not an option (${known.join(", ")})${didYouMean(name, known)}`,
    );
  }
}

/** Empty for what is no text. */
export function textOr(value: unknown): string {
  return typeof value === "string" ? value : "";
}
