// Proves the page: the real gateway, Prometheus and Alertmanager with this repository's own rules, and
// a stand-in for PagerDuty. Takes the real quarter of an hour, or with `--compressed` a sixtieth of every
// duration; `--write` puts the run into docs/page-proof.md, whose committed one is of the real time.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { format } from "prettier";
import { endOnSignals } from "../loadtest/run/children.ts";
import { FACTOR } from "../test/pager/compress.ts";
import { provePage, type Event, type Proof } from "../test/pager/scenario.ts";
import { startStack } from "../test/pager/stack.ts";

const PAGE = join(resolve(import.meta.dirname, ".."), "docs/page-proof.md");

/** Twice the five minutes of the rule, its gaps, and a busy machine. */
const STACK_MS_MAX = 30 * 60_000;

endOnSignals();

const { values } = parseArgs({
  options: {
    compressed: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function page({ events, tripToPageMs, resetToResolveMs }: Proof): string {
  return `<!-- Written by \`npm run page-proof -- --write\`, a quarter of an hour. -->

# The page, proven

The gateway, Prometheus and Alertmanager are the real programs, with \`alerts/*.yml\` as they are${
    values.compressed ? `, every duration of them divided by ${FACTOR}` : ", in real time"
  }. PagerDuty is played; the reset is the command of
[its runbook](../runbooks/CircuitBreakerTripped.md#mitigation). \`make test\` does the same sixty times
faster (\`test/e2e/page-proof.test.ts\`), with more: two bookmakers, flapping, a gateway that is killed, an
empty scrape, a pager that refuses.

Two replicas, and Prometheus begins anew while the page is open: one incident, one trigger, one resolve.
From the trip to the page ${seconds(tripToPageMs)} s, from the reset to its end ${seconds(resetToResolveMs)} s.

| Seconds | What happens |
| --- | --- |
${events.map(({ atMs, what }) => `| ${seconds(atMs)} | ${what} |`).join("\n")}

${events.flatMap(wire).join("\n")}`;
}

function wire({ what, wire: event }: Event): string[] {
  if (event === undefined) return [];
  // A key wakes people: even an invented one is not shown.
  const masked = { ...event, routing_key: "*".repeat(event.routing_key.length) };
  return [`## ${what}\n\n\`\`\`json\n${JSON.stringify(masked, null, 2)}\n\`\`\`\n`];
}

const factor = values.compressed ? FACTOR : 1;
const stack = await startStack({ factor, msMax: STACK_MS_MAX, runtime: process.execPath });
try {
  const proof = await provePage(stack, factor, {
    tell: (line) => console.log(line),
    restartsPrometheus: !values.compressed,
  });
  console.log(
    `trip → page ${seconds(proof.tripToPageMs)} s, reset → resolve ${seconds(proof.resetToResolveMs)} s`,
  );
  if (values.write)
    writeFileSync(
      PAGE,
      await format(page(proof), { parser: "markdown", printWidth: 100, proseWrap: "always" }),
    );
} finally {
  await stack.stop();
}
