// Timers that keep nobody's async context. A timer runs in the context that it was set in, and one that
// serves many calls would lend all of them the first one's, and keep its request from being collected.

import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Where this module was first loaded: outside of every call, unless a program loads it lazily, inside of one.
 * For that, each runtime has a way out of its own below.
 */
let outside = AsyncLocalStorage.snapshot();

// Bun hears messages in no context at all.
if (typeof Bun !== "undefined") {
  const { port1, port2 } = new MessageChannel();
  port1.addEventListener("message", () => {
    outside = AsyncLocalStorage.snapshot();
    port1.close();
  });
  port1.start();
  port2.postMessage(undefined);
}

/** `setTimeout`, in no context. */
export function armedOutside(callback: () => void, delayMs: number): ReturnType<typeof setTimeout> {
  const handle = outside(() => setTimeout(callback, delayMs));
  // Node keeps the context on the handle itself. A browser's handle, as some kits make them, is a number.
  for (const key of Object.getOwnPropertySymbols(Object(handle))) {
    if (key.description === "kAsyncContextFrame") Reflect.set(handle, key, undefined);
  }
  return handle;
}
