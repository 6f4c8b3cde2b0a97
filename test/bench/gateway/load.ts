// wrk against one contender, and what it says.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { wrkScript } from "./configs.ts";

const run = promisify(execFile);

export const KINDS = ["small", "typical", "refused"] as const;
export type Kind = (typeof KINDS)[number];

export const PATHS: Readonly<Record<Kind, string>> = {
  small: "/draftkings/small",
  typical: "/draftkings/typical",
  refused: "/fanduel/small",
};

export const SMALL_BYTES = 200;
export const TYPICAL_BYTES = 8192;

/** With `Host`, twelve: what a service's HTTP client, a tracer and a gateway in front send along. */
export const TYPICAL_HEADERS: Readonly<Record<string, string>> = {
  accept: "application/json",
  "accept-encoding": "gzip, br",
  "accept-language": "en-GB,en;q=0.8",
  "user-agent": "odds-collector/4.2.0 (linux; x64)",
  authorization: "Bearer c2FtcGxlLXRva2VuLWZvci1hLWJlbmNobWFyaw",
  "cache-control": "no-cache",
  "x-request-id": "6c1f3f0e-4d38-4f0b-8d53-0a1f7e2b9c44",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "x-forwarded-for": "10.4.17.203",
  "x-forwarded-proto": "https",
  "x-tenant": "europe-3",
};

export const CONNECTIONS = 32;

/** Each connection rests this long between requests: some thousands a second in all. */
const DELAY_MS = 8;

export interface LoadResult {
  readonly requests: number;
  readonly bytes: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly connect: number;
  readonly read: number;
  readonly write: number;
  readonly timeout: number;
  readonly status: number;
}

export function writeLoadScripts(folder: string): void {
  for (const kind of KINDS) {
    const headers = kind === "typical" ? TYPICAL_HEADERS : {};
    writeFileSync(join(folder, `${kind}.lua`), wrkScript(DELAY_MS, headers));
  }
}

export async function load(options: {
  readonly wrk: string;
  readonly folder: string;
  readonly port: number;
  readonly kind: Kind;
  readonly seconds: number;
  readonly core: number | undefined;
}): Promise<LoadResult> {
  const { wrk, folder, port, kind, seconds, core } = options;
  const args = [
    "-t1",
    `-c${CONNECTIONS}`,
    `-d${seconds}s`,
    "-s",
    join(folder, `${kind}.lua`),
    `http://127.0.0.1:${port}${PATHS[kind]}`,
  ];
  const { stdout } =
    core === undefined
      ? await run(wrk, args, { timeout: (seconds + 15) * 1000 })
      : await run("taskset", ["-c", String(core), wrk, ...args], {
          timeout: (seconds + 15) * 1000,
        });
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Error(`wrk said nothing of use: ${stdout}`);
  const result: LoadResult = JSON.parse(line);
  return result;
}

/** What is wrong with a round, or undefined. `reached` counts what arrived at the upstream. */
export function faultOf(kind: Kind, result: LoadResult, reached: number): string | undefined {
  const { requests, status } = result;
  const broken = (["connect", "read", "write", "timeout"] as const)
    .filter((what) => result[what] > 0)
    .map((what) => `${result[what]} ${what} errors`);
  if (requests === 0) return "no request was answered";
  if (broken.length > 0) return broken.join(", ");
  const refused = kind === "refused" ? requests : 0;
  if (status !== refused) return `${status} answers of ${requests} were errors, not ${refused}`;
  const forwarded = requests - refused;
  // wrk leaves what is under way when its time is up, and so did the round before.
  if (reached < forwarded || reached > forwarded + 2 * CONNECTIONS) {
    return `${reached} requests reached the upstream, not ${forwarded}`;
  }
  return undefined;
}
