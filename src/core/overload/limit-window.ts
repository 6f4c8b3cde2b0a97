// What happened between two evaluations of a limit: the evidence it is moved by.
//
// Only successes are latency. A failure may be quick because nothing was done, and averaged with the
// rest would look like an upstream with time to spare; a timeout lasts as long as its deadline, which
// says nothing of the upstream but that it was late. Both are counted instead.

import { LatencyHistogram } from "./latency-histogram.ts";

export class LimitWindow {
  readonly #latencies = new LatencyHistogram();
  startMs: number;
  /** Most calls in flight at once. */
  peak = 0;
  /** Successes, those that started before the last change of the limit among them. */
  oks = 0;
  failures = 0;
  timeouts = 0;
  /** Calls that ended and say nothing of the upstream. */
  ignored = 0;
  /** Those of them that do not pile up: given back, or left no later than the median call is back. */
  leftEarly = 0;
  admitted = 0;
  /** Calls that asked to be let in, and what each found in flight, added up. */
  #arrivals = 0;
  #found = 0;
  #sumMs = 0;
  /** Latencies that are no evidence of the limit: their calls started before it was changed. */
  #stale = 0;
  #staleSumMs = 0;
  /** Calls turned away for want of a permit. */
  refusals = 0;

  constructor(nowMs: number) {
    this.startMs = nowMs;
  }

  /** Latencies that count as evidence. */
  get samples(): number {
    return this.#latencies.count;
  }

  /** Share of the calls that came to an end here by their deadline, 0–1. */
  get timeoutShare(): number {
    return this.ended === 0 ? 0 : this.timeouts / this.ended;
  }

  get ended(): number {
    return this.oks + this.failures + this.timeouts;
  }

  /** Calls in flight on average: what calls that arrive in no order find is what there is. */
  get meanInFlight(): number {
    return this.#arrivals === 0 ? 0 : this.#found / this.#arrivals;
  }

  addArrival(inFlight: number): void {
    this.#arrivals += 1;
    this.#found += inFlight;
  }

  addLatency(latencyMs: number): void {
    this.#latencies.add(latencyMs);
    this.#sumMs += latencyMs;
  }

  addStale(latencyMs: number): void {
    this.#stale += 1;
    this.#staleSumMs += latencyMs;
  }

  /** Mean of what is no evidence; 0 without any. */
  get staleMeanMs(): number {
    return this.#stale === 0 ? 0 : this.#staleSumMs / this.#stale;
  }

  get meanMs(): number {
    return this.samples === 0 ? 0 : this.#sumMs / this.samples;
  }

  quantileMs(quantile: number): number {
    return this.#latencies.quantileMs(quantile);
  }

  /** Successes a millisecond. */
  okRate(nowMs: number): number {
    const elapsed = nowMs - this.startMs;
    return elapsed > 0 ? this.oks / elapsed : 0;
  }

  begin(nowMs: number, inFlight: number): void {
    this.#latencies.clear();
    this.startMs = nowMs;
    this.peak = inFlight;
    this.oks = 0;
    this.failures = 0;
    this.timeouts = 0;
    this.ignored = 0;
    this.leftEarly = 0;
    this.refusals = 0;
    this.#arrivals = 0;
    this.#found = 0;
    this.#sumMs = 0;
    this.#stale = 0;
    this.#staleSumMs = 0;
    this.admitted = 0;
  }
}
