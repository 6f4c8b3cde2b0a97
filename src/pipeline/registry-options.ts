// What a registry is made of: options, defaults, ranges, and every fault listed at once.

import type { AdaptivePolicy } from "../core/breaker/adaptive/machine.ts";
import type { BreakerPolicy } from "../core/breaker/machine.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { OPERATOR_MODES, type OperatorMode } from "../core/events.ts";
import { reportersOf, type Share } from "../core/fleet/share.ts";
import { property } from "../core/foreign.ts";
import { STATUS_429 } from "../core/http-status.ts";
import { checkOptions, show, withoutUndefined } from "../core/options.ts";
import type { LimitPolicy } from "../core/overload/limit-policy.ts";
import {
  LOAD_MODES,
  LOAD_SHEDDING_DEFAULTS,
  type LoadMode,
  type LoadShedding,
} from "../core/overload/load-shedder.ts";
import { rateOf, type RateOptions } from "../core/overload/token-bucket.ts";
import type { EndpointTarget } from "./call/admission.ts";
import type { Classifiers } from "./call/judge.ts";
import type { UpstreamSettings } from "./call/upstream.ts";
import { NAME_LENGTH_MAX } from "./names.ts";

/** How one upstream is guarded. */
export interface UpstreamOptions extends Classifiers {
  /** `latching({…})` or another machine. */
  readonly breaker: BreakerPolicy;
  /**
   * Several base URLs, of which each call is given one. Names show in metrics and are unlike any
   * other endpoint's; a plain URL is its own name. Default: the upstream is one place.
   */
  readonly endpoints?: readonly (string | EndpointTarget)[] | undefined;
  /** What guards each endpoint. Default `adaptive()`. */
  readonly endpointBreaker?: AdaptivePolicy | undefined;
  /**
   * How many calls may be in flight: `adaptiveLimit({…})` or `fixedLimit(n)`, for each endpoint apart where
   * there are several. Default: as many as come.
   */
  readonly limit?: LimitPolicy | undefined;
  /** Milliseconds above 0 until a call is given up and counted as a timeout. Default: none. */
  readonly deadlineMs?: number | undefined;
  /**
   * Longest that a call may take, where adapters give some of theirs more time than `deadlineMs`: what `limit` takes
   * for too late, and for a hang. Milliseconds above 0. Default: `deadlineMs`.
   */
  readonly limitDeadlineMs?: number | undefined;
  /**
   * Names of operations that are known beforehand. They are counted apart whatever else callers name theirs;
   * `limits.operations` bounds the others. Default: none.
   */
  readonly operations?: readonly string[] | undefined;
  /**
   * How often it may be called, as the quota that a bookmaker sells: `{ perSecond, burst }`. What is over it is
   * refused with the time to wait (`SG_LIMITED`, reason `rate_limited`) and tells the breaker nothing. For this process
   * alone: give each of several its share. Default: no limit.
   */
  readonly rate?: RateOptions | undefined;
  /**
   * Further limits of single operations, by name, as in `{ odds: { perSecond: 5 } }`; a call then needs a token of
   * both. Their names are listed as those of `operations` are. Default: none.
   */
  readonly operationRates?: Readonly<Record<string, RateOptions>> | undefined;
  /** Default `normal`. An operator's order, once stored, wins over it. */
  readonly mode?: OperatorMode | undefined;
  /**
   * What replicas that share a store tell each other of a breaker that recovers by itself: people's `orders` alone,
   * each replica's `trips`, or trips that a `{ quorum: k }` of them have seen. A latching one is always told of.
   * Default `orders`.
   */
  readonly share?: Share | undefined;
}

export interface RegistryLimits {
  /** Upstreams created from traffic under `otherUpstreams`; the idle ones make room first. Default 100,000. */
  readonly upstreams?: number | undefined;
  /**
   * Operation names counted apart for each upstream beside those that its options list; further ones count as
   * `__overflow__`. Default 200.
   */
  readonly operations?: number | undefined;
}

export interface RegistryOptions {
  readonly upstreams?: Readonly<Record<string, UpstreamOptions>> | undefined;
  /**
   * Guards names that are not listed. Default: asking for one throws `UnknownUpstreamError`. Ask for
   * such an upstream by its name each time: beyond `limits.upstreams` an idle one is forgotten, and a
   * handle that was kept of it then guards for itself alone.
   */
  readonly otherUpstreams?: UpstreamOptions | undefined;
  readonly loadShedding?: LoadSheddingOptions | undefined;
  readonly limits?: RegistryLimits | undefined;
}

