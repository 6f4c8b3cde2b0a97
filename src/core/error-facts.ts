// What is read of something that was thrown, each property once. Whatever it is, it is a stranger's.

import { property } from "./foreign.ts";

export interface ErrorFacts {
  readonly name: unknown;
  readonly code: unknown;
  readonly message: unknown;
  readonly cause: unknown;
  readonly retryAfterMs: unknown;
  // Where HTTP clients keep a status.
  readonly status: unknown;
  readonly statusCode: unknown;
  readonly response: unknown;
  readonly $metadata: unknown;
}

const NONE: ErrorFacts = Object.freeze({
  name: undefined,
  code: undefined,
  message: undefined,
  cause: undefined,
  retryAfterMs: undefined,
  status: undefined,
  statusCode: undefined,
  response: undefined,
  $metadata: undefined,
});

/** The facts; undefined stands for what it has not, or will not show. */
export function factsOf(error: unknown): ErrorFacts {
  if ((typeof error !== "object" && typeof error !== "function") || error === null) return NONE;
  try {
    // By their names, in one place: runtimes learn how such an error looks, and reading it costs next to nothing.
    const { name, code, message, cause, retryAfterMs } = error as ErrorFacts;
    const { status, statusCode, response, $metadata } = error as ErrorFacts;
    return { name, code, message, cause, retryAfterMs, status, statusCode, response, $metadata };
  } catch {
    return {
      name: property(error, "name"),
      code: property(error, "code"),
      message: property(error, "message"),
      cause: property(error, "cause"),
      retryAfterMs: property(error, "retryAfterMs"),
      status: property(error, "status"),
      statusCode: property(error, "statusCode"),
      response: property(error, "response"),
      $metadata: property(error, "$metadata"),
    };
  }
}
