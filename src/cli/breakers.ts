// From a configuration to the breakers that it asks for.

import type { BreakerConfig, UpstreamConfig } from "../config/schema.ts";
import { adaptive, latching, slidingWindow } from "../index.ts";
import type { BreakerPolicy, UpstreamOptions } from "../index.ts";

export function upstreamOptions(upstream: UpstreamConfig): UpstreamOptions {
  // The gateway keeps the deadline itself, since it covers the body; it is what the upstream is judged by.
  const { endpoints, endpointBreaker, mode, deadlineMs } = upstream;
  const common = {
    breaker: breakerOf(upstream.breaker),
    mode,
    deadlineMs,
    operations: Object.keys(upstream.operations),
  };
  return endpoints === undefined
    ? common
    : { ...common, endpoints, endpointBreaker: adaptive(endpointBreaker) };
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
