// A wrapped function that can be told apart from its original by what it does alone.

/** Frameworks read what a function is: Express counts arguments, others read its name or their own marks. */
export function likeItsOriginal<Wrapped extends object>(
  wrapped: Wrapped,
  original: object,
): Wrapped {
  for (const key of Reflect.ownKeys(original)) {
    if (key === "prototype" || key === "arguments" || key === "caller") continue;
    const descriptor = Reflect.getOwnPropertyDescriptor(original, key);
    if (descriptor !== undefined) Reflect.defineProperty(wrapped, key, descriptor);
  }
  return wrapped;
}
