// npm run alerts: renders rules, tests, configurations and runbooks from a file of values.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { format } from "prettier";
import { alertsPage } from "./alerts/page.ts";
import { DEFAULT_VALUES, otherRunbooks, renderAlerts } from "./alerts/render.ts";
import { readValues, ValuesError } from "./alerts/values.ts";

const USAGE = `usage: npm run alerts -- --values FILE [--out FOLDER]
  --values FILE   what differs from alerts/values.yaml
  --out FOLDER    where to write (rendered)
`;

const { values: options } = parseArgs({
  options: {
    values: { type: "string" },
    out: { type: "string", default: "rendered" },
    help: { type: "boolean", default: false },
  },
});

if (options.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
try {
  const out = resolve(options.out);
  const rendered = await renderAlerts(readValues(DEFAULT_VALUES, options.values));
  const page = await format(alertsPage(rendered), { parser: "markdown", printWidth: 100 });
  const files = [
    ...rendered,
    ...otherRunbooks(rendered),
    { path: "docs/alerts.md", content: page },
  ];
  for (const { path, content } of files) {
    mkdirSync(dirname(join(out, path)), { recursive: true });
    writeFileSync(join(out, path), content);
  }
  process.stdout.write(`${files.length} files written to ${options.out}\n`);
} catch (error) {
  if (!(error instanceof ValuesError)) throw error;
  process.stderr.write(`alerts: ${error.message}\n`);
  process.exitCode = 1;
}
