// serve: the composition root. Configuration in, running gateway and admin API out, and the order of
// a stop: not ready → a pause for load balancers → gateway drains → admin → store.

import { setTimeout as delay } from "node:timers/promises";
import { createAdminApp } from "../admin/api.ts";
import { startAdmin } from "../admin/server.ts";
import { holdsAdminToken } from "../admin/auth.ts";
import type { Environment } from "../config/environment.ts";
import { loadConfig } from "../config/load.ts";
import type { SwitchgearConfig } from "../config/schema.ts";
import { adminTokenFromEnv } from "../config/secret.ts";
import type { Gateway } from "../gateway/ports.ts";
import { startGateway } from "../gateway/server.ts";
import { createSwitchgear, type FleetStore, type Store, type Switchgear } from "../index.ts";
import { systemClock } from "../runtime/system-clock.ts";
import { ProcessStats } from "../runtime/process-stats.ts";
import { SystemLoad } from "../runtime/system-load.ts";
import { attachLogging, createLogger, type SwitchgearLogger } from "../telemetry/log/index.ts";
import { Exemplars, prometheusMetrics } from "../telemetry/otel/index.ts";
import { startSdk } from "../telemetry/otel/sdk.ts";
import { UpstreamOptionsCache } from "./breakers.ts";
import { CommandError, EXIT } from "./exit-codes.ts";
import { gatewayConnections, gatewayUpstreams } from "./gateway-upstreams.ts";
import { startReloading } from "./reload.ts";
import { logProcess } from "./process-log.ts";
import { storeOf } from "./store.ts";
import { packageVersion } from "./version.ts";

/** Calls in flight get this long to end; the whole stop stays within seven seconds after the pause. */
const DRAIN_MS = 5000;

/** A stop that hangs in spite of all bounds must still end. */
const STOP_MS_MAX = 7000;

/** For what was written to reach its socket. */
const LAST_WORDS_MS = 100;

/** One Ctrl-C arrives twice: from the terminal, and from npm, which passes it on. */
const SAME_SIGNAL_MS = 1000;

export async function serveCommand(file: string | undefined, env: Environment): Promise<void> {
  // Until a reload can be asked for: by default this signal ends the process.
  process.on("SIGHUP", () => {});
  const config = loadConfig(file, env);
  const token = adminTokenFromEnv(env);
  const version = packageVersion();
  const { level, format, ...intervals } = config.logging;
  const logger = createLogger({ level, format });
  logProcess(logger);

  // Known once the gateway runs; until then nothing is pending.
  let pending = (): number => 0;
  const cache = new UpstreamOptionsCache();
  const gear = gearOf(config, await storeOf(config.store), cache, () => pending());
  const inForce = { isGood: true, takenAt: Date.now() };
  let answers: Gateway["answers"] = () => new Map();
  const metered = {
    log: logger,
    config: inForce,
    process: new ProcessStats(),
    gateway: { answers: () => answers() },
    exemplars: new Exemplars(),
  };
  const sdk = await startSdk(gear, env, version, logger, metered);
  const endLogging = attachLogging(gear, logger, intervals);
  await joinFleet(gear, config.store, logger);

  let isShuttingDown = false;
  const admin = await listening("admin", config.admin, () =>
    startAdmin({
      host: config.admin.host,
      port: config.admin.port,
      app: createAdminApp({
        gear,
        token,
        metrics: prometheusMetrics(gear, { version, ...metered }),
        version,
        isShuttingDown: () => isShuttingDown,
        onError: (error) => logger.error({ err: error }, "an admin request failed"),
      }),
    }),
  );
  const gateway = await listening("gateway", config.gateway, () =>
    startGateway({
      ...config.gateway,
      upstreams: gatewayUpstreams(config, gatewayConnections(config), gear),
      version,
      tracing: sdk?.tracing,
      scheduler: systemClock,
      onError: (error) => logger.error({ err: error }, "a gateway request failed here"),
      ...(token === undefined
        ? {}
        : {
            holdsAdminToken: (value: string, name: string) => holdsAdminToken(name, value, token),
          }),
    }),
  ).catch(async (error: unknown) => {
    // What already listens would keep the process alive.
    await admin.stop();
    await gear.close();
    throw error;
  });
  pending = () => gateway.inFlight();
  answers = () => gateway.answers();
  // Before the line that says so: whoever reads it may stop us at once.
  const stopped = stopSignal();
  const stopReloading = startReloading({
    file,
    env,
    config,
    inForce,
    gear,
    gateway,
    logger,
    cache,
  });
  logger.info({ gateway: gateway.url, admin: admin.url, version }, "switchgear is serving");

  const signal = await stopped;
  isShuttingDown = true;
  stopReloading();
  // A person at a terminal has no load balancer that must hear of it first.
  const delayMs = signal === "SIGTERM" ? config.gateway.drainDelayMs : 0;
  const hurry = setTimeout(() => process.exit(EXIT.failed), delayMs + STOP_MS_MAX);
  hurry.unref();
  gateway.windDown();
  if (delayMs > 0) {
    logger.info(
      { delayMs },
      "not ready any more: new connections are served until others take over",
    );
    await delay(delayMs);
  }
  logger.info("stopping: calls in flight are finished first");
  await gateway.stop(DRAIN_MS);
  await admin.stop();
  gear.flush();
  tellStore(gear, logger, "what the store did not take is lost with this process");
  await gear.close();
  await sdk?.shutdown();
  endLogging();
  logger.info("stopped");
  process.exitCode = EXIT.done;
  clearTimeout(hurry);
  // An exporter that still tries to reach its collector is nobody's reason to stay.
  setTimeout(() => process.exit(EXIT.done), LAST_WORDS_MS).unref();
}

