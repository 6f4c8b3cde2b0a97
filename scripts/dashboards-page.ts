// docs/dashboards.md, from the dashboards themselves.

import { BOARDS } from "../grafana/boards/index.ts";

export function dashboardsPage(): string {
  return `<!-- Generated from grafana/boards by \`npm run generate\`; the pictures by \`npm run dashboards\`. -->

# Dashboards

\`grafana/dashboards/*.json\`, for Grafana 11 and newer: import them, or let a sidecar find them in ConfigMaps. The alerts'
\`dashboard_url\` leads to them, with namespace and bookmaker filled in. They are made from \`grafana/boards\` with Grafana's
Foundation SDK; \`npm run generate\` writes them, and a test compares.

Each query of theirs is run by \`test/dashboards\` against a real Prometheus that watched a real outage, and those that
tell of it are held to what happened. **Grafana itself was not run**: the pictures below are drawn by
\`npm run dashboards\` from what the queries gave, a minute's work, and Grafana draws them otherwise.

What is chosen at the top: the data source; \`cluster\` and \`namespace\`, where there are several; the job (those that have
Switchgear's series); bookmakers and operations. Marks on all curves are trips, resets and new versions. The colours are
Okabe and Ito's, which people tell apart who see colours differently, and each means the same everywhere.

${BOARDS.map(
  ({ page, title, description, rows }) => `## ${title}

${description} \`switchgear-${page}\`

![${title}, drawn from the results of its queries](dashboards/switchgear-${page}.png)

${rows
  .flatMap(({ panels }) => panels)
  .map((panel) => `- **${panel.title}**: ${panel.description}`)
  .join("\n")}`,
).join("\n\n")}
`;
}
