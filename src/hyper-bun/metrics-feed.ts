// From what happens to breakers to the metrics client that the host injected: counters as increments,
// gauges as absolute values, under the canonical names.
//
// A gauge is told when it changed, so that ten thousand successes a second are not as many calls. The
// number of label values is bounded here, since the client keeps a series for each for ever. Nothing
// that the client does, or throws, reaches a call.

import type { Switchgear, Upstream } from "../index.ts";
import { whenRejected } from "../core/foreign.ts";
import { METRICS, type Metric } from "../telemetry/series/catalogue.ts";
import { labelValue } from "../telemetry/series/label.ts";

/** Hyper-Bun's own client, and anything of its shape. */
export interface MetricsClient {
  counter(name: string, value: number, labels?: Record<string, string>): unknown;
  gauge(name: string, value: number, labels?: Record<string, string>): unknown;
}

/** Bookmakers with series of their own; the rest is `__overflow__` (G-7). */
const BOOKMAKERS_MAX = 1000;

/** Distinct operation names (G-7), over all bookmakers. */
const OPERATIONS_MAX = 200;

/** Pairs of both: 1,000 × 200 of them would be the end of the scrape. */
const PAIRS_MAX = 5000;

const OVERFLOW = "__overflow__";

/** What was last told of one bookmaker; NaN is nothing yet. */
class Told {
  readonly gauges = new Map<Metric, number>();
  lateOk = 0;
  lateFailed = 0;
  invalidSamples = 0;
}

export class MetricsFeed {
  readonly #gear: Switchgear;
  readonly #client: MetricsClient | null | undefined;
  readonly #labels = new Labels();
  readonly #told = new WeakMap<Upstream, Told>();
  readonly #storeErrors = new Map<string, number>();
  /** Tripped bookmakers that have no series of their own: people are called for them all the same. */
  readonly #overflowTripped = new Set<string>();

  constructor(gear: Switchgear, client: MetricsClient | null | undefined) {
    this.#gear = gear;
    this.#client = client;
  }

  /** Tells what was loaded, and from now on what happens. */
  start(): void {
    for (const upstream of this.#gear.upstreams()) this.evidence(upstream);
    const { recoveredFrom } = this.#gear.storeHealth();
    this.#gauge(METRICS.storeRecovered, recoveredFrom === null ? 0 : 1, {});
    this.store();
    this.#listen();
  }

  /** To be called after everything that may have moved a breaker without an event. */
  evidence(upstream: Upstream): void {
    const { failureCount, tripCount, avgLatencyMs } = upstream.snapshot();
    const bookmaker = this.#labels.bookmaker(upstream.name);
    const told = this.#toldOf(upstream);
    const tripped = upstream.isTripped && upstream.mode === "normal";
    if (bookmaker === OVERFLOW) this.#overflow(upstream.name, tripped);
    else {
      this.#changed(told, METRICS.tripped, Number(tripped), bookmaker);
      this.#changed(told, METRICS.failures, failureCount, bookmaker);
      this.#changed(told, METRICS.tripCount, tripCount, bookmaker);
      if (avgLatencyMs !== null) this.#changed(told, METRICS.latency, avgLatencyMs, bookmaker);
    }
    const { lateOk, lateFailed, invalidSamples } = upstream.counters;
    this.#count(METRICS.late, lateOk - told.lateOk, { bookmaker, outcome: "success" });
    this.#count(METRICS.late, lateFailed - told.lateFailed, { bookmaker, outcome: "failure" });
    this.#count(METRICS.invalidSamples, invalidSamples - told.invalidSamples, { bookmaker });
    Object.assign(told, { lateOk, lateFailed, invalidSamples });
  }

  /** Tells the errors of the database since the last time. */
  store(): void {
    for (const { op, code, count } of this.#gear.counters().storeErrors) {
      const key = `${op} ${code}`;
      this.#count(METRICS.storeErrors, count - (this.#storeErrors.get(key) ?? 0), { op, code });
      this.#storeErrors.set(key, count);
    }
  }

  #listen(): void {
    const gear = this.#gear;
    const of = (upstream: string): { bookmaker: string } => ({
      bookmaker: this.#labels.bookmaker(upstream),
    });
    const moved = (name: string): void => {
      const upstream = gear.find(name);
      if (upstream !== undefined) this.evidence(upstream);
    };
    // What another process did arrives as a transition and nothing else.
    gear.on("transition", ({ upstream }) => moved(upstream));
    gear.on("trip", ({ upstream, isNewTrip }) => {
      if (isNewTrip) this.#count(METRICS.trips, 1, of(upstream));
      moved(upstream);
    });
    gear.on("reset", ({ upstream }) => {
      this.#count(METRICS.resets, 1, of(upstream));
      moved(upstream);
    });
    gear.on("reset-denied", ({ upstream }) => this.#count(METRICS.resetsDenied, 1, of(upstream)));
    gear.on("refused", ({ upstream, operation: name, reason }) => {
      // A bookmaker whose first call is refused has gauges beside its counters.
      if (!this.#isTold(upstream)) moved(upstream);
      const { bookmaker } = of(upstream);
      const operation = this.#labels.operation(bookmaker, name);
      this.#count(METRICS.rejected, 1, { bookmaker, operation, reason });
      if (reason === "load_shed") this.#count(METRICS.loadShed, 1, { bookmaker, operation });
    });
    gear.on("store-error", () => this.store());
  }

  #isTold(name: string): boolean {
    const upstream = this.#gear.find(name);
    return upstream !== undefined && this.#told.has(upstream);
  }

  #toldOf(upstream: Upstream): Told {
    let told = this.#told.get(upstream);
    if (told === undefined) {
      told = new Told();
      this.#told.set(upstream, told);
    }
    return told;
  }

