// The whole way of a page on one machine: two bookmakers that can fail, the real gateway, the real
// Prometheus and the real Alertmanager with this repository's own rules and routes. Only PagerDuty is
// played. Everything listens on free local ports, keeps its data in one temporary folder, and is ended
// by `stop`, or with this process.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  startBookmaker,
  type Bookmaker,
  type BookmakerOptions,
} from "../../loadtest/bookmaker/server.ts";
import { freePorts } from "../support/programs.ts";
import { toolPath } from "../tools/build.ts";
import { get, type Monitoring } from "./alerts.ts";
import { FACTOR, compressDuration } from "./compress.ts";
import { startPagerDuty, type PagerDuty } from "./pagerduty.ts";
import { createPart, createReplica, type Part, type Replica } from "./parts.ts";
import { until } from "./processes.ts";
import {
  NAMESPACE,
  ROOT,
  alertmanagerText,
  gatewayConfig,
  prometheusText,
  writeCommands,
  writeRules,
} from "./settings.ts";
import { startWebhooks, type Webhooks } from "./webhooks.ts";

const TOKEN = "a-token-for-the-proof-only";
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
  /** Makes the gateway's configuration from the demo's. Default: the demo's. */
  readonly config?: (demo: string) => string;
  /** Variables of it, beside the bookmakers' addresses and the token. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the two bookmakers can serve. Default: more than anybody asks for. */
  readonly bookmakers?: Pick<BookmakerOptions, "workers" | "serviceMs">;
  /** Nothing of the stack outlives this. */
  readonly msMax: number;
}

export interface Stack extends Monitoring {
  readonly pager: PagerDuty;
  /** Where everything goes that wakes nobody: the keys of `CHANNEL_FILES`. */
  readonly channels: Webhooks;
  readonly draftkings: Bookmaker;
  readonly fanduel: Bookmaker;
  readonly gateway: Replica;
  readonly prometheus: Part;
  readonly alertmanager: Part;
  /** What a runbook's commands need. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * A second gateway with a database of its own, scraped beside the first. One at a time: it takes the place of
   * the one before. `logTo` is the file that its log goes to, `env` are variables in place of the first one's.
   */
  startReplica(how?: {
    readonly logTo?: string;
    readonly env?: Readonly<Record<string, string>>;
  }): Promise<Replica>;
  /** From now on Prometheus asks these for the gateways' metrics, and sees them. */
  scrape(...adminPorts: readonly number[]): Promise<void>;
  /** One more file of rules, or none of that name any more. */
  useRules(name: string, text: string | undefined): Promise<void>;
  /** From the next notification on. */
  useRoutingKey(key: string): void;
  /** Calls through the gateway, and their statuses. */
  call(path: string, count: number, replica?: Replica): Promise<number[]>;
  stop(): Promise<void>;
}

/** At the real pace a scrape comes every fifteen seconds. */
const FIRST_SCRAPE_MS_MAX = 60_000;

