// Deletions that no promise notices, each with the reason.

export const REASONS: readonly (readonly [ids: RegExp, reason: string])[] = [];

/** Undefined when nothing excuses it. */
export function reasonFor(id: string): string | undefined {
  return REASONS.find(([ids]) => ids.test(id))?.[1];
}
