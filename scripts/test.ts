// All checks and all tests, on both runtimes, counted. Ends with one line: `N passed, N failed`.

import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Whether the tests do without it: its failure is told and not counted. */
  readonly isOptional?: boolean;
  /** A JUnit report to count; without one the exit code is the only result. */
  readonly report?: string;
}

/** A step that takes longer hangs. */
const STEP_MS_MAX = 40 * 60_000;

const folder = mkdtempSync(join(tmpdir(), "switchgear-test-"));
const nodeReport = join(folder, "node.xml");
const stacksReport = join(folder, "stacks.xml");
const loneReport = join(folder, "lone.xml");
const bunReport = join(folder, "bun.xml");

/** Each starts a gateway, Prometheus and mostly Alertmanager of its own, and mostly waits: side by side they do. */
const STACKS = /^test\/(?:runbooks\/|dashboards\/executed|e2e\/(?:page-proof|testrun))/;
const STACKS_AT_ONCE = 4;

/** Send a thousand requests a second: beside others they would show what this machine cannot do. */
const LONE = /^test\/e2e\/(?:shedding|spike)/;

const files = globSync("test/**/*.test.ts").toSorted();

function onNode(
  report: string,
  some: readonly string[],
  ...options: readonly string[]
): Step["command"] {
  return [
    "node",
    "--test",
    ...options,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=junit",
    `--test-reporter-destination=${report}`,
    ...some,
  ];
}

const STEPS: readonly Step[] = [
  { name: "types", command: ["tsc", "--noEmit"] },
  { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "format", command: ["prettier", "--check", "--log-level", "warn", "."] },
  { name: "build", command: ["npm", "run", "--silent", "build"] },
  // Before the tests, which share the machine among themselves: a first build takes minutes. Without Go
  // it says so, and the tests that need the tools are skipped.
  { name: "tools", command: ["node", "test/tools/build.ts"], isOptional: true },
  {
    name: "tests on Node",
    command: onNode(
      nodeReport,
      files.filter((file) => !STACKS.test(file) && !LONE.test(file)),
    ),
    report: nodeReport,
  },
  {
    name: "spikes",
    command: onNode(
      loneReport,
      files.filter((file) => LONE.test(file)),
      "--test-concurrency=1",
    ),
    report: loneReport,
  },
  {
    name: "pages and runbooks",
    command: onNode(
      stacksReport,
      files.filter((file) => STACKS.test(file)),
      `--test-concurrency=${STACKS_AT_ONCE}`,
    ),
    report: stacksReport,
  },
  {
    name: "tests on Bun",
    command: [
      "bun",
      "test",
      "--timeout=120000",
      "--reporter=junit",
      `--reporter-outfile=${bunReport}`,
      "test/",
    ],
    report: bunReport,
  },
];

function run({ command: [program, ...args] }: Step): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "inherit", timeout: STEP_MS_MAX });
    child.on("error", () => resolve(false));
    child.on("close", (code) => resolve(code === 0));
  });
}

/** Counts `<testcase>` elements: failed ones hold a failure or error, skipped ones are told apart. */
function countReport(path: string): Count {
  const count = { passed: 0, failed: 0, skipped: 0 };
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  for (const [, attributes = "", body = ""] of text.matchAll(
    /<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    if (/<(failure|error)\b/.test(body) || /\bfailure=/.test(attributes)) count.failed += 1;
    else if (/<skipped\b/.test(body)) count.skipped += 1;
    else count.passed += 1;
  }
  return count;
}

const total: Count = { passed: 0, failed: 0, skipped: 0 };
const summary: string[] = [];
for (const step of STEPS) {
  console.log(`\n== ${step.name}`);
  const started = performance.now();
  const isGood = await run(step);
  const count =
    step.report === undefined
      ? { passed: Number(isGood), failed: Number(!isGood && step.isOptional !== true), skipped: 0 }
      : countReport(step.report);
  // A runner that dies without a failed test has failed all the same.
  if (!isGood && step.isOptional !== true && count.failed === 0) count.failed = 1;
  total.passed += count.passed;
  total.failed += count.failed;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const skipped = count.skipped === 0 ? "" : `, ${count.skipped} skipped`;
  summary.push(
    `${step.name}: ${count.passed} passed, ${count.failed} failed${skipped} (${seconds} s)`,
  );
}
rmSync(folder, { recursive: true, force: true });

console.log(`\n${summary.join("\n")}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
