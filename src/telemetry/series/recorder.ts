// From a registry's plain counters to samples: the only such mapping. Everything is read when
// somebody scrapes, so that calls pay nothing for metrics.
//
// The number of label values is bounded, whatever the names do. The first 1,000 upstreams, the
// configured ones before those from traffic, keep series of their own for as long as they exist; the
// rest is put together as `__overflow__`. A tripped one beyond the bound still shows in the gauges,
// since that is what people are called for. Counters never move between the two, and the overflow's
// never fall when an upstream is forgotten: a counter that falls reads as a burst of new events.

import type { OperatorMode } from "../../core/events.ts";
import { OVERFLOW_NAME } from "../../pipeline/call/stats.ts";
import { Families, Floors, type MetricFamily } from "./families.ts";
import type { MeteredLimit } from "../../pipeline/overload/status.ts";
import { labelValue } from "./label.ts";
import { LabelSets } from "./label-sets.ts";
import { writeEndpoints, writeUpstream } from "./row-families.ts";
import {
  UpstreamRow,
  type MeteredEndpoint,
  type MeteredSnapshot,
  type OperationCounts,
} from "./rows.ts";

/** What is read of a registry; `Switchgear` has it all. */
export interface MetricSource {
  /** A closed one makes room where another is shown. */
  readonly isClosing?: boolean;
  /** The other replicas, where the store is a fleet's. */
  readonly fleet?: MeteredFleet | undefined;
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
    readonly auditsRefused: ReadonlyMap<string, number>;
    readonly listenerErrors: number;
    readonly evicted: number;
    readonly tasks:
      { readonly started: number; readonly active: number; readonly orphaned: number } | undefined;
  };
  systemLoad(): number;
}

export interface MeteredFleet {
  readonly isSynced: boolean;
  replicas(): { readonly length: number };
  /** By upstream. */
  versions(): ReadonlyMap<string, number>;
}

export interface MeteredUpstream {
  readonly name: string;
  readonly failureThreshold: number;
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
  /** Of the upstream, or of each of its endpoints. */
  readonly meteredLimits: readonly MeteredLimit[];
  snapshot(): MeteredSnapshot;
}

export interface BuildInfo {
  readonly version: string;
  /** Such as `bun 1.4.5`. */
  readonly runtime: string;
}

/** A logger of `createLogger`; undefined for one that writes elsewhere. */
export interface MeteredLog {
  logHealth(): { readonly isUp: boolean; readonly linesDropped: number } | undefined;
}

/** A configuration that can be read again while it is in use. */
export interface MeteredConfig {
  /** Whether what was last read is in force. */
  readonly isGood: boolean;
  /** When one was last taken, epoch milliseconds. */
  readonly takenAt: number;
}

/** The process that serves; what it has read of itself at the time of asking. */
export interface MeteredProcess {
  read(): {
    readonly cpuSeconds: number;
    readonly residentBytes: number;
    /** Epoch milliseconds. */
    readonly startedAt: number;
    /** Seconds, by quantile; undefined before the first was measured. */
    readonly loopDelays: readonly (readonly [quantile: string, seconds: number])[] | undefined;
  };
}

/** The gateway's own answers so far, by reason. */
export interface MeteredGateway {
  answers(): Iterable<readonly [reason: string, count: number]>;
}

export interface RecorderOptions {
  readonly process?: MeteredProcess | undefined;
  readonly gateway?: MeteredGateway | undefined;
  readonly build?: BuildInfo | undefined;
  readonly log?: MeteredLog | undefined;
  readonly config?: MeteredConfig | undefined;
}

/** Upstreams with series of their own (G-7). */
const UPSTREAMS_MAX = 1000;

/** Tripped ones shown beyond them. With more, `__overflow__` stands for the rest, and shows 1. */
const TRIPPED_EXTRA_MAX = 1000;

/** Endpoints whose limiters have series of their own; the rest share `__overflow__`, of each upstream. */
const LIMITED_ENDPOINTS_MAX = 1000;

