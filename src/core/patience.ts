// What a caller who gave up has seen of the upstream. Pure.
//
// An upstream is judged by the time that it was given, and a caller who leaves early has given it less.
// Counting each leaver as a timeout lets impatient callers trip a healthy upstream; counting none lets
// an upstream that hangs go on for ever, as long as its callers leave before the deadline. So a leaver
// counts where the upstream did: it answered nobody for long, by its own standard, while somebody waited.

/** Silence is measured in averages of the answers so far: a hiccup of a few is no death. */
const SILENT_AVERAGES = 20;

/** Shorter silence says nothing, however quick the upstream usually is, or while nobody knows it. */
const SILENT_MS_MIN = 1000;

export interface Wait {
  /** For which this caller has waited for the upstream. */
  readonly waitedMs: number;
  /** For which the upstream has answered nobody while somebody waited without a pause. */
  readonly silentMs: number;
}

export interface Standard {
  /** From which a call counts as slow; `Infinity` where none does. */
  readonly slowCallMs: number;
  /** What answers take on average; null before the first. */
  readonly averageMs: number | null;
  /** What the upstream may take; undefined where nobody said. */
  readonly deadlineMs: number | undefined;
}

/** `slow` and `timeout` are evidence, `nothing` is none. */
export function seenByLeaver(wait: Wait, standard: Standard): "slow" | "timeout" | "nothing" {
  if (wait.waitedMs >= standard.slowCallMs) return "slow";
  return wait.silentMs >= silenceMs(standard) ? "timeout" : "nothing";
}

function silenceMs({ averageMs, deadlineMs = Number.POSITIVE_INFINITY }: Standard): number {
  return Math.min(deadlineMs, Math.max(SILENT_MS_MIN, SILENT_AVERAGES * (averageMs ?? 0)));
}

/**
 * Whether a caller's own limit was too short to say anything: shorter than what answers take on average.
 */
export function isImpatient(limitMs: number, averageMs: number | null): boolean {
  return averageMs !== null && limitMs < averageMs;
}
