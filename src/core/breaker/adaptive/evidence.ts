// What speaks for and against an endpoint: its failures in a row, its last outcomes and latencies, its
// error rate, and what the rules make of them. What follows from it is the machine's affair.
//
// Five failures in a row mean little where calls often fail and much where they never do, so the
// threshold follows the error rate and its spread.

import { isLatency } from "../../outcome.ts";
import { Ewma } from "../../window/ewma.ts";
import { LatencyWindow } from "../../window/latency-window.ts";
import { OutcomeWindow } from "../../window/outcome-window.ts";
import { healthScore, SUCCESS_SHARE } from "./health-score.ts";
import type { AdaptiveSettings } from "./options.ts";
import {
  ADAPTIVE_SAMPLES_MIN,
  adaptiveThreshold,
  RECOVERY_MIN,
  SUCCESS_RATE_MIN,
} from "./rules.ts";
import type { AdaptiveStats, AdaptiveTripEvidence } from "./snapshot.ts";

export class EndpointEvidence {
  readonly #settings: AdaptiveSettings;
  #consecutiveFailures = 0;
  readonly #outcomes = new OutcomeWindow();
  readonly #latencies = new LatencyWindow();
  readonly #errorRate: Ewma;

  constructor(settings: AdaptiveSettings) {
    this.#settings = settings;
    this.#errorRate = new Ewma(settings.ewmaAlpha);
  }

  get consecutiveFailures(): number {
    return this.#consecutiveFailures;
  }

  /** Among the outcomes kept. */
  get failures(): number {
    return this.#outcomes.failures;
  }

  /** Milliseconds; null before the first. */
  get avgLatencyMs(): number | null {
    return this.#latencies.kept === 0 ? null : this.#latencies.mean;
  }

  countOk(latencyMs: number): void {
    this.#consecutiveFailures = 0;
    this.#outcomes.addOk();
    this.#errorRate.add(0);
    if (isLatency(latencyMs)) this.#latencies.add(latencyMs);
  }

  countFailed(latencyMs: number): void {
    this.#consecutiveFailures += 1;
    this.#outcomes.addFailed();
    this.#errorRate.add(1);
    if (isLatency(latencyMs)) this.#latencies.add(latencyMs);
  }

  /** Failures in a row reached so many times the threshold, which is at least 1: a success needs none. */
  hasFailuresInRow(times: number): boolean {
    const failures = this.#consecutiveFailures;
    return failures > 0 && failures >= times * this.#threshold;
  }

  get isCritical(): boolean {
    const { minHealthScore } = this.#settings;
    // Latencies can only add to it: mostly there is no need to look at them.
    if (SUCCESS_SHARE * this.#outcomes.successRate >= minHealthScore) return false;
    return this.#health < minHealthScore;
  }

  /** Well enough for a degraded endpoint to be healthy again. */
  get isWell(): boolean {
    return (
      this.#consecutiveFailures === 0 &&
      this.#outcomes.successRate > RECOVERY_MIN &&
      this.#health > RECOVERY_MIN
    );
  }

  /** Why a degraded endpoint should cool down, if it should. */
  trippingRule(): AdaptiveTripEvidence | undefined {
    const { sampleSize, minHealthScore } = this.#settings;
    const { kept, successRate } = this.#outcomes;
    if (this.hasFailuresInRow(2)) {
      const [value, threshold] = [this.#consecutiveFailures, 2 * this.#threshold];
      return { rule: "consecutive_failures", value, threshold };
    }
    if (kept >= sampleSize && successRate < SUCCESS_RATE_MIN) {
      return { rule: "success_rate", value: successRate, threshold: SUCCESS_RATE_MIN };
    }
    return this.isCritical
      ? { rule: "health_score", value: this.#health, threshold: minHealthScore }
      : undefined;
  }

  stats(): Omit<AdaptiveStats, "state" | "canaryProgress"> {
    const { kept, successes, successRate } = this.#outcomes;
    return {
      consecutiveFailures: this.#consecutiveFailures,
      successRate,
      totalAttempts: kept,
      successfulAttempts: successes,
      adaptiveThreshold: this.#threshold,
      healthScore: this.#health,
      avgLatencyMs: this.#latencies.mean,
      latencyJitterMs: this.#latencies.jitter,
      ewmaErrorRate: this.#errorRate.value,
    };
  }

  endRow(): void {
    this.#consecutiveFailures = 0;
  }

  forgetOutcomes(): void {
    this.#outcomes.clear();
  }

  forget(): void {
    this.endRow();
    this.forgetOutcomes();
    this.#latencies.clear();
    this.#errorRate.clear();
  }

  get #threshold(): number {
    const { adaptive, failureThreshold, adaptiveFloor, adaptiveSensitivity } = this.#settings;
    const rate = this.#errorRate;
    if (!adaptive || rate.count < ADAPTIVE_SAMPLES_MIN) return failureThreshold;
    const margin = rate.value + adaptiveSensitivity * rate.deviation;
    return adaptiveThreshold(failureThreshold, adaptiveFloor, margin);
  }

  get #health(): number {
    const { mean, jitter } = this.#latencies;
    return healthScore(this.#outcomes.successRate, mean, jitter);
  }
}
