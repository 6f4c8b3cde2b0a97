// One request passed on and its answer passed back, on Node: the answer's head and body come by the calls
// of undici's `dispatch`, which costs half of `http.request`.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { PassThrough } from "node:stream";
import type { Dispatcher } from "undici";
import type { Refused } from "../../pipeline/call/admission.ts";
import type { Call, Line } from "../call.ts";
import type { Ending } from "../ending.ts";
import {
  answerHead,
  EMPTY_STATUS,
  isForeignCoding,
  REASON_HEADER,
  requestPairs,
  withoutBlanks,
} from "../headers.ts";
import type { FrontDesk, Reception } from "../reception.ts";
import { fitsOnePiece, isBodiless, isFinalStatus } from "../reception.ts";
import { mayAskToWait } from "../../core/http-status.ts";
import { breakOff, drain, finish, sendProblem } from "./answers.ts";
import type { Connection, Connections } from "./connections.ts";
import { collect, counted, hasBody, type Beginning } from "./upload.ts";

/** Methods that mean the same once or twice (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** How a connection ends that the other side had let go of. */
const STALE_CODES: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

const NOTHING = Buffer.alloc(0);

export class Exchange implements Dispatcher.DispatchHandler, Line {
  readonly #desk: FrontDesk;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #reception: Extract<Reception, { kind: "forward" }>;
  readonly #connections: Connections;
  readonly #call: Call;
  #connection: Connection | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  /** The request's: whole, or as it comes. */
  #body: Buffer | PassThrough | null = null;
  #hasRetried = false;
  /** The answer's head, kept while its body is collected; undefined once it streams. */
  #head: { readonly status: number; readonly pairs: string[] } | undefined;
  #pieces: Buffer[] = [];

  constructor(
    desk: FrontDesk,
    connections: Connections,
    request: IncomingMessage,
    response: ServerResponse,
    reception: Extract<Reception, { kind: "forward" }>,
  ) {
    this.#desk = desk;
    this.#connections = connections;
    this.#request = request;
    this.#response = response;
    this.#reception = reception;
    this.#call = reception.call;
  }

