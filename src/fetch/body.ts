// An answer whose body tells its call how it goes: waited for, all there, failed, or not wanted.

import type { Held } from "../pipeline/call/held-call.ts";

/** A body that its caller drops unread is not wanted; the collector says when. */
const dropped = new FinalizationRegistry<Held>((held) => held.done());

/** The answer with a body that tells; as it is where there is no body, or none that can be followed. */
export function heldResponse(response: Response, held: Held): Response {
  const { body } = response;
  if (typeof body?.getReader !== "function") {
    held.done();
    return response;
  }
  // Who looks at the status of a 404 seldom reads the page that comes with it.
  if (!response.ok) held.answerDecides();
  const told = new Response(tell(body.getReader(), held), {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
  // What a constructor cannot set and callers read.
  for (const key of ["url", "redirected", "type"] as const) {
    Object.defineProperty(told, key, {
      value: response[key],
      enumerable: true,
      configurable: true,
    });
  }
  return told;
}

function tell(reader: Reader, held: Held): ReadableStream<Uint8Array> {
  const source: UnderlyingByteSource = {
    type: "bytes",
    async pull(controller) {
      held.waiting(true);
      try {
        const { done, value } = await reader.read();
        held.waiting(false);
        if (value !== undefined && !done) controller.enqueue(value as Uint8Array<ArrayBuffer>);
        else {
          held.done();
          controller.close();
          // A reader that brought memory of its own is waiting for it.
          controller.byobRequest?.respond(0);
        }
      } catch (error) {
        held.failed(error);
        controller.error(error);
      }
    },
    async cancel(reason) {
      held.done();
      await reader.cancel(reason);
    },
  };
  // Read when somebody reads: whoever waits then waits for the upstream.
  const stream = new ReadableStream(source, { highWaterMark: 0 });
  dropped.register(stream, held);
  return stream;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;
