// The stand-in for Hyper-Bun with a bookmaker to call, as real processes. Both run on Bun whatever
// runs the tests, as Hyper-Bun does.

import { join } from "node:path";
import type { TestContext } from "node:test";
import { freePorts, ready, ROOT, start, temporaryFolder, type Ended } from "./programs.ts";

export const BUN = join(ROOT, "node_modules/.bin/bun");
export const FIXTURE = join(ROOT, "test/fixtures/hyper-bun");

export const ADMIN = { authorization: "Bearer a-token-for-tests-only" };

export interface StandIn {
  readonly url: string;
  readonly bookmaker: string;
  /** Where its `data` is. */
  readonly folder: string;
  /** Its output so far. */
  output(): string;
  /** What the operators' console makes of these lines, in a process of its own. */
  console(...lines: string[]): Promise<Ended>;
  stop(signal?: NodeJS.Signals): Promise<Ended>;
  /** The same service on the same data, after `stop`. */
  again(): Promise<StandIn>;
}

export async function startStandIn(t: TestContext): Promise<StandIn> {
  const folder = temporaryFolder(t);
  const [port = 0, bookmakerPort = 0] = await freePorts(2);
  const bookmaker = `http://127.0.0.1:${bookmakerPort}`;
  const upstream = start([
    BUN,
    join(ROOT, "loadtest/bookmaker/main.ts"),
    "--port",
    String(bookmakerPort),
    "--service-ms",
    "1",
  ]);
  t.after(() => upstream.child.kill("SIGKILL"));
  await ready(upstream, `${bookmaker}/__stats`);
  return run(t, { folder, port, bookmaker });
}

async function run(
  t: TestContext,
  place: { readonly folder: string; readonly port: number; readonly bookmaker: string },
): Promise<StandIn> {
  const { folder, port, bookmaker } = place;
  const program = start([BUN, join(FIXTURE, "src/index.ts")], {
    cwd: folder,
    env: {
      PORT: String(port),
      HOST: "127.0.0.1",
      HYPER_BUN_ADMIN_TOKEN: "a-token-for-tests-only",
      BOOKMAKER_DRAFTKINGS_URL: bookmaker,
      CIRCUIT_BREAKER_DB: "",
    },
  });
  t.after(() => program.child.kill("SIGKILL"));
  const url = `http://127.0.0.1:${port}`;
  await ready(program, `${url}/health`);
  return {
    url,
    bookmaker,
    folder,
    output: () => program.stdout() + program.stderr(),
    console: (...lines) =>
      start([BUN, join(FIXTURE, "scripts/bun-console.ts"), ...lines], {
        cwd: folder,
        env: { USER: "ann", CIRCUIT_BREAKER_DB: "" },
      }).ended,
    stop: (signal = "SIGTERM") => {
      program.child.kill(signal);
      return program.ended;
    },
    again: () => run(t, place),
  };
}
