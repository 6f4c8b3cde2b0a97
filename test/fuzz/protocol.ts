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
  /** Each with the milliseconds that the upstream asked to wait, if it did. */
  readonly verdicts: readonly string[];
  /** Status, outcome and reason of each line of the access log. */
  readonly access: readonly string[];
  /** What the gateway says went wrong in itself. */
  readonly faults: readonly string[];
}

/** Where a lane's upstream has its base for exchanges that are written anew. */
export const REWRITTEN_BASE = "/base";

/** The same upstream under a name of its own. */
export function rewrittenName(lane: string): string {
  return `r${lane.slice(1)}`;
}

/** Of the calls that the rig makes for itself; what becomes of them is not compared. */
export const RIG_OPERATION = "rig";
