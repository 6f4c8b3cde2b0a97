// `monitoring.values`: alerts/values.yaml's own schema, of which every part may be left out.

import { z } from "zod";
import { schema } from "../alerts/values.ts";
import type { Json } from "./config-schema.ts";

/** A duration's ends, which a JSON Schema cannot say: a template of the chart holds the values to them. */
export interface Range {
  readonly path: string;
  readonly least: string;
  readonly most: string;
}

function whole(): Json {
  const { $schema: _draft, ...rest } = z.toJSONSchema(schema, { target: "draft-7", io: "input" });
  return rest;
}

export function alertValuesSchema(): Json {
  return withoutRanges(lenient(whole())) as Json;
}

/** Of a list's items, too: `slo.windows[].long`. */
export function durationRanges(): Range[] {
  return [...rangesIn(whole(), "")];
}

function* rangesIn(value: Json, path: string): Generator<Range> {
  const { least, most, properties, items } = value as {
    least?: string;
    most?: string;
    properties?: Record<string, Json>;
    items?: Json;
  };
  if (least !== undefined && most !== undefined) yield { path, least, most };
  for (const [key, one] of Object.entries(properties ?? {}))
    yield* rangesIn(one, path === "" ? key : `${path}.${key}`);
  if (items !== undefined) yield* rangesIn(items, `${path}[]`);
}

/** Lists are taken whole, and so nothing is missing in their items. */
function lenient(value: Json): Json {
  const {
    required: _all,
    properties,
    ...rest
  } = value as {
    required?: unknown;
    properties?: Record<string, Json>;
  };
  if (properties === undefined) return value;
  const own = Object.entries(properties).map(([key, one]) => [key, lenient(one)]);
  return { ...rest, properties: Object.fromEntries(own) };
}

function withoutRanges(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutRanges);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== "least" && key !== "most")
      .map(([key, one]) => [key, withoutRanges(one)]),
  );
}
