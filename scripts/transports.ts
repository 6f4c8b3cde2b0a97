// docs/transports.md: what the gateway does differently on Node and on Bun, from the list that the fuzzer
// holds against both.

import { DIFFERENCES } from "../test/fuzz/differences.ts";

export function transportsPage(): string {
  const rows = DIFFERENCES.map(
    ({ name, onNode, onBun, why }) => `| ${[name, onNode, onBun, why].map(cell).join(" | ")} |`,
  );
  return `<!-- Generated from test/fuzz/differences.ts by \`npm run generate\`. -->

# Two transports

The gateway runs on Node (\`node:http\` in front, undici behind) and on Bun (\`Bun.serve\` in front, \`fetch\`
behind): one behaviour, held by one suite of contract tests on both, and by a fuzzer that shows both the
same exchanges and compares what callers get, what upstreams see, what counts and what becomes of the
connections, to the byte. What it found was mended, or stands here: these are Node 24.21, undici 8.12 and Bun
1.4.5. A test shows both each row again; one that is none any more fails it.

\`npm run fuzz -- --exchanges 1000 --seed 1\` looks for more. Last long run: 100,000 exchanges, seed 11, on
2026-11-27; what it found is mended or listed.

| What | On Node | On Bun | Why it stays |
| --- | --- | --- | --- |
${rows.join("\n")}

Beyond exchanges:

| What | On Node | On Bun | Why it stays |
| --- | --- | --- | --- |
| Upstream requests at a time | no bound | 256, unless \`BUN_CONFIG_MAX_HTTP_REQUESTS\` says more before the process starts | \`fetch\` reads it once |
| \`HTTP_PROXY\`, \`HTTPS_PROXY\`, \`ALL_PROXY\` | ignored by undici's clients | ignored by \`no_proxy=*\` for the whole process | \`fetch\` has no option for it |
| Connections to upstreams past \`connectionAgeMsMax\` | take no further call | are ended by calls with \`Connection: close\` | \`fetch\` has no option for it |
| HTTP/2 to upstreams | by \`http2\` | never | \`fetch\` does not speak it |
| A caller that has not sent a whole head | 408 and closed after 60 to 90 s | closed after 12 s; after an earlier answer, 120 s | the servers' own |
| A caller that is silent between two requests | closed after 75 s | closed after 120 s | the servers' own; longer than common clients keep connections |
| A caller that goes on sending what was refused | read for 10 s or 16 MiB, then closed | not read, and closed after 120 s | a bound either way, so that the answer is read |
`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
