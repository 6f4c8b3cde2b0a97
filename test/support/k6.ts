// Runs the real k6 in an environment of its own: nothing that a developer's shell has set is there.

import { spawn } from "node:child_process";
import type { Ended } from "./programs.ts";
import { toolPath } from "../tools/build.ts";

/** A short run is less than a minute on a machine of its own; what hangs is ended all the same. */
const MS_MAX = 150_000;

export interface K6Options {
  readonly folder: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export function k6({ folder, args, env }: K6Options): Promise<Ended> {
  const child = spawn(toolPath("k6"), args, {
    cwd: folder,
    env: {
      HOME: folder,
      K6_NO_USAGE_REPORT: "true",
      K6_AUTO_EXTENSION_RESOLUTION: "false",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: MS_MAX,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("close", (code) => done({ code, stdout, stderr }));
  });
}
