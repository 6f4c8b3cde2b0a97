// Bodies on their way through, on Bun: as they come, at the pace of whoever takes them, and with it known
// whose turn it is.

import type { Refused } from "../../pipeline/call/admission.ts";
import type { Call } from "../call.ts";
import { fitsOnePiece, ONE_PIECE_BYTES_MAX, type FrontDesk } from "../reception.ts";
import { Sender } from "../sender.ts";

/** The beginning of a request's body: all of it, or more than is waited for, and the rest as it comes. */
export interface Beginning {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly rest: ReadableStreamDefaultReader<Uint8Array> | undefined;
}

/** Undefined when there is no memory for it, and when the call has ended. */
export async function collect(
  request: Request,
  body: ReadableStream<Uint8Array>,
  call: Call,
  desk: FrontDesk,
): Promise<Beginning | undefined> {
  // In one piece it costs half. How much of it Bun has kept so far nobody can know.
  if (fitsOnePiece(request.headers.get("content-length"))) {
    return { bytes: await request.bytes(), rest: undefined };
  }
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    while (bytes <= ONE_PIECE_BYTES_MAX) {
      // oxlint-disable-next-line no-await-in-loop -- one piece comes after the other
      const { done, value } = await reader.read();
      if (done) return { bytes: joined(pieces, bytes), rest: undefined };
      if (call.isSettled || !desk.bodies.take(value.byteLength)) return undefined;
      bytes += value.byteLength;
      pieces.push(value);
      if (bytes > desk.maxBodyBytes) {
        call.end("body_too_large");
        return undefined;
      }
    }
    return { bytes: joined(pieces, bytes), rest: reader };
  } finally {
    desk.bodies.giveBack(bytes);
  }
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}

/**
 * A long body of a request, counted. `owed`: its length, where it is declared, else not a number. `refuse` is
 * called in place of the body's end, where there is no room for the call then.
 */
export function counted(
  { bytes, rest, owed: length }: Required<Beginning> & { readonly owed: number },
  call: Call,
  desk: FrontDesk,
  refuse: (refused: Refused) => void,
): ReadableStream<Uint8Array> {
  const sender = new Sender(call, desk.book);
  let beginning: Uint8Array | undefined = bytes;
  let left = desk.maxBodyBytes;
  let owed = length;
  const next = async (): Promise<Uint8Array | undefined> => {
    const first = beginning;
    beginning = undefined;
    return first ?? (await rest?.read())?.value;
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        sender.callersTurn();
        const piece = await next();
        // Until more is asked for, or the answer comes, it is the upstream's turn.
        sender.upstreamsTurn();
        left -= piece?.byteLength ?? 0;
        owed -= piece?.byteLength ?? 0;
        if (left < 0) {
          call.end("body_too_large");
          controller.error(new Error("the request's body is too large"));
          return;
        }
        // The upstream knows the length, too: with the last byte it has been asked.
        if (piece === undefined || owed === 0) {
          const refused = sender.sentAll();
          if (refused !== undefined) {
            refuse(refused);
            controller.error(new Error("there is no room for the call any more"));
            return;
          }
        }
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
      cancel: (reason) => rest?.cancel(reason),
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
