// Two gateways that share a Redis, and a simulated bookmaker behind them. Ctrl-C ends it all.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBookmaker } from "../loadtest/bookmaker/server.ts";
import { binary, freePorts, ROOT, startProgram, type Running } from "../loadtest/run/processes.ts";

const REPLICAS = ["gateway-1", "gateway-2"] as const;

function fail(sentence: string): never {
  process.stderr.write(`fleet: ${sentence}\n`);
  process.exit(1);
}

if (spawnSync("redis-server", ["--version"]).error !== undefined) {
  fail("redis-server is not installed; apt-get install redis-server, or brew install redis");
}

const folder = mkdtempSync(join(tmpdir(), "switchgear-fleet-"));
const programs: Running[] = [];
const bookmaker = await startBookmaker({ name: "draftkings", port: 0 });
const token = process.env["SWITCHGEAR_ADMIN_TOKEN"] ?? randomBytes(24).toString("base64url");

async function end(code: number): Promise<never> {
  for (const program of programs.toReversed()) await program.stop();
  await bookmaker.close();
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}

let isEnding = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (isEnding) return;
    isEnding = true;
    void end(0);
  });
}

async function startRedis(): Promise<string> {
  const [port = 0] = await freePorts(1);
  const redis = startProgram({
    name: "redis",
    command: ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--dir", folder],
  });
  programs.push(redis);
  await redis.said(/Ready to accept connections/);
  return `redis://127.0.0.1:${port}`;
}

interface Replica {
  readonly gateway: string;
  readonly admin: string;
}

async function startReplica(name: string, redisUrl: string): Promise<Replica> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const replica = startProgram({
    name,
    command: [
      binary("node"),
      join(ROOT, "src/cli/main.ts"),
      "serve",
      "--config",
      join(ROOT, "examples/fleet/fleet.yaml"),
    ],
    env: {
      REDIS_URL: redisUrl,
      REPLICA: name,
      DRAFTKINGS_URL: bookmaker.url,
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      SWITCHGEAR_ADMIN_TOKEN: token,
    },
  });
  programs.push(replica);
  const admin = `http://127.0.0.1:${adminPort}`;
  await replica.answers(`${admin}/readyz`);
  return { gateway: `http://127.0.0.1:${port}`, admin };
}

try {
  const redisUrl = await startRedis();
  const replicas = await Promise.all(REPLICAS.map((name) => startReplica(name, redisUrl)));
  const [first, second] = replicas as [Replica, Replica];
  const cli = `SWITCHGEAR_ADMIN_TOKEN=${token} npm run --silent switchgear --`;
  process.stdout.write(`
  gateway-1  ${first.gateway}/draftkings/…   admin ${first.admin}
  gateway-2  ${second.gateway}/draftkings/…   admin ${second.admin}
  redis      ${redisUrl}

  Try, in another terminal, in this folder:

  1. trip on one:    ${cli} trip draftkings --reason 'odds are wrong' --url ${first.admin}
  2. refused by the other:   curl -i ${second.gateway}/draftkings/odds
  3. who knows:      ${cli} status --url ${second.admin}
  4. reset on the other:     ${cli} reset draftkings --reason 'mended' --force --url ${second.admin}
  5. who did what:   ${cli} history --url ${first.admin}

  Ctrl-C ends it.
`);
} catch (error) {
  process.stderr.write(`fleet: ${(error as Error).message}\n`);
  await end(1);
}
