// The store that a configuration names.

import { ConfigError } from "../config/fault.ts";
import { readFailure, readFileBounded } from "../config/read-file.ts";
import type { SwitchgearConfig } from "../config/schema.ts";
import { memoryStore, type FleetStore, type Store } from "../index.ts";
import { sqliteStore } from "../store/sqlite.ts";

type RedisConfig = Extract<SwitchgearConfig["store"], { readonly kind: "redis" }>;

const PASSWORD_BYTES_MAX = 8192;
const PEM_BYTES_MAX = 1024 ** 2;

export async function storeOf(config: SwitchgearConfig["store"]): Promise<Store | FleetStore> {
  switch (config.kind) {
    case "memory":
      return memoryStore();
    case "redis":
      return fleetStoreOf(config);
    case "sqlite": {
      const { path, auditRetentionDays } = config;
      return sqliteStore(path, auditRetentionDays === undefined ? {} : { auditRetentionDays });
    }
    default:
      return config satisfies never;
  }
}

async function fleetStoreOf(config: RedisConfig): Promise<FleetStore> {
  const { kind: _kind, startTimeoutMs: _ms, passwordFile, password, tls, ...options } = config;
  // What cannot be read is said now, and not at the first connection.
  if (passwordFile !== undefined) readText("store.passwordFile", passwordFile, PASSWORD_BYTES_MAX);
  const secret =
    passwordFile === undefined
      ? password
      : () => readText("store.passwordFile", passwordFile, PASSWORD_BYTES_MAX);
  // Who keeps no fleet loads no client.
  const { redisStore } = await import("../store/redis.ts");
  return redisStore({
    ...options,
    ...(secret === undefined ? {} : { password: secret }),
    ...(tls === undefined ? {} : { tls: tlsOf(tls) }),
  });
}

function tlsOf({
  caFile,
  certFile,
  keyFile,
  serverName,
  rejectUnauthorized,
}: NonNullable<RedisConfig["tls"]>) {
  const pem = (option: string, path: string | undefined): string | undefined =>
    path === undefined ? undefined : readText(`store.tls.${option}`, path, PEM_BYTES_MAX);
  const ca = pem("caFile", caFile);
  const cert = pem("certFile", certFile);
  const key = pem("keyFile", keyFile);
  return {
    rejectUnauthorized,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

/** Without the line end that editors add. */
function readText(option: string, path: string, bytesMax: number): string {
  let bytes: Buffer | undefined;
  try {
    bytes = readFileBounded(path, bytesMax);
  } catch (error) {
    return refuse(option, `${JSON.stringify(path)} cannot be read: ${readFailure(error)}`);
  }
  if (bytes === undefined) return refuse(option, `${JSON.stringify(path)} is too long`);
  const text = bytes.toString("utf8").replace(/[\r\n]+$/, "");
  return text === "" ? refuse(option, `${JSON.stringify(path)} is empty`) : text;
}

function refuse(option: string, message: string): never {
  throw new ConfigError("configuration", [{ path: option, line: 0, column: 0, message }]);
}
