// A request's body on its way to the upstream. A short one of declared length is here whole before the
// upstream is asked: a slow caller then holds nothing of the upstream's, whose time is measured from there,
// and the call can be made once more on another connection. A long one is passed on as it comes.

import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import type { Call } from "../call.ts";
import { fitsOnePiece } from "../reception.ts";

export function hasBody({ headers }: IncomingMessage): boolean {
  if (headers["transfer-encoding"] !== undefined) return true;
  const length = headers["content-length"];
  return length !== undefined && length !== "0";
}

export function isShort({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] === undefined && fitsOnePiece(headers["content-length"]);
}

/** Calls back once, with the whole body. Never, when the caller breaks off: its leaving ends the call. */
export function collect(request: IncomingMessage, call: Call, done: (body: Buffer) => void): void {
  const pieces: Buffer[] = [];
  call.waitsForCaller();
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.once("end", () => {
    call.waitsForUpstream();
    const [first = Buffer.alloc(0)] = pieces;
    done(pieces.length > 1 ? Buffer.concat(pieces) : first);
  });
}

/**
 * The body as a stream, counted, at the upstream's pace. Never the request itself: undici destroys what it
 * is given when the upstream fails, and with the request would go the connection that is to carry the answer.
 */
export function counted(request: IncomingMessage, call: Call, bytesMax: number): PassThrough {
  const body = new PassThrough();
  let left = bytesMax;
  call.waitsForCaller();
  const onData = (piece: Buffer): void => {
    left -= piece.length;
    if (left < 0) {
      call.end("body_too_large");
      return;
    }
    if (body.write(piece)) return;
    request.pause();
    call.waitsForUpstream();
  };
  const onEnd = (): void => {
    call.waitsForUpstream();
    body.end();
  };
  body.on("drain", () => {
    call.waitsForCaller();
    request.resume();
  });
  body.once("close", () => {
    request.off("data", onData);
    request.off("end", onEnd);
  });
  // What the upstream's failure says of it is said by undici, too.
  body.on("error", () => {});
  request.on("data", onData);
  request.once("end", onEnd);
  return body;
}
