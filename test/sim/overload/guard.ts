// What stands between the callers and the upstream of the model: a column of its table.

/** What a guard answers when it turns a call away. */
export const TURNED_AWAY = -1;
/** And when the call waits for room: `setting.decided` tells what came of it. Else, its proof of admission. */
export const WAITS = -2;

export interface Guard {
  /** `call`: its number, for `decided`. */
  admit(tier: number, nowMs: number, call: number): number;
  ok(proof: number, startMs: number, nowMs: number): void;
  /** The caller's deadline has passed. Nobody will hear how the call ends. */
  timedOut(proof: number, startMs: number, nowMs: number): void;
  /** Longest that a call waits for room. */
  readonly waitMs?: number;
  /** The call has waited for so long. */
  waited?(call: number, nowMs: number): void;
  /** Throws when its own books differ from the model's: calls in flight, and calls that wait for room. */
  check?(inFlight: number, waiting: number): void;
  /** Everything has ended. Throws when it thinks otherwise. */
  end?(nowMs: number): void;
}

export interface GuardSetting {
  readonly deadlineMs: number;
  readonly startMs: number;
  /** Told once of every call that waits: its proof, or `TURNED_AWAY`. */
  readonly decided: (call: number, proof: number) => void;
}

/** Makes the guard of one replica. */
export type Column = (setting: GuardSetting) => Guard;
