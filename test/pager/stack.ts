// The whole way of a page on one machine: two bookmakers that can fail, the real gateway, the real
// Prometheus and the real Alertmanager with this repository's own rules and routes. Only PagerDuty is
// played. Everything listens on free local ports, keeps its data in one temporary folder, and is ended
// by `stop`, or with this process.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBookmaker, type Bookmaker } from "../../loadtest/bookmaker/server.ts";
import { freePorts } from "../support/programs.ts";
import { toolPath } from "../tools/build.ts";
import { FACTOR, compressDuration } from "./compress.ts";
import { startPagerDuty, type PagerDuty } from "./pagerduty.ts";
import { startWebhooks, type Webhooks } from "./webhooks.ts";
import { ready, startProcess, until, type Running } from "./processes.ts";
import {
  NAMESPACE,
  ROOT,
  alertmanagerText,
  gatewayConfig,
  prometheusText,
  writeCommands,
  writeRules,
} from "./settings.ts";

export const TOKEN = "a-token-for-the-proof-only";
const ROUTING_KEY = "0123456789abcdef0123456789abcdef";

const CHANNEL_FILES = {
  tickets: "tickets-url",
  "second-channel": "second-channel-url",
  "dead-mans-switch": "dead-mans-switch-url",
};

export interface StackOptions {
  /** Which runtime serves. Default: the one that runs this. */
  readonly runtime?: string;
  /** 1 leaves every duration as it is. Default: 60. */
  readonly factor?: number;
  /** Added to the demo's configuration. */
  readonly config?: string;
  /** Nothing of the stack outlives this. */
  readonly msMax: number;
}

