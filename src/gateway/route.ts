// From a request's target to the one URL that may be asked. Pure.
//
// A gateway to fixed upstreams is an open proxy as soon as a path can choose the host, and a hole
// in the upstream's own access rules as soon as what we matched is not what the upstream reads. So
// nothing is decoded or repaired here: a target is passed on as it came, or refused. Refused is
// what two readers could understand differently: dot segments in any spelling, backslashes,
// encoded control characters in the path, fragments, and bytes that have no place in a target.

import { CRITICALITIES, type Criticality } from "../core/overload/criticality.ts";
import type { GatewayOperation, GatewayUpstream } from "./ports.ts";

export type Route =
  | {
      readonly kind: "upstream";
      readonly upstream: string;
      readonly path: string;
      readonly query: string;
    }
  | { readonly kind: "root" }
  | { readonly kind: "refused"; readonly why: string };

/** What may stand in a target: visible ASCII, less the fragment sign and the backslash. */
const UNFIT_CHARACTER = /[^\x21-\x7e]|[#\\]/;
/** Only a path with one of these can hide a dot segment or a control character. */
const SUSPICIOUS = /\.|%2e|%0|%1|%7f/i;
const ENCODED_CONTROL = /%[01][0-9a-f]|%7f/i;
/** What some reader between here and the upstream's own router takes for a slash. */
const SEGMENT_SEPARATOR = /\/|%2f|%5c/i;
const ENCODED_DOT = /%2e/gi;

/** Splits `/{upstream}/{rest…}?query`, or says why that must not be passed on. */
export function parseTarget(target: string): Route {
  if (target.charCodeAt(0) !== 0x2f) return refused("it must begin with a slash");
  if (UNFIT_CHARACTER.test(target)) return refused("it holds a character that no target may hold");

  const queryAt = target.indexOf("?");
  const whole = queryAt === -1 ? target : target.slice(0, queryAt);
  if (SUSPICIOUS.test(whole)) {
    if (ENCODED_CONTROL.test(whole)) return refused("its path holds an encoded control character");
    if (hasDotSegment(whole)) return refused("its path holds a dot segment");
  }
  if (whole === "/") return { kind: "root" };

  const restAt = whole.indexOf("/", 1);
  return {
    kind: "upstream",
    upstream: restAt === -1 ? whole.slice(1) : whole.slice(1, restAt),
    path: restAt === -1 ? "" : whole.slice(restAt),
    query: queryAt === -1 ? "" : target.slice(queryAt),
  };
}

function refused(why: string): Route {
  return { kind: "refused", why };
}

/** `..` and its spellings, also beside encoded slashes and before `;`, where some servers cut. */
function hasDotSegment(path: string): boolean {
  return path.split(SEGMENT_SEPARATOR).some((segment) => {
    const end = segment.indexOf(";");
    const name = (end === -1 ? segment : segment.slice(0, end)).replace(ENCODED_DOT, ".");
    return name === "." || name === "..";
  });
}

/**
 * The origin form of an absolute target (`GET http://host/path`) that names the host it was sent
 * to; undefined for any other. Clients that take us for a forward proxy get a refusal, and no
 * other host is asked either way.
 */
export function ownAbsoluteTarget(target: string, host: string | undefined): string | undefined {
  const match = /^https?:\/\/([^/?#\\@]+)(?=[/?]|$)/i.exec(target);
  if (match === null || host === undefined) return undefined;
  if (match[1]?.toLowerCase() !== host.toLowerCase()) return undefined;
  const rest = target.slice(match[0].length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** An upstream with what every call needs worked out once. */
export interface Destination {
  readonly upstream: GatewayUpstream;
  readonly origin: string;
  /** `host:port`, as `Host` is sent. */
  readonly host: string;
  /** The base URL's path without its last slash: empty, or `/…`. */
  readonly prefix: string;
  /** Longest path first, so that the first match is the best. */
  readonly operations: readonly PathOperation[];
  /** The name as JSON text, for answers. */
  readonly nameJson: string;
  /** The longest of the upstream's deadlines and its operations'. */
  readonly deadlineMsMax: number;
  /** Two base URLs of one key are connected to in the same way: connections to one serve the other. */
  readonly connectionKey: string;
  /** As `fetch` on Bun takes it; undefined without TLS. */
  readonly tls: UpstreamTls | undefined;
}

interface UpstreamTls {
  /** Said in so many words: by default an environment variable could turn it off. */
  readonly rejectUnauthorized: true;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

interface PathOperation {
  readonly name: string;
  readonly path: string;
  readonly method: string | undefined;
  readonly load: number;
  readonly criticality: Criticality | undefined;
  readonly deadlineMs: number | undefined;
  readonly idleMs: number | undefined;
}

export function toDestination(upstream: GatewayUpstream, url = upstream.url): Destination {
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new RangeError(
      `upstream ${upstream.name}: url must be http or https, got ${url.protocol}`,
    );
  }
  return {
    upstream,
    origin: url.origin,
    host: url.host,
    prefix: withoutLastSlash(url.pathname),
    operations: upstream.operations.map(toPathOperation).toSorted(byPrecedence),
    nameJson: JSON.stringify(upstream.name),
    connectionKey: JSON.stringify([url.origin, upstream.connection]),
    tls: url.protocol === "https:" ? tlsOf(upstream) : undefined,
    deadlineMsMax: Math.max(
      upstream.deadlineMs,
      ...upstream.operations.map(({ deadlineMs = 0 }) => deadlineMs),
    ),
  };
}

function tlsOf({ connection }: GatewayUpstream): UpstreamTls {
  const { ca, cert, key, serverName } = connection ?? {};
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

function toPathOperation(operation: GatewayOperation): PathOperation {
  return {
    name: operation.name,
    path: withoutLastSlash(operation.path),
    method: operation.method,
    load: operation.load,
    deadlineMs: operation.deadlineMs,
    idleMs: operation.idleMs,
    criticality: CRITICALITIES.find((known) => known === operation.criticality),
  };
}

function byPrecedence(a: PathOperation, b: PathOperation): number {
  return (
    b.path.length - a.path.length || Number(b.method !== undefined) - Number(a.method !== undefined)
  );
}

function withoutLastSlash(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/** The configured operation of a path: the longest prefix that ends where a segment ends. */
export function matchOperation(
  destination: Destination,
  path: string,
  method: string,
): PathOperation | undefined {
  for (const operation of destination.operations) {
    if (operation.method !== undefined && operation.method !== method) continue;
    if (!path.startsWith(operation.path)) continue;
    if (path.length === operation.path.length || path[operation.path.length] === "/") {
      return operation;
    }
  }
  return undefined;
}

/** What is sent to the upstream as its target: prefix, rest and query, joined and not rewritten. */
export function targetPath(destination: Destination, path: string, query: string): string {
  const joined = destination.prefix + path;
  return (joined === "" ? "/" : joined) + query;
}

/** Nothing here means anything to a URL parser but `/` and `?`: no dots, no escapes, no `@`. */
const PLAIN_TARGET = /^\/(?:[\w~!$&'()*+,;=:/?-])*$/;

/**
 * The last guard: whatever the rules above let through, a target that a URL parser reads as
 * another origin, as carrying credentials, or as leaving the prefix is not asked.
 */
export function staysInside(destination: Destination, target: string): boolean {
  // Elsewhere the beginning of a host's name, and Bun's `fetch` (1.4.5) sends it as one slash.
  if (target.startsWith("//")) return false;
  // Parsing costs half a microsecond and would change nothing in a plain target.
  if (PLAIN_TARGET.test(target)) return startsWithin(destination.prefix, target);
  const url = URL.parse(destination.origin + target);
  if (url === null || url.origin !== destination.origin) return false;
  if (url.username !== "" || url.password !== "") return false;
  return startsWithin(destination.prefix, url.pathname);
}

function startsWithin(prefix: string, path: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path[prefix.length];
  return next === undefined || next === "/" || next === "?";
}
