// What a server of either runtime offers the gateway.

export interface Transport {
  readonly port: number;
  /** Refuses new connections; requests in flight go on. */
  stopAccepting(): void;
  /** Closes whatever is left. */
  close(): Promise<void>;
}
