// Two published limits with their default parameters, written anew for comparison: additive increase,
// multiplicative decrease as TCP has it since Jacobson (1988), and Gradient2 as Netflix describes it for
// concurrency-limits. They have no tiers, and forget a call at its deadline.

import { LatencyHistogram } from "../../../src/core/overload/latency-histogram.ts";
import { TURNED_AWAY, type Guard } from "./guard.ts";

abstract class Capped implements Guard {
  inFlight = 0;
  limit = 20;

  admit(): number {
    if (this.inFlight >= Math.floor(this.limit)) return TURNED_AWAY;
    this.inFlight += 1;
    return 0;
  }

  ok(_proof: number, startMs: number, nowMs: number): void {
    this.sample(nowMs - startMs, false, nowMs);
    this.inFlight -= 1;
  }

  timedOut(_proof: number, startMs: number, nowMs: number): void {
    this.sample(nowMs - startMs, true, nowMs);
    this.inFlight -= 1;
  }

  abstract sample(latencyMs: number, isTimeout: boolean, nowMs: number): void;
}

/** One more per sample while half of the limit is used; nine tenths on a timeout. Between 20 and 200. */
export class Aimd extends Capped {
  sample(_latencyMs: number, isTimeout: boolean): void {
    if (isTimeout) this.limit *= 0.9;
    else if (this.inFlight * 2 >= this.limit) this.limit += 1;
    this.limit = Math.min(200, Math.max(20, this.limit));
  }
}

/** Windows of 1 s and at least ten samples, long average over 600 of them, tolerance 1.5, smoothing 0.2. */
export class Gradient2 extends Capped {
  #long = 0;
  #count = 0;
  #dueMs = 1000;
  readonly #window = new LatencyHistogram();
  #sum = 0;
  #peak = 0;

  sample(latencyMs: number, _isTimeout: boolean, nowMs: number): void {
    this.#window.add(latencyMs);
    this.#sum += latencyMs;
    this.#peak = Math.max(this.#peak, this.inFlight);
    if (nowMs < this.#dueMs || this.#window.count < 10) return;
    const short = this.#sum / this.#window.count;
    this.#window.clear();
    this.#sum = 0;
    this.#dueMs = nowMs + 1000;
    this.#update(short, this.#peak);
    this.#peak = 0;
  }

  #update(short: number, peak: number): void {
    // The long average warms up as a plain mean of ten.
    this.#count += 1;
    const weight = this.#count <= 10 ? 1 / this.#count : 2 / 601;
    this.#long += weight * (short - this.#long);
    if (this.#long / short > 2) this.#long *= 0.95;
    if (peak < this.limit / 2) return;
    const gradient = Math.max(0.5, Math.min(1, (1.5 * this.#long) / short));
    const wanted = this.limit * gradient + 4;
    this.limit = Math.min(200, Math.max(20, 0.8 * this.limit + 0.2 * wanted));
  }
}