  start(): void {
    const call = this.#call;
    // It waited for room.
    if (this.#response.destroyed) {
      call.gone();
      return;
    }
    call.line = this;
    // Nothing, for a call that is over.
    this.#response.once("close", () => call.end("caller_left"));
    if (!hasBody(this.#request)) this.#send();
    else {
      call.awaitsBody();
      collect(this.#request, call, this.#desk, (beginning) => {
        if (beginning !== undefined) this.#begin(beginning);
        else sendProblem(this.#request, this.#response, this.#desk.outOfRoom(call));
      });
    }
  }

  #begin({ bytes, isWhole }: Beginning): void {
    const refused = this.#call.hasBody(isWhole);
    if (refused !== undefined) {
      this.#refuse(refused);
      return;
    }
    this.#body = isWhole
      ? bytes
      : counted(this.#request, this.#call, this.#desk, bytes, (late) => this.#refuse(late));
    this.#send();
  }

  /** The upstream has not been asked, or not to the end. */
  #refuse(refused: Refused): void {
    const problem = this.#desk.refusedLate(this.#call, this.#reception.lane, refused);
    this.#letGo("refused");
    sendProblem(this.#request, this.#response, problem);
  }

  #send(connection = this.#connections.take()): void {
    const { target, lane, added } = this.#reception;
    this.#connection = connection;
    connection.awaitsHead = true;
    connection.hasHeard = false;
    const options: Dispatcher.DispatchOptions & { readonly servername?: string | undefined } = {
      path: target,
      method: this.#call.method,
      headers: requestPairs(this.#request.rawHeaders, lane.rules, added),
      body: this.#body,
      // Else that of `Host`; undici's types do not know it (8.12).
      servername: lane.destination.tls?.serverName,
    };
    try {
      connection.dispatcher.dispatch(options, this);
    } catch (error) {
      this.onResponseError(undefined, error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It ended while it waited for a connection.
    if (this.#call.isSettled) controller.abort(new Error("the call is over"));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return;
    if (this.#connection !== undefined) this.#connection.awaitsHead = false;
    const call = this.#call;
    if (call.isSettled) return;
    const { rewrite } = this.#reception.lane;
    const { pairs, fields } = answerHead(flat(controller.rawHeaders), status, rewrite);
    const fault = faultOf(status, fields["transfer-encoding"]);
    if (fault !== undefined) {
      controller.abort(fault);
      return;
    }
    if (mayAskToWait(status)) {
      const { "retry-after": retryAfter, "x-switchgear-reason": reason } = fields;
      call.headersArrived(status, { retryAfter, reason });
      if (call.innerReason !== undefined) pairs.push(REASON_HEADER, call.innerReason);
    } else call.headersArrived(status);
    if (call.isWitness) {
      // Nobody wants the rest.
      call.complete();
      controller.abort(new Error("the caller has left"));
      return;
    }
    const isEmpty = isBodiless(call.method, status) || status === EMPTY_STATUS;
    if (isEmpty || fitsOnePiece(fields["content-length"])) {
      this.#head = { status, pairs };
      return;
    }
    if (!this.#sendHead(status, pairs)) return;
    // With an empty piece: a head that is sent alone is written as UTF-8 (24.21), and its bytes would change.
    this.#response.write(NOTHING);
    call.streams(fields["content-type"]);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const call = this.#call;
    if (call.isSettled) return;
    if (this.#head !== undefined) {
      if (this.#head.status !== EMPTY_STATUS) this.#pieces.push(chunk);
      return;
    }
    call.piece();
    if (this.#response.write(chunk)) return;
    // The upstream is read at the caller's pace.
    controller.pause();
    call.waitsForCaller();
    this.#response.once("drain", () => {
      call.waitsForUpstream();
      controller.resume();
    });
  }

  onResponseEnd(): void {
    const reset = this.#connection?.socket?.errored;
    if (reset !== undefined && reset !== null) {
      // Where the connection's end is the body's, undici takes a reset for one, too (8.12).
      this.onResponseError(undefined, reset);
      return;
    }
    if (this.#connection !== undefined) this.#connections.give(this.#connection);
    const call = this.#call;
    if (call.isSettled) return;
    const head = this.#head;
    if (head !== undefined && !this.#sendHead(head.status, head.pairs)) return;
    const [first] = this.#pieces;
    finish(this.#response, this.#pieces.length > 1 ? Buffer.concat(this.#pieces) : first);
    call.complete();
    drain(this.#request);
  }

  onResponseError(_controller: unknown, error: unknown): void {
    const connection = this.#connection;
    if (connection !== undefined) this.#connections.drop(connection);
    const call = this.#call;
    if (call.isSettled) return;
    // A caller that broke off its body makes undici fail before `close` says so.
    if (!call.isWitness && (this.#request.errored !== null || this.#response.destroyed)) {
      call.end("caller_left");
      return;
    }
    if (this.#response.headersSent && !call.isWitness) {
      call.fail(error, undefined);
      breakOff(this.#request, this.#response);
      return;
    }
    if (connection?.isReused === true && this.#mayRetry(connection, error)) {
      this.#hasRetried = true;
      this.#send(this.#connections.fresh());
      return;
    }
    const problem = this.#desk.failed(call, error);
    sendProblem(this.#request, this.#response, problem);
  }

  cut(ending: Ending): void {
    this.#letGo(ending);
    this.leave(ending);
  }

  /** Of the upstream. */
  #letGo(why: string): void {
    this.#controller?.abort(new Error(`the call ended: ${why}`));
    if (this.#body !== null && "destroy" in this.#body) this.#body.destroy();
  }

  leave(ending: Ending): void {
    if (ending === "caller_left" || this.#response.headersSent) {
      breakOff(this.#request, this.#response);
    } else sendProblem(this.#request, this.#response, this.#desk.endingProblem(this.#call, ending));
  }

  /**
   * Once more, on a fresh connection: an idle one that the other side has let go of says so only when it
   * is used, and nobody was asked. Not where that would be a second order: a method that is not
   * idempotent, or a body that is gone.
   */
  #mayRetry({ hasHeard }: Connection, error: unknown): boolean {
    if (this.#hasRetried || hasHeard || !IDEMPOTENT.has(this.#call.method)) return false;
    if (this.#body !== null && !Buffer.isBuffer(this.#body)) return false;
    return STALE_CODES.has((error as { readonly code?: unknown }).code);
  }

  /** False when it cannot be sent: then the call has failed, and its caller was told. */
  #sendHead(status: number, pairs: string[]): boolean {
    try {
      this.#response.writeHead(status, pairs);
      return true;
    } catch (cause) {
      const error = new Error("the answer's head cannot be passed on", { cause });
      this.#controller?.abort(error);
      if (!this.#call.isSettled) this.onResponseError(undefined, error);
      return false;
    }
  }
}

/** What makes an answer one that cannot be passed on. */
function faultOf(status: number, transferEncoding: string | undefined): Error | undefined {
  if (!isFinalStatus(status)) return new Error(`upstream answered with status ${status}`);
  return isForeignCoding(transferEncoding)
    ? new Error(
        `upstream answered in a transfer coding that was not asked for: ${transferEncoding}`,
      )
    : undefined;
}

/**
 * Header fields as they came, in Latin-1 as HTTP has them, and as `writeHead` takes them; undici leaves the
 * blanks behind a value (8.12).
 */
function flat(raw: Dispatcher.DispatchController["rawHeaders"]): string[] {
  if (Array.isArray(raw)) {
    return raw.map((item) =>
      withoutBlanks(typeof item === "string" ? item : item.toString("latin1")),
    );
  }
  // Of HTTP/2, by name.
  return Object.entries(raw ?? {}).flatMap(([name, value]) =>
    name.startsWith(":") ? [] : [value ?? []].flat().flatMap((one) => [name, one]),
  );
}
