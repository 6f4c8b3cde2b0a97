// Shows both gateways exchange after exchange and collects what no listed difference explains. What is found
// is shown again, alone, before it counts: a busy machine is no difference.

import { compare, type Difference } from "./compare.ts";
import { DIFFERENCES } from "./differences.ts";
import type { Exchange } from "./exchange.ts";
import { generate } from "./generate.ts";
import { contextOf } from "./known.ts";
import type { Pair, Rig } from "./rig.ts";

export interface Verdict {
  readonly pair: Pair;
  readonly unexplained: readonly Difference[];
  /** Names of the listed differences that were seen. */
  readonly explained: ReadonlySet<string>;
}

export interface Finding extends Verdict {
  readonly index: number;
  readonly exchange: Exchange;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  /** Ends early when so many were found. */
  readonly findingsMax: number;
  readonly onFinding?: (finding: Finding) => void;
  readonly onProgress?: (done: number) => void;
}

export interface FuzzResult {
  readonly done: number;
  readonly findings: readonly Finding[];
  /** How often each listed difference was seen, by name. */
  readonly explained: ReadonlyMap<string, number>;
}

/** Times that a difference has to show itself alone. */
const REPEATS = 4;

export async function judge(rig: Rig, lane: string, exchange: Exchange): Promise<Verdict> {
  const pair = await rig.show(lane, exchange);
  const context = contextOf(exchange, pair);
  const unexplained: Difference[] = [];
  const explained = new Set<string>();
  for (const difference of compare(pair)) {
    const known = DIFFERENCES.find(({ explains }) => explains(difference, context));
    if (known === undefined) unexplained.push(difference);
    else explained.add(known.name);
  }
  return { pair, unexplained, explained };
}

/** The last of several times in which nothing else was under way; undefined when one of them was well. */
export async function confirm(rig: Rig, exchange: Exchange): Promise<Verdict | undefined> {
  const [lane = ""] = rig.lanes;
  let last: Verdict | undefined;
  for (let time = 0; time < REPEATS; time += 1) {
    last = await judge(rig, lane, exchange);
    if (last.unexplained.length === 0) return undefined;
  }
  return last;
}

export async function fuzz(rig: Rig, options: FuzzOptions): Promise<FuzzResult> {
  const { seed, from, count, findingsMax, onFinding, onProgress } = options;
  const findings: Finding[] = [];
  const explained = new Map<string, number>();
  let done = 0;
  while (done < count && findings.length < findingsMax) {
    const batch = Math.min(BATCH, count - done);
    const suspects = await round(rig, { seed, from: from + done, count: batch }, explained);
    for (const index of suspects.toSorted((a, b) => a - b)) {
      if (findings.length >= findingsMax) break;
      const exchange = generate(seed, index);
      const verdict = await confirm(rig, exchange);
      if (verdict === undefined) continue;
      const finding = { ...verdict, index, exchange };
      findings.push(finding);
      onFinding?.(finding);
    }
    done += batch;
    onProgress?.(done);
  }
  return { done, findings, explained };
}

/** After so many what was found is looked at. */
const BATCH = 250;

/** One exchange in each lane at a time; answers the numbers of those that want a second look. */
async function round(
  rig: Rig,
  { seed, from, count }: Pick<FuzzOptions, "seed" | "from" | "count">,
  explained: Map<string, number>,
): Promise<number[]> {
  const suspects: number[] = [];
  let next = from;
  const work = async (lane: string): Promise<void> => {
    while (next < from + count) {
      const index = next;
      next += 1;
      const verdict = await judge(rig, lane, generate(seed, index));
      if (verdict.unexplained.length > 0) suspects.push(index);
      for (const name of verdict.explained) explained.set(name, (explained.get(name) ?? 0) + 1);
    }
  };
  await Promise.all(rig.lanes.map(work));
  return suspects;
}
