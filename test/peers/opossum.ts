// The part of opossum that the scenarios use; the package ships no types.

import type { EventEmitter } from "node:events";
import Untyped from "opossum";

export interface OpossumOptions {
  timeout?: number | false;
  errorThresholdPercentage?: number;
  volumeThreshold?: number;
  resetTimeout?: number;
  rollingCountTimeout?: number;
  capacity?: number;
  errorFilter?: (error: unknown) => boolean;
  abortController?: AbortController;
  autoRenewAbortController?: boolean;
  enableSnapshots?: boolean;
  rotateBucketController?: EventEmitter;
  state?: unknown;
  status?: unknown;
}

export interface Opossum extends EventEmitter {
  readonly opened: boolean;
  readonly halfOpen: boolean;
  readonly stats: Readonly<Record<string, unknown>>;
  /** What `capacity` leaves free. */
  readonly semaphore: { readonly count: number };
  fire(...args: unknown[]): Promise<unknown>;
  open(): void;
  close(): void;
  getSignal(): AbortSignal | undefined;
  toJSON(): { readonly state: unknown; readonly status: unknown };
}

export const OpossumBreaker = Untyped as unknown as {
  new (action: (...args: never[]) => unknown, options?: OpossumOptions): Opossum;
  newStatus(options: { readonly stats: unknown }): unknown;
};
