// Whether a real redis-server is here, and how one gets onto a machine that may be changed: a package of Debian's.

import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const PACKAGES = ["redis-server", "redis-sentinel"] as const;

/** False when it is here; else a sentence for whoever wonders why a test was skipped. */
export function whyNoRedis(): string | false {
  return programPath("redis-server") === undefined
    ? "Needs redis-server, and there is none on the PATH: apt-get install redis-server."
    : false;
}

export function programPath(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Installs it where this may be done: as root, with apt. What cannot be done is said. */
export function ensureRedis(): void {
  const why = whyNoRedis();
  if (why === false) return;
  if (process.getuid?.() !== 0 || programPath("apt-get") === undefined) throw new Error(why);
  process.stderr.write(`installing ${PACKAGES.join(" and ")}\n`);
  apt("update", "-qq");
  apt("install", "-y", "-qq", "--no-install-recommends", ...PACKAGES);
  // The packages start a server each; tests start their own.
  for (const service of PACKAGES) spawnSync("service", [service, "stop"], { stdio: "ignore" });
}

function apt(...args: string[]): void {
  const { status, stderr } = spawnSync("apt-get", args, {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  if (status !== 0) throw new Error(`apt-get ${args.join(" ")} failed: ${stderr.trim()}`);
}
