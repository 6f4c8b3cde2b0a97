// The options, checked, all faults at once, with their defaults.

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { InvalidOptionsError } from "../../core/errors.ts";
import { show } from "../../core/options.ts";
import { isSecret, textOr, unknownNames } from "./faults.ts";
import type { RedisStoreOptions, RedisTls, Secret } from "./options.ts";
import { placeOf, type Place, type Route } from "./place.ts";

/** What was chosen, with defaults. */
export interface Settings {
  readonly route: Route;
  readonly location: string;
  readonly replica: string;
  readonly prefix: string;
  readonly database: number;
  readonly username: string | undefined;
  readonly password: Secret | undefined;
  readonly tls: RedisTls | undefined;
  readonly auditMax: number;
  readonly retentionSeconds: number;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly pollMs: number;
}

const NAMES = [
  "url",
  "replica",
  "prefix",
  "username",
  "password",
  "tls",
  "sentinel",
  "cluster",
  "auditMax",
  "retentionDays",
  "connectTimeoutMs",
  "commandTimeoutMs",
  "pollMs",
] as const;

const TLS_NAMES = ["ca", "cert", "key", "serverName", "rejectUnauthorized"] as const;

const DAY_SECONDS = 86_400;

/** Throws `InvalidOptionsError` naming every fault. */
export function settingsOf(options: RedisStoreOptions): Settings {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new InvalidOptionsError("redisStore", [
      `options must be an object, not ${show(options)}`,
    ]);
  }
  const faults: string[] = [];
  // Read once: what a getter answers later is not what was checked.
  const given: RedisStoreOptions = { ...options };
  unknownNames(given, NAMES, "", faults);
  const { replica, prefix = "switchgear" } = given;
  const isReplica = replica === undefined || /^[A-Za-z0-9._-]{1,100}$/.test(textOr(replica));
  if (!isReplica) faults.push("replica must be 1–100 letters, digits, `.`, `_` or `-`");
  if (!/^[A-Za-z0-9._:-]{1,64}$/.test(textOr(prefix))) {
    faults.push("prefix must be 1–64 letters, digits, `.`, `_`, `-` or `:`");
  }
  const numbers = {
    auditMax: numberIn(given, "auditMax", 1000, 1, 100_000, faults),
    retentionDays: numberIn(given, "retentionDays", 90, 1, 3650, faults),
    connectTimeoutMs: numberIn(given, "connectTimeoutMs", 2000, 50, 60_000, faults),
    commandTimeoutMs: numberIn(given, "commandTimeoutMs", 1000, 50, 60_000, faults),
    pollMs: numberIn(given, "pollMs", 5000, 100, 600_000, faults),
  };
  const tls = tlsOf(given.tls, faults);
  const place = placeOf(given, tls !== undefined, faults);
  const credentials = credentialsOf(given, place, faults);
  if (place === undefined || faults.length > 0) throw new InvalidOptionsError("redisStore", faults);
  const { retentionDays, ...rest } = numbers;
  return {
    ...rest,
    ...credentials,
    route: place.route,
    location: place.location,
    database: place.database,
    tls: place.isTls ? (tls ?? {}) : undefined,
    replica: replica ?? defaultReplica(),
    prefix,
    retentionSeconds: Math.round(retentionDays * DAY_SECONDS),
  };
}

/** What a secret is now. Throws what its function throws. */
export function secretOf(secret: Secret | undefined): string | undefined {
  if (typeof secret !== "function") return secret;
  const found: unknown = secret();
  if (typeof found !== "string") throw new TypeError(`it must be a text, not ${typeof found}`);
  return found;
}

function defaultReplica(): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .slice(0, 80);
  // Letters and digits, two processes of one pod apart.
  return `${host || "replica"}-${randomBytes(6).toString("hex").slice(0, 6)}`;
}

function credentialsOf(
  { username, password }: RedisStoreOptions,
  place: Place | undefined,
  faults: string[],
): Pick<Settings, "username" | "password"> {
  if (username !== undefined && (typeof username !== "string" || username === "")) {
    faults.push("username must be a text that is not empty");
  }
  isSecret(password, "password", faults);
  for (const name of ["username", "password"] as const) {
    const isTwice = place?.[name] !== undefined && { username, password }[name] !== undefined;
    if (isTwice) faults.push(`${name} must be given in the url or beside it, not in both`);
  }
  const user = username ?? place?.username;
  const secret = password ?? place?.password;
  if (user !== undefined && secret === undefined) {
    faults.push("password must be given where there is a username");
  }
  return { username: user, password: secret };
}

function tlsOf(given: unknown, faults: string[]): RedisTls | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    faults.push("tls must be an object");
    return undefined;
  }
  const tls: RedisTls = { ...given };
  unknownNames(tls, TLS_NAMES, "tls.", faults);
  for (const name of ["ca", "cert", "key"] as const) isSecret(tls[name], `tls.${name}`, faults);
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    faults.push("tls.cert and tls.key must be given together");
  }
  const { serverName, rejectUnauthorized } = tls;
  if (serverName !== undefined && (typeof serverName !== "string" || serverName === "")) {
    faults.push("tls.serverName must be a text that is not empty");
  }
  if (rejectUnauthorized !== undefined && typeof rejectUnauthorized !== "boolean") {
    faults.push("tls.rejectUnauthorized must be a boolean");
  }
  return tls;
}

function numberIn(
  options: RedisStoreOptions,
  name: "auditMax" | "retentionDays" | "connectTimeoutMs" | "commandTimeoutMs" | "pollMs",
  usual: number,
  least: number,
  most: number,
  faults: string[],
): number {
  const value: unknown = options[name] ?? usual;
  const fits =
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
  if (!fits) {
    faults.push(`${name} must be a whole number of ${least} to ${most}, not ${show(value)}`);
    return usual;
  }
  return value;
}
