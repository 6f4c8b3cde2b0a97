// Writes src/config/switchgear.schema.json from the schema. A unit test fails when the file is out of date.

import { writeFileSync } from "node:fs";

import { format } from "prettier";

import { configJsonSchema } from "../src/config/json-schema.ts";

const file = new URL("../src/config/switchgear.schema.json", import.meta.url);
writeFileSync(
  file,
  await format(JSON.stringify(configJsonSchema()), { parser: "json", printWidth: 100 }),
);
