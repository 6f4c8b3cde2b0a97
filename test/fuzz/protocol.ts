// What the fuzzer and its gateways tell each other.

export interface GatewaySettings {
  /** Base URLs by name. */
  readonly upstreams: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  readonly maxBodyBytes: number;
  /** A fault put in on purpose; see planted.ts. */
  readonly plant: string | undefined;
}

export interface LaneReport {
  readonly lane: string;
  /** Calls that did not end. */
  readonly underWay: number;
  readonly verdicts: readonly string[];
  /** Status, outcome and reason of each line of the access log. */
  readonly access: readonly string[];
  /** What the gateway says went wrong in itself. */
  readonly faults: readonly string[];
}

/** Of the calls that the rig makes for itself; what becomes of them is not compared. */
export const RIG_OPERATION = "rig";
