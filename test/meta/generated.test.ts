import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { generatedFiles } from "../../scripts/generated-files.ts";

test("generated files are what the sources make; `npm run generate` writes them", async () => {
  for (const { path, content } of await generatedFiles()) {
    assert.equal(readFileSync(path, "utf8"), content, path);
  }
});
