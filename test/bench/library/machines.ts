// Which peer is ahead on which machine: the closed call's ratios, kept of each machine that the whole
// benchmark ran on. A later run on a like machine takes the place of the earlier one.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../support/machine.ts";
import type { Runtime } from "../support/runtimes.ts";
import { figure, markdownTable } from "../support/table.ts";
import { LABELS, PEERS, type RuntimeResult } from "./report.ts";

/** Of each peer, what our closed call costs for one that its call costs. */
export interface MachineRatios {
  readonly cpu: string;
  readonly date: string;
  readonly ratios: Readonly<Record<string, Readonly<Partial<Record<Runtime, number>>>>>;
}

const FILE = join(import.meta.dirname, "../results/machines.json");

export function machinesWith(
  { cpu, date }: Machine,
  results: Readonly<Partial<Record<Runtime, RuntimeResult>>>,
): MachineRatios[] {
  const known = JSON.parse(readFileSync(FILE, "utf8")) as readonly MachineRatios[];
  const others = known.filter((one) => one.cpu !== cpu);
  const ratios = Object.fromEntries(PEERS.map((peer) => [peer, ratiosTo(peer, results)]));
  return [...others, { cpu, date, ratios }].toSorted((a, b) => a.cpu.localeCompare(b.cpu));
}

function ratiosTo(
  peer: string,
  results: Readonly<Partial<Record<Runtime, RuntimeResult>>>,
): Partial<Record<Runtime, number>> {
  return Object.fromEntries(
    Object.entries(results).map(([runtime, { sets }]) => {
      const ours = sets["closed"]?.["sg.execute"]?.toRaw ?? Number.NaN;
      const theirs = sets["closed"]?.[peer]?.toRaw ?? Number.NaN;
      return [runtime, Number((ours / theirs).toPrecision(3))];
    }),
  );
}

export function machineTable(machines: readonly MachineRatios[]): string {
  const columns = machines.flatMap(({ cpu }) => [`${cpu}, Node`, `${cpu}, Bun`]);
  const rows = PEERS.map((peer) => {
    const cells = machines.flatMap(({ ratios }) => [ratios[peer]?.node, ratios[peer]?.bun]);
    return [LABELS[peer] ?? peer].concat(cells.map((ratio) => figure(ratio ?? Number.NaN)));
  });
  const dates = machines.map(({ cpu, date }) => `${cpu} on ${date}`).join(", ");
  return [
    "## Closed call, by machine",
    `What \`execute(fn)\` of Switchgear costs for 1 that the peer's call costs: below 1, Switchgear is the
faster one. opossum and the last row keep each call's latency, as Switchgear does; the others read no
clock, and how much a clock costs is the machine's affair. Measured: ${dates}.`,
    markdownTable(["peer", ...columns], rows),
  ].join("\n\n");
}
