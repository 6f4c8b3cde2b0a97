// From what the host's classifiers say to what the breaker is told. They are the host's code: what they
// throw replaces no call's result, and a word that is none is told of and never guessed at.

import type { Outcome, Verdict } from "../index.ts";
import type { ResultClassifier } from "./options.ts";

/** Told once for each kind of mistake. */
export type TellOdd = (what: "classifyError" | "classifyResult", sentence: string) => void;

const OUTCOMES = {
  ok: "ok",
  success: "ok",
  failed: "failed",
  failure: "failed",
  timeout: "timeout",
  ignored: "ignored",
  ignore: "ignored",
} as const satisfies Record<Verdict, string>;

/** An error is evidence against the bookmaker unless its classifier says otherwise. */
export function outcomeOfError(
  classify: (error: unknown) => unknown,
  error: unknown,
  tellOdd: TellOdd,
): Outcome {
  const verdict = attempt(() => classify(error), "failed");
  if (isVerdict(verdict)) return outcomeOf(verdict, error);
  tellOdd("classifyError", sentence("classifyError", verdict, "a failure"));
  return failedWith(error, false);
}

/** What says in another word has not said that the bookmaker failed. */
export function outcomeOfResult(
  classify: ResultClassifier | undefined,
  value: unknown,
  tellOdd: TellOdd,
): Outcome {
  if (classify === undefined) return { outcome: "ok" };
  const given = attempt<unknown>(() => classify(value), "success");
  const { result = given, error } = fieldsOf(given);
  if (isVerdict(result)) {
    return outcomeOf(result, error ?? `the result was classified as ${result}`);
  }
  tellOdd("classifyResult", sentence("classifyResult", result, "a success"));
  return { outcome: "ok" };
}

export function failedWith(error: unknown, isTimeout: boolean): Outcome {
  return { outcome: "failed", timeout: isTimeout, error };
}

/** A value of the host's in a sentence; never its fields, which may be secrets. */
export function shown(value: unknown): string {
  if (value instanceof Promise) return "a promise";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  return typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
}

function outcomeOf(verdict: Verdict, error: unknown): Outcome {
  const outcome = OUTCOMES[verdict];
  if (outcome === "ok" || outcome === "ignored") return { outcome };
  return failedWith(error, outcome === "timeout");
}

function isVerdict(value: unknown): value is Verdict {
  return typeof value === "string" && Object.hasOwn(OUTCOMES, value);
}

function sentence(name: string, answer: unknown, counted: string): string {
  if (answer instanceof Promise) answer.catch(() => {});
  return `${name} answered ${shown(answer)}, which counts as ${counted}: it must answer one of ${Object.keys(OUTCOMES).join(", ")} at once`;
}

function fieldsOf(value: unknown): { readonly result?: unknown; readonly error?: unknown } {
  return typeof value === "object" && value !== null ? value : {};
}

function attempt<Value>(run: () => Value, otherwise: Value): Value {
  try {
    return run();
  } catch {
    return otherwise;
  }
}
