// One request passed on and its answer passed back, on Bun. `fetch` is told to leave everything alone:
// redirects, compression, idle connections.

import type { DeadlineEntry, Expiring } from "../../pipeline/call/deadline.ts";
import type { Refused } from "../../pipeline/call/admission.ts";
import type { Call, Line } from "../call.ts";
import type { Ending } from "../ending.ts";
import {
  isForeignCoding,
  REASON_HEADER,
  stripRequestHeaders,
  stripResponseHeaders,
  type HeaderSurvey,
} from "../headers.ts";
import type { Problem } from "../problem.ts";
import type { Reception } from "../reception.ts";
import { fitsOnePiece, isBodiless, isFinalStatus, isLength } from "../reception.ts";
import { mayAskToWait } from "../../core/http-status.ts";
import type { Aging } from "./aging.ts";
import { collect, counted, untyped, watched, type Beginning } from "./bodies.ts";
import { completeHead, toResponse } from "./answers.ts";
import { IDLE_SECONDS, type Front } from "./front.ts";

interface Incoming {
  readonly request: Request;
  readonly survey: HeaderSurvey;
  readonly reception: Extract<Reception, { kind: "forward" }>;
  /** How long nothing may move on the caller's connection, in seconds; 0 for ever. */
  readonly holdFor: (seconds: number) => void;
}

/**
 * A caller's leaving is looked for after this: most answers from near are whole before, and need
 * no listener; its cost was within the noise of what could be measured. A caller who leaves earlier is
 * noticed then, or its answer is counted.
 */
const CALLER_WATCH_MS = 10;

/** Calls of longer deadlines see to their connections themselves: Bun's idle time is less. */
const LONG_DEADLINE_MS = 60_000;

export class Exchange implements Line, Expiring {
  readonly #front: Front;
  readonly #incoming: Incoming;
  readonly #call: Call;
  readonly #controller: AbortController;
  readonly #answer: (response: Response) => void;
  readonly #promise: Promise<Response>;
  readonly #aging: Aging;
  #watch: DeadlineEntry | undefined;
  /** Whether it is counted among those under way. */
  #isUnderWay = false;
  #isHeldOpen = false;

  constructor(front: Front, incoming: Incoming) {
    this.#front = front;
    this.#incoming = incoming;
    this.#call = incoming.reception.call;
    this.#controller = front.controllers.take();
    this.#aging = front.aging.of(this.#call.destination, this.#call.startedMs);
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.#promise = promise;
    this.#answer = resolve;
  }

  start(): Promise<Response> {
    const call = this.#call;
    const { request } = this.#incoming;
    // It waited for room. Nobody sees the answer.
    if (request.signal.aborted) {
      call.gone();
      return Promise.resolve(new Response(null, { status: 499 }));
    }
    call.line = this;
    const { deadlines } = this.#front.desk.book;
    this.#watch = deadlines.add(this, CALLER_WATCH_MS, call.startedMs);
    if (call.deadlineMs > LONG_DEADLINE_MS) this.#holdOpen();
    if (request.body === null) this.#send(null);
    else {
      call.waitsForCaller();
      call.awaitsBody();
      const { desk } = this.#front;
      // A slow caller holds nothing of the upstream's.
      collect(request, request.body, call, desk).then(
        (beginning) => {
          call.waitsForUpstream();
          if (call.isSettled) return;
          if (beginning !== undefined) this.#begin(beginning);
          else this.#answerSelf(desk.outOfRoom(call));
        },
        (error: unknown) => this.#failed(error),
      );
    }
    return this.#promise;
  }