  #overflow(name: string, tripped: boolean): void {
    const before = this.#overflowTripped.size;
    if (tripped) this.#overflowTripped.add(name);
    else this.#overflowTripped.delete(name);
    const after = this.#overflowTripped.size;
    if (before > 0 === after > 0) return;
    this.#gauge(METRICS.tripped, Number(after > 0), { bookmaker: OVERFLOW });
  }

  #changed(told: Told, metric: Metric, value: number, bookmaker: string): void {
    if (told.gauges.get(metric) === value) return;
    told.gauges.set(metric, value);
    this.#gauge(metric, value, { bookmaker });
  }

  #gauge(metric: Metric, value: number, labels: Record<string, string>): void {
    tell(() => this.#client?.gauge(metric.name, value, labels));
  }

  #count(metric: Metric, increment: number, labels: Record<string, string>): void {
    if (increment > 0) tell(() => this.#client?.counter(metric.name, increment, labels));
  }
}

/** The client is the host's code: what it throws, or rejects with, is its own affair. */
function tell(call: () => unknown): void {
  try {
    whenRejected(call());
  } catch {
    // A call must not fail because it could not be counted.
  }
}

/** The first come keep labels of their own, for as long as the process runs. */
class Labels {
  readonly #bookmakers = new Map<string, string>();
  readonly #operations = new Set<string>();
  readonly #pairs = new Map<string, Map<string, string>>();
  #pairCount = 0;

  bookmaker(name: string): string {
    const known = this.#bookmakers.get(name);
    if (known !== undefined) return known;
    if (this.#bookmakers.size >= BOOKMAKERS_MAX) return OVERFLOW;
    const label = labelValue(name);
    this.#bookmakers.set(name, label);
    return label;
  }

  operation(bookmaker: string, name: string): string {
    const known = this.#pairs.get(bookmaker)?.get(name);
    if (known !== undefined) return known;
    const isNew = !this.#operations.has(name);
    if (isNew && this.#operations.size >= OPERATIONS_MAX) return OVERFLOW;
    if (this.#pairCount >= PAIRS_MAX) return OVERFLOW;
    this.#operations.add(name);
    const label = labelValue(name);
    const own = this.#pairs.get(bookmaker) ?? new Map<string, string>();
    this.#pairs.set(bookmaker, own.set(name, label));
    this.#pairCount += 1;
    return label;
  }
}
