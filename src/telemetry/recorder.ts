// From a registry's plain counters to samples: the only such mapping. Everything is read when
// somebody scrapes, so that calls pay nothing for metrics.
//
// The number of label values is bounded, whatever the names do. The first 1,000 upstreams, the
// configured ones before those from traffic, keep series of their own for as long as they exist; the
// rest is put together as `__overflow__`. A tripped one beyond the bound still shows in the gauges,
// since that is what people are called for. Counters never move between the two, and the overflow's
// never fall when an upstream is forgotten: a counter that falls reads as a burst of new events.

import type { OperatorMode } from "../core/events.ts";
import { OVERFLOW_NAME } from "../pipeline/call-stats.ts";
import type { MetricKey } from "./catalogue.ts";
import { Families, Floors, type Labels, type MetricFamily } from "./families.ts";
import { labelValue } from "./label.ts";
import { LabelSets, type OperationLabelSets } from "./label-sets.ts";
import {
  REFUSAL_REASONS,
  UpstreamRow,
  type MeteredEndpoint,
  type MeteredSnapshot,
  type OperationCounts,
  type OperationRow,
} from "./rows.ts";

/** What is read of a registry; `Switchgear` has it all. */
export interface MetricSource {
  /** The configured ones first. */
  eachUpstream(): Iterable<MeteredUpstream>;
  storeHealth(): {
    readonly ok: boolean;
    readonly pending: number;
    readonly auditsDropped: number;
    readonly recoveredFrom: string | null;
  };
  counters(): {
    readonly storeErrors: readonly {
      readonly op: string;
      readonly code: string;
      readonly count: number;
    }[];
    readonly listenerErrors: number;
    readonly evicted: number;
    readonly tasks:
      { readonly started: number; readonly active: number; readonly orphaned: number } | undefined;
  };
  systemLoad(): number;
}

export interface MeteredUpstream {
  readonly name: string;
  readonly isTripped: boolean;
  readonly mode: OperatorMode;
  readonly inFlight: number;
  readonly abandoned: number;
  readonly operations: Iterable<OperationCounts>;
  readonly counters: {
    readonly trips: number;
    readonly resets: number;
    readonly resetsDenied: number;
    readonly lateOk: number;
    readonly lateFailed: number;
    readonly invalidSamples: number;
  };
  /** Those with an adaptive breaker each; an upstream whose own breaker is adaptive is one. */
  readonly meteredEndpoints: Iterable<MeteredEndpoint>;
  snapshot(): MeteredSnapshot;
}

export interface BuildInfo {
  readonly version: string;
  /** Such as `bun 1.4.5`. */
  readonly runtime: string;
}

/** Upstreams with series of their own (G-7). */
const UPSTREAMS_MAX = 1000;

/** Tripped ones shown beyond them. With more, `__overflow__` stands for the rest, and shows 1. */
const TRIPPED_EXTRA_MAX = 1000;

/** Distinct operation names (G-7), over all upstreams. */
const OPERATIONS_MAX = 200;

/**
 * Pairs of upstream and operation with series of their own. Names may come from callers' headers,
 * and 1,000 × 200 pairs of 20 series each would be the end of the scrape and of the process.
 */
const PAIRS_MAX = 5000;

/** Endpoints with series of their own; the rest share `__overflow__`. */
const ENDPOINTS_MAX = 1000;

const MODES: readonly OperatorMode[] = ["normal", "shadow", "forced-closed"];

interface Member {
  readonly label: string;
  readonly operations: Set<string>;
  /** The scrape that saw it last. */
  seen: number;
}

export class Recorder {
  readonly #source: MetricSource;
  readonly #build: BuildInfo | undefined;
  readonly #members = new Map<string, Member>();
  /** By the label that shows the upstream. */
  readonly #labelSets = new Map<string, LabelSets>();
  readonly #operations = new Set<string>();
  readonly #overflow = new Floors();
  /** Families that whoever shows them could not register. */
  registrationFailures = 0;
  #pairs = 0;
  #scrape = 0;

  constructor(source: MetricSource, build?: BuildInfo) {
    this.#source = source;
    this.#build = build;
  }

  /** Everything as of now. */
  collect(): MetricFamily[] {
    this.#scrape += 1;
    const rows = this.#readRows();
    const families = new Families();
    for (const row of rows) this.#writeRow(families, row, this.#labelSetsOf(row.label));
    this.#forgetTheGone();
    this.#writeEndpoints(families);
    this.#writeRegistry(families);
    return families.all();
  }

