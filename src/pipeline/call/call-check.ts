// What a caller hands over with a call, read once and before anything is admitted: what cannot be used is
// refused with a sentence, and a getter of the caller's cannot throw later.

import { errorText } from "../../core/classify.ts";
import { InvalidOptionsError } from "../../core/errors.ts";
import { didYouMean } from "../../core/nearest.ts";
import { show } from "../../core/options.ts";
import type { CallOptions } from "./admission.ts";

/** Throws `InvalidOptionsError` with every fault. Costs a comparison for each option that is given. */
export function checkCall(
  upstream: string,
  fn: unknown,
  options: ReadOptions,
  idleMs?: unknown,
): void {
  const { operation, load, signal, deadlineMs } = options;
  if (
    typeof fn === "function" &&
    (operation === undefined || typeof operation === "string") &&
    (load === undefined || typeof load === "number") &&
    (signal === undefined || isSignal(signal)) &&
    (deadlineMs === undefined || isTime(deadlineMs)) &&
    (idleMs === undefined || isTime(idleMs))
  ) {
    return;
  }
  throw new InvalidOptionsError(`a call of ${upstream}`, faultsOf(fn, options, idleMs));
}

/** What refuses a call whose options could not even be read: the sentence, and what a getter of the caller's threw. */
export function unreadable(upstream: string, error: unknown): unknown {
  if (error instanceof InvalidOptionsError) return error;
  const faults = [`its options cannot be read: ${errorText(error)}`];
  return new InvalidOptionsError(`a call of ${upstream}`, faults, { cause: error });
}

/** A caller's options, each read once. */
export interface ReadOptions extends Pick<CallOptions, "operation" | "load" | "deadlineMs"> {
  readonly signal: AbortSignal | undefined;
  readonly parent: unknown;
}

/**
 * What holds none of them may be no options at all, or have one that is written wrongly; what holds one is not
 * looked at any further, since every call would pay for it.
 */
export function readOptions(upstream: string, options: CallOptions): ReadOptions {
  if (typeof options !== "object" || options === null) refuseOdd(upstream, options);
  const { operation, load, signal, parent, deadlineMs } = options;
  if ((operation ?? load ?? signal ?? parent ?? deadlineMs) === undefined)
    refuseOdd(upstream, options);
  // `fetch` takes null for none, and its options are handed on.
  return { operation, load, signal: signal ?? undefined, parent, deadlineMs };
}

const OPTIONS = ["operation", "load", "deadlineMs", "signal", "parent", "idleMs"] as const;

/** Throws `InvalidOptionsError` for what is no object of options. */
export function refuseOdd(upstream: string, options: unknown): void {
  const faults: string[] = [];
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    faults.push(`options must be an object, such as { operation: "odds" }, not ${show(options)}`);
  } else if (isSignal(options)) {
    faults.push("options must be an object, such as { signal }, not the signal itself");
  } else {
    for (const key of Object.keys(options)) {
      if (OPTIONS.some((one) => one === key)) continue;
      faults.push(`${key} is not an option (${OPTIONS.join(", ")})${didYouMean(key, OPTIONS)}`);
    }
  }
  if (faults.length > 0) throw new InvalidOptionsError(`a call of ${upstream}`, faults);
}

function faultsOf(
  fn: unknown,
  { operation, load, signal, deadlineMs }: ReadOptions,
  idleMs: unknown,
): string[] {
  const faults: string[] = [];
  const must = (isFine: boolean, name: string, be: string, value: unknown): void => {
    if (!isFine) faults.push(`${name} must be ${be}, not ${show(value)}`);
  };
  must(typeof fn === "function", "what is to run", "a function", fn);
  must(operation === undefined || typeof operation === "string", "operation", "a text", operation);
  must(load === undefined || typeof load === "number", "load", "a number from 0 to 1000", load);
  must(signal === undefined || isSignal(signal), "signal", "an AbortSignal", signal);
  for (const [name, value] of Object.entries({ deadlineMs, idleMs })) {
    must(value === undefined || isTime(value), name, "a number of milliseconds above 0", value);
  }
  return faults;
}

/** Those of other realms and of libraries are signals, too. */
function isSignal(signal: unknown): boolean {
  return (
    typeof signal === "object" &&
    signal !== null &&
    "aborted" in signal &&
    typeof (signal as AbortSignal).addEventListener === "function" &&
    typeof (signal as AbortSignal).removeEventListener === "function"
  );
}

function isTime(ms: unknown): boolean {
  return typeof ms === "number" && ms > 0;
}