export interface LoadSheddingOptions extends Partial<LoadShedding> {
  /**
   * How system load is made of its parts, where no `sampler` is given. `weighted` (default): 0.4 memory + 0.3 CPU +
   * 0.3 pending requests. `max`: the highest of these and of the event loop's delay, for services that are bound
   * by one of them: saturated CPU alone reaches no more than 0.6 of a weighted load.
   */
  readonly mode?: LoadMode | undefined;
}

/** Validated, with the defaults filled in. */
export interface RegistrySettings {
  readonly limits: { readonly upstreams: number; readonly operations: number };
  readonly loadShedding: LoadShedding;
}

const LIMITS_DEFAULT = { upstreams: 100_000, operations: 200 } as const;

/** Throws `InvalidOptionsError` with every fault of every upstream. */
export function registrySettings(options: RegistryOptions): RegistrySettings {
  checkRegistryOptions(options);
  const { mode: _mode, ...loadShedding } = options.loadShedding ?? {};
  return Object.freeze({
    limits: { ...LIMITS_DEFAULT, ...withoutUndefined(options.limits ?? {}) },
    loadShedding: { ...LOAD_SHEDDING_DEFAULTS, ...withoutUndefined(loadShedding) },
  });
}

function checkRegistryOptions(options: RegistryOptions): void {
  checkOptions("createSwitchgear", options, {
    upstreams: { is: "object" },
    otherUpstreams: { is: "object" },
    loadShedding: { is: "object" },
    limits: { is: "object" },
  });
  if (options.upstreams instanceof Map || Array.isArray(options.upstreams)) {
    throw new InvalidOptionsError("createSwitchgear", [
      "upstreams must be an object of options by name, such as { draftkings: { breaker: latching() } }",
    ]);
  }
  const named = Object.entries(options.upstreams ?? {});
  const faults: string[] = [];
  const collect = (check: () => void): void => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof InvalidOptionsError)) throw error;
      faults.push(...error.faults);
    }
  };
  for (const [name, upstream] of [...named, ["otherUpstreams", options.otherUpstreams] as const]) {
    if (upstream === undefined && name === "otherUpstreams") continue;
    if (name === "") faults.push("an upstream's name must not be empty");
    if (name.length > NAME_LENGTH_MAX) faults.push(tooLong("an upstream's name", name));
    collect(() => checkUpstreamOptions(name, upstream as UpstreamOptions));
  }
  collect(() =>
    checkOptions("loadShedding", options.loadShedding ?? {}, {
      threshold: { least: 0, most: 1 },
      operationLoad: { least: 0 },
      mode: { oneOf: LOAD_MODES },
    }),
  );
  collect(() =>
    checkOptions("limits", options.limits ?? {}, {
      upstreams: { least: 1, whole: true },
      operations: { least: 1, whole: true },
    }),
  );
  if (faults.length > 0) throw new InvalidOptionsError("createSwitchgear", faults);
}

function checkUpstreamOptions(name: string, options: UpstreamOptions): void {
  const at = (fault: string): string => `${show(name)}: ${fault}`;
  try {
    checkOptions(name, options, {
      breaker: { is: "object" },
      endpoints: { is: "object" },
      endpointBreaker: { is: "object" },
      limit: { is: "any" },
      operations: { is: "object" },
      rate: { is: "object" },
      operationRates: { is: "object" },
      deadlineMs: { above: 0 },
      limitDeadlineMs: { above: 0 },
      mode: { oneOf: OPERATOR_MODES },
      share: { is: "any" },
      classifyError: { is: "function" },
      classifyResult: { is: "function" },
      status429: { oneOf: STATUS_429 },
    });
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    throw new InvalidOptionsError("upstreams", error.faults.map(at));
  }
  const shareFaults = faultsOf(() => reportersOf(name, options.share));
  if (shareFaults.length > 0) throw new InvalidOptionsError("upstreams", shareFaults.map(at));
  const endpointFaults = faultsOfEndpoints(options.endpoints);
  if (endpointFaults.length > 0) throw new InvalidOptionsError("upstreams", endpointFaults.map(at));
  const rateFaults = faultsOfRates(options);
  if (rateFaults.length > 0) throw new InvalidOptionsError("upstreams", rateFaults.map(at));
  const { operations = [] } = options;
  const areNames =
    Array.isArray(operations) && operations.every((one) => typeof one === "string" && one !== "");
  if (!areNames) {
    throw new InvalidOptionsError("upstreams", [at("operations must be a list of names")]);
  }
  const longOnes = operations.filter((one) => one.length > NAME_LENGTH_MAX);
  if (longOnes.length > 0) {
    const faults = longOnes.map((one) => at(tooLong("the name of an operation", one)));
    throw new InvalidOptionsError("upstreams", faults);
  }
  if (options.endpointBreaker !== undefined && options.endpointBreaker.kind !== "adaptive") {
    throw new InvalidOptionsError("upstreams", [
      at("endpointBreaker must be made by adaptive({…})"),
    ]);
  }
  if (options.endpointBreaker !== undefined && options.endpoints === undefined) {
    throw new InvalidOptionsError("upstreams", [at("endpointBreaker needs endpoints")]);
  }
  const limit: unknown = options.limit;
  if (limit !== undefined && typeof property(limit, "createLimiter") !== "function") {
    const n = Number.isInteger(limit) ? Number(limit) : "n";
    throw new InvalidOptionsError("upstreams", [
      at(`limit must be made by adaptiveLimit({…}) or fixedLimit(${n}), not ${show(limit)}`),
    ]);
  }
  if (typeof options.breaker?.createMachine === "function") return;
  throw new InvalidOptionsError("upstreams", [
    at("breaker must be made by latching({…}), slidingWindow({…}) or adaptive({…})"),
  ]);
}