  #begin({ bytes, rest }: Beginning): void {
    const call = this.#call;
    const { desk } = this.#front;
    const refused = call.hasBody(rest === undefined);
    if (refused !== undefined) this.#refuseLate(refused);
    else if (rest === undefined) this.#send(bytes);
    else {
      const owed = Number(this.#incoming.request.headers.get("content-length") ?? Number.NaN);
      this.#send(
        counted({ bytes, rest, owed }, call, desk, (late) => {
          this.#controller.abort();
          this.#refuseLate(late);
        }),
      );
    }
  }

  /** The upstream has not been asked, or not to the end. */
  #refuseLate(refused: Refused): void {
    const { lane } = this.#incoming.reception;
    this.#answerSelf(this.#front.desk.refusedLate(this.#call, lane, refused));
  }

  #answerSelf(problem: Problem): void {
    this.#release();
    this.#answer(toResponse(problem, this.#call.method));
  }

  /**
   * HEAD has a connection of its own, as undici gives it: servers that send a body with its answer are not
   * few, and the next call would take that for its own.
   */
  #send(body: Uint8Array<ArrayBuffer> | ReadableStream | null): void {
    const { request, survey, reception } = this.#incoming;
    const { lane, target, added } = reception;
    const { headers } = request;
    try {
      stripRequestHeaders(headers, lane.rules, added, survey);
      this.#isUnderWay = true;
      const isToEnd = this.#aging.begins(this.#call.startedMs);
      if (isToEnd || this.#call.method === "HEAD") headers.set("connection", "close");
      fetch(lane.destination.origin + target, {
        method: this.#call.method,
        headers,
        body,
        redirect: "manual",
        decompress: false,
        signal: this.#controller.signal,
        ...(lane.destination.tls === undefined ? {} : { tls: lane.destination.tls }),
      }).then(
        (response) => this.#onHead(response),
        (error: unknown) => this.#failed(error),
      );
    } catch (error) {
      this.#failed(error);
    }
  }

  #onHead(response: Response): void {
    const call = this.#call;
    if (call.isSettled) return;
    const { status, headers } = response;
    if (!isFinalStatus(status)) {
      this.#refuse(new Error(`upstream answered with status ${status}`));
      return;
    }
    if (mayAskToWait(status)) {
      const retryAfter = headers.get("retry-after");
      call.headersArrived(status, { retryAfter, reason: headers.get(REASON_HEADER) });
    } else call.headersArrived(status);
    if (call.isWitness) {
      // Nobody wants the rest.
      call.complete();
      this.#controller.abort();
      return;
    }
    // Before: `Connection` may name it.
    const length = headers.get("content-length");
    const coding = stripResponseHeaders(headers, this.#incoming.reception.lane.rewrite);
    if (isForeignCoding(coding)) {
      this.#refuse(new Error(`upstream answered in a transfer coding not asked for: ${coding}`));
      return;
    }
    // Where there is no body `fetch` does not look at it (1.4.5).
    if (length !== null && (coding !== undefined || !isLength(length))) {
      this.#refuse(new Error("upstream framed its answer in two ways, or in none"));
      return;
    }
    if (call.innerReason !== undefined) headers.set(REASON_HEADER, call.innerReason);
    if (this.#front.isWindingDown) headers.set("connection", "close");
    if (isBodiless(call.method, status)) {
      if (call.method === "HEAD" && !isBodiless("GET", status)) completeHead(headers);
      this.#complete(response);
      return;
    }
    if (!fitsOnePiece(length)) {
      this.#stream(response);
      return;
    }
    response.bytes().then(
      (whole) => {
        if (call.isSettled) return;
        // An empty type is none, too.
        const isTyped = (headers.get("content-type") ?? "") !== "";
        const body = isTyped ? whole : untyped(whole);
        this.#complete(new Response(body, { status, headers }));
      },
      (error: unknown) => this.#failed(error),
    );
  }

  #complete(response: Response): void {
    this.#answer(response);
    this.#call.complete();
    this.#release();
    this.#front.controllers.giveBack(this.#controller);
  }

  #stream(response: Response): void {
    const call = this.#call;
    const { status, headers, body } = response;
    call.streams(headers.get("content-type"));
    this.#holdOpen();
    // It will take its time: from now on the caller's leaving ends the call at once.
    this.#stopWatching();
    this.expire();
    const passed = watched(body, call, () => this.#release());
    this.#answer(new Response(passed, { status, headers }));
  }

  /** An answer that cannot be passed on. */
  #refuse(error: Error): void {
    this.#controller.abort();
    this.#failed(error);
  }

  #failed(error: unknown): void {
    const call = this.#call;
    this.#release();
    if (call.isSettled) return;
    // A body that its caller breaks off fails the `fetch`; that the caller left is why.
    if (!call.isWitness && this.#incoming.request.signal.aborted) call.end("caller_left");
    else this.#answer(toResponse(this.#front.desk.failed(call, error), call.method));
  }

  /** Nothing, for a call that is over. */
  expire(): void {
    const call = this.#call;
    const { signal } = this.#incoming.request;
    if (call.isSettled) return;
    if (signal.aborted) call.end("caller_left");
    else signal.addEventListener("abort", () => call.end("caller_left"), { once: true });
  }

  cut(ending: Ending): void {
    this.#controller.abort();
    this.#release();
    this.leave(ending);
  }

  leave(ending: Ending): void {
    const call = this.#call;
    // 499 is never seen: the caller has left.
    this.#answer(
      ending === "caller_left"
        ? new Response(null, { status: 499 })
        : toResponse(this.#front.desk.endingProblem(call, ending), call.method),
    );
  }

  /** The connection to the upstream is free, or gone. */
  #release(): void {
    if (this.#isUnderWay) this.#aging.ends();
    this.#isUnderWay = false;
    // Else the connection would be kept for ever.
    if (this.#isHeldOpen) this.#incoming.holdFor(IDLE_SECONDS);
    this.#isHeldOpen = false;
    this.#stopWatching();
  }

  /** From here on the call itself sees to the time of the caller's connection. */
  #holdOpen(): void {
    this.#isHeldOpen = true;
    this.#incoming.holdFor(0);
  }

  #stopWatching(): void {
    if (this.#watch !== undefined) this.#front.desk.book.deadlines.remove(this.#watch);
  }
}
