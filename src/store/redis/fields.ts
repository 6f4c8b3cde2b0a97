// A row of the fleet as fields of a Redis hash, and back. What is read may have been written by hand or by a version
// to come: it is checked field by field, as rows of every store are, and what is no row costs no other its trip.

import { isBreakerKind, sanitiseSnapshot } from "../../core/breaker/restore.ts";
import type { BreakerSnapshot } from "../../core/breaker/snapshot.ts";
import { isOperatorMode } from "../../core/events.ts";
import type { BreakerPart, FleetRow, ModePart, Order } from "../../core/fleet/row.ts";

/** Ids are compared byte by byte at the store and unit by unit here: of these both say the same. */
const PLAIN_ID = /^[\x21-\x7e]{1,300}$/;

export function isPlainId(id: unknown): id is string {
  return typeof id === "string" && PLAIN_ID.test(id);
}

/** `flat` is field and value by turns. Undefined when it is no row of this upstream. */
export function rowOfFields(
  flat: readonly unknown[],
  upstream: string | undefined,
  wallMs: number,
): FleetRow | undefined {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const [field, value] = [flat[index], flat[index + 1]];
    if (typeof field === "string" && typeof value === "string") fields.set(field, value);
  }
  const name = parsed(fields.get("name"));
  if (typeof name !== "string" || name === "") return undefined;
  if (upstream !== undefined && name !== upstream) return undefined;
  return { upstream: name, breaker: breakerOf(fields, wallMs), mode: modeOf(fields, wallMs) };
}

function breakerOf(fields: ReadonlyMap<string, string>, wallMs: number): BreakerPart | undefined {
  const order = orderOf(fields, "o");
  if (order === undefined) return undefined;
  return { person: orderOf(fields, "p"), order, snapshot: snapshotOf(fields.get("s"), wallMs) };
}

function modeOf(fields: ReadonlyMap<string, string>, wallMs: number): ModePart | undefined {
  const order = orderOf(fields, "m");
  if (order === undefined) return undefined;
  const mode = fields.get("m");
  const at = parsed(fields.get("ma"));
  return {
    order,
    mode: isOperatorMode(mode) ? mode : "normal",
    at: typeof at === "number" && at > 0 ? Math.min(at, wallMs) : 0,
  };
}

/** As the script reads them: a version that is none is 0, and outweighs nothing. */
function orderOf(fields: ReadonlyMap<string, string>, letter: string): Order | undefined {
  const version = fields.get(`${letter}v`);
  const id = fields.get(`${letter}i`);
  // One that nobody here can have given is none: it could never be written back.
  if (version === undefined || !isPlainId(id)) return undefined;
  return {
    id,
    version: numberOf(version),
    isTrip: letter !== "m" && fields.get(`${letter}t`) === "1",
  };
}

export function numberOf(text: unknown): number {
  if (typeof text !== "string" || !/^\d{1,16}$/.test(text)) return 0;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : 0;
}

/** One without a state is tripped, as a state is that does not say. */
function snapshotOf(text: string | undefined, wallMs: number): BreakerSnapshot {
  const found = parsed(text);
  const raw: Record<string, unknown> =
    typeof found === "object" && found !== null
      ? { ...found }
      : { lastError: "what is stored of it holds no state" };
  const kind = isBreakerKind(raw["kind"]) ? raw["kind"] : "latching";
  return sanitiseSnapshot(kind, raw, wallMs, undefined);
}

/** Undefined for what is no JSON. */
export function parsed(text: unknown): unknown {
  if (typeof text !== "string") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the script `RESTORE` is told of a row, after the first three. */
export function restoreArguments({ breaker, mode }: FleetRow): string[] {
  return [
    ...orderArguments(breaker?.person),
    ...orderArguments(breaker?.order),
    breaker === undefined ? "" : JSON.stringify(breaker.snapshot),
    mode === undefined ? "" : String(mode.order.version),
    mode?.order.id ?? "",
    mode?.mode ?? "",
    mode === undefined ? "" : JSON.stringify(mode.at),
  ];
}

function orderArguments(order: Order | undefined): string[] {
  return order === undefined
    ? ["", "", ""]
    : [String(order.version), order.isTrip ? "1" : "0", order.id];
}
