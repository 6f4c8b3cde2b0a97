// The part of opossum 10 that the benchmarks use; the package ships no types.

declare module "opossum" {
  namespace CircuitBreaker {
    interface Options {
      /** Milliseconds, or `false` for none. */
      readonly timeout?: number | false;
      readonly errorThresholdPercentage?: number;
      readonly resetTimeout?: number;
      readonly volumeThreshold?: number;
      readonly rollingCountTimeout?: number;
    }
  }

  class CircuitBreaker<Args extends unknown[], Result> {
    constructor(
      action: (...args: Args) => Result | PromiseLike<Result>,
      options?: CircuitBreaker.Options,
    );
    readonly opened: boolean;
    readonly closed: boolean;
    fire(...args: Args): Promise<Awaited<Result>>;
    open(): void;
    /** Ends its timers. */
    shutdown(): void;
  }

  export = CircuitBreaker;
}
