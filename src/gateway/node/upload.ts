// A request's body on its way to the upstream. A short one is here whole before the upstream is asked: its
// upstream's time is measured from there, and the call can be made once more on another connection. A long one
// is passed on as it comes. See ../sender.ts for what its caller holds meanwhile.

import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import type { Refused } from "../../pipeline/call/admission.ts";
import type { Call } from "../call.ts";
import { ONE_PIECE_BYTES_MAX, type FrontDesk } from "../reception.ts";
import { Sender } from "../sender.ts";

export function hasBody({ headers }: IncomingMessage): boolean {
  if (headers["transfer-encoding"] !== undefined) return true;
  const length = headers["content-length"];
  return length !== undefined && length !== "0";
}

/** Pieces of a body that are kept apart. */
const PIECES_MAX = 64;

/** The beginning of a body: all of it, or more than is waited for. */
export interface Beginning {
  readonly bytes: Buffer;
  readonly isWhole: boolean;
}

/**
 * Calls back once, with the beginning of the body, or with undefined when there is no memory for it. Never, when
 * the call ends before that.
 */
export function collect(
  request: IncomingMessage,
  call: Call,
  desk: FrontDesk,
  done: (beginning: Beginning | undefined) => void,
): void {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const stop = (): void => {
    desk.bodies.giveBack(bytes);
    bytes = 0;
    pieces.length = 0;
    request.off("data", onData);
    request.off("end", onEnd);
    request.off("close", stop);
  };
  const finish = (isWhole: boolean): void => {
    const [first = Buffer.alloc(0)] = pieces;
    const all = pieces.length > 1 ? Buffer.concat(pieces) : first;
    stop();
    call.waitsForUpstream();
    done({ bytes: all, isWhole });
  };
  const onData = (piece: Buffer): void => {
    if (call.isSettled) {
      stop();
      return;
    }
    if (!desk.bodies.take(piece.length)) {
      stop();
      done(undefined);
      return;
    }
    bytes += piece.length;
    // A piece costs more than its bytes, where those are few.
    if (pieces.length === PIECES_MAX) pieces.splice(0, PIECES_MAX, Buffer.concat(pieces));
    pieces.push(piece);
    if (bytes > desk.maxBodyBytes) {
      stop();
      call.end("body_too_large");
    } else if (bytes > ONE_PIECE_BYTES_MAX) {
      request.pause();
      finish(false);
    }
  };
  const onEnd = (): void => {
    if (!call.isSettled) finish(true);
  };
  call.waitsForCaller();
  request.on("data", onData);
  request.once("end", onEnd);
  request.once("close", stop);
}

/**
 * The body as a stream, counted, at the upstream's pace. Never the request itself: undici destroys what it
 * is given when the upstream fails, and with the request would go the connection that is to carry the answer.
 * `refuse` is called in place of the body's end, where there is no room for the call then.
 */
export function counted(
  request: IncomingMessage,
  call: Call,
  desk: FrontDesk,
  beginning: Buffer,
  refuse: (refused: Refused) => void,
): PassThrough {
  const body = new PassThrough();
  const sender = new Sender(call, desk.book);
  // Not a number where the body says itself where it ends.
  let owed = Number(request.headers["content-length"]);
  let left = desk.maxBodyBytes;
  const stop = (): void => {
    request.off("data", onData);
    request.off("end", onEnd);
  };
  const mayEnd = (): boolean => {
    const refused = sender.sentAll();
    if (refused !== undefined) refuse(refused);
    return refused === undefined;
  };
  const onData = (piece: Buffer): void => {
    left -= piece.length;
    owed -= piece.length;
    if (left < 0) {
      call.end("body_too_large");
      return;
    }
    // The upstream knows the length, too: with the last byte it has been asked.
    if (owed === 0 && !mayEnd()) return;
    if (body.write(piece)) return;
    request.pause();
    sender.upstreamsTurn();
  };
  const onEnd = (): void => {
    if (mayEnd()) body.end();
  };
  body.on("drain", () => {
    sender.callersTurn();
    request.resume();
  });
  body.once("close", stop);
  // What the upstream's failure says of it is said by undici, too.
  body.on("error", () => {});
  request.on("data", onData);
  request.once("end", onEnd);
  sender.callersTurn();
  // More than it takes at once: the rest is read when it has been taken.
  onData(beginning);
  return body;
}
