// Reads what an operator orders. Nothing is guessed: a body of another type, an unknown key or a
// value of the wrong type is refused with the list of what would be right, since a misspelt `force`
// must not become a reset without it.

import { isOperatorMode, OPERATOR_MODES } from "../core/events.ts";
import { problem } from "./answers.ts";

/** A reason is kept up to 1,024 characters; anything near this bound is a mistake. */
const BODY_BYTES_MAX = 64 * 1024;

const ACTOR_HEADER = "x-switchgear-actor";
const ACTOR = /^[\x20-\x7e]{1,128}$/;
const ACTOR_DEFAULT = "api";

interface Field {
  readonly expects: string;
  readonly isValid: (value: unknown) => boolean;
  readonly isRequired?: true;
}

export type Fields = Readonly<Record<string, Field>>;

export const REASON: Field = {
  expects: "a text that is not empty",
  isValid: (value) => typeof value === "string" && value.trim() !== "",
};

export const FORCE: Field = {
  expects: "true or false, not in quotes",
  isValid: (value) => typeof value === "boolean",
};

export const HOLD: Field = FORCE;

export const MODE: Field = {
  expects: `one of ${OPERATOR_MODES.join(", ")}`,
  isValid: isOperatorMode,
  isRequired: true,
};

/** The checked values, or the answer that says what is wrong. An absent body is an empty object. */
export async function readOrder(
  request: Request,
  fields: Fields,
): Promise<ReadonlyMap<string, unknown> | Response> {
  const text = await readText(request);
  if (text instanceof Response) return text;
  let body: unknown = {};
  if (text.trim() !== "") {
    if (!isJson(request.headers.get("content-type"))) {
      return problem(415, "not_json", "JSON needed", "Send content-type: application/json");
    }
    try {
      body = JSON.parse(text);
    } catch {
      return problem(400, "not_json", "No JSON", "The body is no valid JSON");
    }
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return problem(
      400,
      "not_an_object",
      "No object",
      `The body must be an object: ${list(fields)}`,
    );
  }
  return checked(new Map(Object.entries(body)), fields);
}

function checked(
  values: ReadonlyMap<string, unknown>,
  fields: Fields,
): ReadonlyMap<string, unknown> | Response {
  const faults: string[] = [];
  for (const [key, value] of values) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (field === undefined) faults.push(`${JSON.stringify(key.slice(0, 64))} is unknown`);
    else if (!field.isValid(value)) faults.push(`${key} must be ${field.expects}`);
  }
  for (const [key, { isRequired }] of Object.entries(fields)) {
    if (isRequired === true && !values.has(key)) faults.push(`${key} is missing`);
  }
  if (faults.length === 0) return values;
  const detail = `${faults.slice(0, 10).join("; ")}. The body may hold ${list(fields)}`;
  return problem(400, "bad_order", "Order not understood", detail);
}

function list(fields: Fields): string {
  return Object.entries(fields)
    .map(([key, { expects }]) => `${key}: ${expects}`)
    .join("; ");
}

function isJson(contentType: string | null): boolean {
  return contentType?.split(";")[0]?.trim().toLowerCase() === "application/json";
}

/** Counts while it reads: the declared length is the sender's word. */
async function readText(request: Request): Promise<string | Response> {
  if (request.body === null) return "";
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    sizeBytes += value.byteLength;
    if (sizeBytes > BODY_BYTES_MAX) {
      await reader.cancel();
      return problem(
        413,
        "body_too_large",
        "Body too large",
        `The body may hold at most ${BODY_BYTES_MAX} bytes`,
      );
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * Who says to have ordered it, for the audit. It is the token's holder who says so: the name tells
 * honest people apart and proves nothing.
 */
export function readActor(request: Request): string | Response {
  const actor = request.headers.get(ACTOR_HEADER) ?? "";
  if (actor === "") return ACTOR_DEFAULT;
  if (ACTOR.test(actor)) return actor;
  return problem(
    400,
    "bad_actor",
    "Actor not understood",
    `${ACTOR_HEADER} must be 1 to 128 printable ASCII characters`,
  );
}
