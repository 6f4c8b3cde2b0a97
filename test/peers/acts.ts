// What scenarios are made of: calls that fail, hang, or are asked whether they got through.

import type { Guard, Stage } from "./stage.ts";

export const boom = new Error("HTTP 500");

/** A call that the scenario ends when it likes. */
export interface OpenCall {
  /** Whether its function was run. */
  readonly started: boolean;
  /** How it ended for its caller; undefined while it has not. */
  readonly ended: { readonly value: unknown } | { readonly error: unknown } | undefined;
  resolve(value?: unknown): void;
  reject(error: unknown): void;
}

/** Starts a call. With a signal its function gives up when told to, as `fetch` does. */
export function openCall(guard: Guard, signal?: AbortSignal): OpenCall {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const call: { started: boolean; ended: OpenCall["ended"] } = { started: false, ended: undefined };
  guard
    .call((own) => {
      call.started = true;
      own?.addEventListener("abort", () => reject(abortError()), { once: true });
      return promise;
    }, signal)
    .then(
      (value) => (call.ended = { value }),
      (error: unknown) => (call.ended = { error }),
    );
  return Object.assign(call, { resolve, reject });
}

export function openCalls(guard: Guard, count: number): OpenCall[] {
  return Array.from({ length: count }, () => openCall(guard));
}

/** What `fetch` rejects with when its signal is aborted. */
export function abortError(): Error {
  return new DOMException("This operation was aborted", "AbortError");
}

/** What a function does that was given a signal by another way than the guard. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(abortError()), { once: true });
  });
}

export function isAbort(error: unknown): boolean {
  return (error as { name?: unknown }).name === "AbortError";
}

/** Calls that fail, one after another. */
export async function fail(guard: Guard, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) await guard.call(() => Promise.reject(boom)).catch(() => {});
}

export async function succeed(guard: Guard, times = 1): Promise<void> {
  for (let n = 0; n < times; n += 1) await guard.call(() => Promise.resolve("odds"));
}

/** Trips by the three failures that a guard of the default set-up needs, and waits out the cooldown. */
export async function tripAndWait(stage: Stage, guard: Guard, waitMs = 1000): Promise<void> {
  await fail(guard, 3);
  await stage.time.pass(waitMs);
}

/** Whether one more call would get through at this moment. It hangs if it does. */
export async function knock(stage: Stage, guard: Guard): Promise<"admitted" | "refused" | "waits"> {
  const call = openCall(guard);
  await stage.time.turn();
  if (call.started) return "admitted";
  return call.ended === undefined ? "waits" : "refused";
}
