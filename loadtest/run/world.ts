// The world of a run: two simulated bookmakers of finite capacity, and what stands before them.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { quotaOf, type ScenarioName } from "../lib/shapes.ts";
import type { Subject } from "./data.ts";
import { binary, freePorts, ROOT, startProgram, type Running } from "./processes.ts";

export const TARGET = "draftkings";
export const HEALTHY = "fanduel";
export const DEADLINE_MS = 2000;

interface Size {
  readonly workers: number;
  readonly serviceMs: number;
}

/** Eighteen at once, 80 ms each: 225 calls a second, of which the median takes 71 ms. */
export const SIZE: Size = { workers: 18, serviceMs: 80 };
/** For those in which what calls take must stay below the deadline, or must leave room for growth. */
const SIZES: Readonly<Partial<Record<ScenarioName, Size>>> = {
  brownout: { workers: 9, serviceMs: 20 },
  growth: { workers: 24, serviceMs: 80 },
  // Seventy bodies trickle at once, and each holds its worker.
  "slow-body": { workers: 120, serviceMs: 150 },
  // Eighty are in hand under load, and fourteen before it.
  heavy: { workers: 150, serviceMs: 200 },
};
/** More than half a deadline: to a limiter that waited for the bodies it would be a hang. */
const SLOW_BODY_MS = 1200;
/** Two fifths of what is in hand in `heavy`, and three times what is before. */
const HEAVY_PENDING_MAX = 50;
const REPLICAS = 2;

export interface World {
  /** Where calls go: this, `/`, a bookmaker's name, and the rest. Of several, all with commas between them. */
  readonly address: string;
  /** Where the metrics of each gateway are; none for what has none. */
  readonly metrics: readonly string[];
  readonly bookmakers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly subject: Exclude<Subject, "against">;
  readonly scenario: ScenarioName;
  readonly runtime: "node" | "bun";
  readonly scale: number;
  /** For its configuration and its store. */
  readonly folder: string;
  /** What a test breaks, to see which claim breaks with it. */
  readonly sabotage?: Sabotage | undefined;
}

export interface Sabotage {
  /** For every upstream's configuration, in YAML's flow style. */
  readonly upstream?: string;
  /** What stands before the gateway, to spoil its answers. */
  readonly front?: (
    address: string,
  ) => Promise<{ readonly address: string; stop(): Promise<void> }>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const programs: Running[] = [];
  const stop = async (): Promise<void> => {
    // What calls is ended before what is called.
    for (const program of programs.toReversed()) await program.stop();
  };
  try {
    const bookmakers: Record<string, string> = {};
    for (const [index, name] of [TARGET, HEALTHY].entries()) {
      const program = startBookmaker(name, index + 1, options);
      programs.push(program);
      bookmakers[name] = (await program.said(/ on (http:\S+)/))[1] ?? "";
    }
    if (options.subject !== "gateway") {
      const address = await startControl(options.subject, bookmakers, programs);
      return { address, metrics: [], bookmakers, stop };
    }
    const gateways: Gateway[] = [];
    for (let replica = 0; replica < replicasOf(options.scenario); replica += 1)
      gateways.push(await startGateway(options, { bookmakers, programs, replica }));
    const address = gateways.map((gateway) => gateway.address).join(",");
    const metrics = gateways.map((gateway) => gateway.metrics);
    const front = await options.sabotage?.front?.(address);
    if (front === undefined) return { address, metrics, bookmakers, stop };
    const stopAll = async (): Promise<void> => {
      await front.stop();
      await stop();
    };
    return { address: front.address, metrics, bookmakers, stop: stopAll };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Gateway {
  readonly address: string;
  readonly metrics: string;
}

function replicasOf(scenario: ScenarioName): number {
  return scenario === "replicas" ? REPLICAS : 1;
}

function startBookmaker(name: string, seed: number, options: WorldOptions): Running {
  const size = SIZES[options.scenario] ?? SIZE;
  const workers = Math.max(1, Math.round(size.workers * options.scale));
  return startProgram({
    name: `bookmaker ${name}`,
    command: [
      binary("node"),
      join(ROOT, "loadtest/bookmaker/main.ts"),
      "--port=0",
      `--name=${name}`,
      `--seed=${seed}`,
      `--workers=${workers}`,
      `--service-ms=${size.serviceMs}`,
      `--slow-body-ms=${SLOW_BODY_MS}`,
    ],
  });
}

/** As a user would write it: what protects is on by default. */
export function configOf(
  bookmakers: Readonly<Record<string, string>>,
  { scenario, scale, sabotage }: Pick<WorldOptions, "scenario" | "scale" | "sabotage">,
): string {
  const quota = quotaOf(scale);
  const own =
    scenario === "rate"
      ? `rate: { perSecond: ${quota}, burst: ${quota} }`
      : scenario === "heavy"
        ? "operations: { deepProbe: { path: /probe, load: 500 } }"
        : undefined;
  const upstreams = Object.entries(bookmakers).map(([name, url]) => {
    const options = [`url: "${url}"`, `deadlineMs: ${DEADLINE_MS}`];
    if (own !== undefined && name === TARGET) options.push(own);
    if (sabotage?.upstream !== undefined) options.push(sabotage.upstream);
    return `  ${name}: { ${options.join(", ")} }\n`;
  });
  const pending = Math.max(1, Math.round(HEAVY_PENDING_MAX * scale));
  const shedding =
    scenario === "heavy" ? `loadShedding: { mode: max, maxPending: ${pending} }\n` : "";
  return `${shedding}upstreams:\n${upstreams.join("")}`;
}

async function startGateway(
  options: WorldOptions,
  among: {
    readonly bookmakers: Readonly<Record<string, string>>;
    readonly programs: Running[];
    readonly replica: number;
  },
): Promise<Gateway> {
  const { runtime } = options;
  const { bookmakers, programs, replica } = among;
  const [port = 0, adminPort = 0] = await freePorts(2);
  // Each has a folder, since a store, of its own.
  const folder = replica === 0 ? options.folder : join(options.folder, `replica-${replica + 1}`);
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "switchgear.yaml");
  writeFileSync(config, configOf(bookmakers, options));
  const program = startProgram({
    name: "gateway",
    command: [binary(runtime), join(ROOT, "src/cli/main.ts"), "serve", "--config", config],
    cwd: folder,
    env: {
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      SWITCHGEAR_ADMIN_TOKEN: randomBytes(24).toString("base64url"),
      // Bun reads it once, before any of our code runs.
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65000",
    },
  });
  programs.push(program);
  const admin = `http://127.0.0.1:${adminPort}`;
  await program.answers(`${admin}/readyz`);
  return { address: `http://127.0.0.1:${port}`, metrics: `${admin}/metrics` };
}

async function startControl(
  subject: "none" | "opossum",
  bookmakers: Readonly<Record<string, string>>,
  programs: Running[],
): Promise<string> {
  const program = startProgram({
    name: subject,
    command: [
      binary("node"),
      join(ROOT, `loadtest/control/${subject}.ts`),
      String(DEADLINE_MS),
      ...Object.entries(bookmakers).map(([name, url]) => `${name}=${url}`),
    ],
  });
  programs.push(program);
  return (await program.said(/ on (http:\S+)/))[1] ?? "";
}
