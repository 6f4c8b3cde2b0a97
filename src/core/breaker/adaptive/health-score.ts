// How well an endpoint is, in one number from 0 to 1: mostly whether it answers, then how fast, then
// how evenly. Formulas and break points are the source system's (specification B-9).
//
// Without any latency the score is at least 0.5, so only slow or uneven answers can make it critical
// at the usual threshold of 0.3.

/** Shares of the three parts; they make 1. */
export const SUCCESS_SHARE = 0.5;
const LATENCY_SHARE = 0.3;
const JITTER_SHARE = 0.2;

/**
 * `0.5·successRate + 0.3·L(meanMs) + 0.2·J(jitterMs)`, held within 0 and 1. The rate is 0–1, both
 * times are ≥ 0; a mean of 0 stands for no data.
 */
export function healthScore(successRate: number, meanMs: number, jitterMs: number): number {
  const score =
    SUCCESS_SHARE * successRate +
    LATENCY_SHARE * latencyScore(meanMs) +
    JITTER_SHARE * jitterScore(jitterMs);
  return Math.min(1, Math.max(0, score));
}

/** Falls from 1 at 0 ms over 0.95 at 100 and 0.5 at 1,000 to 0 at 5,000. */
export function latencyScore(ms: number): number {
  if (ms <= 100) return 1 - ms / 2000;
  if (ms <= 1000) return 0.95 - (0.45 * (ms - 100)) / 900;
  return ms <= 5000 ? 0.5 - (0.5 * (ms - 1000)) / 4000 : 0;
}

/** Falls from 1 at 0 ms over 0.8 at 50 and 0.3 at 200 to 0 at 500. */
export function jitterScore(ms: number): number {
  if (ms <= 50) return 1 - (0.2 * ms) / 50;
  if (ms <= 200) return 0.8 - (0.5 * (ms - 50)) / 150;
  return ms <= 500 ? 0.3 - (0.3 * (ms - 200)) / 300 : 0;
}
