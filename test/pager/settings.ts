// What the programs of the stack are told: the repository's own files, sped up, with local addresses in
// the places where a cluster puts its own.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { stringify } from "yaml";
import { toolPath } from "../tools/build.ts";
import { compressAlertmanager, compressDuration, compressRules } from "./compress.ts";

export const ROOT = resolve(import.meta.dirname, "../..");

/** Of rules whose expressions cannot carry one, the files say this; a cluster templates it. */
export const NAMESPACE = "switchgear";

/** At its cooldown's end a reset needs no force. */
const COOLDOWN = "cooldownMs: 60000";

/** The demo's, and what a test adds to it. */
export function gatewayConfig(factor: number, more: string): string {
  const demo = readFileSync(join(ROOT, "examples/demo.yaml"), "utf8");
  if (!demo.includes(COOLDOWN)) throw new Error(`examples/demo.yaml lacks ${COOLDOWN}`);
  return `${demo.replace(COOLDOWN, `cooldownMs: ${Math.round(60_000 / factor)}`)}\n${more}`;
}

export function writeRules(folder: string, factor: number): void {
  const source = join(ROOT, "alerts");
  for (const file of readdirSync(source)) {
    if (!file.endsWith(".yml") || file.startsWith("alertmanager")) continue;
    const text = readFileSync(join(source, file), "utf8");
    writeFileSync(join(folder, file), factor === 1 ? text : compressRules(text, factor));
  }
}

/** Every `…_file` of it is looked for in `secrets`, under its own name. */
export function alertmanagerText(pagerUrl: string, secrets: string, factor: number): string {
  const text = readFileSync(join(ROOT, "alerts/alertmanager.yml"), "utf8");
  const replace = (key: string, value: string): string => {
    if (key.endsWith("_file")) return join(secrets, basename(value));
    return key === "pagerduty_url" ? pagerUrl : value;
  };
  return compressAlertmanager(text, replace, factor);
}

export interface Addresses {
  readonly factor: number;
  readonly folder: string;
  readonly adminPort: number;
  readonly alertmanagerPort: number;
  readonly prometheusPort: number;
}

export function prometheusText(given: Addresses): string {
  const job = (name: string, port: number): object => ({
    job_name: name,
    static_configs: [{ targets: [`127.0.0.1:${port}`], labels: { namespace: NAMESPACE } }],
  });
  return stringify({
    global: {
      // A scrape may take as long as its interval: on a busy machine a quarter of a second is short.
      scrape_interval: compressDuration(given.factor === 1 ? "15s" : "30s", given.factor),
      scrape_timeout: compressDuration(given.factor === 1 ? "10s" : "30s", given.factor),
      evaluation_interval: compressDuration("15s", given.factor),
    },
    rule_files: [join(given.folder, "rules/*.yml")],
    alerting: {
      alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${given.alertmanagerPort}`] }] }],
    },
    scrape_configs: [
      job("switchgear", given.adminPort),
      job("alertmanager", given.alertmanagerPort),
      job("prometheus", given.prometheusPort),
    ],
  });
}

/** The names that a runbook calls, as an engineer has them on the path. */
export function writeCommands(bin: string, runtime: string, main: string): void {
  mkdirSync(bin);
  const write = (name: string, command: string): void =>
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  write("switchgear", `'${runtime}' '${main}'`);
  write("promtool", `'${toolPath("promtool")}'`);
  write("amtool", `'${toolPath("amtool")}'`);
}
