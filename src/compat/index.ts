// The classes of the source systems, by their own method names: `switchgear/compat`.

export { BackoffStrategy, type BackoffOptions } from "./backoff-strategy.ts";
export { EndpointBreaker, type StateChangeCallback } from "./endpoint-breaker.ts";
export type { EndpointBreakerConfig, EndpointBreakerOptions } from "./endpoint-breaker-options.ts";
export {
  ENDPOINT_STATE_CODES,
  type EndpointHealthStats,
  type EndpointLogger,
  type EndpointState,
} from "./endpoint-log.ts";
export {
  CircuitBreakerOpenError,
  CircuitBreakerOpenError as CircuitBreakerOpenException,
  SlidingWindowBreaker,
  SlidingWindowRegistry,
  toSnakeCase,
  type SlidingWindowBreakerConfig,
  type SlidingWindowBreakerMetrics,
  type SlidingWindowBreakerOptions,
  type SlidingWindowBreakerState,
} from "./sliding-window-breaker.ts";
export { CancellationToken } from "../pipeline/tasks/cancellation-token.ts";
export type { MonitoringTask } from "../pipeline/tasks/monitor.ts";
export type { Permit } from "../pipeline/endpoints/endpoint.ts";
