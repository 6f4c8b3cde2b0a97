// The report: one HTML file that needs nothing else, and its summary for programs.

import { relative, sep } from "node:path";
import { escapeHtml } from "../../src/admin/page.ts";
import { besidePlot, insidePlot, latencyPlot, outcomesPlot, type Plot } from "./plots.ts";
import type { Run } from "./runs.ts";
import { isControl } from "../run/data.ts";
import { nameOf, proofOf, SUBJECT_NAMES } from "./verdict.ts";

/** Times of one scenario, those to be protected first. */
export function byScenario(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const group = groups.get(run.record.scenario) ?? [];
    group.push(run);
    groups.set(run.record.scenario, group);
  }
  for (const group of groups.values())
    group.sort((a, b) => Number(isControl(a.record.subject)) - Number(isControl(b.record.subject)));
  return groups;
}

export function plotsOf(group: readonly Run[]): Plot[] {
  const [first] = group;
  const inside = first === undefined ? undefined : insidePlot(first);
  return [
    outcomesPlot(group),
    latencyPlot(group),
    ...(inside === undefined ? [] : [inside]),
    besidePlot(group),
  ];
}

const WORDS = { held: "Proven", breached: "Not proven", void: "No verdict" } as const;

/** `out`: the folder that the page will lie in, from where it links. */
export function reportPage(runs: readonly Run[], out: string): string {
  const proof = proofOf(runs.map(({ record }) => record));
  const sections = [...byScenario(runs)].map(([scenario, group]) => {
    const plots = plotsOf(group).map(
      ({ title, svg }) => `<figure><figcaption>${escapeHtml(title)}</figcaption>${svg}</figure>`,
    );
    return `<section id="${escapeHtml(scenario)}"><h2>${escapeHtml(scenario)}</h2>
${group.map((run) => claimsTable(run, out)).join("\n")}
${plots.join("\n")}</section>`;
  });
  const faults = proof.faults.map((fault) => `<li>${escapeHtml(fault)}</li>`).join("");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test: ${WORDS[proof.outcome]}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>Load test</h1><p class="verdict ${proof.outcome}">${WORDS[proof.outcome]}</p></header>
${faults === "" ? "" : `<ul class="faults">${faults}</ul>`}
<nav>${[...byScenario(runs).keys()].map((name) => `<a href="#${escapeHtml(name)}">${escapeHtml(name)}</a>`).join(" · ")}</nav>
<p class="note">Grey: while more is asked for than can be served, or the bookmaker is ill. Rates are means over a second.
A run without protection is to breach its claims; one that held would show that the load was none.</p>
${sections.join("\n")}
</body>
</html>
`;
}

function claimsTable({ record, dashboard }: Run, out: string): string {
  const isTold = isControl(record.subject);
  const rows = record.verdicts.map(({ name, threshold, held, value, says, judged, least }) => {
    const few = judged < least ? ` (judged by ${judged}, needs ${least})` : "";
    const shown = value === null ? "nothing measured" : shortened(value);
    return `<tr class="${held ? "held" : "breached"}"><td>${escapeHtml(says)}</td><td><code>${escapeHtml(name)}</code></td><td class="number">${escapeHtml(threshold)}</td><td class="number">${shown}${few}</td><td>${held ? "held" : "breached"}</td></tr>`;
  });
  const { baseline } = record;
  const measured =
    baseline === null
      ? ""
      : `<p>Measured before the load: ${baseline.capacity === undefined ? "" : `${Math.round(baseline.capacity)} good answers a second at best, `}${Math.round(baseline.medianMs)} ms for a call that waits for nobody; deadline ${record.deadlineMs} ms.</p>`;
  return `<details${isTold ? "" : " open"}><summary>${escapeHtml(SUBJECT_NAMES[record.subject])}${record.runtime === null ? "" : ` on ${record.runtime}`}: ${record.outcome}${isTold && record.outcome === "breached" ? ", as it should be" : ""}</summary>
${measured}<table><thead><tr><th>claim</th><th>metric</th><th>wanted</th><th>measured</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table>${dashboardLink(dashboard, out)}</details>`;
}

function dashboardLink(dashboard: string | undefined, out: string): string {
  if (dashboard === undefined) return "";
  const href = relative(out, dashboard).split(sep).map(encodeURIComponent).join("/");
  return `<p><a href="${escapeHtml(href)}">k6's own report</a></p>`;
}

export function shortened(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

/** For programs: the verdict, and each claim's number. */
export function summaryOf(runs: readonly Run[]): object {
  const proof = proofOf(runs.map(({ record }) => record));
  return {
    ...proof,
    runs: runs.map(({ record, folder }) => {
      return { name: nameOf(record), folder, ...record };
    }),
  };
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #24292f; max-width: 1020px; margin: 2em auto; padding: 0 1em; background: #fff; }
header { display: flex; align-items: baseline; gap: 1em; }
.verdict { font-weight: 700; padding: 0 0.6em; border-radius: 4px; color: #fff; }
.verdict.held { background: #00694d; } .verdict.breached { background: #a63f00; } .verdict.void { background: #57606a; }
figure { margin: 1.5em 0; } figcaption { font-weight: 600; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; } th, td { text-align: left; padding: 0.25em 0.6em; border-bottom: 1px solid #eaeef2; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.breached td { background: #fff1e5; } tr.breached td:last-child { font-weight: 700; }
summary { cursor: pointer; font-weight: 600; margin: 0.6em 0; } .note { color: #57606a; }
`;
