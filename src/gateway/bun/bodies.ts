// Bodies on their way through, on Bun: as they come, at the pace of whoever takes them, and with it known
// whose turn it is.

import type { Call } from "../call.ts";

/** A request's body, counted. */
export function counted(
  body: ReadableStream<Uint8Array>,
  call: Call,
  bytesMax: number,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = bytesMax;
  call.waitsForCaller();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        call.waitsForCaller();
        const { done, value } = await reader.read();
        // Until more is asked for, or the answer comes, it is the upstream's turn.
        call.waitsForUpstream();
        if (done) {
          controller.close();
          return;
        }
        left -= value.byteLength;
        if (left >= 0) {
          controller.enqueue(value);
          return;
        }
        call.end("body_too_large");
        controller.error(new Error("the request's body is too large"));
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Bytes alone would be given a type that their upstream did not give them (1.4.5). */
export function untyped(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

/**
 * An answer's body, passed on as it comes and at the caller's pace; its end settles the call. `onEnd` is
 * called when no more is read of it.
 */
export function watched(
  body: ReadableStream<Uint8Array> | null,
  call: Call,
  onEnd: () => void,
): ReadableStream<Uint8Array> | null {
  if (body === null) {
    onEnd();
    call.complete();
    return null;
  }
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        call.waitsForUpstream();
        try {
          const { done, value } = await reader.read();
          if (!done) {
            call.piece();
            // Until it asks for more.
            call.waitsForCaller();
            controller.enqueue(value);
            return;
          }
          onEnd();
          controller.close();
          call.complete();
        } catch (error) {
          onEnd();
          call.fail(error, undefined);
          controller.error(error);
        }
      },
      cancel() {
        onEnd();
        call.end("caller_left");
      },
    },
    // Nothing is read ahead: a caller that does not read holds one chunk, not a body.
    { highWaterMark: 0 },
  );
}
