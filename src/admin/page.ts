// The status page: one table, made here, with nothing loaded from anywhere and no script at all.

import { createHash } from "node:crypto";
import type { Switchgear } from "../pipeline/registry.ts";
import type { EndpointStatus, UpstreamStatus } from "../pipeline/call/status.ts";
import type { LimitStatus, TierStatus } from "../pipeline/overload/status.ts";
import { refusedAudits, storeTrouble } from "./views.ts";

/** More rows help nobody; the tripped ones come first. */
const ROWS_MAX = 500;

const REFRESH_SECONDS = 5;

const STYLE = `:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem;max-width:80rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .75rem;border-bottom:1px solid #8884;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
tr.tripped{background:#d332}
tr.tripped td:nth-child(2){font-weight:700}
td.e{overflow-wrap:anywhere;max-width:28rem}
.bad{color:#c22}`;

const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** What the operator of this process configured, in words: shown as it is, so it holds no secret. */
export type Summary = Readonly<Record<string, string | number | boolean>>;

export function statusPage(gear: Switchgear, version: string, summary: Summary): string {
  const statuses = gear.statuses();
  const tripped = statuses.filter((status) => status.tripped);
  const rows = [...tripped, ...statuses.filter((status) => !status.tripped)].slice(0, ROWS_MAX);
  const store = gear.storeHealth();
  const left = statuses.length - rows.length;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>Switchgear: ${tripped.length} of ${statuses.length} tripped</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Switchgear</h1>
<p>${tripped.length} of ${statuses.length} breakers tripped. Store: ${escapeHtml(store.kind)}, ${
    store.ok
      ? "working"
      : `<strong class="bad">failing</strong>: ${escapeHtml(storeTrouble(store))}; breakers go on from memory`
  }.${refusedAudits(store)
    .map((line) => ` ${line}.`)
    .join("")}</p>
<table>
<thead><tr><th>Upstream</th><th>State</th><th>Breaker</th><th>Failures</th><th>Trips</th><th>Latency</th><th>In flight</th><th>Tripped at (UTC)</th><th>Last error</th></tr></thead>
<tbody>
${rows.map((status) => tableRow(status)).join("\n")}
</tbody>
</table>
${endpointsTable(rows)}${limitsTable(rows)}${ratesTable(rows)}
${left > 0 ? `<p>${left} more are in the JSON.</p>` : ""}
<p><a href="api/circuit-breakers/status">Status as JSON</a> · <a href="api/circuit-breakers/history">History</a> · <a href="metrics">Metrics</a> · <a href="readyz">Readiness</a></p>
<p>Version ${escapeHtml(version)}${Object.entries(summary)
    .map(([key, value]) => ` · ${escapeHtml(key)}: ${escapeHtml(String(value))}`)
    .join("")}</p>
</body>
</html>
`;
}

function tableRow(status: UpstreamStatus): string {
  const state = status.tripped
    ? `${status.state}${status.manual ? ", by hand" : ""}`
    : status.state;
  const mode = status.mode === "normal" ? "" : ` (${status.mode})`;
  const latency = status.avgLatencyMs === null ? "–" : `${status.avgLatencyMs.toFixed(1)} ms`;
  return `<tr${status.tripped ? ' class="tripped"' : ""}><td>${escapeHtml(status.upstream)}</td><td>${escapeHtml(state + mode)}</td><td>${status.kind}</td><td class="n">${failuresOf(status)}</td><td class="n">${status.tripCount}</td><td class="n">${latency}</td><td class="n">${status.inFlight}</td><td>${when(status.trippedAt)}</td><td class="e">${escapeHtml(status.lastError ?? "–")}</td></tr>`;
}

/** A count against its threshold; of a window, the failed among all its calls. */
function failuresOf({ failureCount, failureThreshold, window, health }: UpstreamStatus): string {
  if (window !== null) return `${failureCount} of ${window.calls} calls`;
  return `${failureCount} / ${health?.adaptiveThreshold ?? failureThreshold}`;
}

function endpointsTable(statuses: readonly UpstreamStatus[]): string {
  const rows = statuses.flatMap(({ upstream, endpoints }) =>
    endpoints.map((endpoint) => endpointRow(upstream, endpoint)),
  );
  if (rows.length === 0) return "";
  return `<h2>Endpoints</h2>
<table>
<thead><tr><th>Upstream</th><th>State</th><th>Endpoint</th><th>In a row</th><th>Health</th><th>Latency</th><th>In flight</th><th>Cooled down at (UTC)</th></tr></thead>
<tbody>
${rows.slice(0, ROWS_MAX).join("\n")}
</tbody>
</table>`;
}

function endpointRow(upstream: string, endpoint: EndpointStatus): string {
  const { name, state, consecutiveFailures, adaptiveThreshold, healthScore } = endpoint;
  const isOut = state === "cooling-down" || state === "half-open";
  const latency = endpoint.avgLatencyMs === null ? "–" : `${endpoint.avgLatencyMs.toFixed(1)} ms`;
  return `<tr${isOut ? ' class="tripped"' : ""}><td>${escapeHtml(upstream)}</td><td>${state}</td><td class="e">${escapeHtml(name)}</td><td class="n">${consecutiveFailures} / ${adaptiveThreshold}</td><td class="n">${healthScore.toFixed(2)}</td><td class="n">${latency}</td><td class="n">${endpoint.inFlight}</td><td>${when(endpoint.lastOpenedAt)}</td></tr>`;
}

function limitsTable(statuses: readonly UpstreamStatus[]): string {
  const rows = statuses.flatMap(({ upstream, limit, endpoints }) =>
    [{ name: "–", limit }, ...endpoints].flatMap(({ name, limit: own }) =>
      own === null ? [] : [limitRow(upstream, name, own)],
    ),
  );
  if (rows.length === 0) return "";
  return `<h2>Limits</h2>
<table>
<thead><tr><th>Upstream</th><th>State</th><th>Endpoint</th><th>Kind</th><th>In flight</th><th>Abandoned</th><th>Waiting</th><th>Latency</th><th>When idle</th><th>Refused</th><th>Of these critical_plus</th></tr></thead>
<tbody>
${rows.slice(0, ROWS_MAX).join("\n")}
</tbody>
</table>`;
}

function limitRow(upstream: string, endpoint: string, limit: LimitStatus): string {
  const { isHung, isFrozen, spaceMs, tiers } = limit;
  const state = isHung ? "hung" : isFrozen ? "frozen" : spaceMs > 0 ? "spaced" : "normal";
  const ms = (latency: number | null): string =>
    latency === null ? "–" : `${latency.toFixed(1)} ms`;
  const refused = Object.values(tiers).map((tier) => refusedOf(tier));
  const all = refused.reduce((sum, count) => sum + count, 0);
  return `<tr${isHung ? ' class="tripped"' : ""}><td>${escapeHtml(upstream)}</td><td>${state}</td><td class="e">${escapeHtml(endpoint)}</td><td>${limit.kind}</td><td class="n">${limit.inFlight} / ${limit.limit}</td><td class="n">${limit.abandoned}</td><td class="n">${limit.waiting}</td><td class="n">${ms(limit.latencyMs)}</td><td class="n">${ms(limit.baseMs)}</td><td class="n">${all}</td><td class="n">${refusedOf(tiers.critical_plus)}</td></tr>`;
}

function refusedOf({ refused }: TierStatus): number {
  return refused.limit + refused.priority + refused.no_time;
}

function ratesTable(statuses: readonly UpstreamStatus[]): string {
  const rows = statuses.flatMap(({ upstream, rates }) =>
    rates.map((rate) => rateRow(upstream, rate)),
  );
  if (rows.length === 0) return "";
  return `<h2>Rates</h2>
<table>
<thead><tr><th>Upstream</th><th>Operation</th><th>Calls a second</th><th>Burst</th><th>Left</th><th>Next in</th></tr></thead>
<tbody>
${rows.slice(0, ROWS_MAX).join("\n")}
</tbody>
</table>`;
}

function rateRow(upstream: string, rate: UpstreamStatus["rates"][number]): string {
  const { operation, perSecond, burst, left, waitMs } = rate;
  const wait = waitMs === 0 ? "–" : `${Math.ceil(waitMs)} ms`;
  return `<tr><td>${escapeHtml(upstream)}</td><td>${operation === null ? "all" : escapeHtml(operation)}</td><td class="n">${perSecond}</td><td class="n">${burst}</td><td class="n">${left}</td><td class="n">${wait}</td></tr>`;
}

function when(at: number | null): string {
  if (at === null) return "–";
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString().slice(0, 19).replace("T", " ");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.toWellFormed().replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
