// Who takes part, and how each is started. All listen on loopback, run on one core, and lead
// /draftkings/… to the upstream; under /fanduel/ they answer 503 by themselves.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Command } from "../support/processes.ts";
import { ROOT, beside, runtimePath, type Runtime } from "../support/runtimes.ts";
import { CONNECTIONS, KINDS, type Kind } from "./load.ts";
import { proxyHaproxy, proxyNginx, switchgearYaml } from "./configs.ts";

export const CONTENDERS = [
  "switchgear-node",
  "switchgear-node-silent",
  "switchgear-node-unlimited",
  "bare-node",
  "switchgear-bun",
  "switchgear-bun-unlimited",
  "bare-bun",
  "opossum-undici",
  "haproxy",
  "nginx",
] as const;
export type ContenderId = (typeof CONTENDERS)[number];

export const LABELS: Readonly<Record<ContenderId, string>> = {
  "switchgear-node": "Switchgear on Node",
  "switchgear-node-silent": "Switchgear on Node, `logging.level: silent`",
  "switchgear-node-unlimited": "Switchgear on Node, `limit: { kind: off }`",
  "bare-node": "bare `node:http` + undici",
  "switchgear-bun": "Switchgear on Bun",
  "switchgear-bun-unlimited": "Switchgear on Bun, `limit: { kind: off }`",
  "bare-bun": "bare `Bun.serve` + `fetch`",
  "opossum-undici": "opossum over undici on Node",
  haproxy: "HAProxy",
  nginx: "nginx",
};

/**
 * What each is asked. The silent one shows what part of a refusal is its log line, the unlimited ones what part
 * of a call is the limiter.
 */
export function kindsOf(id: ContenderId): readonly Kind[] {
  if (id.endsWith("-unlimited")) return ["small", "typical"];
  return id === "switchgear-node-silent" ? ["refused"] : KINDS;
}

export interface Contender {
  readonly id: ContenderId;
  readonly port: number;
  readonly command: Command;
}

export interface Setting {
  readonly folder: string;
  readonly upstreamPort: number;
  readonly core: number | undefined;
  /** Where nginx and HAProxy are. */
  readonly programs: { readonly nginx: string; readonly haproxy: string };
}

export async function prepare(id: ContenderId, setting: Setting): Promise<Contender> {
  const port = await freePort();
  switch (id) {
    case "switchgear-node":
      return switchgear(id, "node", port, setting, "info");
    case "switchgear-node-silent":
      return switchgear(id, "node", port, setting, "silent");
    case "switchgear-node-unlimited":
      return switchgear(id, "node", port, setting, "info");
    case "switchgear-bun":
    case "switchgear-bun-unlimited":
      return switchgear(id, "bun", port, setting, "info");
    case "bare-node":
      return program(id, "node", "proxy-node.ts", port, setting);
    case "bare-bun":
      return program(id, "bun", "proxy-bun.ts", port, setting);
    case "opossum-undici":
      return program(id, "node", "proxy-opossum.ts", port, setting);
    case "haproxy": {
      const file = join(setting.folder, "haproxy.cfg");
      writeFileSync(file, proxyHaproxy(port, setting.upstreamPort));
      return contender(id, port, [setting.programs.haproxy, "-db", "-f", file], setting);
    }
    case "nginx": {
      const file = join(setting.folder, "proxy.conf");
      writeFileSync(file, proxyNginx(setting.folder, port, setting.upstreamPort));
      const errors = join(setting.folder, "proxy.log");
      return contender(id, port, [setting.programs.nginx, "-e", errors, "-c", file], setting);
    }
    default:
      return id satisfies never;
  }
}

function contender(
  id: ContenderId,
  port: number,
  command: readonly string[],
  { core }: Setting,
  env: Readonly<Record<string, string>> = {},
): Contender {
  return { id, port, command: { name: id, command, core, env } };
}

function program(
  id: ContenderId,
  runtime: Runtime,
  file: string,
  port: number,
  setting: Setting,
): Contender {
  const upstream = `http://127.0.0.1:${setting.upstreamPort}`;
  const path = beside(import.meta.filename, file);
  return contender(id, port, [runtimePath(runtime), path, String(port), upstream], setting, {
    BUN_CONFIG_MAX_HTTP_REQUESTS: "1024",
  });
}

/** So far above what is sent that none is refused; it is moved and judged as any. */
const LIMITED = `{ kind: adaptive, initial: ${4 * CONNECTIONS}, min: ${4 * CONNECTIONS} }`;
const UNLIMITED = "{ kind: off }";

async function switchgear(
  id: ContenderId,
  runtime: Runtime,
  port: number,
  setting: Setting,
  logLevel: string,
): Promise<Contender> {
  const ports = { gateway: port, admin: await freePort(), upstream: setting.upstreamPort };
  const file = join(setting.folder, `${id}.yaml`);
  const limit = id.endsWith("-unlimited") ? UNLIMITED : LIMITED;
  writeFileSync(file, switchgearYaml(setting.folder, { name: id, logLevel, limit }, ports));
  const main = join(ROOT, "src/cli/main.ts");
  const command = [runtimePath(runtime), main, "serve", "--config", file];
  return contender(id, port, command, setting, {
    // Whatever the surroundings say, these are the ports.
    SWITCHGEAR_PORT: String(ports.gateway),
    SWITCHGEAR_ADMIN_PORT: String(ports.admin),
    BUN_CONFIG_MAX_HTTP_REQUESTS: "1024",
  });
}
