// The drop-in's errors: the library's own under the names that Hyper-Bun catches, with `bookmaker`.
//
// `instanceof` holds across duplicate copies of this module: bundlers and hot reloads make them, and a
// tripped breaker that is not recognised looks like a failure of the bookmaker.

import {
  BreakerOpenError,
  LoadShedError as LibraryLoadShedError,
  ResetDeniedError as LibraryResetDeniedError,
} from "../index.ts";

/** The bookmaker's breaker is tripped; the call was not made. */
export class CircuitBreakerTrippedError extends BreakerOpenError {
  get bookmaker(): string {
    return this.upstream;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isBranded(CircuitBreakerTrippedError, this, value);
  }
}

/** This process is loaded and the operation is heavy; the call was not made. */
export class LoadShedError extends LibraryLoadShedError {
  get bookmaker(): string {
    return this.upstream;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isBranded(LoadShedError, this, value);
  }
}

/** A reset inside the cooldown, without force. */
export class ResetDeniedError extends LibraryResetDeniedError {
  get bookmaker(): string {
    return this.upstream;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isBranded(ResetDeniedError, this, value);
  }
}

/** For callers to throw when they give a call up; it counts as a timeout. */
export class TimeoutError extends Error {
  readonly timeoutMs: number;

  constructor(ms: number, message = `timed out after ${ms} ms`) {
    super(message);
    this.timeoutMs = ms;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isBranded(TimeoutError, this, value);
  }
}

/** The same symbol in every copy of this module. */
function brandOf(name: string): symbol {
  return Symbol.for(`switchgear.hyper-bun.${name}`);
}

// On the prototypes: once, and subclasses of the host's have them too.
for (const [type, name] of [
  [CircuitBreakerTrippedError, "CircuitBreakerTrippedError"],
  [LoadShedError, "LoadShedError"],
  [ResetDeniedError, "ResetDeniedError"],
  [TimeoutError, "TimeoutError"],
] as const) {
  Object.defineProperty(type.prototype, "name", { value: name, configurable: true });
  Object.defineProperty(type.prototype, brandOf(name), { value: true });
}

/** The brand speaks for the class itself; a host's own subclass has only its own instances. */
function isBranded(type: { readonly prototype: Error }, asked: unknown, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (asked !== type) return Function.prototype[Symbol.hasInstance].call(asked, value);
  return (value as Record<symbol, unknown>)[brandOf(type.prototype.name)] === true;
}
