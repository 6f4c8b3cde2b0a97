#!/usr/bin/env node
// The published command: an old Node gets a sentence, where loading the rest would give it a stack.

const NODE_MAJOR_MIN = 24;

const { bun, node } = process.versions;
if (bun === undefined && Number.parseInt(node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `switchgear needs Node ${NODE_MAJOR_MIN} or later, or Bun 1.4 or later; this is Node ${node}\n`,
  );
  process.exitCode = 2;
} else {
  await import("./main.ts");
}
