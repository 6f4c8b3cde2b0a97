// The classes of the source systems, by their own method names: `switchgear/compat`.

export { BackoffStrategy, type BackoffOptions } from "./backoff-strategy.ts";
export {
  EndpointBreaker,
  type EndpointHealthStats,
  type StateChangeCallback,
} from "./endpoint-breaker.ts";
export type { EndpointBreakerConfig, EndpointBreakerOptions } from "./endpoint-breaker-options.ts";
export { ENDPOINT_STATE_CODES, type EndpointLogger, type EndpointState } from "./endpoint-log.ts";
export type { Permit } from "../pipeline/endpoint.ts";
