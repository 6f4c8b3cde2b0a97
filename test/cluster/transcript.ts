// docs/cluster-test.md: the last whole run, as it was.

import { cpus } from "node:os";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { format } from "prettier";
import { ROOT } from "../support/programs.ts";
import { seconds, type Line } from "./checks.ts";

export async function writeTranscript(lines: readonly Line[]): Promise<void> {
  const stories = [...new Set(lines.map(({ story }) => story))];
  const last = lines.at(-1)?.atMs ?? 0;
  const text = `<!-- Written by \`npm run cluster-test -- --write\`; the seconds differ from run to run. -->

# The chart on a real cluster

\`make cluster-test\` builds a one-node Kubernetes from Go modules and Debian's packages, the gateway's image from
\`deploy/docker/Dockerfile\`, and Prometheus Operator; then it does what stands here. Alertmanager's \`PagerDuty\` is played, and the
page waits two seconds in place of five minutes; everything else is the real thing. A run on ${cpus().length} cores that others used, too:
${lines.length} checks in ${seconds(last)} s, the cluster's start and end included.

${stories.map((story) => table(story, lines)).join("\n\n")}
`;
  const file = join(ROOT, "docs/cluster-test.md");
  writeFileSync(file, await format(text, { parser: "markdown", printWidth: 120 }));
}

function table(story: string, lines: readonly Line[]): string {
  const rows = lines
    .filter((line) => line.story === story)
    .map(({ atMs, tookMs, what }) => `| ${seconds(atMs)} | ${seconds(tookMs)} | ${cell(what)} |`);
  return [`## ${story}`, "", "| At s | Took s | What |", "| --- | --- | --- |", ...rows].join("\n");
}

/** A command is shown as one. */
function cell(what: string): string {
  const safe = what.replaceAll("|", String.raw`\|`);
  return safe.startsWith("$ ") ? `\`${safe.slice(2)}\`` : safe;
}
