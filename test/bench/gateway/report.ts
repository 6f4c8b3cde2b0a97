// From rounds to tables and verdicts.

import { CONTENDERS, LABELS, type ContenderId } from "./contenders.ts";
import type { Kind, LoadResult } from "./load.ts";
import { figure, markdownTable, targetTable, type Target } from "../support/table.ts";

export interface Round {
  readonly contender: ContenderId;
  readonly kind: Kind;
  readonly cpuSeconds: number;
  readonly load: LoadResult;
}

export interface Cost {
  readonly contender: ContenderId;
  /** CPU seconds per 1,000 requests, over all rounds. */
  readonly cpu: number;
  /** The cheapest and the dearest round. */
  readonly cpuMin: number;
  readonly cpuMax: number;
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
}

export type Costs = Readonly<Record<Kind, readonly Cost[]>>;

export function costsOf(rounds: readonly Round[]): Costs {
  const of = (kind: Kind): Cost[] =>
    CONTENDERS.flatMap((contender) => {
      const own = rounds.filter((round) => round.contender === contender && round.kind === kind);
      return own.length === 0 ? [] : [costOf(contender, own)];
    });
  return { small: of("small"), typical: of("typical"), refused: of("refused") };
}

function costOf(contender: ContenderId, rounds: readonly Round[]): Cost {
  const sum = (read: (round: Round) => number): number =>
    rounds.reduce((total, round) => total + read(round), 0);
  const requests = sum((round) => round.load.requests);
  const each = rounds.map((round) => (round.cpuSeconds * 1000) / round.load.requests);
  return {
    contender,
    cpu: (sum((round) => round.cpuSeconds) * 1000) / requests,
    cpuMin: Math.min(...each),
    cpuMax: Math.max(...each),
    requests,
    perSecond: requests / (sum((round) => round.load.durationUs) / 1e6),
    p50Ms: sum((round) => round.load.p50Us) / rounds.length / 1000,
  };
}

const TITLES: Readonly<Record<Kind, string>> = {
  small: "Proxied, small: 200 bytes, no extra headers",
  typical: "Proxied, typical: 8 KB of JSON, 12 request headers",
  refused: "Refused: 503 without asking the upstream",
};

export function costTables(costs: Costs): string {
  return (["small", "typical", "refused"] as const)
    .map((kind) => {
      const ours = costs[kind].find(({ contender }) => contender === "switchgear-node");
      const rows = costs[kind].map((cost) => [
        LABELS[cost.contender],
        cost.cpu.toFixed(4),
        `${cost.cpuMin.toFixed(4)}–${cost.cpuMax.toFixed(4)}`,
        ours === undefined ? "" : figure(ours.cpu / cost.cpu),
        cost.requests.toLocaleString("en-US"),
        cost.perSecond.toFixed(0),
        cost.p50Ms.toFixed(2),
      ]);
      const head = [
        "",
        "CPU s / 1,000",
        "rounds",
        "Switchgear on Node ×",
        "requests",
        "per s",
        "p50 ms",
      ];
      return `### ${TITLES[kind]}\n\n${markdownTable(head, rows)}`;
    })
    .join("\n\n");
}

const LIMITER_MAX = 1.08;

export function judge(costs: Costs): Target[] {
  const against = (
    kind: Kind,
    other: ContenderId,
    max: number,
    what: string,
    own: ContenderId = "switchgear-node",
  ): Target[] => {
    const cpu = (id: ContenderId): number | undefined =>
      costs[kind].find(({ contender }) => contender === id)?.cpu;
    const [ours, theirs] = [cpu(own), cpu(other)];
    if (ours === undefined || theirs === undefined) return [];
    const ratio = ours / theirs;
    return [{ what, wanted: `≤ ${max} ×`, measured: `${figure(ratio)} ×`, reached: ratio <= max }];
  };
  const bun = (kind: Kind, what: string): Target[] =>
    against(kind, "switchgear-bun-unlimited", LIMITER_MAX, what, "switchgear-bun");
  return [
    ...against("small", "bare-node", 1.3, "small, against the bare proxy of the same runtime"),
    ...against("typical", "bare-node", 1.3, "typical, against the bare proxy of the same runtime"),
    ...against("small", "opossum-undici", 0.7, "small, against opossum over undici"),
    ...against("typical", "opossum-undici", 0.7, "typical, against opossum over undici"),
    ...against("small", "switchgear-node-unlimited", LIMITER_MAX, "small, limiter on against off"),
    ...against(
      "typical",
      "switchgear-node-unlimited",
      LIMITER_MAX,
      "typical, limiter on against off",
    ),
    ...bun("small", "small, limiter on against off, Bun"),
    ...bun("typical", "typical, limiter on against off, Bun"),
    ...against("refused", "nginx", 2, "refusals with logging on, against nginx"),
  ];
}

export function report(costs: Costs): string {
  return [targetTable(judge(costs)), costTables(costs)].join("\n\n");
}
