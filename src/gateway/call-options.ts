// What a caller says about one call in `x-switchgear-*` headers, over what the path's configured
// operation says. Pure. A header that is wrong is refused and explained: silently ignoring a
// mistyped criticality would shed the very call it was meant to keep.

import { CRITICALITIES, type Criticality } from "../core/overload/criticality.ts";
import type { CallOptions } from "../pipeline/call/admission.ts";
import type { Destination } from "./route.ts";
import { matchOperation } from "./route.ts";
import { CRITICALITY_HEADER, LOAD_HEADER, OPERATION_HEADER, TIMEOUT_HEADER } from "./headers.ts";

export type CallWishes =
  | {
      readonly ok: true;
      readonly options: CallOptions;
      /** The caller's limit: `ownMs`, or a shorter one. */
      readonly deadlineMs: number;
      /** The upstream's, for this operation. */
      readonly ownMs: number;
      readonly idleMs: number | undefined;
    }
  /** `header` is wrong for the reason in `detail`, which never repeats what was sent. */
  | { readonly ok: false; readonly header: string; readonly detail: string };

/** Printable ASCII; the bound is that of a metric label. */
const OPERATION_NAME = /^[\x20-\x7e]{1,128}$/;
const NUMBER = /^-?\d{1,9}(?:\.\d{1,9})?$/;
const LOAD_MAX = 1000;
const WHOLE_NUMBER = /^\d{1,10}$/;

export type HeaderReader = (name: string) => string | null | undefined;

export function readCallWishes(
  destination: Destination,
  path: string,
  method: string,
  header: HeaderReader,
  /** What the header may ask for, where the operation does not have more anyway. */
  criticalityMax: Criticality = "critical_plus",
): CallWishes {
  const matched = matchOperation(destination, path, method);
  const options: { -readonly [Key in keyof CallOptions]: CallOptions[Key] } = {};
  if (matched !== undefined) {
    options.operation = matched.name;
    options.load = matched.load;
    if (matched.criticality !== undefined) options.criticality = matched.criticality;
  }

  const operation = header(OPERATION_HEADER) ?? undefined;
  if (operation !== undefined) {
    if (!OPERATION_NAME.test(operation)) {
      return wrong(OPERATION_HEADER, "must be 1 to 128 printable ASCII characters");
    }
    options.operation = operation;
  }

  const load = header(LOAD_HEADER) ?? undefined;
  if (load !== undefined) {
    if (!NUMBER.test(load) || Number(load) < 0 || Number(load) > LOAD_MAX) {
      return wrong(LOAD_HEADER, "must be a number from 0 to 1000, such as 15");
    }
    options.load = Number(load);
  }

  const criticality = header(CRITICALITY_HEADER) ?? undefined;
  if (criticality !== undefined) {
    const known: Criticality | undefined = CRITICALITIES.find((name) => name === criticality);
    if (known === undefined) {
      return wrong(CRITICALITY_HEADER, `must be one of ${CRITICALITIES.join(", ")}`);
    }
    options.criticality = lesser(known, greater(criticalityMax, matched?.criticality));
  }

  const timeout = header(TIMEOUT_HEADER) ?? undefined;
  const ownMs = matched?.deadlineMs ?? destination.upstream.deadlineMs;
  const idleMs = matched?.idleMs ?? destination.upstream.idleMs;
  if (timeout === undefined) {
    if (matched?.deadlineMs !== undefined) options.deadlineMs = ownMs;
    return { ok: true, options, deadlineMs: ownMs, ownMs, idleMs };
  }
  const timeoutMs = WHOLE_NUMBER.test(timeout) ? Number(timeout) : 0;
  if (timeoutMs === 0) {
    return wrong(TIMEOUT_HEADER, "must be a whole number of milliseconds above 0, such as 500");
  }
  // It may shorten the configured deadline, never lengthen it.
  const deadlineMs = Math.min(timeoutMs, ownMs);
  options.deadlineMs = deadlineMs;
  return { ok: true, options, deadlineMs, ownMs, idleMs };
}

/** The list goes from the most critical down. */
function lesser(one: Criticality, other: Criticality): Criticality {
  return CRITICALITIES.indexOf(one) < CRITICALITIES.indexOf(other) ? other : one;
}

function greater(one: Criticality, other = one): Criticality {
  return lesser(one, other) === one ? other : one;
}

function wrong(header: string, detail: string): CallWishes {
  return { ok: false, header, detail };
}
