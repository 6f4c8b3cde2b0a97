// Why calls end early, and who was waited for.

/**
 * Why a call ended before its answer did, as far as the caller has it.
 *
 * - `deadline`: the upstream had all its time. `idle`: a stream paused for too long.
 * - `impatient`: the caller's own limit passed, or it had used the time up itself.
 * - `caller_slow`: it did not send its body, or did not read its answer.
 * - `stream_over`: a stream of events was in good health when its time was up.
 * - `stalled`: a deadline passed while this process stood still.
 */
export type Ending =
  | "deadline"
  | "idle"
  | "impatient"
  | "caller_left"
  | "caller_slow"
  | "stream_over"
  | "stalled"
  | "body_too_large"
  | "stopping";

/** Ends after which the upstream still owes an answer that would be evidence. */
export function leavesUpstream(ending: Ending): boolean {
  return ending === "caller_left" || ending === "impatient";
}
