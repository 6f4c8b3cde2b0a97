// What the programs of the stack are told: the repository's own files, sped up, with local addresses in
// the places where a cluster puts its own.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { toolPath } from "../tools/build.ts";
import { compressAlertmanager, compressDuration, compressRules } from "./compress.ts";

export const ROOT = resolve(import.meta.dirname, "../..");

/** Of rules whose expressions cannot carry one, the files say this; a cluster templates it. */
export const NAMESPACE = "switchgear";

const COOLDOWN = "cooldownMs: 60000";

/** Less than the five seconds to a page, and more than a busy machine takes to start a command. */
const COOLDOWN_MS_MIN = 4000;

/** The demo's, and what a test makes of it. */
export function gatewayConfig(factor: number, edit: (demo: string) => string): string {
  const demo = readFileSync(join(ROOT, "examples/demo.yaml"), "utf8");
  const cooldownMs = Math.max(COOLDOWN_MS_MIN, Math.round(60_000 / factor));
  return edit(replaced(demo, COOLDOWN, `cooldownMs: ${cooldownMs}`));
}

/** Throws when there is nothing to replace: a test that changes nothing would prove nothing. */
export function replaced(text: string, part: string, by: string): string {
  if (!text.includes(part)) throw new Error(`there is no ${part} in\n${text}`);
  return text.replace(part, () => by);
}

export function writeRules(folder: string, factor: number): void {
  const source = join(ROOT, "alerts");
  for (const file of readdirSync(source)) {
    if (!file.endsWith(".yml")) continue;
    const text = readFileSync(join(source, file), "utf8");
    writeFileSync(join(folder, file), factor === 1 ? text : compressRules(text, factor));
  }
}

/** Every `…_file` of it is looked for in `secrets`, under its own name. */
export function alertmanagerText(pagerUrl: string, secrets: string, factor: number): string {
  const text = readFileSync(join(ROOT, "alerts/alertmanager/alertmanager.yml"), "utf8");
  const replace = (key: string, value: string): string => {
    if (key.endsWith("_file")) return join(secrets, basename(value));
    return key === "pagerduty_url" ? pagerUrl : value;
  };
  return compressAlertmanager(text, replace, factor);
}

export interface Addresses {
  readonly factor: number;
  readonly folder: string;
  readonly adminPorts: readonly number[];
  readonly alertmanagerPort: number;
  readonly prometheusPort: number;
}

interface ScrapeJob {
  readonly job_name: string;
  readonly static_configs: readonly { readonly labels?: object }[];
}

interface PrometheusConfig {
  readonly global: object;
  readonly scrape_configs: readonly ScrapeJob[];
}

/** The configuration that is shipped, with the stack's addresses, and sped up. */
export function prometheusText(given: Addresses): string {
  const text = readFileSync(join(ROOT, "alerts/prometheus/prometheus.yml"), "utf8");
  const shipped = parse(text) as PrometheusConfig;
  const local = (ports: readonly number[]): string[] => ports.map((port) => `127.0.0.1:${port}`);
  const ports: Readonly<Record<string, readonly number[]>> = {
    switchgear: given.adminPorts,
    alertmanager: [given.alertmanagerPort],
    prometheus: [given.prometheusPort],
  };
  const isReal = given.factor === 1;
  return stringify({
    global: {
      ...shipped.global,
      // A scrape may take as long as its interval: on a busy machine a quarter of a second is short.
      scrape_interval: compressDuration(isReal ? "15s" : "30s", given.factor),
      scrape_timeout: compressDuration(isReal ? "10s" : "30s", given.factor),
      evaluation_interval: compressDuration("15s", given.factor),
    },
    rule_files: [join(given.folder, "rules/*.yml")],
    alerting: {
      alertmanagers: [{ static_configs: [{ targets: local([given.alertmanagerPort]) }] }],
    },
    scrape_configs: shipped.scrape_configs.map((job) => {
      const targets = local(ports[job.job_name] ?? []);
      const configs = job.static_configs.map((one) => Object.assign({}, one, { targets }));
      return Object.assign({}, job, { static_configs: configs });
    }),
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
