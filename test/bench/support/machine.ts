// What a measurement was made on: enough to judge it, nothing that names the machine.

import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { join } from "node:path";
import { ROOT } from "./runtimes.ts";

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly versions: Readonly<Record<string, string>>;
}

export function describeMachine(versions: Readonly<Record<string, string>>): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    system: `${process.platform} ${release()} ${process.arch}`,
    versions,
  };
}

export function packageVersion(name: string): string {
  const folder = name === "switchgear" ? ROOT : join(ROOT, "node_modules", name);
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  );
  return manifest.version;
}

export function machineLines(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `- Measured on ${machine.date}`,
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.system}`,
    `- ${versions.join(", ")}`,
  ].join("\n");
}
