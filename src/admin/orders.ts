// What becomes of an order where it finds that somebody, or the breaker itself, has been there before: the
// order changes nothing that somebody would want to know later, and the answer says so.

import { HISTORY_LIMIT_MAX } from "../pipeline/ports.ts";
import type { Upstream } from "../pipeline/call/upstream.ts";
import type { Switchgear } from "../pipeline/registry.ts";

export interface Done {
  /** Whether the breaker is another one than before. */
  readonly changed: boolean;
  readonly message: string;
}

interface Words {
  readonly reason: string;
  readonly actor: string;
}

/**
 * Trips what is closed. What is tripped already stays as it is, with since when and why, unless it tripped
 * by itself and is to be held by hand from now on: what a person holds, nobody writes over.
 */
export function trip(
  gear: Switchgear,
  upstream: Upstream,
  order: Words & { readonly hold: boolean },
): Done {
  const { tripped, manual, trippedAt } = upstream.status();
  const before = tripped ? trippedBefore(gear, upstream) : "";
  const hold = order.hold && !manual;
  upstream.trip({ ...order, hold });
  const subject = `Circuit breaker for ${upstream.name}`;
  // Another process may have reset it a moment ago: then it is this order that tripped it.
  const isAnother = !hold && upstream.status().trippedAt !== trippedAt;
  if (!tripped || isAnother) return { changed: true, message: `${subject} tripped` };
  if (hold) return { changed: true, message: `${subject} is held by hand now; it was ${before}` };
  const advice = manual ? "" : ", nobody holds it by hand";
  return { changed: false, message: `${subject} is ${before}; nothing has changed${advice}` };
}

/** Throws `ResetDeniedError` inside the cooldown. */
export function reset(upstream: Upstream, order: Words & { readonly force: boolean }): Done {
  const { tripped, endpoints } = upstream.status();
  const out = endpoints.filter(({ state }) => state !== "healthy");
  upstream.reset(order);
  const subject = `Circuit breaker for ${upstream.name}`;
  if (tripped) return { changed: true, message: `${subject} reset` };
  const names = out.map(({ name, state }) => `${name} (${state})`).join(", ");
  return {
    changed: out.length > 0,
    message: `${subject} was closed already${names === "" ? "; nothing to reset" : `; endpoints reset: ${names}`}`,
  };
}

/** Since when, by whom and why, as far as it is still on record. */
function trippedBefore(gear: Switchgear, upstream: Upstream): string {
  const { trippedAt, manual, lastError } = upstream.status();
  const entry = gear
    .history({ upstream: upstream.name, limit: HISTORY_LIMIT_MAX })
    .find(({ action }) => action === "TRIP");
  const since = trippedAt === null ? "" : ` since ${new Date(trippedAt).toISOString()}`;
  const who = entry?.actor ?? (manual ? "somebody" : "itself");
  return `tripped already,${since} by ${who}: ${entry?.reason ?? lastError ?? "no reason is known"}`;
}
