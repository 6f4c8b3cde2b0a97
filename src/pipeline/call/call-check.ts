// What a caller hands over with a call, read once and before anything is admitted: what cannot be used is
// refused with a sentence, and a getter of the caller's cannot throw later.

import { errorText } from "../../core/classify.ts";
import { InvalidOptionsError } from "../../core/errors.ts";
import { didYouMean } from "../../core/nearest.ts";
import { show } from "../../core/options.ts";
import { CRITICALITIES, isCriticality } from "../../core/overload/criticality.ts";
import type { CallOptions } from "./admission.ts";

/** A caller's options, each read once. */
export interface ReadOptions extends Pick<
  CallOptions,
  "operation" | "load" | "criticality" | "deadlineMs"
> {
  readonly signal: AbortSignal | undefined;
  readonly parent: unknown;
}

/** Most calls that say anything name their operation and no more: there is nothing else to look at then. */
export function isNamedCall(
  fn: unknown,
  operation: unknown,
  load: unknown,
  criticality: unknown,
  signal: unknown,
  deadlineMs: unknown,
): boolean {
  return (
    typeof operation === "string" &&
    load === undefined &&
    criticality === undefined &&
    signal === undefined &&
    deadlineMs === undefined &&
    typeof fn === "function"
  );
}

/** Throws `InvalidOptionsError` with every fault. */
export function readOptions(
  upstream: string,
  fn: unknown,
  given: CallOptions,
  idleMs?: unknown,
): ReadOptions {
  const { operation, load, criticality, signal, parent, deadlineMs } = given;
  const read = { operation, load, criticality, signal, parent, deadlineMs };
  return checkCall(upstream, fn, given, read, idleMs);
}

/**
 * What was read of `given`, when it can be used; throws `InvalidOptionsError` with every fault. Costs a
 * comparison for each option that is given. What holds none of them may be no options at all, or have one that
 * is written wrongly; what holds one is not looked at any further, since every call would pay for it.
 */
export function checkCall(
  upstream: string,
  fn: unknown,
  given: unknown,
  { operation, load, criticality, signal, parent, deadlineMs }: CallOptions,
  idleMs?: unknown,
): ReadOptions {
  if (
    (operation ?? load ?? criticality ?? signal ?? parent ?? deadlineMs) === undefined ||
    typeof given !== "object"
  )
    refuseOdd(upstream, given);
  // `fetch` takes null for none, and its options are handed on.
  const read = { operation, load, criticality, signal: signal ?? undefined, parent, deadlineMs };
  if (
    typeof fn === "function" &&
    (operation === undefined || typeof operation === "string") &&
    (load === undefined || typeof load === "number") &&
    (criticality === undefined || isCriticality(criticality)) &&
    (read.signal === undefined || isSignal(read.signal)) &&
    (deadlineMs === undefined || isTime(deadlineMs)) &&
    (idleMs === undefined || isTime(idleMs))
  ) {
    return read;
  }
  throw new InvalidOptionsError(`a call of ${upstream}`, faultsOf(fn, read, idleMs));
}

/** What refuses a call whose options could not even be read: the sentence, and what a getter of the caller's threw. */
export function unreadable(upstream: string, error: unknown, given?: unknown): unknown {
  if (error instanceof InvalidOptionsError) return error;
  const fault =
    given === null ? noOptions(given) : `its options cannot be read: ${errorText(error)}`;
  return new InvalidOptionsError(`a call of ${upstream}`, [fault], { cause: error });
}

const OPTIONS = [
  "operation",
  "load",
  "criticality",
  "deadlineMs",
  "signal",
  "parent",
  "idleMs",
] as const;

function noOptions(given: unknown): string {
  return `options must be an object, such as { operation: "odds" }, not ${show(given)}`;
}

/** Throws `InvalidOptionsError` for what is no object of options. */
export function refuseOdd(upstream: string, options: unknown): void {
  const faults: string[] = [];
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    faults.push(noOptions(options));
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
  { operation, load, criticality, signal, deadlineMs }: ReadOptions,
  idleMs: unknown,
): string[] {
  const faults: string[] = [];
  const must = (isFine: boolean, name: string, be: string, value: unknown): void => {
    if (!isFine) faults.push(`${name} must be ${be}, not ${show(value)}`);
  };
  must(typeof fn === "function", "what is to run", "a function", fn);
  must(operation === undefined || typeof operation === "string", "operation", "a text", operation);
  must(load === undefined || typeof load === "number", "load", "a number from 0 to 1000", load);
  if (criticality !== undefined && !isCriticality(criticality)) {
    const hint = typeof criticality === "string" ? didYouMean(criticality, CRITICALITIES) : "";
    const names = CRITICALITIES.join(", ");
    faults.push(`criticality must be one of ${names}, not ${show(criticality)}${hint}`);
  }
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