/** Distinct operation names (G-7) of the upstreams that have no series of their own. */
const REST_OPERATIONS_MAX = 200;

/**
 * Pairs of upstream and operation with series of their own, beside those that were known beforehand. Names
 * may come from callers' headers, and 1,000 × 200 pairs of 20 series each would be the end of the scrape
 * and of the process. What is configured is never crowded out by them.
 */
const PAIRS_MAX = 5000;

const STORE_OPERATIONS = ["load", "commit", "poll", "history", "close"] as const;

interface Member {
  readonly label: string;
  readonly operations: Set<string>;
  /** How many of them were not known beforehand. */
  others: number;
  /** The scrape that saw it last. */
  seen: number;
}

export class Recorder {
  readonly #source: MetricSource;
  readonly #build: BuildInfo | undefined;
  readonly #log: MeteredLog | undefined;
  readonly #config: MeteredConfig | undefined;
  readonly #process: MeteredProcess | undefined;
  readonly #gateway: MeteredGateway | undefined;
  readonly #members = new Map<string, Member>();
  /** By the label that shows the upstream. */
  readonly #labelSets = new Map<string, LabelSets>();
  readonly #restOperations = new Set<string>();
  readonly #overflow = new Floors();
  /** Families that whoever shows them could not register. */
  registrationFailures = 0;
  #pairs = 0;
  #scrape = 0;

  constructor(source: MetricSource, options: RecorderOptions = {}) {
    const { build, log, config, process, gateway } = options;
    this.#source = source;
    this.#build = build;
    this.#log = log;
    this.#config = config;
    this.#process = process;
    this.#gateway = gateway;
  }