  #readRows(): UpstreamRow[] {
    const rows = new Map<string, UpstreamRow>();
    // By label and not by name: two hostile names may share one, and no series may come twice.
    const rowOf = (label: string): UpstreamRow => {
      let row = rows.get(label);
      if (row === undefined) {
        row = new UpstreamRow(label);
        rows.set(label, row);
      }
      return row;
    };
    let extra = 0;
    for (const upstream of this.#source.eachUpstream()) {
      const member = this.#memberOf(upstream.name);
      if (member !== undefined) {
        const row = rowOf(member.label);
        row.addGauges(upstream);
        row.addCounters(upstream.counters);
        for (const counts of upstream.operations) {
          row.operation(this.#operationLabel(counts.name, member)).add(counts);
        }
        continue;
      }
      const rest = rowOf(OVERFLOW_NAME);
      const isShown = upstream.isTripped && extra < TRIPPED_EXTRA_MAX;
      if (isShown) extra += 1;
      (isShown ? rowOf(labelValue(upstream.name)) : rest).addGauges(upstream);
      rest.addCounters(upstream.counters);
      for (const counts of upstream.operations) {
        rest.operation(this.#operationLabel(counts.name, undefined)).add(counts);
      }
    }
    return [...rows.values()].toSorted((a, b) => (a.label < b.label ? -1 : 1));
  }

  #memberOf(name: string): Member | undefined {
    let member = this.#members.get(name);
    if (member === undefined) {
      if (name === OVERFLOW_NAME || this.#members.size >= UPSTREAMS_MAX) return undefined;
      member = { label: labelValue(name), operations: new Set(), seen: 0 };
      this.#members.set(name, member);
    }
    member.seen = this.#scrape;
    return member;
  }

  #operationLabel(name: string, member: Member | undefined): string {
    if (member?.operations.has(name) === true) return labelValue(name);
    if (!this.#operations.has(name)) {
      if (this.#operations.size >= OPERATIONS_MAX) return OVERFLOW_NAME;
      this.#operations.add(name);
    }
    if (member === undefined) return labelValue(name);
    if (this.#pairs >= PAIRS_MAX) return OVERFLOW_NAME;
    this.#pairs += 1;
    member.operations.add(name);
    return labelValue(name);
  }

  #labelSetsOf(label: string): LabelSets {
    let sets = this.#labelSets.get(label);
    if (sets === undefined) {
      sets = new LabelSets(label);
      this.#labelSets.set(label, sets);
    }
    sets.seen = this.#scrape;
    return sets;
  }

  #forgetTheGone(): void {
    for (const [label, { seen }] of this.#labelSets) {
      if (seen !== this.#scrape) this.#labelSets.delete(label);
    }
    for (const [name, member] of this.#members) {
      if (member.seen === this.#scrape) continue;
      this.#members.delete(name);
      this.#pairs -= member.operations.size;
    }
  }

  #writeRow(families: Families, row: UpstreamRow, sets: LabelSets): void {
    const isOverflow = row.label === OVERFLOW_NAME;
    const count = (key: MetricKey, labels: Labels, value: number): void =>
      families.add(key, labels, isOverflow ? this.#overflow.raise(key, labels, value) : value);
    if (row.hasGauges) writeGauges(families, row, sets);
    if (!row.hasCounters) return;
    const { bookmaker, late } = sets;
    count("trips", bookmaker, row.trips);
    count("resets", bookmaker, row.resets);
    count("resetsDenied", bookmaker, row.resetsDenied);
    count("late", late.success, row.lateOk);
    count("late", late.failure, row.lateFailed);
    count("invalidSamples", bookmaker, row.invalidSamples);
    if (row.window !== undefined) this.#writeWindow(families, row, row.window, sets);
    for (const [operation, counts] of row.operations) {
      this.#writeOperation(families, sets.operation(operation), counts, count, isOverflow);
    }
  }

  #writeWindow(
    families: Families,
    row: UpstreamRow,
    window: NonNullable<UpstreamRow["window"]>,
    sets: LabelSets,
  ): void {
    families.add("windowState", sets.name, window.state);
    families.add("windowFailureRate", sets.name, window.failureRate);
    families.add("windowSlowRate", sets.name, window.slowRate);
    const totals = { success: 0, failure: 0, rejected: 0 };
    for (const counts of row.operations.values()) {
      totals.success += counts.ok;
      totals.failure += counts.failed + counts.timeout;
      for (const reason of REFUSAL_REASONS) totals.rejected += counts.refused[reason] ?? 0;
    }
    for (const [outcome, value] of Object.entries(totals)) {
      const labels = sets.windowCalls(outcome);
      const isOverflow = row.label === OVERFLOW_NAME;
      const shown = isOverflow ? this.#overflow.raise("windowCalls", labels, value) : value;
      families.add("windowCalls", labels, shown);
    }
  }

  #writeEndpoints(families: Families): void {
    let rest: MeteredEndpoint | undefined;
    const seen = new Set<string>();
    for (const upstream of this.#source.eachUpstream()) {
      for (const endpoint of upstream.meteredEndpoints) {
        const label = labelValue(endpoint.name);
        if (seen.size < ENDPOINTS_MAX && label !== OVERFLOW_NAME && !seen.has(label)) {
          seen.add(label);
          writeEndpoint(families, label, endpoint, endpoint.failures);
        } else rest = rest === undefined ? endpoint : worseOf(rest, endpoint);
      }
    }
    if (rest === undefined) return;
    const labels = { endpoint: OVERFLOW_NAME };
    const failures = this.#overflow.raise("endpointFailures", labels, rest.failures);
    writeEndpoint(families, OVERFLOW_NAME, rest, failures);
  }

