// What OpenTelemetry's SDK complains of reaches the log: named, once in a while, without a password.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { diag } from "@opentelemetry/api";
import { tellSdkTroubles } from "../../src/telemetry/otel/sdk-diagnostics.ts";

after(() => diag.disable());

function listen(): { readonly lines: string[]; at: (ms: number) => void } {
  const lines: string[] = [];
  let nowMs = 0;
  tellSdkTroubles({ warn: (message) => lines.push(message) }, () => nowMs);
  return { lines, at: (ms) => void (nowMs = ms) };
}

test("a collector that is away is told of once in ten minutes, and another trouble at once", () => {
  const { lines, at } = listen();
  diag.error("export failed", new Error("connect ECONNREFUSED"));
  at(5000);
  diag.error("export failed", new Error("connect ECONNREFUSED"));
  diag.warn("unknown sampler");
  assert.deepEqual(lines, [
    "OpenTelemetry: export failed connect ECONNREFUSED",
    "OpenTelemetry: unknown sampler",
  ]);
  at(600_000);
  diag.error("export failed", new Error("connect ECONNREFUSED"));
  assert.equal(lines.length, 3);
});

test("a line is one line, bounded, and holds no password; what only informs is left out", () => {
  const { lines } = listen();
  diag.info("started");
  diag.debug("details");
  diag.warn(
    `no answer from https://user:pa:ss@collector.example/v1 \n\u001b[31m${"x".repeat(9000)}`,
  );
  assert.equal(lines.length, 1);
  const [line = ""] = lines;
  assert.match(
    line,
    /^OpenTelemetry: no answer from https:\/\/\*\*\*@collector\.example\/v1 \\n\\u001b/,
  );
  assert.doesNotMatch(line, /pa:ss/);
  assert.ok(line.length < 600, `${line.length} characters`);
});

test("troubles that differ each time are not remembered without end", () => {
  const { lines } = listen();
  diag.warn("the first");
  for (let n = 0; n < 100; n += 1) diag.warn(`trouble ${n}`);
  diag.warn("the first");
  assert.equal(lines.filter((line) => line.endsWith("the first")).length, 2);
});
