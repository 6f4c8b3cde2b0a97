// The endpoints by name: those that were listed, which stay, and those that were made when somebody
// used their name, which are bounded in number.
//
// Room is made by forgetting one that is idle: healthy, no failure kept, no call under way. Which
// one is found as second-chance paging finds a page: the oldest that nobody used since the last
// look. An endpoint that is degraded, cools down or is half-open is never forgotten.

import type { AdaptivePolicy } from "../../core/breaker/adaptive/machine.ts";
import type { Instant, MachinePorts } from "../../core/breaker/machine.ts";
import { InvalidOptionsError } from "../../core/errors.ts";
import { boundedName } from "../names.ts";
import { Endpoint, type EndpointListing } from "./endpoint.ts";

export const ENDPOINTS_MAX_DEFAULT = 10_000;

/** How many endpoints are looked at to make room for one: a bound on what a new name costs. */
const LOOKS_MAX = 16;

const NAME_FAULT = "a name must be a text that is not empty";

export interface EndpointTableSettings {
  readonly listing: readonly EndpointListing[];
  readonly policy: AdaptivePolicy;
  readonly onDemand: boolean;
  readonly endpointsMax: number;
  /** What each new machine is given. */
  readonly ports: () => MachinePorts;
  /** The endpoint that had the name before. */
  readonly before: (name: string) => Endpoint | undefined;
  readonly at: () => Instant;
}

export class EndpointTable {
  readonly listed: readonly Endpoint[];
  readonly #settings: EndpointTableSettings;
  readonly #byName: ReadonlyMap<string, Endpoint>;
  readonly #demanded = new Map<string, Endpoint>();
  #evicted = 0;
  #untracked = 0;

  /** Throws `InvalidOptionsError` with every fault of the listing. */
  constructor(settings: EndpointTableSettings) {
    checkSettings(settings);
    this.#settings = settings;
    this.listed = settings.listing.map((listing) => this.#takeOver(listing));
    this.#byName = new Map(this.listed.map((endpoint) => [endpoint.name, endpoint]));
  }

  get evicted(): number {
    return this.#evicted;
  }

  get untracked(): number {
    return this.#untracked;
  }

  *all(): Generator<Endpoint> {
    yield* this.listed;
    yield* this.#demanded.values();
  }

  find(name: string): Endpoint | undefined {
    return this.#byName.get(name) ?? this.#demanded.get(boundedName(name));
  }

  /** The endpoint of this name, made if need be; undefined when only listed names have one. */
  use(name: string): Endpoint | undefined {
    const known = this.find(name);
    if (known !== undefined) {
      known.wasUsed = true;
      return known;
    }
    const { onDemand, endpointsMax } = this.#settings;
    if (!onDemand) return undefined;
    if (!isName(name)) throw new InvalidOptionsError("endpoint", [NAME_FAULT]);
    const kept = boundedName(name);
    const endpoint = this.#create({ name: kept });
    if (this.#demanded.size < endpointsMax || this.#makeRoom()) this.#demanded.set(kept, endpoint);
    // It works for whoever asked, and is then forgotten.
    else this.#untracked += 1;
    return endpoint;
  }

  #takeOver(listing: EndpointListing): Endpoint {
    const { policy, before, at } = this.#settings;
    const known = before(listing.name);
    if (known === undefined) return this.#create(listing);
    if (known.policy === policy && known.url === (listing.url ?? listing.name)) return known;
    const endpoint = this.#create(listing, known.machine.epoch);
    endpoint.machine.restore(known.machine.snapshot(at()), at());
    endpoint.machine.events.length = 0;
    endpoint.ok = known.ok;
    endpoint.failures = known.failures;
    endpoint.lastOpenedAt = known.lastOpenedAt;
    return endpoint;
  }

  #create(listing: EndpointListing, epoch = 0): Endpoint {
    const { policy, ports } = this.#settings;
    return new Endpoint(listing, policy, { ...ports(), epoch });
  }

  /** Forgets an idle endpoint: one that nobody used since it was last looked at, else the oldest. */
  #makeRoom(): boolean {
    let evicted: string | undefined;
    let looks = 0;
    for (const [name, endpoint] of this.#demanded) {
      looks += 1;
      if (endpoint.isIdle && !endpoint.wasUsed) {
        evicted = name;
        break;
      }
      if (endpoint.isIdle) evicted ??= name;
      if (looks === LOOKS_MAX) break;
      // It goes to the end, to be looked at again when all others have been.
      endpoint.wasUsed = false;
      this.#demanded.delete(name);
      this.#demanded.set(name, endpoint);
    }
    if (evicted === undefined) return false;
    this.#demanded.delete(evicted);
    this.#evicted += 1;
    return true;
  }
}

function isName(name: unknown): boolean {
  return typeof name === "string" && name !== "";
}

function checkSettings({ listing, endpointsMax }: EndpointTableSettings): void {
  const names = listing.map(({ name }) => name);
  const faults = names
    .filter((name, index) => names.indexOf(name) !== index)
    .map((name) => `${JSON.stringify(name)} is listed twice`);
  if (!names.every(isName)) faults.push(NAME_FAULT);
  if (!Number.isInteger(endpointsMax) || endpointsMax < 1) {
    faults.push(`endpointsMax must be a whole number at least 1, not ${endpointsMax}`);
  }
  if (faults.length > 0) throw new InvalidOptionsError("endpoints", faults);
}
