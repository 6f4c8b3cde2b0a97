// From a configuration to the breakers that it asks for.

import type { BreakerConfig, LimitConfig, UpstreamConfig } from "../config/schema.ts";
import { adaptive, adaptiveLimit, fixedLimit, latching, slidingWindow } from "../index.ts";
import type { BreakerPolicy, LimitPolicy, UpstreamOptions } from "../index.ts";

/**
 * What the registry is given, made once for each text: at a reload it tells by identity what has changed,
 * and a breaker whose policy is the same goes on undisturbed.
 */
export class UpstreamOptionsCache {
  readonly #made = new Map<string, unknown>();

  /** Of all upstreams of a configuration, by name. What is not asked for any more is forgotten. */
  of(upstreams: Readonly<Record<string, UpstreamConfig>>): Record<string, UpstreamOptions> {
    const before = new Map(this.#made);
    this.#made.clear();
    const once = <Made>(what: string, from: unknown, make: () => Made): Made => {
      const key = `${what} ${JSON.stringify(from)}`;
      const made = (this.#made.get(key) ?? before.get(key) ?? make()) as Made;
      this.#made.set(key, made);
      return made;
    };
    return Object.fromEntries(
      Object.entries(upstreams).map(([name, upstream]) => [name, optionsOf(name, upstream, once)]),
    );
  }
}

type Once = <Made>(what: string, from: unknown, make: () => Made) => Made;

function optionsOf(name: string, upstream: UpstreamConfig, once: Once): UpstreamOptions {
  // The gateway keeps the deadline itself, since it covers the body; it is what the upstream is judged by.
  const { endpoints, endpointBreaker, mode, share, deadlineMs, rate } = upstream;
  const limitDeadlineMs = longestDeadlineMs(upstream);
  const limit = once("limit", upstream.limit, () => limitOf(upstream.limit));
  const operations = Object.keys(upstream.operations);
  const breaker = once("breaker", upstream.breaker, () => breakerOf(upstream.breaker));
  const operationRates = Object.fromEntries(
    Object.entries(upstream.operations).flatMap(([operation, { rate: own }]) =>
      own === undefined ? [] : [[operation, own]],
    ),
  );
  const from = {
    breaker: upstream.breaker,
    limit: upstream.limit,
    mode,
    share,
    deadlineMs,
    limitDeadlineMs,
    operations,
    rate,
    operationRates,
    endpoints,
    endpointBreaker,
  };
  return once(`upstream ${name}`, from, () => {
    const deadlines = { deadlineMs, limitDeadlineMs };
    const common = { breaker, limit, mode, share, ...deadlines, operations, rate, operationRates };
    if (endpoints === undefined) return common;
    const policy = once("endpoints", endpointBreaker, () => adaptive(endpointBreaker));
    return { ...common, endpoints, endpointBreaker: policy };
  });
}

/** Of all operations: one limiter takes them all, and silence is a hang only where none of them may last as long. */
export function longestDeadlineMs({
  deadlineMs,
  operations,
}: {
  readonly deadlineMs: number;
  readonly operations: Readonly<Record<string, { readonly deadlineMs?: number | undefined }>>;
}): number {
  return Object.values(operations).reduce(
    (longest, { deadlineMs: own = 0 }) => Math.max(longest, own),
    deadlineMs,
  );
}

function limitOf(config: LimitConfig): LimitPolicy | undefined {
  switch (config.kind) {
    case "adaptive": {
      const { kind: _kind, ...options } = config;
      return adaptiveLimit(options);
    }
    case "fixed":
      return fixedLimit(config.max);
    case "off":
      return undefined;
    default:
      return config satisfies never;
  }
}

function breakerOf(config: BreakerConfig): BreakerPolicy {
  switch (config.kind) {
    case "latching": {
      const { kind: _kind, ...options } = config;
      return latching(options);
    }
    case "sliding-window": {
      const { kind: _kind, ...options } = config;
      return slidingWindow(options);
    }
    case "adaptive": {
      const { kind: _kind, ...options } = config;
      return adaptive(options);
    }
    default:
      return config satisfies never;
  }
}