export interface FiringAlert {
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Stack {
  readonly pager: PagerDuty;
  /** Where everything goes that wakes nobody: the keys of `CHANNEL_FILES`. */
  readonly channels: Webhooks;
  readonly draftkings: Bookmaker;
  readonly fanduel: Bookmaker;
  readonly gatewayUrl: string;
  readonly adminUrl: string;
  readonly adminPort: number;
  readonly alertmanagerUrl: string;
  /** What a runbook's commands need. */
  readonly env: Readonly<Record<string, string>>;
  readonly gateway: Running;
  startGateway(): Promise<void>;
  restartAlertmanager(): Promise<void>;
  /** From the next notification on. */
  useRoutingKey(key: string): void;
  /** Calls through the gateway, and their statuses. */
  call(path: string, count: number): Promise<number[]>;
  alerts(): Promise<FiringAlert[]>;
  /** What Alertmanager counts of itself. */
  alertmanagerMetric(name: string, label: string): Promise<number>;
  stop(): Promise<void>;
}

/** At the real pace a scrape comes every fifteen seconds. */
const FIRST_SCRAPE_MS_MAX = 60_000;

async function seesBreakers(prometheusUrl: string): Promise<true | undefined> {
  const answer = await fetch(`${prometheusUrl}/api/v1/query?query=circuit_breaker_tripped`);
  const { data } = (await answer.json()) as { data: { result: unknown[] } };
  return data.result.length > 0 ? true : undefined;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const { factor = FACTOR } = options;
  const folder = mkdtempSync(join(tmpdir(), "switchgear-pager-"));
  const [port = 0, adminPort = 0, prometheusPort = 0, alertmanagerPort = 0] = await freePorts(4);
  const [pager, channels, draftkings, fanduel] = await Promise.all([
    startPagerDuty(ROUTING_KEY),
    startWebhooks(),
    startBookmaker({ name: "draftkings", serviceMs: 1 }),
    startBookmaker({ name: "fanduel", serviceMs: 1 }),
  ]);
  const secrets = join(folder, "secrets");
  const keyFile = join(secrets, "pagerduty-routing-key");
  mkdirSync(secrets);
  writeFileSync(keyFile, pager.routingKey);
  for (const [channel, file] of Object.entries(CHANNEL_FILES)) {
    writeFileSync(join(secrets, file), channels.urlOf(channel));
  }
  const running = new Map<string, Running>();
  const bare = { PATH: process.env["PATH"] ?? "", HOME: folder };
  const begin = async (
    name: string,
    command: readonly [string, ...string[]],
    url: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> => {
    const one = startProcess(name, command, {
      cwd: folder,
      env: { ...bare, ...env },
      msMax: options.msMax,
    });
    running.set(name, one);
    await ready(one, url);
  };

  const gatewayUrl = `http://127.0.0.1:${port}`;
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const prometheusUrl = `http://127.0.0.1:${prometheusPort}`;
  const alertmanagerUrl = `http://127.0.0.1:${alertmanagerPort}`;
  const runtime = options.runtime ?? process.execPath;
  const main = join(ROOT, "src/cli/main.ts");
  const config = join(folder, "switchgear.yaml");
  writeFileSync(config, gatewayConfig(factor, options.config ?? ""));

  const startGateway = (): Promise<void> =>
    begin("gateway", [runtime, main, "serve", "--config", config], `${adminUrl}/livez`, {
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      SWITCHGEAR_ADMIN_TOKEN: TOKEN,
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65000",
      DRAFTKINGS_URL: draftkings.url,
      FANDUEL_URL: fanduel.url,
    });

  const alertmanagerConfig = join(folder, "alertmanager.yml");
  writeFileSync(alertmanagerConfig, alertmanagerText(pager.url, secrets, factor));
  const startAlertmanager = (): Promise<void> =>
    begin(
      "alertmanager",
      [
        toolPath("alertmanager"),
        `--config.file=${alertmanagerConfig}`,
        `--storage.path=${join(folder, "alertmanager")}`,
        `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
        "--cluster.listen-address=",
        // What a page shows must not name the machine that it was proven on.
        "--web.external-url=http://alertmanager.example",
      ],
      `${alertmanagerUrl}/-/ready`,
    );

  const prometheusConfig = join(folder, "prometheus.yml");
  const rules = join(folder, "rules");
  mkdirSync(rules);
  writeFileSync(
    prometheusConfig,
    prometheusText({ factor, folder, adminPort, alertmanagerPort, prometheusPort }),
  );
  const startPrometheus = (): Promise<void> =>
    begin(
      "prometheus",
      [
        toolPath("prometheus"),
        `--config.file=${prometheusConfig}`,
        `--storage.tsdb.path=${join(folder, "prometheus")}`,
        `--web.listen-address=127.0.0.1:${prometheusPort}`,
        // How often a firing alert is told of again; what is not told of for long counts as resolved.
        `--rules.alert.resend-delay=${compressDuration("1m", factor)}`,
        "--web.enable-lifecycle",
        "--web.external-url=http://prometheus.example",
      ],
      `${prometheusUrl}/-/ready`,
    );
  // Its first scrape comes five seconds after its start: rules that are there before it see nothing,
  // and in the compressed world that is as long as it takes to page for it.
  const startRules = async (): Promise<void> => {
    await until("the first scrape", () => seesBreakers(prometheusUrl), FIRST_SCRAPE_MS_MAX);
    writeRules(rules, factor);
    const answer = await fetch(`${prometheusUrl}/-/reload`, { method: "POST" });
    if (!answer.ok) throw new Error(`Prometheus refuses the rules: ${await answer.text()}`);
  };

  const bin = join(folder, "bin");
  const stop = async (): Promise<void> => {
    await Promise.all([...running.values()].map((one) => one.stop()));
    await Promise.all([draftkings, fanduel, pager, channels].map((one) => one.close()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    writeCommands(bin, runtime, main);
    await Promise.all([startGateway(), startAlertmanager()]);
    await startPrometheus();
    await startRules();
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    pager,
    channels,
    draftkings,
    fanduel,
    gatewayUrl,
    adminUrl,
    adminPort,
    alertmanagerUrl,
    env: {
      ...bare,
      PATH: `${bin}:${bare.PATH}`,
      USER: "ann",
      NAMESPACE,
      BOOKMAKER: "draftkings",
      BOOKMAKER_URL: `${draftkings.url}/odds`,
      SWITCHGEAR_URL: adminUrl,
      SWITCHGEAR_ADMIN_TOKEN: TOKEN,
      PROMETHEUS_URL: prometheusUrl,
      ALERTMANAGER_URL: alertmanagerUrl,
      SWITCHGEAR_DB: join(folder, "data/circuit_breaker.db"),
    },
    get gateway() {
      const gateway = running.get("gateway");
      if (gateway === undefined) throw new Error("the gateway was never started");
      return gateway;
    },
    startGateway,
    restartAlertmanager: async () => {
      await running.get("alertmanager")?.stop();
      await startAlertmanager();
    },
    useRoutingKey: (key) => writeFileSync(keyFile, key),
    call: async (path, count) => {
      const statuses: number[] = [];
      for (let n = 0; n < count; n += 1) {
        const answer = await fetch(`${gatewayUrl}${path}`);
        await answer.body?.cancel();
        statuses.push(answer.status);
      }
      return statuses;
    },
    alerts: async () => {
      const answer = await fetch(`${prometheusUrl}/api/v1/alerts`);
      const { data } = (await answer.json()) as { data: { alerts: FiringAlert[] } };
      return data.alerts;
    },
    alertmanagerMetric: async (name, label) => {
      const text = await (await fetch(`${alertmanagerUrl}/metrics`)).text();
      let sum = 0;
      for (const line of text.split("\n")) {
        if (!line.startsWith(`${name}{`) || !line.includes(label)) continue;
        sum += Number(line.slice(line.lastIndexOf(" ") + 1));
      }
      return sum;
    },
    stop,
  };
}

/** Waits until Prometheus says that this alert fires, or no longer does. */
export async function untilAlert(
  stack: Stack,
  name: string,
  labels: Readonly<Record<string, string>>,
  isFiring: boolean,
  msMax: number,
): Promise<FiringAlert | true> {
  let seen: FiringAlert[] = [];
  return until(
    `${name} ${isFiring ? "fires" : "no longer fires"}`,
    async () => {
      seen = await stack.alerts();
      const found = seen.find(
        (one) =>
          one.state === "firing" &&
          one.labels["alertname"] === name &&
          Object.entries(labels).every(([key, value]) => one.labels[key] === value),
      );
      if (isFiring) return found;
      return found === undefined ? true : undefined;
    },
    msMax,
    () => JSON.stringify(seen.map(({ state, labels }) => [state, labels])),
  );
}