/** What is tripped elsewhere is known before the first call, unless the store is away. */
async function joinFleet(
  { fleet }: Switchgear,
  store: SwitchgearConfig["store"],
  logger: SwitchgearLogger,
): Promise<void> {
  if (fleet === undefined || store.kind !== "redis") return;
  const { startTimeoutMs } = store;
  if (await fleet.synced(startTimeoutMs)) {
    const others = fleet.replicas().length - 1;
    logger.info({ replica: fleet.replica, others }, "joined the fleet");
    return;
  }
  logger.error(
    { code: "SG_STORE", replica: fleet.replica, startTimeoutMs },
    "the fleet's store does not answer: beginning without knowing what is tripped elsewhere",
  );
}

/** Where nothing told of it, or not of all. */
function tellStore(gear: Switchgear, logger: SwitchgearLogger, message: string): void {
  const { ok, pending, lastError } = gear.storeHealth();
  if (!ok) logger.error({ code: "SG_STORE", pending, error: lastError }, message);
}

function gearOf(
  config: SwitchgearConfig,
  store: Store | FleetStore,
  cache: UpstreamOptionsCache,
  pending: () => number,
): Switchgear {
  const { threshold, operationLoad, mode, maxPending } = config.loadShedding;
  return createSwitchgear({
    upstreams: cache.of(config.upstreams),
    store,
    loadShedding: { threshold, operationLoad },
    limits: config.limits,
    sampler: new SystemLoad({ mode, maxPending, pending }),
  });
}

/** A place that cannot be listened on is a sentence, not a stack trace. */
async function listening<Server>(
  what: "gateway" | "admin",
  { host, port }: { readonly host: string; readonly port: number },
  start: () => Promise<Server>,
): Promise<Server> {
  try {
    return await start();
  } catch (error) {
    const code = String((error as { readonly code?: unknown }).code);
    const hostFault = HOST_FAULTS[code];
    if (hostFault !== undefined) {
      throw new CommandError(
        EXIT.wrongUse,
        `${what}.host is ${JSON.stringify(host)}, which ${hostFault}; use an address of this host, or 0.0.0.0 for all of them`,
      );
    }
    const portFault = PORT_FAULTS[code];
    if (portFault === undefined) throw error;
    throw new CommandError(
      EXIT.failed,
      `port ${port} for the ${what} ${portFault}; set ${what}.port or ${what === "admin" ? "SWITCHGEAR_ADMIN_PORT" : "SWITCHGEAR_PORT"} to another`,
    );
  }
}

const PORT_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use by another program",
  EACCES: "needs rights that I do not have",
};

/** Bun says the first of a name that does not resolve, too (1.4.5). */
const HOST_FAULTS: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: "is not an address of this host, or does not resolve",
  ENOTFOUND: "does not resolve",
  EAI_AGAIN: "does not resolve now",
  EAFNOSUPPORT: "belongs to a family of addresses that this host does not have",
  EINVAL: "is no address that can be listened on",
};

/** Resolves at the first SIGTERM or SIGINT with its name; a second one ends the process at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let askedMs = Number.POSITIVE_INFINITY;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (performance.now() - askedMs > SAME_SIGNAL_MS) process.exit(EXIT.failed);
        askedMs = Math.min(askedMs, performance.now());
        resolve(signal);
      });
    }
  });
}
