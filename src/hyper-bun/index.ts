// `switchgear/hyper-bun`: the modules `production-circuit-breaker` and `circuit-breaker-instance` of
// Hyper-Bun. No export is called `CircuitBreaker`: Hyper-Bun has two of that name that are others.

export {
  CircuitBreakerTrippedError,
  LoadShedError,
  ResetDeniedError,
  TimeoutError,
} from "./errors.ts";
export { ProductionCircuitBreaker } from "./production-circuit-breaker.ts";
export {
  closeCircuitBreaker,
  getCircuitBreaker,
  getCircuitBreakerStatus,
  setCircuitBreaker,
} from "./instance.ts";
export { gaugesClient } from "./gauges.ts";
export { installConsole } from "./console.ts";
export {
  classifyDarkPoolProbe,
  classifyDeepProbe,
  classifyMicroBet,
  protectMarketProbeService,
} from "./call-sites.ts";
export type { MarketProbeServiceLike } from "./call-sites.ts";
export type { BreakerConsole } from "./console.ts";
export type { ForeignDatabase, ForeignStatement } from "./foreign-database.ts";
export type { TripAlert } from "./host-log.ts";
export type { HostLogger, LoggerStyle } from "./host-logger.ts";
export type { MetricsClient } from "./metrics-feed.ts";
export type {
  CircuitBreakerContext,
  ProductionCircuitBreakerOptions,
  ResultClassifier,
  ResultVerdict,
} from "./options.ts";
export type { CircuitBreakerThresholds } from "./production-circuit-breaker.ts";
export type { ResetOptions } from "./arguments.ts";
export type { BookmakerStatus } from "./status.ts";
