// Deletions that no promise notices, each with the reason.

export const REASONS: readonly (readonly [ids: RegExp, reason: string])[] = [
  [/^values\.yaml: no upstreams: \{\}$/, "without upstreams there are none either way"],
];

/** Undefined when nothing excuses it. */
export function reasonFor(id: string): string | undefined {
  return REASONS.find(([ids]) => ids.test(id))?.[1];
}
