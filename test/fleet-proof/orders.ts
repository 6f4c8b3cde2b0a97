// All is well: how soon an order is in force, what a call pays, and what the server is asked.

import type { Redis } from "./servers.ts";
import { quantile, sleep } from "./report.ts";
import { STORM, UPSTREAMS, type Stage } from "./stage.ts";

const ORDER_MS_P99 = 100;
const COST_MAX = 1.02;
const COST_ROUNDS = 60;

export async function measureOrders({ crew, report }: Stage, orders: number): Promise<void> {
  const all: number[] = [];
  const last: number[] = [];
  for (let n = 0; n < orders; n += 1) {
    const upstream = UPSTREAMS[n % UPSTREAMS.length] ?? "";
    const action = Math.floor(n / UPSTREAMS.length) % 2 === 0 ? "trip" : "reset";
    const each = await crew.order(upstream, action);
    all.push(...each);
    last.push(Math.max(...each));
  }
  all.sort((a, b) => a - b);
  last.sort((a, b) => a - b);
  const text = (sorted: readonly number[]): string =>
    `p50 ${quantile(sorted, 0.5).toFixed(1)} ms, p99 ${quantile(sorted, 0.99).toFixed(1)} ms, longest ${(sorted.at(-1) ?? 0).toFixed(1)} ms`;
  report.note(`an order reaches a replica after ${text(all)} (${all.length} of them)`);
  report.note(`and the last of ${crew.replicas.length} after ${text(last)}`);
  const isSoon = quantile(all, 0.99) <= ORDER_MS_P99;
  report.claim(isSoon, `an order is in force on a replica within ${ORDER_MS_P99} ms (p99)`);
}

/** In one process, beside registries with their state in memory. */
export async function measureCost({ crew, report }: Stage, what: string): Promise<void> {
  const [member] = crew.members;
  if (member === undefined) return;
  const { memoryNs, fleetNs } = await crew.cost(member, COST_ROUNDS);
  const ratios = fleetNs.map((ns, index) => ns / (memoryNs[index] ?? ns)).toSorted((a, b) => a - b);
  const ratio = quantile(ratios, 0.5);
  const median = (given: readonly number[]): string =>
    quantile(
      given.toSorted((a, b) => a - b),
      0.5,
    ).toFixed(0);
  report.note(
    `store ${what}: a call takes ${ratio.toFixed(3)} of one with the store in memory (median of ${ratios.length} pairs; ${median(fleetNs)} and ${median(memoryNs)} ns)`,
  );
  report.claim(ratio <= COST_MAX, `store ${what}: at most ${COST_MAX}`);
}

export async function measureServer({ crew, report }: Stage, redis: Redis, idleSeconds: number) {
  const before = redis.commands();
  await sleep(idleSeconds * 1000);
  const idle = (redis.commands() - before) / idleSeconds;
  const each = idle / crew.replicas.length;
  report.note(
    `idle: ${idle.toFixed(1)} commands a second for ${crew.replicas.length} replicas, ${each.toFixed(2)} for each`,
  );
  report.claim(each < 1, "idle replicas ask less than once a second each");

  const stormBefore = redis.commands();
  const startMs = performance.now();
  for (const upstream of STORM)
    for (const member of crew.members) member.tell({ do: "fail", upstream });
  const settled = await Promise.all(STORM.map((name) => crew.settled(name, true, 60_000)));
  const seconds = (performance.now() - startMs) / 1000;
  const rate = (redis.commands() - stormBefore) / seconds;
  report.note(
    `a storm: ${STORM.length} upstreams trip on all ${crew.replicas.length} replicas by themselves: ${rate.toFixed(0)} commands a second for ${seconds.toFixed(1)} s`,
  );
  report.claim(settled.every(Number.isFinite), "every replica refuses all of them");
  const resets = await Promise.allSettled(STORM.map((name) => crew.order(name, "reset")));
  const lost = resets.flatMap((reset) =>
    reset.status === "rejected" ? [String(reset.reason)] : [],
  );
  report.claim(
    lost.length === 0,
    ["and lets through again once they are reset", ...lost].join("; "),
  );
  const names = UPSTREAMS.length + STORM.length;
  const kib = redis.usedMemory() / names / 1024;
  report.note(`memory: ${kib.toFixed(1)} KiB for each of ${names} upstreams, audits included`);
}
