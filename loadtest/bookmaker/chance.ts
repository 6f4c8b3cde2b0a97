// Seeded chance: the same seed gives the same service times and the same errors, in order of arrival.

import { SeededRandom } from "../../src/testing/index.ts";

/** Uniform numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  const random = new SeededRandom(seed);
  return () => random.next();
}

// The spread of the service times of overload.md's model: p99 is about 2.8 times the mean.
const SIGMA = 0.5;

/**
 * Log-normal times with the given mean. The mean of a log-normal is exp(mu + sigma²/2), hence the subtraction.
 * Two uniform numbers make one normal one (Box and Muller); `1 - random()` keeps the logarithm away from 0.
 */
export function logNormalTimes(meanMs: number, random: () => number): () => number {
  if (meanMs === 0) return () => 0;
  const mu = Math.log(meanMs) - SIGMA ** 2 / 2;
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return Math.exp(mu + SIGMA * radius * Math.cos(2 * Math.PI * random()));
  };
}
