// Where the store is, as options say it: one url, Sentinels or nodes of a Cluster. A url is never shown: it may hold a
// password, and one that cannot be read may hold it anywhere.

import { isSecret, textOr, unknownNames } from "./faults.ts";
import type { RedisStoreOptions, Secret } from "./options.ts";

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

export interface Place {
  readonly route: Route;
  readonly location: string;
  readonly database: number;
  readonly isTls: boolean;
  readonly username?: string;
  readonly password?: string;
}

export function placeOf(
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
