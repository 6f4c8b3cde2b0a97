// From what the host's classifiers say to what the breaker is told. They are the host's code: what they
// throw replaces no call's result, and a word that is none is told of and never guessed at.

import { errorText } from "../core/classify.ts";
import { property, whenRejected } from "../core/foreign.ts";
import type { Outcome, Verdict } from "../index.ts";
import type { ResultClassifier } from "./options.ts";

type Classifier = "classifyError" | "classifyResult";

/** Told once for each kind of mistake. */
export type TellOdd = (what: Classifier | `${Classifier} threw`, sentence: string) => void;

const OUTCOMES = {
  ok: "ok",
  success: "ok",
  failed: "failed",
  failure: "failed",
  timeout: "timeout",
  ignored: "ignored",
  ignore: "ignored",
} as const satisfies Record<Verdict, string>;

/** What counts where a classifier said nothing that can be counted, in a sentence. */
const COUNTED = { classifyError: "a failure", classifyResult: "a success" } as const;

/** An error is evidence against the bookmaker unless its classifier says otherwise. */
export function outcomeOfError(
  classify: (error: unknown) => unknown,
  error: unknown,
  tellOdd: TellOdd,
): Outcome {
  try {
    const verdict = classify(error);
    if (isVerdict(verdict)) return outcomeOf(verdict, error);
    tellWrong("classifyError", verdict, tellOdd);
  } catch (thrown) {
    tellThrown("classifyError", thrown, tellOdd);
  }
  return failedWith(error, false);
}

/** What says in another word has not said that the bookmaker failed. */
export function outcomeOfResult(
  classify: ResultClassifier | undefined,
  value: unknown,
  tellOdd: TellOdd,
): Outcome {
  if (classify === undefined) return { outcome: "ok" };
  try {
    const given: unknown = classify(value);
    const fields = fieldsOf(given);
    const { result = given } = fields;
    if (isVerdict(result)) return outcomeOf(result, wordsOf(fields, result, tellOdd));
    tellWrong("classifyResult", result, tellOdd);
  } catch (thrown) {
    // It, or a getter of what it answered.
    tellThrown("classifyResult", thrown, tellOdd);
  }
  return { outcome: "ok" };
}

export function failedWith(error: unknown, isTimeout: boolean): Outcome {
  return { outcome: "failed", timeout: isTimeout, error };
}

/** A value of the host's in a sentence; never its fields, which may be secrets. */
export function shown(value: unknown): string {
  if (typeof property(value, "then") === "function") return "a promise";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  return typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
}

/** Why, in the classifier's words or in ours. */
function wordsOf(
  fields: { readonly error?: unknown },
  verdict: Verdict,
  tellOdd: TellOdd,
): unknown {
  const usual = `the result was classified as ${verdict}`;
  try {
    return fields.error ?? usual;
  } catch (thrown) {
    const sentence = `the error of what classifyResult answered cannot be read, and counts as "${usual}": ${errorText(thrown)}`;
    tellOdd("classifyResult threw", sentence);
    return usual;
  }
}

function outcomeOf(verdict: Verdict, error: unknown): Outcome {
  const outcome = OUTCOMES[verdict];
  if (outcome === "ok" || outcome === "ignored") return { outcome };
  return failedWith(error, outcome === "timeout");
}

function isVerdict(value: unknown): value is Verdict {
  return typeof value === "string" && Object.hasOwn(OUTCOMES, value);
}

function tellWrong(name: Classifier, answer: unknown, tellOdd: TellOdd): void {
  whenRejected(answer);
  tellOdd(name, `${name} answered ${shown(answer)}, ${rest(name)}`);
}

function tellThrown(name: Classifier, thrown: unknown, tellOdd: TellOdd): void {
  tellOdd(`${name} threw`, `${name} threw ${errorText(thrown)}, ${rest(name)}`);
}

function rest(name: Classifier): string {
  return `which counts as ${COUNTED[name]}: it must answer one of ${Object.keys(OUTCOMES).join(", ")} at once`;
}

function fieldsOf(value: unknown): { readonly result?: unknown; readonly error?: unknown } {
  return typeof value === "object" && value !== null ? value : {};
}
