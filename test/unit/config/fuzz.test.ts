// No input makes the loader throw anything but ConfigError, and no secret is in a message.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { ConfigError } from "../../../src/config/fault.ts";
import { parseConfig } from "../../../src/config/load.ts";

const SECRET = "hUnTeR2sEcReT";
const ENV = { FUZZ: SECRET };

function messageOf(text: string): string {
  try {
    parseConfig(text, { file: "fuzz.yaml", env: ENV });
    return "";
  } catch (error) {
    assert.ok(error instanceof ConfigError, `threw ${String(error)}`);
    return `${error.message}${JSON.stringify(error.faults)}`;
  }
}

const key = fc.constantFrom(
  "gateway",
  "admin",
  "store",
  "logging",
  "loadShedding",
  "limits",
  "upstreams",
  "port",
  "host",
  "kind",
  "path",
  "url",
  "endpoints",
  "breaker",
  "operations",
  "deadlineMs",
  "load",
  "__proto__",
  "constructor",
  "toString",
  "latching",
  "a.b",
  "",
  "0",
);
const scalar = fc.oneof(
  fc.constantFrom(
    "${FUZZ}",
    "x${FUZZ}",
    "${",
    "$${",
    "latching",
    "sqlite",
    "redis",
    "http://h",
    "~",
  ),
  fc.constant(`http://user:${SECRET}@host/`),
  fc.constant(`http://host/?token=${SECRET}`),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string(),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6 },
    scalar,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.array(fc.tuple(fc.oneof(key, fc.string()), tie("tree")), { maxLength: 5 }).map((pairs) => {
      const bare: Record<string, unknown> = {};
      Object.setPrototypeOf(bare, null);
      for (const [name, value] of pairs) bare[name] = value;
      return bare;
    }),
  ),
}));

test("survives any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      messageOf(text);
    }),
    { numRuns: 500 },
  );
});

test("survives any text made of YAML's own signs", () => {
  const sign = fc.constantFrom(
    ...Array.from("{}[]:,-?&*!|>'\"%@`#~ \n\tab1."),
    "upstreams",
    "<<",
    "---",
    "...",
    "${FUZZ}",
  );
  fc.assert(
    fc.property(fc.array(sign, { maxLength: 60 }), (signs) => {
      messageOf(signs.join(""));
    }),
    { numRuns: 1000 },
  );
});

test("shows no secret whatever is wrong with the structure", () => {
  fc.assert(
    fc.property(tree, fc.boolean(), (value, isRoot) => {
      const text = JSON.stringify(isRoot ? value : { upstreams: { a: value } });

      assert.ok(!messageOf(text).includes(SECRET));
    }),
    { numRuns: 1000 },
  );
});

test("shows no value that stands under the name of a secret", () => {
  for (const name of ["token", "apiKey", "PASSWORD", "clientSecret"]) {
    const text = JSON.stringify({
      [name]: SECRET,
      upstreams: { [name]: { url: SECRET, mode: SECRET } },
    });

    assert.ok(!messageOf(text).includes(SECRET));
  }
});

test("shows no secret when the syntax is wrong", () => {
  for (const text of [
    `a: [${SECRET}`,
    `a: *${SECRET}`,
    `a: "${SECRET}\\q"`,
    `%${SECRET}\n`,
    `a: !${SECRET} x`,
  ])
    assert.ok(!messageOf(text).includes(SECRET), text);
});
