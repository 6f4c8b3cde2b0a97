// The JSON Schema of switchgear.yaml, for editors and for `switchgear check --schema`. Rendered from the one schema.

import { z } from "zod";

import { configSchema } from "./schema.ts";

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Draft 2020-12, of what is written (before defaults). */
export function configJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, { target: "draft-2020-12", io: "input" });
  return { ...schema, title: "switchgear.yaml" };
}
