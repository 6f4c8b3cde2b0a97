// Interleaved measurement: every case runs for a moment in every round, in shuffled order, so that
// a neighbour's load, a collection or a clock change hits all alike. What is reported is the
// ratio to another case of the same round; nanoseconds are only there to be read along.

import type { SeededRandom } from "../../../src/testing/index.ts";

export interface Case {
  readonly id: string;
  /** Runs `count` calls, in a loop of its library's own: shared loops would share type feedback. */
  run(count: number): Promise<void> | void;
  /** Before each of its turns, outside the measured time. */
  prepare?(): void;
  /** At most this many calls in one turn, for cases that slow down as they go. */
  readonly callsMax?: number;
}

export interface CaseSet {
  readonly cases: readonly Case[];
  close?(): Promise<void> | void;
}

export interface Effort {
  /** How long one turn of one case lasts, roughly. */
  readonly turnMs: number;
  readonly rounds: number;
  /** How long each case runs before anything counts, so that the compilers are done with it. */
  readonly warmupMs: number;
}

/** Nanoseconds per call of each round, by case. */
export type Samples = Record<string, number[]>;

const CALLS_MIN = 2;

const CALLS_MAX = 1_000_000;

export async function measure(
  set: CaseSet,
  effort: Effort,
  random: SeededRandom,
): Promise<Samples> {
  const turns: { readonly subject: Case; readonly calls: number; readonly ns: number[] }[] = [];
  for (const subject of set.cases) {
    turns.push({ subject, calls: await calibrate(subject, effort), ns: [] });
  }
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const { subject, calls, ns } of shuffled(turns, random)) {
      ns.push(await turn(subject, calls));
    }
  }
  return Object.fromEntries(turns.map(({ subject, ns }) => [subject.id, ns]));
}

/** Warms the case up and answers how many calls fill a turn. */
async function calibrate(subject: Case, effort: Effort): Promise<number> {
  const callsMax = subject.callsMax ?? CALLS_MAX;
  const untilMs = performance.now() + effort.warmupMs;
  let calls = CALLS_MIN;
  let best = Number.POSITIVE_INFINITY;
  do {
    best = Math.min(best, await turn(subject, calls));
    calls = Math.round((effort.turnMs * 1e6) / best);
    calls = Math.max(CALLS_MIN, Math.min(calls, callsMax));
  } while (performance.now() < untilMs);
  return calls;
}

async function turn(subject: Case, calls: number): Promise<number> {
  subject.prepare?.();
  const startMs = performance.now();
  await subject.run(calls);
  return ((performance.now() - startMs) * 1e6) / calls;
}

function shuffled<Item>(items: readonly Item[], random: SeededRandom): Item[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
