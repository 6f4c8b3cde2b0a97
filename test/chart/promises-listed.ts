// values.yaml and values.schema.json: what the one lists, the other does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Any } from "./helm.ts";
import type { Promised } from "./promise.ts";

export const LISTED: readonly Promised[] = [
  {
    name: "values are all listed, in the schema and in values.yaml",
    async check(chart) {
      const schema = JSON.parse(readFileSync(join(chart.folder, "values.schema.json"), "utf8"));
      const values = parse(readFileSync(join(chart.folder, "values.yaml"), "utf8"));
      // What only a parent gives, what is the gateway's own, and what alerts/values.yaml lists.
      const elsewhere = /^(enabled|(config|monitoring\.values|monitoring\.alerts)(\..*)?)$/;
      const inSchema = [...closedPaths(schema, "")].filter((path) => !elsewhere.test(path));
      const inValues = [...valuePaths(values, schema, "")].filter((path) => !elsewhere.test(path));
      // A PodMonitor of the neighbour is a monitor as the others are.
      const unlisted = inSchema.filter((path) => !inValues.includes(path));
      assert.deepEqual(unlisted, ["monitoring.hyperBun.labels", "monitoring.hyperBun.annotations"]);
      assert.deepEqual(
        inValues.filter((path) => !inSchema.includes(path)),
        [],
      );
    },
  },
];

/** Of what is closed, each key. */
function* closedPaths(schema: Any, prefix: string): Generator<string> {
  if (schema.additionalProperties !== false) return;
  for (const [key, one] of Object.entries<Any>(schema.properties)) {
    const path = `${prefix}${key}`;
    if (one.additionalProperties === false && Object.keys(one.properties ?? {}).length > 0)
      yield* closedPaths(one, `${path}.`);
    else yield path;
  }
}

/** As deep as the schema is closed. */
function* valuePaths(values: Any, schema: Any, prefix: string): Generator<string> {
  for (const [key, value] of Object.entries<Any>(values)) {
    const path = `${prefix}${key}`;
    const one = schema.properties?.[key];
    const isClosed = one?.additionalProperties === false && one.properties !== undefined;
    if (isClosed && Object.keys(value ?? {}).length > 0) yield* valuePaths(value, one, `${path}.`);
    else yield path;
  }
}
