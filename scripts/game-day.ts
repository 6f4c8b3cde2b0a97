// The whole story on one clock, on the real programs: k6's spike, a bookmaker that hangs, the trip, the page,
// the runbook's commands, the recovery. Some twelve minutes, or with `--compressed` the alerts' durations
// divided by sixty and two minutes in all; `--write` puts the run into docs/game-day.md.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { format } from "prettier";
import { endOnSignals } from "../loadtest/run/children.ts";
import { SIZE } from "../loadtest/run/world.ts";
import { FACTOR } from "../test/pager/compress.ts";
import { playGameDay, type GameDay, type Step } from "../test/pager/game-day.ts";
import { startStack } from "../test/pager/stack.ts";
import { toolPath } from "../test/tools/build.ts";

const PAGE = join(resolve(import.meta.dirname, ".."), "docs/game-day.md");
const STACK_MS_MAX = 40 * 60_000;

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

function page(day: GameDay): string {
  const { steps, spike, hang, hangToTripMs, tripToPageMs, resetToResolveMs } = day;
  return `<!-- Written by \`npm run game-day -- --write\`, twelve minutes. -->

# A game day

One run of the whole story: k6, the gateway, Prometheus and Alertmanager are the real programs, with
\`alerts/*.yml\` as they are${
    values.compressed ? `, every duration of them divided by ${FACTOR}` : ", in real time"
  }. The bookmakers are simulated, PagerDuty is played. The commands are those of
[the runbook](../runbooks/CircuitBreakerTripped.md), typed as they stand. Again: \`make game-day\`.

From the hang to the trip ${seconds(hangToTripMs)} s, from the trip to the page ${seconds(tripToPageMs)} s, from the reset to its end
${seconds(resetToResolveMs)} s. k6's thresholds: spike ${spike.outcome}, hang ${hang.outcome}.

| Seconds | What happens |
| --- | --- |
${steps.map(({ atMs, what }) => `| ${seconds(atMs)} | ${what} |`).join("\n")}

${steps.flatMap(details).join("\n")}`;
}

function details({ what, wire, typed, atMs }: Step): string[] {
  const title = `## ${seconds(atMs)} s: ${what}`;
  if (typed !== undefined) {
    return [
      `${title}\n\n\`\`\`sh\n${typed.commands.trim()}\n\`\`\`\n\n\`\`\`text\n${typed.shown.trim()}\n\`\`\`\n`,
    ];
  }
  if (wire === undefined) return [];
  // A key wakes people: even an invented one is not shown.
  const masked = { ...wire, routing_key: "*".repeat(wire.routing_key.length) };
  return [`${title}\n\n\`\`\`json\n${JSON.stringify(masked, null, 2)}\n\`\`\`\n`];
}

const factor = values.compressed ? FACTOR : 1;
const stack = await startStack({
  factor,
  msMax: STACK_MS_MAX,
  runtime: process.execPath,
  bookmakers: SIZE,
});
try {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-game-day-"));
  const day = await playGameDay(stack, {
    factor,
    folder,
    k6: toolPath("k6"),
    runtime: "node",
    tell: (line) => console.log(line),
  });
  console.log(
    `hang → trip ${seconds(day.hangToTripMs)} s, trip → page ${seconds(day.tripToPageMs)} s, reset → resolve ${seconds(day.resetToResolveMs)} s; k6's files: ${folder}`,
  );
  if (values.write) {
    const text = await format(page(day), {
      parser: "markdown",
      printWidth: 100,
      proseWrap: "always",
    });
    writeFileSync(PAGE, text);
  }
  if (day.spike.outcome !== "held" || day.hang.outcome !== "held") process.exitCode = 1;
} finally {
  await stack.stop();
}
