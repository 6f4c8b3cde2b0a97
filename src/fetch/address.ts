// Where a guarded `fetch` goes. On an upstream with several endpoints the guard chooses one for each call, and
// what comes of the call is that one's: so a caller says the path, and never the place.

import { InvalidOptionsError } from "../core/errors.ts";
import { show } from "../core/options.ts";
import type { Upstream } from "../index.ts";

type Input = string | URL | Request;

/** A path of one's own host: a second slash, either way it is written, begins another host's name. */
const PATH = /^\/(?![/\\])/;

/** Throws `InvalidOptionsError` for an address that no endpoint of the upstream has, before anything is admitted. */
export function checkAddress({ name, endpoints }: Upstream, input: Input): void {
  if (endpoints === undefined) return;
  const faults: string[] = [];
  if (typeof input !== "string" || !PATH.test(input)) {
    faults.push(
      `the URL must be a path such as "/odds", which goes to the endpoint that the guard chooses, not ${show(shown(input))}`,
    );
  }
  for (const endpoint of endpoints.endpoints) {
    if (baseOf(endpoint.url) === undefined) {
      faults.push(`the endpoint ${show(endpoint.name)} has no URL to fetch: ${show(endpoint.url)}`);
    }
  }
  if (faults.length > 0) throw new InvalidOptionsError(`a call of ${name}`, faults);
}

/** The address at the endpoint; its URL's own path comes before that of the call. */
export function addressAt(input: Input, endpointUrl: string): string {
  return `${baseOf(endpointUrl)}${input as string}`;
}

/** Without a slash at its end, a query or a fragment; undefined for what cannot be fetched. */
function baseOf(url: string): string | undefined {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, "")}`;
}

function shown(input: unknown): unknown {
  return input instanceof URL ? input.href : input;
}
