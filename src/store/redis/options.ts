// What a person may choose about the store of a fleet, and the check of it. Nothing given here is shown in an error
// but names and addresses: a password may stand in the wrong place.

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { InvalidOptionsError } from "../../core/errors.ts";
import { show } from "../../core/options.ts";
import { didYouMean } from "../../core/nearest.ts";

/** A text, or what gives it: asked at each connection, so that a file with a new one is read. */
export type Secret = string | (() => string);

export interface RedisStoreOptions {
  /**
   * `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS. One of `url`, `sentinel` and
   * `cluster` is given.
   */
  readonly url?: string | undefined;
  /**
   * This process's name among those that share the store, of 1–100 letters, digits, `.`, `_` and `-`. No two at a
   * time may have the same. Default: the host's name with six random characters.
   */
  readonly replica?: string | undefined;
  /** What all keys and channels begin with, of 1–64 letters, digits, `.`, `_`, `-` and `:`. Default `switchgear`. */
  readonly prefix?: string | undefined;
  /** Default: that of the url, else the server's `default`. */
  readonly username?: string | undefined;
  /** Default: that of the url, else none. */
  readonly password?: Secret | undefined;
  /** PEM texts, not paths. With it, or with `rediss://`, connections are encrypted. */
  readonly tls?: RedisTls | undefined;
  /** Sentinels, which say who is the master. */
  readonly sentinel?:
    | {
        /** The master's name. */
        readonly master: string;
        /** `host:port` of each. */
        readonly nodes: readonly string[];
        /** Of the Sentinels themselves. Default: none. */
        readonly password?: Secret | undefined;
      }
    | undefined;
  /** `host:port` of some nodes of a Cluster; the others are asked for. */
  readonly cluster?: { readonly nodes: readonly string[] } | undefined;
  /** Audits kept of each upstream, 1–100 000. Default 1,000. */
  readonly auditMax?: number | undefined;
  /** Days until an upstream that no replica guards any more is forgotten, 1–3650. Default 90. */
  readonly retentionDays?: number | undefined;
  /** Until a connection is given up that does not come about, 50–60 000 ms. Default 2,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Until a command is given up, 50–60 000 ms. Default 1,000. */
  readonly commandTimeoutMs?: number | undefined;
  /** How often the connection of the pushes is asked whether it lives, 100–600 000 ms. Default 5,000. */
  readonly pollMs?: number | undefined;
}

export interface RedisTls {
  /** Certificates of those who may sign the server's. Default: the runtime's own. */
  readonly ca?: Secret | undefined;
  /** The client's certificate and key, where the server wants one. */
  readonly cert?: Secret | undefined;
  readonly key?: Secret | undefined;
  /** The name in the server's certificate. Default: the host. */
  readonly serverName?: string | undefined;
  /** False takes any certificate: for trials. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type Route =
  | { readonly kind: "single"; readonly address: Address }
  | {
      readonly kind: "sentinel";
      readonly master: string;
      readonly nodes: readonly Address[];
      readonly password: Secret | undefined;
    }
  | { readonly kind: "cluster"; readonly nodes: readonly Address[] };

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

interface Place {
  readonly route: Route;
  readonly location: string;
  readonly database: number;
  readonly isTls: boolean;
  readonly username?: string;
  readonly password?: string;
}

function placeOf(
  { url, sentinel, cluster }: RedisStoreOptions,
  hasTls: boolean,
  faults: string[],
): Place | undefined {
  const ways = [url, sentinel, cluster].filter((way) => way !== undefined).length;
  if (ways !== 1) {
    faults.push("one of url, sentinel and cluster must be given");
    return undefined;
  }
  if (url !== undefined) return placeOfUrl(url, hasTls, faults);
  const word = hasTls ? "rediss" : "redis";
  if (sentinel !== undefined) {
    const { master, nodes, password, ...others } = sentinel ?? {};
    unknownNames(others, ["master", "nodes", "password"], "sentinel.", faults);
    const isMaster = typeof master === "string" && /^[\x21-\x7e]{1,200}$/.test(master);
    if (!isMaster) faults.push("sentinel.master must be the name of the master");
    isSecret(password, "sentinel.password", faults);
    const found = addresses(nodes, "sentinel.nodes", faults);
    const route: Route = { kind: "sentinel", master, nodes: found, password };
    const location = `${word}-sentinel://${master}@${found.map(shownAddress).join(",")}`;
    return { route, location, database: 0, isTls: hasTls };
  }
  const { nodes, ...others } = cluster ?? ({} as { nodes: readonly string[] });
  unknownNames(others, ["nodes"], "cluster.", faults);
  const found = addresses(nodes, "cluster.nodes", faults);
  const location = `${word}-cluster://${found.map(shownAddress).join(",")}`;
  return { route: { kind: "cluster", nodes: found }, location, database: 0, isTls: hasTls };
}

/** Never shows the url: it may hold a password, and one that cannot be read may hold it anywhere. */
function placeOfUrl(given: unknown, hasTls: boolean, faults: string[]): Place | undefined {
  const shape = "redis://[user[:password]@]host[:port][/database], or rediss:// for TLS";
  const url = typeof given === "string" && URL.canParse(given) ? new URL(given) : undefined;
  const isTls = url?.protocol === "rediss:";
  if (url === undefined || !/^rediss?:$/.test(url.protocol) || url.hostname === "") {
    faults.push(`url must be ${shape}`);
    return undefined;
  }
  if (hasTls && !isTls) faults.push("url must begin with rediss:// where tls is given");
  if (url.search !== "" || url.hash !== "") faults.push(`url must be no more than ${shape}`);
  const path = url.pathname === "" || url.pathname === "/" ? "/0" : url.pathname;
  if (!/^\/\d{1,5}$/.test(path)) faults.push("url must have the number of a database as its path");
  const database = Number(path.slice(1));
  const address = {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
  };
  let username = "";
  let password = "";
  try {
    username = decodeURIComponent(url.username);
    password = decodeURIComponent(url.password);
  } catch {
    faults.push("url must have its user and password percent-encoded");
  }
  const location = `${isTls ? "rediss" : "redis"}://${shownAddress(address)}${database === 0 ? "" : path}`;
  return {
    route: { kind: "single", address },
    location,
    database,
    isTls,
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
  };
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

function addresses(given: unknown, name: string, faults: string[]): Address[] {
  const fault = `${name} must be a list of 1–100 texts such as "redis-0:6379"`;
  if (!Array.isArray(given) || given.length === 0 || given.length > 100) {
    faults.push(fault);
    return [];
  }
  const found = given.map(addressOf);
  const good = found.filter((address) => address !== undefined);
  if (good.length < found.length) faults.push(fault);
  return good;
}

function addressOf(text: unknown): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(textOr(text));
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

export function shownAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function isSecret(given: unknown, name: string, faults: string[]): void {
  const fits = typeof given === "function" || (typeof given === "string" && given !== "");
  if (given !== undefined && !fits) {
    faults.push(`${name} must be a text that is not empty, or a function that answers with one`);
  }
}

function unknownNames(
  given: object,
  known: readonly string[],
  before: string,
  faults: string[],
): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    faults.push(
      `${before}${name} is not an option (${known.join(", ")})${didYouMean(name, known)}`,
    );
  }
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

function textOr(value: unknown): string {
  return typeof value === "string" ? value : "";
}
