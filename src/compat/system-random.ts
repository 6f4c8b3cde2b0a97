// The runtime's own chance, for those who hand in no other.

import type { Random } from "../core/random.ts";

export const SYSTEM_RANDOM: Random = Object.freeze({ next: () => Math.random() });
