import assert from "node:assert/strict";
import { test } from "node:test";

import type { JsonSchema } from "../../../src/config/json-schema.ts";
import { configJsonSchema } from "../../../src/config/json-schema.ts";

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function* optionsOf(schema: unknown, path: string): Generator<[string, JsonSchema]> {
  if (!isSchema(schema)) return;
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    if (isSchema(inner)) yield [`${path}.${name}`, inner];
    yield* optionsOf(inner, `${path}.${name}`);
  }
  yield* optionsOf(schema.additionalProperties, `${path}.*`);
  yield* optionsOf(schema.items, `${path}[]`);
  for (const member of schema.oneOf ?? []) yield* optionsOf(member, path);
}

test("is draft 2020-12", () => {
  assert.equal(configJsonSchema().$schema, "https://json-schema.org/draft/2020-12/schema");
});

test("every option is described, with its default", () => {
  const options = [...optionsOf(configJsonSchema(), "")];

  assert.ok(options.length > 40);
  for (const [path, schema] of options)
    assert.match(schema.description ?? "", /\. Default: /, path);
});

test("no mapping takes unknown keys", () => {
  const walk = (schema: unknown): void => {
    if (!isSchema(schema)) return;
    if (schema.properties !== undefined) assert.equal(schema.additionalProperties, false);
    for (const inner of Object.values(schema.properties ?? {})) walk(inner);
    for (const inner of schema.oneOf ?? [])
      if (isSchema(inner) && inner.type === "object") walk(inner);
    walk(schema.additionalProperties);
    walk(schema.items);
  };

  walk(configJsonSchema());
});
