// An answer whose body tells its call how it goes: waited for, all there, failed, or not wanted.

import { property } from "../core/foreign.ts";
import type { Held } from "../pipeline/call/held-call.ts";

/** A body that its caller drops unread is not wanted; the collector says when. */
const dropped = new FinalizationRegistry<Held>((held) => held.done());

/** What callers read and a constructor does not always take. */
const SHOWN = ["url", "redirected", "type", "status", "statusText", "ok"] as const;

/**
 * The answer with a body that tells, and that ends with the signal whether or not the given `fetch` heeds it; as
 * it is where there is no body, or none that can be followed.
 */
export function heldResponse(response: Response, held: Held, signal: AbortSignal): Response {
  // A test's own `fetch` may answer nothing at all, or the same answer twice.
  const body = property(response, "body") as Body | null | undefined;
  if (typeof body?.getReader !== "function" || body.locked || response.bodyUsed) {
    held.done();
    return response;
  }
  // Who looks at the status of a 404 seldom reads the page that comes with it.
  if (!response.ok) held.answerDecides();
  return like(response, made(tell(body, held, signal), response));
}

/** A status of 999 and a reason in Cyrillic can be fetched, and not constructed. */
function made(body: Body, response: Response): Response {
  const { status, statusText, headers } = response;
  try {
    return new Response(body, { status, statusText, headers });
  } catch {
    return new Response(body, { headers });
  }
}

/** The copy shows what the original does, and so do its own copies. */
function like(original: Response, copy: Response): Response {
  for (const key of SHOWN) show(copy, key, original[key]);
  show(copy, "clone", () => like(original, Response.prototype.clone.call(copy)));
  return copy;
}

function show(copy: Response, key: keyof Response, value: unknown): void {
  Object.defineProperty(copy, key, { value, enumerable: true, configurable: true });
}

function tell(body: Body, held: Held, signal: AbortSignal): Body {
  const isOfBytes = takesMemory(body);
  const reader = body.getReader();
  const ending = new Ending(signal);
  const source = {
    start(controller: Controller): void {
      ending.started((reason) => {
        // First: a read that is under way ends with the cancelling, as if all had come.
        controller.error(reason);
        reader.cancel(reason).catch(ignore);
      });
    },
    async pull(controller: Controller): Promise<void> {
      held.waiting(true);
      ending.waiting(true);
      try {
        const { done, value } = await reader.read();
        if (ending.isOver) return;
        ending.waiting(false);
        held.waiting(false);
        if (!done) controller.enqueue(value as Uint8Array<ArrayBuffer>);
        else {
          held.done();
          controller.close();
          // A reader that brought memory of its own is waiting for it.
          if ("byobRequest" in controller) controller.byobRequest?.respond(0);
        }
      } catch (error) {
        ending.waiting(false);
        held.failed(error);
        controller.error(error);
      }
    },
    async cancel(reason: unknown): Promise<void> {
      held.done();
      await reader.cancel(reason);
    },
  };
  // Read when somebody reads: whoever waits then waits for the upstream.
  const strategy = { highWaterMark: 0 };
  const stream = isOfBytes
    ? new ReadableStream({ ...source, type: "bytes" }, strategy)
    : new ReadableStream(source, strategy);
  dropped.register(stream, held);
  return stream;
}

/**
 * Ends a body when the signal does. While somebody waits for a piece the signal keeps the body; else its callers
 * alone do, so that the collector finds one that was dropped: the call keeps the signal, and waits for that.
 */
class Ending {
  isOver = false;
  #end: ((reason: unknown) => void) | undefined = undefined;
  readonly #link: { readonly weak: WeakRef<Ending>; strong: Ending | undefined };
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    const link = { weak: new WeakRef<Ending>(this), strong: undefined };
    this.#link = link;
    signal.addEventListener("abort", () => link.weak.deref()?.over());
  }

  /** The body is there. */
  started(end: (reason: unknown) => void): void {
    this.#end = end;
    // The deadline passed before the answer came, and nobody will read this body.
    if (this.#signal.aborted) this.over();
  }

  waiting(yes: boolean): void {
    this.#link.strong = yes ? this : undefined;
  }

  over(): void {
    this.isOver = true;
    this.waiting(false);
    this.#end?.(this.#signal.reason);
  }
}

function ignore(): void {
  // Cancelling fails where the same signal has ended what is cancelled.
}

/**
 * Whether it is a stream of bytes, as fetch's on Node: each piece's memory is handed on with it. In any other
 * the memory stays its maker's, pieces may share it or be empty, and a stream of bytes would not take them.
 */
function takesMemory(body: Body): boolean {
  try {
    body.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

type Body = ReadableStream<Uint8Array>;
type Controller = ReadableByteStreamController | ReadableStreamDefaultController<Uint8Array>;