  /** Everything as of now. */
  collect(): MetricFamily[] {
    this.#scrape += 1;
    const rows = this.#readRows();
    const families = new Families();
    for (const row of rows) {
      writeUpstream(families, row, this.#labelSetsOf(row.label), this.#overflow);
    }
    this.#forgetTheGone();
    writeEndpoints(families, this.#source.eachUpstream(), this.#overflow);
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
    let limited = 0;
    for (const upstream of this.#source.eachUpstream()) {
      const member = this.#memberOf(upstream.name);
      if (member !== undefined) {
        const row = rowOf(member.label);
        row.addGauges(upstream);
        row.addCounters(upstream.counters);
        for (const limit of upstream.meteredLimits) {
          const { endpoint } = limit;
          if (endpoint !== undefined) limited += 1;
          row.addLimit(endpointLabel(endpoint, limited > LIMITED_ENDPOINTS_MAX), limit);
        }
        for (const counts of upstream.operations) {
          row.operation(this.#operationLabel(counts, member)).add(counts);
        }
        continue;
      }
      const rest = rowOf(OVERFLOW_NAME);
      const isShown = upstream.isTripped && extra < TRIPPED_EXTRA_MAX;
      if (isShown) extra += 1;
      (isShown ? rowOf(labelValue(upstream.name)) : rest).addGauges(upstream);
      rest.addCounters(upstream.counters);
      for (const limit of upstream.meteredLimits) {
        rest.addLimit(endpointLabel(limit.endpoint, true), limit);
      }
      for (const counts of upstream.operations) {
        rest.operation(this.#restLabel(counts.name)).add(counts);
      }
    }
    return [...rows.values()].toSorted((a, b) => (a.label < b.label ? -1 : 1));
  }

  #memberOf(name: string): Member | undefined {
    let member = this.#members.get(name);
    if (member === undefined) {
      if (name === OVERFLOW_NAME || this.#members.size >= UPSTREAMS_MAX) return undefined;
      member = { label: labelValue(name), operations: new Set(), others: 0, seen: 0 };
      this.#members.set(name, member);
    }
    member.seen = this.#scrape;
    return member;
  }

  #operationLabel({ name, isListed }: OperationCounts, member: Member): string {
    if (member.operations.has(name)) return labelValue(name);
    if (!isListed) {
      if (this.#pairs >= PAIRS_MAX) return OVERFLOW_NAME;
      this.#pairs += 1;
      member.others += 1;
    }
    member.operations.add(name);
    return labelValue(name);
  }

  #restLabel(name: string): string {
    if (!this.#restOperations.has(name)) {
      if (this.#restOperations.size >= REST_OPERATIONS_MAX) return OVERFLOW_NAME;
      this.#restOperations.add(name);
    }
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
      this.#pairs -= member.others;
    }
  }

  #writeFleet(families: Families): void {
    const { fleet } = this.#source;
    if (fleet === undefined) return;
    families.add("fleetReplicas", {}, fleet.replicas().length);
    families.add("fleetSynced", {}, fleet.isSynced ? 1 : 0);
    const versions = new Map<string, number>();
    for (const [name, version] of fleet.versions()) {
      // Of those that share a label the highest, as for all that is put together.
      const label = this.#members.get(name)?.label ?? OVERFLOW_NAME;
      versions.set(label, Math.max(versions.get(label) ?? 0, version));
    }
    for (const [label, version] of versions) {
      families.add("fleetVersion", { bookmaker: label }, version);
    }
  }

  #writeRegistry(families: Families): void {
    const health = this.#source.storeHealth();
    const { storeErrors, auditsRefused, listenerErrors, evicted, tasks } = this.#source.counters();
    families.add("registrationFailures", {}, this.registrationFailures);
    if (tasks !== undefined) {
      families.add("tasksStarted", {}, tasks.started);
      families.add("tasksActive", {}, tasks.active);
      families.add("tasksOrphaned", {}, tasks.orphaned);
    }
    for (const { op, code, count } of storeErrors) {
      families.add("storeErrors", { op, code: labelValue(code) }, count);
    }
    for (const op of STORE_OPERATIONS) {
      const own = storeErrors.filter((error) => error.op === op);
      families.add(
        "storeFailures",
        { op },
        own.reduce((sum, { count }) => sum + count, 0),
      );
    }
    families.add("storeRecovered", {}, health.recoveredFrom === null ? 0 : 1);
    families.add("storeUp", {}, health.ok ? 1 : 0);
    families.add("storePending", {}, health.pending);
    this.#writeFleet(families);
    families.add("auditsDropped", {}, health.auditsDropped);
    for (const [action, count] of auditsRefused) families.add("auditsRefused", { action }, count);
    families.add("listenerErrors", {}, listenerErrors);
    families.add("evicted", {}, evicted);
    const log = this.#log?.logHealth();
    if (log !== undefined) {
      families.add("logUp", {}, log.isUp ? 1 : 0);
      families.add("logLinesDropped", {}, log.linesDropped);
    }
    if (this.#config !== undefined) {
      families.add("configIsGood", {}, this.#config.isGood ? 1 : 0);
      families.add("configTakenAt", {}, this.#config.takenAt / 1000);
    }
    for (const [reason, count] of this.#gateway?.answers() ?? []) {
      families.add("gatewayAnswers", { reason }, count);
    }
    if (this.#process !== undefined) writeProcess(families, this.#process);
    const load = this.#source.systemLoad();
    // Not a number is no sample: parsers disagree about its spelling.
    families.add("systemLoad", {}, Number.isFinite(load) ? Math.min(Math.max(load, 0), 1) : 0);
    if (this.#build === undefined) return;
    const { version, runtime } = this.#build;
    families.add("buildInfo", { version: labelValue(version), runtime: labelValue(runtime) }, 1);
  }
}

function endpointLabel(endpoint: string | undefined, isBeyond: boolean): string {
  if (endpoint === undefined) return "";
  return isBeyond ? OVERFLOW_NAME : labelValue(endpoint);
}

function writeProcess(families: Families, process: MeteredProcess): void {
  const { cpuSeconds, residentBytes, startedAt, loopDelays = [] } = process.read();
  for (const [quantile, seconds] of loopDelays) {
    families.add("eventLoopDelay", { quantile }, seconds);
  }
  families.add("processCpu", {}, cpuSeconds);
  families.add("processMemory", {}, residentBytes);
  families.add("processStart", {}, startedAt / 1000);
}