function faultsOf(check: () => unknown): readonly string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    return error.faults;
  }
}

/** That names differ, and are not too long, is checked where they are listed. */
function faultsOfEndpoints(endpoints: unknown): string[] {
  if (endpoints === undefined) return [];
  if (!Array.isArray(endpoints)) {
    return [`endpoints must be a list of URLs, not ${show(endpoints)}`];
  }
  if (endpoints.length === 0) {
    return ["endpoints must be a list of at least one URL; an upstream that is one place has none"];
  }
  return endpoints.flatMap((one: unknown) => {
    const [name, url] = [property(one, "name"), property(one, "url")];
    if (isText(one) || (isText(name) && isText(url))) return [];
    return [
      `each of endpoints must be a URL's text or { name, url }, both texts, not ${one instanceof URL ? "a URL object; give its href" : shownEndpoint(one)}`,
    ];
  });
}

function faultsOfRates({ rate, operationRates = {} }: UpstreamOptions): string[] {
  if (Array.isArray(operationRates) || operationRates instanceof Map) {
    return [
      "operationRates must be an object of rates by operation, such as { odds: { perSecond: 5 } }",
    ];
  }
  const named = Object.entries(operationRates).map(
    ([name, one]) => [`operationRates[${show(name)}]`, name, one] as const,
  );
  const whole = rate === undefined ? [] : [["rate", "rate", rate] as const];
  return [...whole, ...named].flatMap(([subject, name, one]) => {
    if (name === "") return ["the name of an operation must not be empty"];
    if (name.length > NAME_LENGTH_MAX) return [tooLong("the name of an operation", name)];
    try {
      rateOf(subject, one);
      return [];
    } catch (error) {
      if (!(error instanceof InvalidOptionsError)) throw error;
      return error.faults.map((fault) => `${subject}: ${fault}`);
    }
  });
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function shownEndpoint(one: unknown): string {
  const [name, url] = [property(one, "name"), property(one, "url")];
  if (typeof one !== "object" || one === null) return show(one);
  return `{ name: ${show(name)}, url: ${show(url)} }`;
}

function tooLong(what: string, name: string): string {
  return `${what} must be at most ${NAME_LENGTH_MAX} characters long, and not ${name.length}: ${show(name)}…`;
}

/** What an upstream itself is made with, beside its breaker and its endpoints. */
export function upstreamSettings(
  options: UpstreamOptions,
): Omit<UpstreamSettings, "operationsMax" | "limits"> {
  const { deadlineMs, classifyError, classifyResult, status429, rate } = options;
  const operationRates = new Map(
    Object.entries(options.operationRates ?? {}).map(([name, one]) => [name, rateOf(name, one)]),
  );
  return {
    deadlineMs,
    // A name that is not listed may be counted as another, and would not find its bucket then.
    operations: [...new Set([...(options.operations ?? []), ...operationRates.keys()])],
    classifyError,
    classifyResult,
    status429,
    rate: rate === undefined ? undefined : rateOf("rate", rate),
    operationRates,
  };
}

/** What a new configuration came to, by names of upstreams. */
export interface ConfigurationChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Those whose options are other ones than before, by identity. */
  readonly changed: readonly string[];
}

export function compareUpstreams(
  before: Readonly<Record<string, UpstreamOptions>>,
  after: Readonly<Record<string, UpstreamOptions>>,
): ConfigurationChange {
  const names = Object.keys(after);
  return {
    added: names.filter((name) => !Object.hasOwn(before, name)),
    removed: Object.keys(before).filter((name) => !Object.hasOwn(after, name)),
    changed: names.filter((name) => Object.hasOwn(before, name) && before[name] !== after[name]),
  };
}
