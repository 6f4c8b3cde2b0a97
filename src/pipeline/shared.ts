// One registry for a whole process, whatever copies of this package and hot reloads it holds.

import type { Switchgear } from "./registry.ts";

const SHARED = Symbol.for("switchgear.shared");

interface Holder {
  [SHARED]?: Map<string, Switchgear>;
}

/**
 * The process's registry of this key: made by the first who asks, found by everybody after that,
 * in another copy of the package and after a hot reload too. A closed one is made anew after
 * `forgetShared`.
 */
export function sharedSwitchgear(key: string, create: () => Switchgear): Switchgear {
  const shared = ((globalThis as Holder)[SHARED] ??= new Map());
  const found = shared.get(key);
  if (found !== undefined) return found;
  const made = create();
  shared.set(key, made);
  return made;
}

/** Forgets the shared registry of this key without closing it; answers it if there was one. */
export function forgetShared(key: string): Switchgear | undefined {
  const shared = (globalThis as Holder)[SHARED];
  const found = shared?.get(key);
  shared?.delete(key);
  return found;
}
