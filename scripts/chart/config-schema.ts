// The gateway's own schema as Helm wants it, below `config` of the chart's.
//
// Draft 7, which every Helm with a schema at all reads. A value that is one of several kinds is judged as that kind,
// so that what is told is "failureRatio: maximum is 1", and not that it is none of three.

import { z } from "zod";
import { configSchema } from "../../src/config/schema.ts";

export type Json = { [key: string]: unknown };

export function chartConfigSchema(): Json {
  const { $schema: _draft, ...schema } = z.toJSONSchema(configSchema, {
    target: "draft-7",
    io: "input",
  });
  return byKind(schema) as Json;
}

function byKind(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(byKind);
  if (typeof value !== "object" || value === null) return value;
  const own = withoutLookahead(
    Object.fromEntries(Object.entries(value).map(([key, one]) => [key, byKind(one)])),
  );
  const kinds = kindsOf(own["oneOf"]);
  if (kinds === undefined) return own;
  const { oneOf: _choices, ...rest } = own;
  return {
    ...rest,
    type: "object",
    properties: { kind: { enum: kinds.flatMap(({ kind }) => spellings(kind)) } },
    allOf: kinds.map(({ kind, isDefault, schema }) => ({
      // Left out, it is the default.
      if: {
        properties: { kind: { enum: spellings(kind) } },
        ...(isDefault ? {} : { required: ["kind"] }),
      },
      // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's own word
      then: schema,
    })),
  };
}

/** Helm's regular expressions cannot look ahead: what must not follow is another condition. */
function withoutLookahead(schema: Json): Json {
  const [, unwanted, rest] = /^\^\(\?!(.*)\$\)(.*)$/.exec(String(schema["pattern"])) ?? [];
  if (unwanted === undefined) return schema;
  return { ...schema, pattern: `^${rest}`, not: { pattern: `^${unwanted}$` } };
}

/** Helm's YAML is of version 1.1, where `off` is false; the chart writes it as the word that was meant. */
function spellings(kind: string): (string | boolean)[] {
  return kind === "off" ? [kind, false] : [kind];
}

interface Kind {
  readonly kind: string;
  readonly isDefault: boolean;
  readonly schema: Json;
}

/** Of a choice whose members each have a `kind` of their own. */
function kindsOf(choices: unknown): Kind[] | undefined {
  if (!Array.isArray(choices)) return undefined;
  const kinds = (choices as readonly Json[]).flatMap((schema) => {
    const { kind } = (schema["properties"] ?? {}) as { readonly kind?: Json };
    const name = kind?.["const"];
    if (typeof name !== "string") return [];
    const isDefault = kind?.["default"] !== undefined;
    // Which kind it is has been judged already.
    const properties = { ...(schema["properties"] as Json), kind: true };
    return [{ kind: name, isDefault, schema: { ...schema, properties } }];
  });
  return kinds.length === choices.length ? kinds : undefined;
}
