// The fleet on the real thing: a Redis, twenty processes of five replicas each. Measures how soon an order is in force
// everywhere, what a call pays, and what Redis is asked; then breaks servers, replicas and what lies between them while
// calls go on. `npm run fleet-proof`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePorts, ROOT } from "../../loadtest/run/processes.ts";
import {
  replicasAreKilled,
  replicasStandStill,
  sentinelsFailOver,
  serverIsKilled,
  serverStandsStill,
  someAreCutOff,
} from "./faults.ts";
import { measureCost, measureOrders, measureServer } from "./orders.ts";
import { Report } from "./report.ts";
import { Redis } from "./servers.ts";
import { Stage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    processes: { type: "string", default: "20" },
    replicas: { type: "string", default: "5" },
    orders: { type: "string", default: "200" },
    "idle-seconds": { type: "string", default: "20" },
    write: { type: "boolean", default: false },
  },
});
const processes = Number(values.processes);
const each = Number(values.replicas);

// What was made of this machine's network is taken back on the way out.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const folder = mkdtempSync(join(tmpdir(), "switchgear-fleet-"));
const report = new Report();

async function startRedis(options: readonly string[] = []): Promise<Redis> {
  const [port = 0] = await freePorts(1);
  const redis = new Redis(port, folder, options);
  await redis.start();
  return redis;
}

/** At one server, all of them. */
async function proveAll(): Promise<void> {
  const redis = await startRedis();
  const stage = new Stage(report, "proof", each);
  const add = (index: number): Promise<unknown> =>
    stage.add(index, { url: `redis://127.0.0.1:${redis.port}` });
  try {
    const version = /redis_version:(\S+)/.exec(redis.cli("info", "server"))?.[1] ?? "?";
    report.say(
      `Redis ${version}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}; ${processes} processes of ${each} replicas each; load before that ${loadavg()[0]?.toFixed(1)}`,
    );
    for (let index = 0; index < processes; index += 1) await add(index);
    report.heading("Orders");
    await measureOrders(stage, Number(values.orders));
    report.heading("Calls");
    await measureCost(stage, "well");
    await stage.measureWell();
    report.heading("What the server is asked");
    await measureServer(stage, redis, Number(values["idle-seconds"]));
    await serverStandsStill(stage, redis);
    await serverIsKilled(stage, redis);
    await replicasStandStill(stage);
    await replicasAreKilled(stage, add);
  } finally {
    await stage.end();
    await redis.stop();
  }
}

try {
  await proveAll();
  const some = Math.max(3, Math.floor(0.3 * processes));
  await sentinelsFailOver(report, { processes: some, each, ports: await freePorts(5), folder });
  await someAreCutOff(report, startRedis, { processes: some, each });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const { faults, lines } = report;
report.say(`\n${faults.length === 0 ? "all as claimed" : `not as claimed: ${faults.join("; ")}`}`);
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