export async function startStack(options: StackOptions): Promise<Stack> {
  const { factor = FACTOR, msMax } = options;
  const folder = mkdtempSync(join(tmpdir(), "switchgear-pager-"));
  const ports = await freePorts(6);
  const [port = 0, adminPort = 0, prometheusPort = 0, alertmanagerPort = 0] = ports;
  const [pager, channels, draftkings, fanduel] = await Promise.all([
    startPagerDuty(ROUTING_KEY),
    startWebhooks(),
    startBookmaker({ serviceMs: 1, ...options.bookmakers, name: "draftkings", seed: 1 }),
    startBookmaker({ serviceMs: 1, ...options.bookmakers, name: "fanduel", seed: 2 }),
  ]);
  const secrets = join(folder, "secrets");
  const keyFile = join(secrets, "pagerduty-routing-key");
  mkdirSync(secrets);
  writeFileSync(keyFile, pager.routingKey);
  for (const [channel, file] of Object.entries(CHANNEL_FILES)) {
    writeFileSync(join(secrets, file), channels.urlOf(channel));
  }

  const prometheusUrl = `http://127.0.0.1:${prometheusPort}`;
  const alertmanagerUrl = `http://127.0.0.1:${alertmanagerPort}`;
  const config = join(folder, "switchgear.yaml");
  writeFileSync(config, gatewayConfig(factor, options.config ?? ((demo) => demo)));
  const bare = {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    // Each command of a runbook is a process: half of its time would go into reading the sources.
    NODE_COMPILE_CACHE: join(folder, "compile-cache"),
  };
  const runtime = options.runtime ?? process.execPath;
  const main = join(ROOT, "src/cli/main.ts");
  const served = {
    runtime,
    main,
    config,
    msMax,
    env: {
      ...bare,
      SWITCHGEAR_ADMIN_TOKEN: TOKEN,
      DRAFTKINGS_URL: draftkings.url,
      FANDUEL_URL: fanduel.url,
      ...options.env,
    },
  };
  const gateway = createReplica({
    ...served,
    name: "gateway",
    ports: [port, adminPort],
    cwd: folder,
  });

  const alertmanagerConfig = join(folder, "alertmanager.yml");
  writeFileSync(alertmanagerConfig, alertmanagerText(pager.url, secrets, factor));
  const alertmanager = createPart({
    name: "alertmanager",
    command: [
      toolPath("alertmanager"),
      `--config.file=${alertmanagerConfig}`,
      `--storage.path=${join(folder, "alertmanager")}`,
      `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
      "--cluster.listen-address=",
      // What a page shows must not name the machine that it was proven on.
      "--web.external-url=http://alertmanager.example",
    ],
    readyUrl: `${alertmanagerUrl}/-/ready`,
    cwd: folder,
    env: bare,
    msMax,
  });

  const prometheusConfig = join(folder, "prometheus.yml");
  const rules = join(folder, "rules");
  mkdirSync(rules);
  const prometheus = createPart({
    name: "prometheus",
    command: [
      toolPath("prometheus"),
      `--config.file=${prometheusConfig}`,
      `--storage.tsdb.path=${join(folder, "prometheus")}`,
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
      // How often a firing alert is told of again; what is not told of for long counts as resolved.
      `--rules.alert.resend-delay=${compressDuration("1m", factor)}`,
      // What is remembered of alerts across a restart: docs/alerts.md.
      `--rules.alert.for-grace-period=${compressDuration("1m", factor)}`,
      // How late a new target is scraped.
      `--scrape.discovery-reload-interval=${compressDuration("5s", factor)}`,
      "--web.enable-lifecycle",
      "--web.external-url=http://prometheus.example",
    ],
    readyUrl: `${prometheusUrl}/-/ready`,
    cwd: folder,
    env: bare,
    msMax,
  });
  const writeTargets = (adminPorts: readonly number[]): void =>
    writeFileSync(
      prometheusConfig,
      prometheusText({ factor, folder, adminPorts, alertmanagerPort, prometheusPort }),
    );
  const reload = async (): Promise<void> => {
    const answer = await fetch(`${prometheusUrl}/-/reload`, { method: "POST" });
    if (!answer.ok) throw new Error(`Prometheus refuses it: ${await answer.text()}`);
  };
  const sees = (query: string, count: number): Promise<true> =>
    until(
      `${count} of ${query}`,
      async () => {
        const { data } = await get<{ data: { result: unknown[] } }>(
          `${prometheusUrl}/api/v1/query?query=${encodeURIComponent(query)}`,
        );
        return data.result.length === count ? true : undefined;
      },
      FIRST_SCRAPE_MS_MAX,
    );
  const scrape = async (...adminPorts: readonly number[]): Promise<void> => {
    writeTargets(adminPorts);
    await reload();
    await sees('up{job="switchgear"}', adminPorts.length);
  };

  const bin = join(folder, "bin");
  const replicas: Replica[] = [gateway];
  const stop = async (): Promise<void> => {
    await Promise.all([...replicas, alertmanager, prometheus].map((one) => one.stop()));
    await Promise.all([draftkings, fanduel, pager, channels].map((one) => one.close()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    writeCommands(bin, runtime, main);
    writeTargets([adminPort]);
    await Promise.all([gateway.start(), alertmanager.start()]);
    await prometheus.start();
    // Rules that are there before the first scrape see nothing; in the compressed world that can be as
    // long as it takes to page for it.
    await sees("count(circuit_breaker_tripped)", 1);
    writeRules(rules, factor);
    await reload();
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    pager,
    channels,
    draftkings,
    fanduel,
    gateway,
    prometheus,
    alertmanager,
    prometheusUrl,
    alertmanagerUrl,
    env: {
      ...served.env,
      PATH: `${bin}:${bare.PATH}`,
      USER: "ann",
      NAMESPACE,
      BOOKMAKER: "draftkings",
      BOOKMAKER_URL: `${draftkings.url}/odds`,
      SWITCHGEAR_URL: gateway.adminUrl,
      CLUSTER: "none",
      SWITCHGEAR_URLS: gateway.adminUrl,
      SWITCHGEAR_CONFIG: config,
      SWITCHGEAR_DB: join(folder, "data/circuit_breaker.db"),
      PROMETHEUS_URL: prometheusUrl,
      ALERTMANAGER_URL: alertmanagerUrl,
    },
    startReplica: async ({ logTo, env } = {}) => {
      const cwd = join(folder, "second");
      mkdirSync(cwd, { recursive: true });
      const [, , , , port = 0, secondAdminPort = 0] = ports;
      const second = createReplica({
        ...served,
        name: "second gateway",
        ports: [port, secondAdminPort],
        cwd,
        logTo,
        env: { ...served.env, ...env },
      });
      replicas.push(second);
      await second.start();
      await scrape(adminPort, secondAdminPort);
      return second;
    },
    scrape,
    useRules: async (name, text) => {
      const file = join(rules, `${name}.yml`);
      if (text === undefined) rmSync(file);
      else writeFileSync(file, text);
      await reload();
    },
    useRoutingKey: (key) => writeFileSync(keyFile, key),
    call: async (path, count, replica = gateway) => {
      const statuses: number[] = [];
      for (let n = 0; n < count; n += 1) {
        const answer = await fetch(`${replica.url}${path}`);
        await answer.body?.cancel();
        statuses.push(answer.status);
      }
      return statuses;
    },
    stop,
  };
}
