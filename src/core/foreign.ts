// Reading what strangers made: errors, results, signals. A getter that throws, a proxy that was revoked or a
// `then` with a mind of its own must not become the caller's error. Pure.

/** The property, or undefined where the value has none or will not show it. */
export function property(value: unknown, key: PropertyKey): unknown {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) {
    return undefined;
  }
  try {
    return (value as Record<PropertyKey, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** Calls a method of a stranger's; undefined where there is none, or where it throws. */
export function ask(value: unknown, method: string, ...args: unknown[]): unknown {
  const found = property(value, method);
  if (typeof found !== "function") return undefined;
  try {
    return Reflect.apply(found, value, args);
  } catch {
    return undefined;
  }
}

/**
 * Tells when what a stranger's function answered is a promise that is rejected. Whoever called it waits for
 * nothing, and a rejection that nobody takes ends the process.
 */
export function whenRejected(answer: unknown, tell: (error: unknown) => void = ignore): void {
  if (typeof property(answer, "then") !== "function") return;
  try {
    // A promise of any realm's, whatever has become of its own `then`.
    void Promise.prototype.then.call(answer, ignore, tell);
  } catch {
    // One of a library's.
    new Promise((resolve) => {
      resolve(answer);
    }).then(ignore, tell);
  }
}

function ignore(): void {
  // Nobody waits for it.
}
