// Replaces what a class does, for a while. Each answers with what mends it.

export function replace<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  make: (original: Target[Name]) => Target[Name],
): () => void {
  const original = target[name];
  target[name] = make(original);
  return () => {
    target[name] = original;
  };
}

/** The same for what is computed whenever it is read. */
export function replaceGetter<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  get: (this: Target) => Target[Name],
): () => void {
  const original = Object.getOwnPropertyDescriptor(target, name) as PropertyDescriptor;
  Object.defineProperty(target, name, { configurable: true, get });
  return () => {
    Object.defineProperty(target, name, original);
  };
}
