// The world of a run: two simulated bookmakers of finite capacity, and what stands before them.

import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ScenarioName } from "../lib/shapes.ts";
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
};

export interface World {
  /** Where calls go: this, `/`, a bookmaker's name, and the rest. */
  readonly address: string;
  /** Where the gateway's metrics are; undefined for what has none. */
  readonly metrics: string | undefined;
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
    const front =
      options.subject === "gateway"
        ? await startGateway(options, bookmakers, programs)
        : await startControl(options.subject, bookmakers, programs);
    return { ...front, bookmakers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Front = Pick<World, "address" | "metrics">;

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
    ],
  });
}

/** As a user would write it: what protects is on by default. */
function configOf(bookmakers: Readonly<Record<string, string>>): string {
  const upstreams = Object.entries(bookmakers).map(
    ([name, url]) => `  ${name}: { url: "${url}", deadlineMs: ${DEADLINE_MS} }\n`,
  );
  return `upstreams:\n${upstreams.join("")}`;
}

async function startGateway(
  { runtime, folder }: WorldOptions,
  bookmakers: Readonly<Record<string, string>>,
  programs: Running[],
): Promise<Front> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const config = join(folder, "switchgear.yaml");
  writeFileSync(config, configOf(bookmakers));
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
): Promise<Front> {
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
  return { address: (await program.said(/ on (http:\S+)/))[1] ?? "", metrics: undefined };
}
