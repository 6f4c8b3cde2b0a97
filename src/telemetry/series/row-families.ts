// From rows to samples: which series one upstream, one operation and one endpoint have.

import { OPERATOR_MODES, REFUSAL_REASONS, type RefusalReason } from "../../core/events.ts";
import {
  DURATION_BUCKETS_SECONDS,
  OVERFLOW_NAME,
  TIMED_OUTCOMES,
} from "../../pipeline/call/stats.ts";
import type { MetricKey } from "./catalogue.ts";
import type { Families, Floors, Labels } from "./families.ts";
import { labelValue } from "./label.ts";
import { writeLimit } from "./limit-rows.ts";
import type { LabelSets, OperationLabelSets } from "./label-sets.ts";
import type { DurationRow, MeteredEndpoint, OperationRow, UpstreamRow } from "./rows.ts";

/** Endpoints with series of their own; the rest share `__overflow__`. */
const ENDPOINTS_MAX = 1000;

const WATCHED_REASONS: ReadonlySet<RefusalReason> = new Set(["tripped", "load_shed"]);

/** Adds to a counter's family what the counter shows. */
type Count = (key: MetricKey, labels: Labels, value: number) => void;

/** Everything of one upstream, or of those that share `__overflow__`, whose counters go through `overflow`. */
export function writeUpstream(
  families: Families,
  row: UpstreamRow,
  sets: LabelSets,
  overflow: Floors,
): void {
  const isOverflow = row.label === OVERFLOW_NAME;
  const neverFalling: Count = (key, labels, value) =>
    families.add(key, labels, overflow.raise(key, labels, value));
  const count: Count = isOverflow
    ? neverFalling
    : (key, labels, value) => families.add(key, labels, value);
  if (row.hasGauges) writeGauges(families, row, sets);
  if (!row.hasCounters) return;
  const { bookmaker, late } = sets;
  count("trips", bookmaker, row.trips);
  count("resets", bookmaker, row.resets);
  count("resetsDenied", bookmaker, row.resetsDenied);
  count("late", late.success, row.lateOk);
  count("late", late.failure, row.lateFailed);
  count("invalidSamples", bookmaker, row.invalidSamples);
  if (row.window !== undefined) writeWindow(families, row, row.window, sets, count);
  for (const [endpoint, limit] of row.limits) {
    writeLimit(
      families,
      limit,
      sets.limit(endpoint),
      endpoint === OVERFLOW_NAME ? neverFalling : count,
    );
  }
  sets.keepLimits(row.limits);
  for (const [operation, counts] of row.operations) {
    writeOperation(
      families,
      sets.operation(operation),
      counts,
      count,
      isOverflow ? overflow : undefined,
    );
  }
}

function writeGauges(families: Families, row: UpstreamRow, sets: LabelSets): void {
  const labels = sets.bookmaker;
  families.add("tripped", labels, row.tripped);
  families.add("failures", labels, row.failures);
  if (row.label !== OVERFLOW_NAME) {
    if (row.failureThreshold !== undefined) {
      families.add("failureThreshold", labels, row.failureThreshold);
    }
    for (const kind of row.kinds) families.add("breakerInfo", sets.kind(kind), 1);
    families.add("byHand", labels, row.byHand);
    if (row.trippedAt !== undefined) families.add("trippedSince", labels, row.trippedAt / 1000);
  }
  families.add("tripCount", labels, row.tripCount);
  if (row.latencyMs !== undefined) families.add("latency", labels, row.latencyMs);
  families.add("inFlight", labels, row.inFlight);
  families.add("abandoned", labels, row.abandoned);
  for (const mode of OPERATOR_MODES) families.add("mode", sets.mode(mode), row.modes[mode]);
}

function writeWindow(
  families: Families,
  row: UpstreamRow,
  window: NonNullable<UpstreamRow["window"]>,
  sets: LabelSets,
  count: Count,
): void {
  families.add("windowState", sets.bookmaker, window.state);
  families.add("windowFailureRate", sets.bookmaker, window.failureRate);
  families.add("windowSlowRate", sets.bookmaker, window.slowRate);
  const totals = { success: 0, failure: 0, rejected: 0 };
  for (const counts of row.operations.values()) {
    totals.success += counts.ok;
    totals.failure += counts.failed + counts.timeout;
    for (const reason of REFUSAL_REASONS) totals.rejected += counts.refused[reason] ?? 0;
  }
  for (const [outcome, value] of Object.entries(totals)) {
    count("windowCalls", sets.windowCalls(outcome), value);
  }
}

