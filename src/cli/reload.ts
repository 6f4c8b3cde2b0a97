// Another configuration while serving: on SIGHUP, and when the file or a certificate that it names has
// changed. What can change without a restart does, all of it or nothing; a file that is wrong is refused
// in words while the old one goes on.

import { statSync } from "node:fs";
import type { Environment } from "../config/environment.ts";
import { ConfigError } from "../config/fault.ts";
import { configFile, loadConfig } from "../config/load.ts";
import type { SwitchgearConfig } from "../config/schema.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import type { Gateway } from "../gateway/ports.ts";
import type { Switchgear } from "../index.ts";
import type { SwitchgearLogger } from "../telemetry/log/index.ts";
import type { UpstreamOptionsCache } from "./breakers.ts";
import { gatewayConnections, gatewayUpstreams } from "./gateway-upstreams.ts";

/** The files are looked at so often. Followed through links, as a ConfigMap's are. */
const LOOK_MS = 2_000;

/** Sections that are read at the start and never again, but for the log's level and what callers may ask for. */
const FIXED = ["gateway", "admin", "store", "logging", "loadShedding", "limits"] as const;

export interface ReloadOptions {
  readonly file: string | undefined;
  readonly env: Environment;
  readonly config: SwitchgearConfig;
  /** What is shown of it; kept up to date here. */
  readonly inForce: { isGood: boolean; takenAt: number };
  readonly gear: Switchgear;
  readonly gateway: Gateway;
  readonly logger: SwitchgearLogger;
  readonly cache: UpstreamOptionsCache;
}

/** Reads again from now on. The answer ends it. */
export function startReloading(options: ReloadOptions): () => void {
  const reloading = new Reloader(options);
  const onSignal = (): void => reloading.reload("SIGHUP");
  process.on("SIGHUP", onSignal);
  const timer = setInterval(() => reloading.look(), LOOK_MS);
  timer.unref();
  return () => {
    process.off("SIGHUP", onSignal);
    clearInterval(timer);
  };
}

class Reloader {
  readonly #options: ReloadOptions;
  #config: SwitchgearConfig;
  /** What the files were like when they were last read. */
  #read: string;
  /** What they were like at the last look. */
  #seen: string;

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#read = this.#look();
    this.#seen = this.#read;
  }

  /** Reads a changed file once it has not changed for a look: an editor may be at work. */
  look(): void {
    const now = this.#look();
    const isSettled = now === this.#seen;
    this.#seen = now;
    if (isSettled && now !== this.#read) this.reload("the file has changed");
  }

  reload(why: string): void {
    const { logger, inForce } = this.#options;
    this.#read = this.#look();
    try {
      this.#take(why);
      inForce.isGood = true;
      inForce.takenAt = Date.now();
    } catch (error) {
      inForce.isGood = false;
      const isFault = error instanceof ConfigError || error instanceof InvalidOptionsError;
      const text = isFault || error instanceof Refusal ? error.message : String(error);
      logger.error({ why }, `configuration refused, the one before goes on: ${text}`);
    }
  }

  #take(why: string): void {
    const { file, env, gear, gateway, logger, cache } = this.#options;
    const config = loadConfig(file, env);
    const isEmpty = Object.keys(config.upstreams).length === 0;
    if (isEmpty && why !== "SIGHUP" && Object.keys(this.#config.upstreams).length > 0) {
      throw new Refusal("it names no upstream; send SIGHUP if that is meant");
    }
    const connections = gatewayConnections(config);
    const change = gear.configure(cache.of(config.upstreams));
    const { maxCriticality } = config.gateway;
    gateway.reload(gatewayUpstreams(config, connections, gear), maxCriticality);
    const { level } = config.logging;
    logger.level = level;
    const old = {
      ...this.#config,
      gateway: { ...this.#config.gateway, maxCriticality },
      logging: { ...this.#config.logging, level },
    };
    const needsRestart = FIXED.filter(
      (section) => JSON.stringify(config[section]) !== JSON.stringify(old[section]),
    );
    // It stays a difference until the restart.
    this.#config = { ...config, ...pick(old, FIXED) };
    logger.info({ why, ...change }, "configuration taken");
    if (needsRestart.length > 0) {
      logger.warn({ sections: needsRestart }, "some of the configuration waits for a restart");
    }
  }

  /** Everything about the files that changes when they do. */
  #look(): string {
    const { file, env } = this.#options;
    const certificates = Object.values(this.#config.upstreams).flatMap(({ tls }) =>
      [tls.caFile, tls.certFile, tls.keyFile].filter((path) => path !== undefined),
    );
    return [configFile(file, env), ...certificates].map(identityOf).join(" ");
  }
}

class Refusal extends Error {}

function pick<Key extends keyof SwitchgearConfig>(
  config: SwitchgearConfig,
  keys: readonly Key[],
): Pick<SwitchgearConfig, Key> {
  return Object.fromEntries(keys.map((key) => [key, config[key]])) as Pick<SwitchgearConfig, Key>;
}

function identityOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  } catch {
    return "missing";
  }
}