  #writeOperation(
    families: Families,
    sets: OperationLabelSets,
    counts: OperationRow,
    count: (key: MetricKey, labels: Labels, value: number) => void,
    isOverflow: boolean,
  ): void {
    const labels = sets.all;
    let refused = 0;
    for (const reason of REFUSAL_REASONS) {
      const times = counts.refused[reason];
      if (times === undefined) continue;
      refused += times;
      count("rejected", sets.reason(reason), times);
    }
    if (counts.refused.load_shed !== undefined) count("loadShed", labels, counts.refused.load_shed);
    if (counts.shadowRefused > 0) count("shadowRefused", labels, counts.shadowRefused);
    count("requests", sets.outcome("ok"), counts.ok);
    count("requests", sets.outcome("failed"), counts.failed);
    count("requests", sets.outcome("timeout"), counts.timeout);
    count("requests", sets.outcome("ignored"), counts.ignored);
    count("requests", sets.outcome("refused"), refused);
    if (counts.durationCount === 0) return;
    const { buckets } = counts;
    let sum = counts.durationSumMs / 1000;
    if (isOverflow) {
      const floor = (part: string, value: number): number =>
        this.#overflow.raise("duration", { ...labels, part }, value);
      for (let index = 0; index < buckets.length; index += 1) {
        buckets[index] = floor(String(index), buckets[index] ?? 0);
      }
      sum = floor("sum", sum);
    }
    // The sum of what is shown, so that the last bucket and the count always agree.
    const total = buckets.reduce((before, value) => before + value, 0);
    families.addHistogram({ labels, buckets, sum, count: total });
  }

  #writeRegistry(families: Families): void {
    const health = this.#source.storeHealth();
    const { storeErrors, listenerErrors, evicted, tasks } = this.#source.counters();
    families.add("registrationFailures", {}, this.registrationFailures);
    if (tasks !== undefined) {
      families.add("tasksStarted", {}, tasks.started);
      families.add("tasksActive", {}, tasks.active);
      families.add("tasksOrphaned", {}, tasks.orphaned);
    }
    for (const { op, code, count } of storeErrors) {
      families.add("storeErrors", { op, code: labelValue(code) }, count);
    }
    families.add("storeRecovered", {}, health.recoveredFrom === null ? 0 : 1);
    families.add("storeUp", {}, health.ok ? 1 : 0);
    families.add("storePending", {}, health.pending);
    families.add("auditsDropped", {}, health.auditsDropped);
    families.add("listenerErrors", {}, listenerErrors);
    families.add("evicted", {}, evicted);
    const load = this.#source.systemLoad();
    // Not a number is no sample: parsers disagree about its spelling.
    families.add("systemLoad", {}, Number.isFinite(load) ? Math.min(Math.max(load, 0), 1) : 0);
    if (this.#build === undefined) return;
    const { version, runtime } = this.#build;
    families.add("buildInfo", { version: labelValue(version), runtime: labelValue(runtime) }, 1);
  }
}

function writeEndpoint(
  families: Families,
  endpoint: string,
  { stateCode, lastOpenedAt, successRate, healthScore, avgLatencyMs }: MeteredEndpoint,
  failures: number,
): void {
  const labels = { endpoint };
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
    stateCode: Math.max(a.stateCode, b.stateCode),
    failures: a.failures + b.failures,
    lastOpenedAt: Math.max(a.lastOpenedAt ?? 0, b.lastOpenedAt ?? 0),
    successRate: Math.min(a.successRate ?? 1, b.successRate ?? 1),
    healthScore: Math.min(a.healthScore, b.healthScore),
    avgLatencyMs: Math.max(a.avgLatencyMs ?? 0, b.avgLatencyMs ?? 0),
  };
}

function writeGauges(families: Families, row: UpstreamRow, sets: LabelSets): void {
  const labels = sets.bookmaker;
  families.add("tripped", labels, row.tripped);
  families.add("failures", labels, row.failures);
  families.add("tripCount", labels, row.tripCount);
  if (row.latencyMs !== undefined) families.add("latency", labels, row.latencyMs);
  families.add("inFlight", labels, row.inFlight);
  families.add("abandoned", labels, row.abandoned);
  for (const mode of MODES) families.add("mode", sets.mode(mode), row.modes[mode]);
}
