// Whether an upstream's URL leads back to this very process: to the gateway, and one call becomes
// thousands; to the admin interface, and the gateway opens it to every caller.

import { hostname, networkInterfaces } from "node:os";

export interface Listener {
  readonly name: "gateway" | "admin";
  readonly host: string;
  readonly port: number;
}

const ANY_HOST: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);
const LOOPBACK = /^(?:localhost|.*\.localhost|127(?:\.\d{1,3}){3}|::1)$/i;

/** Names and addresses that reach this host. */
export function ownAddresses(): ReadonlySet<string> {
  const addresses = Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).map(({ address }) => address.toLowerCase()),
  );
  return new Set([hostname().toLowerCase(), ...addresses]);
}

/** Which listener of ours the URL leads to; undefined where it leads elsewhere, or nobody can tell. */
export function leadsTo(
  url: URL,
  listeners: readonly Listener[],
  own: ReadonlySet<string>,
): Listener | undefined {
  // A plain listener does not speak TLS, so that such a URL fails and does not loop.
  if (url.protocol !== "http:") return undefined;
  const port = url.port === "" ? 80 : Number(url.port);
  const host = plain(url.hostname);
  return listeners.find((listener) => listener.port === port && reaches(host, listener, own));
}

/** One spelling for each: IPv4 in the clothes of IPv6 is IPv4, and a name may end with a dot. */
function plain(host: string): string {
  const name = host
    .replaceAll(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
  const mapped = /^::ffff:(?:([0-9a-f]{1,4}):([0-9a-f]{1,4})|(\d+(?:\.\d+){3}))$/.exec(name);
  if (mapped === null) return name;
  const [, high = "", low = "", dotted] = mapped;
  if (dotted !== undefined) return dotted;
  const [first, second] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [first >> 8, first & 255, second >> 8, second & 255].join(".");
}

function reaches(host: string, { host: given }: Listener, own: ReadonlySet<string>): boolean {
  const bound = plain(given);
  if (host === bound || ANY_HOST.has(host)) return true;
  if (ANY_HOST.has(bound)) return LOOPBACK.test(host) || own.has(host);
  return LOOPBACK.test(host) && LOOPBACK.test(bound) && isSameLoopback(host, bound);
}

/** `127.0.0.2` does not reach what listens on `127.0.0.1`; `localhost` reaches either family's first. */
function isSameLoopback(host: string, bound: string): boolean {
  const first = /^(?:localhost|.*\.localhost|127\.0\.0\.1|::1)$/i;
  return first.test(host) && first.test(bound);
}
