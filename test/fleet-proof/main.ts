// The fleet on the real thing: a Redis, twenty processes of five replicas each. Measures how soon an order is in force
// everywhere, what a call pays, and what Redis is asked; then breaks the server and replicas. `npm run fleet-proof`.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePorts, ROOT, startProgram, type Running } from "../../loadtest/run/processes.ts";
import { Crew, type Member } from "./crew.ts";

const { values } = parseArgs({
  options: {
    processes: { type: "string", default: "20" },
    replicas: { type: "string", default: "5" },
    orders: { type: "string", default: "200" },
    "idle-seconds": { type: "string", default: "20" },
    write: { type: "boolean", default: false },
  },
});
const PROCESSES = Number(values.processes);
const EACH = Number(values.replicas);
const ORDERS = Number(values.orders);
const IDLE_SECONDS = Number(values["idle-seconds"]);
const UPSTREAMS = ["draftkings", "fanduel", "betmgm", "caesars"];
const STORM = Array.from({ length: 20 }, (_, index) => `storm-${index}`);
/** An order that is not in force everywhere after this is one that was lost. */
const ORDER_MS_MAX = 20_000;

const lines: string[] = [];
const faults: string[] = [];

function say(text: string): void {
  lines.push(text);
  process.stdout.write(`${text}\n`);
}

