// An answer whose body tells its call how it goes: waited for, all there, failed, or not wanted.

import { property } from "../core/foreign.ts";
import type { Held } from "../pipeline/call/held-call.ts";

/** A body that its caller drops unread is not wanted; the collector says when. */
const dropped = new FinalizationRegistry<Held>((held) => held.done());

/** What callers read and a constructor does not always take. */
const SHOWN = ["url", "redirected", "type", "status", "statusText", "ok"] as const;

/** The answer with a body that tells; as it is where there is no body, or none that can be followed. */
export function heldResponse(response: Response, held: Held): Response {
  // A test's own `fetch` may answer nothing at all, or the same answer twice.
  const body = property(response, "body") as Body | null | undefined;
  if (typeof body?.getReader !== "function" || body.locked || response.bodyUsed) {
    held.done();
    return response;
  }
  // Who looks at the status of a 404 seldom reads the page that comes with it.
  if (!response.ok) held.answerDecides();
  return like(response, made(tell(body, held), response));
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

function tell(body: Body, held: Held): Body {
  const isOfBytes = takesMemory(body);
  const reader = body.getReader();
  const source = {
    async pull(controller: Controller): Promise<void> {
      held.waiting(true);
      try {
        const { done, value } = await reader.read();
        held.waiting(false);
        if (!done) controller.enqueue(value as Uint8Array<ArrayBuffer>);
        else {
          held.done();
          controller.close();
          // A reader that brought memory of its own is waiting for it.
          if ("byobRequest" in controller) controller.byobRequest?.respond(0);
        }
      } catch (error) {
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
