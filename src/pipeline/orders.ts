// What a person may order, and the ticket of a call that was admitted by such an order: breakers and
// endpoints both take them, and know nothing of each other.
//
// Orders come from consoles and plain JavaScript too. Each is read once and as a whole before anything
// changes: a getter that throws at its second reading would leave half an order.

import type { OperatorOrder, Ticket } from "../core/breaker/machine.ts";
import { bounded } from "../core/classify.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { isOperatorMode, OPERATOR_MODES, type OperatorMode } from "../core/events.ts";
import { show } from "../core/options.ts";

/** A ticket that the machine never sees: admitted by order, or in shadow mode against its word. */
export const UNTRACKED: Ticket = -2;

export const ACTOR_DEFAULT = "system";

export interface OrderWords {
  /** Why, for the audit and the log; cut at 1,024 characters. Default: what it is, such as `Manual trip`. */
  readonly reason?: string | undefined;
  /** Who. Default `system`; cut at 1,024 characters. */
  readonly actor?: string | undefined;
}

export interface TripOrder extends OrderWords {
  /**
   * What becomes of a breaker that is tripped already. True, the default: it is tripped by hand from now on,
   * for this reason, and neither probes nor recovers. False: it is left as it is, and the order is audited.
   */
  readonly hold?: boolean | undefined;
}

export interface ResetOrder extends OrderWords {
  /** Only `true` itself bypasses the cooldown. */
  readonly force?: boolean | undefined;
}

export interface ModeOrder extends OrderWords {
  readonly mode: OperatorMode;
}

/** `of` names what it is for. Throws `InvalidOptionsError` for what is no order. */
export function readTrip(of: string, order: TripOrder): OperatorOrder & { readonly hold: boolean } {
  const { reason, actor, hold } = fieldsOf(`trip of ${of}`, order, ["reason", "actor", "hold"]);
  return {
    reason: text(reason, "Manual trip"),
    actor: text(actor, ACTOR_DEFAULT),
    hold: hold !== false,
  };
}

export function readReset(
  of: string,
  order: ResetOrder,
): OperatorOrder & { readonly force: boolean } {
  const fields = fieldsOf(`reset of ${of}`, order, ["reason", "actor", "force"]);
  return {
    reason: text(fields.reason, "Manual reset"),
    actor: text(fields.actor, ACTOR_DEFAULT),
    force: fields.force === true,
  };
}

export function readMode(
  of: string,
  order: ModeOrder,
): OperatorOrder & { readonly mode: OperatorMode } {
  const subject = `setMode of ${of}`;
  const { mode, reason, actor } = fieldsOf(subject, order, ["mode", "reason", "actor"]);
  if (!isOperatorMode(mode)) {
    const fault = `mode must be one of ${OPERATOR_MODES.join(", ")}, not ${show(mode)}`;
    throw new InvalidOptionsError(subject, [fault]);
  }
  return {
    mode,
    reason: text(reason, `Mode set to ${mode}`),
    actor: text(actor, ACTOR_DEFAULT),
  };
}

/** Operators' words come from shells and JSON: anything but a text with content means the default. */
export function text(value: unknown, otherwise: string): string {
  return typeof value === "string" && value !== "" ? bounded(value) : otherwise;
}

/** Each field of the object, read once; what cannot be read is a fault. */
export function fieldsOf<Key extends string>(
  subject: string,
  given: unknown,
  keys: readonly Key[],
): Readonly<Record<Key, unknown>> {
  const faults: string[] = [];
  const fields: Partial<Record<Key, unknown>> = {};
  if (!isPlain(given)) {
    faults.push(`it must be given as an object { ${keys.join(", ")} }, not ${show(given)}`);
  } else {
    for (const key of keys) {
      try {
        fields[key] = given[key];
      } catch {
        faults.push(`${key} must be a value that can be read, not a getter that throws`);
      }
    }
  }
  if (faults.length > 0) throw new InvalidOptionsError(subject, faults);
  return fields as Readonly<Record<Key, unknown>>;
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  try {
    return !Array.isArray(value);
  } catch {
    // A revoked proxy.
    return false;
  }
}
