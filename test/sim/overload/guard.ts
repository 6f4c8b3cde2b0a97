// What stands between the callers and the upstream of the model: a column of its table.

/** What a guard answers when it turns a call away; anything else is its proof of admission. */
export const TURNED_AWAY = -1;

export interface Guard {
  admit(tier: number, nowMs: number): number;
  ok(proof: number, startMs: number, nowMs: number): void;
  /** The caller's deadline has passed. Nobody will hear how the call ends. */
  timedOut(proof: number, startMs: number, nowMs: number): void;
  /** Throws when its own books differ from the model's: calls that their callers wait for. */
  check?(waitingFor: number): void;
  /** Everything has ended. Throws when it thinks otherwise. */
  end?(nowMs: number): void;
}

export interface GuardSetting {
  readonly deadlineMs: number;
  readonly startMs: number;
}

/** Makes the guard of one replica. */
export type Column = (setting: GuardSetting) => Guard;
