// What an upstream's `Retry-After` says (RFC 9110 §10.2.3): seconds, or a date. Pure.

const SECONDS = /^\d{1,10}$/;

/** Statuses whose `Retry-After` asks for fewer calls: a redirect's is about something else. */
export function mayAskToWait(status: number): boolean {
  return status === 429 || status >= 500;
}

/** Milliseconds from `wallMs` on; undefined for what is neither, or lies in the past. */
export function retryAfterMs(value: string | null | undefined, wallMs: number): number | undefined {
  if (value === null || value === undefined) return undefined;
  const text = value.trim();
  const waitMs = SECONDS.test(text) ? Number(text) * 1000 : Date.parse(text) - wallMs;
  return waitMs > 0 ? waitMs : undefined;
}