function writeOperation(
  families: Families,
  sets: OperationLabelSets,
  counts: OperationRow,
  count: Count,
  overflow: Floors | undefined,
): void {
  const labels = sets.all;
  let refused = 0;
  for (const reason of REFUSAL_REASONS) {
    // The reasons that alerts look at are there from the start: what begins above 0 has no first increase.
    const times = counts.refused[reason] ?? (WATCHED_REASONS.has(reason) ? 0 : undefined);
    if (times === undefined) continue;
    refused += times;
    count("rejected", sets.reason(reason), times);
  }
  count("loadShed", labels, counts.refused.load_shed ?? 0);
  if (counts.shadowRefused > 0) count("shadowRefused", labels, counts.shadowRefused);
  count("requests", sets.outcome("ok"), counts.ok);
  count("requests", sets.outcome("failed"), counts.failed);
  count("requests", sets.outcome("timeout"), counts.timeout);
  count("requests", sets.outcome("ignored"), counts.ignored);
  count("requests", sets.outcome("refused"), refused);
  for (const outcome of TIMED_OUTCOMES) {
    // Of calls that succeed there is one from the start: the latency's share of them is alerted on.
    const durations = counts.durations[outcome];
    if (durations.count > 0 || outcome === "ok") {
      writeDurations(families, sets.outcome(outcome), durations, overflow);
    }
  }
}

function writeDurations(
  families: Families,
  labels: Labels,
  { sumMs, buckets: counted }: DurationRow,
  overflow: Floors | undefined,
): void {
  const buckets = BUCKET_INDEXES.map((index) => counted[index] ?? 0);
  let sum = sumMs / 1000;
  if (overflow !== undefined) {
    const floor = (part: string, value: number): number =>
      overflow.raise("duration", { ...labels, part }, value);
    for (const index of BUCKET_INDEXES) buckets[index] = floor(String(index), buckets[index] ?? 0);
    sum = floor("sum", sum);
  }
  // The sum of what is shown, so that the last bucket and the count always agree.
  const total = buckets.reduce((before, value) => before + value, 0);
  families.addHistogram({ labels, buckets, sum, count: total });
}

const BUCKET_INDEXES: readonly number[] = [...DURATION_BUCKETS_SECONDS, Infinity].map(
  (_, index) => index,
);

/** Each endpoint by its own name, as long as there is room. */
export function writeEndpoints(
  families: Families,
  upstreams: Iterable<{ readonly meteredEndpoints: Iterable<MeteredEndpoint> }>,
  overflow: Floors,
): void {
  let rest: MeteredEndpoint | undefined;
  const seen = new Set<string>();
  for (const upstream of upstreams) {
    for (const endpoint of upstream.meteredEndpoints) {
      const label = labelValue(endpoint.name);
      if (seen.size < ENDPOINTS_MAX && label !== OVERFLOW_NAME && !seen.has(label)) {
        seen.add(label);
        writeEndpoint(families, label, endpoint, endpoint);
      } else rest = rest === undefined ? endpoint : worseOf(rest, endpoint);
    }
  }
  if (rest === undefined) return;
  const labels = { endpoint: OVERFLOW_NAME };
  const ok = overflow.raise("endpointCalls", labels, rest.ok);
  const failures = overflow.raise("endpointFailures", labels, rest.failures);
  writeEndpoint(families, OVERFLOW_NAME, rest, { ok, failures });
}

function writeEndpoint(
  families: Families,
  endpoint: string,
  { upstream, stateCode, lastOpenedAt, successRate, healthScore, avgLatencyMs }: MeteredEndpoint,
  { ok, failures }: Pick<MeteredEndpoint, "ok" | "failures">,
): void {
  const labels = { endpoint };
  if (upstream !== undefined) {
    const both = { bookmaker: labelValue(upstream), endpoint };
    families.add("endpointInfo", both, 1);
    families.add("endpointCalls", { ...both, outcome: "ok" }, ok);
    families.add("endpointCalls", { ...both, outcome: "failed" }, failures);
  }
  families.add("endpointState", labels, stateCode);
  families.add("endpointFailures", labels, failures);
  families.add("endpointLastOpened", labels, Math.floor((lastOpenedAt ?? 0) / 1000));
  if (successRate !== null) families.add("endpointSuccessRatio", labels, successRate);
  families.add("endpointHealth", labels, healthScore);
  if (avgLatencyMs !== null) families.add("latency", labels, avgLatencyMs);
}

/** Of two without series of their own the worse is shown; their failures are added. */
function worseOf(a: MeteredEndpoint, b: MeteredEndpoint): MeteredEndpoint {
  return {
    name: OVERFLOW_NAME,
    upstream: OVERFLOW_NAME,
    ok: a.ok + b.ok,
    stateCode: Math.max(a.stateCode, b.stateCode),
    failures: a.failures + b.failures,
    lastOpenedAt: Math.max(a.lastOpenedAt ?? 0, b.lastOpenedAt ?? 0),
    successRate: Math.min(a.successRate ?? 1, b.successRate ?? 1),
    healthScore: Math.min(a.healthScore, b.healthScore),
    avgLatencyMs: Math.max(a.avgLatencyMs ?? 0, b.avgLatencyMs ?? 0),
  };
}