function claim(isTrue: boolean, text: string): void {
  if (!isTrue) faults.push(text);
  say(`${isTrue ? "ok    " : "BROKEN"} ${text}`);
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

const folder = mkdtempSync(join(tmpdir(), "switchgear-fleet-"));
const [port = 0] = await freePorts(1);

async function startRedis(): Promise<Running> {
  const redis = startProgram({
    name: "redis",
    command: [
      "redis-server",
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--dir",
      folder,
      "--save",
      "",
    ],
  });
  await redis.said(/Ready to accept connections/);
  return redis;
}

function redisCli(...args: readonly string[]): string {
  return execFileSync("redis-cli", ["-p", String(port), ...args], { encoding: "utf8" });
}

/** Scripts and pings that clients have asked for so far: what scripts do in between is no command of theirs. */
function commands(): number {
  const stats = redisCli("info", "commandstats");
  let count = 0;
  for (const [, calls] of stats.matchAll(/^cmdstat_(?:evalsha|eval|ping):calls=(\d+)/gm)) {
    count += Number(calls);
  }
  return count;
}

/** Of all keys; the server is this program's own. */
function usedMemory(): number {
  const keys = redisCli("--scan").trim().split("\n");
  return keys.reduce((sum, key) => sum + Number(redisCli("memory", "usage", key)), 0);
}

const crew = new Crew();
let random = 12345;
function pick<Item>(items: readonly Item[]): Item {
  random = (random * 1103515245 + 12345) % 2 ** 31;
  return items[random % items.length] as Item;
}

/** Gives an order and waits until it is in force on all replicas that are there; milliseconds of each. */
async function order(
  upstream: string,
  action: "trip" | "reset",
  from = pick(crew.replicas),
): Promise<number[]> {
  const missing = new Set(crew.replicas);
  const wanted = action === "trip";
  let sentNs = 0n;
  const seen = new Map<string, bigint>();
  return new Promise((done, fail) => {
    const end = (): void => {
      if (sentNs === 0n || missing.size > 0) return;
      clearTimeout(timer);
      stop();
      done([...seen.values()].map((ns) => Number(ns - sentNs) / 1e6));
    };
    const stop = crew.listen((word) => {
      if (word.say === "ordered" && word.upstream === upstream) sentNs = BigInt(word.atNs);
      if (word.say === "in force" && word.upstream === upstream && word.isTripped === wanted) {
        missing.delete(word.replica);
        seen.set(word.replica, BigInt(word.atNs));
      }
      end();
    });
    const timer = setTimeout(() => {
      stop();
      fail(
        new Error(
          `${action} of ${upstream} by ${from} is not in force on ${[...missing].slice(0, 5).join(", ")}`,
        ),
      );
    }, ORDER_MS_MAX);
    crew.memberOf(from)?.tell({ do: "order", replica: from, upstream, action });
  });
}

async function settled(upstream: string, isTripped: boolean, timeoutMs: number): Promise<number> {
  const start = performance.now();
  while (performance.now() - start < timeoutMs) {
    const all = await crew.tripped();
    if ([...all.values()].every((names) => names.includes(upstream) === isTripped)) {
      return performance.now() - start;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return Number.NaN;
}

async function addMember(index: number, url = `redis://127.0.0.1:${port}`): Promise<Member> {
  const replicas = Array.from({ length: EACH }, (_, nth) => `p${index}-r${nth}`);
  return crew.add({ url, prefix: "proof", replicas, upstreams: [...UPSTREAMS, ...STORM] });
}

async function measureOrders(): Promise<void> {
  const all: number[] = [];
  const last: number[] = [];
  for (let n = 0; n < ORDERS; n += 1) {
    const upstream = UPSTREAMS[n % UPSTREAMS.length] ?? "";
    const action = Math.floor(n / UPSTREAMS.length) % 2 === 0 ? "trip" : "reset";
    const each = await order(upstream, action);
    all.push(...each);
    last.push(Math.max(...each));
  }
  all.sort((a, b) => a - b);
  last.sort((a, b) => a - b);
  const text = (sorted: readonly number[]): string =>
    `p50 ${quantile(sorted, 0.5).toFixed(1)} ms, p99 ${quantile(sorted, 0.99).toFixed(1)} ms, longest ${(sorted.at(-1) ?? 0).toFixed(1)} ms`;
  say(`       an order reaches a replica after ${text(all)} (${all.length} of them)`);
  say(`       and the last of ${crew.replicas.length} after ${text(last)}`);
  claim(quantile(all, 0.99) <= 100, "an order is in force on a replica within 100 ms (p99)");
}

async function measureCost(what: string): Promise<void> {
  const [member] = crew.members;
  if (member === undefined) return;
  const { memoryNs, fleetNs } = await crew.ask(member, "cost", 60);
  const ratios = fleetNs.map((ns, index) => ns / (memoryNs[index] ?? ns)).toSorted((a, b) => a - b);
  const ratio = quantile(ratios, 0.5);
  const ns = (given: readonly number[]): string =>
    quantile(
      given.toSorted((a, b) => a - b),
      0.5,
    ).toFixed(0);
  say(
    `       store ${what}: a call takes ${ratio.toFixed(3)} of one with the store in memory (median of ${ratios.length} pairs; ${ns(fleetNs)} and ${ns(memoryNs)} ns)`,
  );
  claim(ratio <= 1.02, `store ${what}: at most 1.02`);
}

let redis = await startRedis();
try {
  const version = /redis_version:(\S+)/.exec(redisCli("info", "server"))?.[1] ?? "?";
  say(
    `Redis ${version}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}; ${PROCESSES} processes of ${EACH} replicas each`,
  );
  for (let index = 0; index < PROCESSES; index += 1) await addMember(index);

  say("\nOrders");
  await measureOrders();

  say("\nCalls");
  await measureCost("well");

  say("\nWhat the server is asked");
  const before = commands();
  await new Promise((done) => setTimeout(done, IDLE_SECONDS * 1000));
  const idle = (commands() - before) / IDLE_SECONDS;
  const each = idle / crew.replicas.length;
  say(
    `       idle: ${idle.toFixed(1)} commands a second for ${crew.replicas.length} replicas, ${each.toFixed(2)} for each`,
  );
  claim(each < 1, "idle replicas ask less than once a second each");
  const stormBefore = commands();
  const stormStart = performance.now();
  for (const upstream of STORM)
    for (const member of crew.members) member.tell({ do: "fail", upstream });
  const stormMs = Math.max(
    ...(await Promise.all(STORM.map((name) => settled(name, true, 60_000)))),
  );
  const seconds = (performance.now() - stormStart) / 1000;
  say(
    `       a storm: ${STORM.length} upstreams trip on all ${crew.replicas.length} replicas by themselves: ${((commands() - stormBefore) / seconds).toFixed(0)} commands a second for ${seconds.toFixed(1)} s`,
  );
  claim(Number.isFinite(stormMs), "every replica refuses all of them");
  await Promise.all(STORM.map((name) => order(name, "reset")));
  const names = UPSTREAMS.length + STORM.length;
  say(
    `       memory: ${(usedMemory() / names / 1024).toFixed(1)} KiB for each of ${names} upstreams, audits included`,
  );

  say("\nA server that stands still");
  const [up = ""] = UPSTREAMS;
  if (
    quantile(
      [...(await crew.tripped()).values()].map((one) => Number(one.includes(up))),
      0.5,
    ) === 1
  )
    await order(up, "reset");
  process.kill(redis.pid ?? 0, "SIGSTOP");
  await measureCost("standing still");
  const waiting = order(up, "trip");
  await new Promise((done) => setTimeout(done, 3000));
  process.kill(redis.pid ?? 0, "SIGCONT");
  await waiting.then(
    (each) =>
      claim(
        true,
        `an order given meanwhile is in force everywhere after it goes on (${(Math.max(...each) / 1000).toFixed(1)} s after it was given, 3 s of them standing still)`,
      ),
    (error: unknown) => claim(false, String(error)),
  );

  say("\nA server that is killed, and comes back empty");
  process.kill(redis.pid ?? 0, "SIGKILL");
  await measureCost("away");
  const given = order("fanduel", "trip");
  redis = await startRedis();
  await given.then(
    (each) =>
      claim(
        true,
        `an order given meanwhile is in force everywhere ${(Math.max(...each) / 1000).toFixed(1)} s after it was given`,
      ),
    (error: unknown) => claim(false, String(error)),
  );
  const still = await crew.tripped();
  claim(
    [...still.values()].every((one) => one.includes(up)),
    "nobody was unlatched by the empty server",
  );

  say("\nReplicas that are killed and begin anew");
  const victims = crew.members.slice(0, 3);
  for (const victim of victims) {
    victim.kill("SIGKILL");
    crew.remove(victim);
  }
  for (const [index] of victims.entries()) await addMember(index);
  const after = await crew.tripped();
  claim(
    [...after.values()].every((one) => one.includes(up) && one.includes("fanduel")),
    "they begin with what was tripped, written back to the empty server by the others",
  );
  await order(up, "reset").then(
    () => claim(true, "and obey the next order"),
    (error: unknown) => claim(false, String(error)),
  );
} finally {
  await crew.end();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
}
say(`\n${faults.length === 0 ? "all as claimed" : `not as claimed: ${faults.join("; ")}`}`);
if (values.write) {
  const page = [
    "# The fleet, proven",
    "",
    "`npm run fleet-proof -- --write`",
    "",
    "```text",
    ...lines,
    "```",
    "",
  ];
  writeFileSync(join(ROOT, "test/bench/results/fleet.md"), page.join("\n"));
}
process.exitCode = faults.length === 0 ? 0 : 1;
