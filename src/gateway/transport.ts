// What a server of either runtime offers the gateway.

export interface Transport {
  readonly port: number;
  /** The lanes have changed: connections that none of them asks for are let go. */
  reloaded(): void;
  /** Callers that keep a connection are told to take another one; new ones are still taken. */
  windDown(): void;
  /** Refuses new connections; requests in flight go on. */
  stopAccepting(): void;
  /** Closes whatever is left. */
  close(): Promise<void>;
}

/** Passes a fault of ours on to whoever logs it; a log that fails must not take the answer with it. */
export function reportFault(onError: ((error: unknown) => void) | undefined, error: unknown): void {
  try {
    onError?.(error);
  } catch {
    // There is nobody left to tell.
  }
}
