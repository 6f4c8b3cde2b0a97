// What both transports do with a request before any byte of its body is read: the order of checks,
// written once. It ends in an answer of our own, or in an admitted call and its target.

import { ownFault } from "../core/classify.ts";
import type { Admission, Admitted, Refused } from "../pipeline/call/admission.ts";
import { CallBook } from "./book.ts";
import type { CallWishes, HeaderReader } from "./call-options.ts";
import { readCallWishes } from "./call-options.ts";
import { Call } from "./call.ts";
import { isTimeoutError } from "./classify.ts";
import type { Ending } from "./ending.ts";
import { HOPS_HEADER, isForeignCoding, type AddedFields } from "./headers.ts";
import { Junctions, type Junction, type Lane } from "./lanes.ts";
import type { GatewayOptions } from "./ports.ts";
import {
  METHODS,
  bodyTooLargeProblem,
  callerTimeoutProblem,
  closingProblem,
  codingProblem,
  headerProblem,
  internalProblem,
  loopProblem,
  methodProblem,
  resourcesProblem,
  rootProblem,
  targetProblem,
  timeoutProblem,
  unknownUpstreamProblem,
  upgradeProblem,
  upstreamErrorProblem,
  type Problem,
} from "./problem.ts";
import { parseTarget, staysInside, targetPath, type Destination, type Route } from "./route.ts";
import { BodyRoom } from "./sender.ts";
import { reportFault } from "./transport.ts";
import type { Vigil } from "./vigil.ts";

/**
 * Longest declared body that is passed on in one piece instead of as a stream: what fits in a
 * socket's buffer arrives together anyway. One piece costs half, keeps its `Content-Length` on
 * Bun, and lets a body that breaks off become a 502 or 504 instead of a cut answer.
 */
export const ONE_PIECE_BYTES_MAX = 65_536;

/** The parts of a request's head that decide. Header names are asked for in lower case. */
export interface RequestHead {
  readonly method: string;
  /** Origin form: path and query. */
  readonly target: string;
  readonly header: HeaderReader;
  /** For the fields that `header` does not know, where it knows but those that decide. */
  readonly anyHeader?: HeaderReader;
}

/** What was decided of a request. */
export type Decided =
  | { readonly kind: "answer"; readonly problem: Problem }
  | {
      readonly kind: "forward";
      readonly call: Call;
      readonly lane: Lane;
      readonly target: string;
      readonly added: AddedFields;
    };

export type Forward = Extract<Decided, { readonly kind: "forward" }>;

/** A promise for a call that waits for room; it is over in a moment, and never rejects. */
export type Reception = Decided | { readonly kind: "waits"; readonly decided: Promise<Decided> };

/** What an admitted call goes on with. */
interface Pass {
  readonly admitted: Admitted;
  readonly vigil: Vigil;
  readonly hops: number;
}

type Wishes = Extract<CallWishes, { readonly ok: true }>;
type UpstreamRoute = Extract<Route, { readonly kind: "upstream" }>;

export class FrontDesk {
  readonly book: CallBook;
  readonly maxBodyBytes: number;
  /** A configuration that is read again may have another. */
  maxCriticality: GatewayOptions["maxCriticality"];
  readonly bodies: BodyRoom;
  readonly #tracing: GatewayOptions["tracing"];
  readonly #onError: GatewayOptions["onError"];
  readonly junctions: Junctions;
  readonly #methods: ReadonlySet<string>;

  constructor(options: GatewayOptions) {
    this.book = new CallBook(options.scheduler, options.onAccess);
    this.maxBodyBytes = options.maxBodyBytes;
    this.bodies = new BodyRoom(options.bodyRoomBytes);
    this.junctions = new Junctions(options);
    this.#tracing = options.tracing;
    this.#onError = options.onError;
    this.maxCriticality = options.maxCriticality;
    this.#methods = new Set([...METHODS, ...(options.methods ?? [])]);
  }

  receive(head: RequestHead): Reception {
    const { method, header } = head;
    if (!this.#methods.has(method)) {
      return this.answer(method, methodProblem(method, this.#methods));
    }
    if (isForeignCoding(header("transfer-encoding"))) return this.answer(method, codingProblem());
    // Clients that offer HTTP/2 in passing (`Upgrade: h2c`) are content with an HTTP/1.1 answer.
    const upgrade = header("upgrade") ?? undefined;
    if (upgrade !== undefined && upgrade.toLowerCase() !== "h2c") {
      return this.answer(method, upgradeProblem());
    }

    const route = parseTarget(head.target);
    if (route.kind === "refused") return this.answer(method, targetProblem(route.why));
    if (route.kind === "root") return this.answer(method, rootProblem());
    const junction = this.junctions.get(route.upstream);
    if (junction === undefined) return this.answer(method, unknownUpstreamProblem(route.upstream));

    const { main } = junction;
    const hops = hopsOf(header);
    if (hops > HOPS_MAX) return this.answer(method, loopProblem(hops), main);
    const most = this.maxCriticality;
    let wishes = readCallWishes(main.destination, route.path, method, header, most);
    if (!wishes.ok) return this.answer(method, headerProblem(wishes.header, wishes.detail), main);
    const length = Number(header("content-length") ?? 0);
    if (!(length <= this.maxBodyBytes)) {
      const problem = Number.isNaN(length)
        ? headerProblem("content-length", "must be one whole number")
        : bodyTooLargeProblem(this.maxBodyBytes);
      return this.answer(method, problem, main);
    }
    if (this.#tracing !== undefined) {
      wishes = {
        ...wishes,
        options: { ...wishes.options, parent: this.#tracing.parentOf(head.anyHeader ?? header) },
      };
    }
    if (junction.byEndpoint === undefined && insideTarget(main.destination, route) === undefined) {
      return this.answer(method, leavesProblem(), main);
    }
    const { guard } = main.destination.upstream;
    const { options } = wishes;
    if (options.criticality !== "critical_plus") {
      return this.#admitted(method, junction, wishes, route, hops, guard.tryAcquire(options));
    }
    const admission = guard.acquire?.(options) ?? guard.tryAcquire(options);
    if (!(admission instanceof Promise)) {
      return this.#admitted(method, junction, wishes, route, hops, admission);
    }
    const asked = wishes;
    const decided = admission.then((late) =>
      this.#admitted(method, junction, asked, route, hops, late),
    );
    return { kind: "waits", decided };
  }

  /** Which endpoint is known once the call is admitted; its prefix may not take every path. */
  #admitted(
    method: string,
    { main, byEndpoint, vigil }: Junction,
    wishes: Wishes,
    route: UpstreamRoute,
    hops: number,
    admission: Admission,
  ): Decided {
    if (!admission.admitted) {
      return this.answer(method, main.refusals.of(admission), main, admission.operation);
    }
    const lane = byEndpoint?.get(admission.endpoint?.name ?? "") ?? main;
    const target = insideTarget(lane.destination, route);
    if (target !== undefined) {
      return this.#forward(method, lane, wishes, target, { admitted: admission, vigil, hops });
    }
    admission.settle({ outcome: "ignored" });
    return this.answer(method, leavesProblem(), lane);
  }

  #forward(
    method: string,
    lane: Lane,
    wishes: Wishes,
    target: string,
    { admitted, vigil, hops }: Pass,
  ): Forward {
    const { options, deadlineMs, ownMs, idleMs } = wishes;
    const facts = { method, options, deadlineMs, ownMs, idleMs, admitted, vigil };
    const call = new Call(this.book, lane.destination, facts);
    const trace = this.#tracing?.headersOf(admitted.watched);
    return { kind: "forward", call, lane, target, added: { hops, trace } };
  }

  /** An answer of our own that no admitted call stands behind. */
  answer(method: string, problem: Problem, lane?: Lane, operation: string | null = null): Decided {
    this.book.refused(method, problem, lane?.destination, operation);
    return { kind: "answer", problem };
  }

  /** The caller has sent all, and there is no room any more: what it is told. */
  refusedLate(call: Call, { refusals }: Lane, refused: Refused): Problem {
    const problem = refusals.of(refused);
    call.fault(problem);
    return problem;
  }

  /** There is no memory for what the caller sends: what it is told. */
  outOfRoom(call: Call): Problem {
    const problem = resourcesProblem();
    call.fault(problem);
    return problem;
  }

  /** What a caller is told when its call ended early and nothing was sent yet. */
  endingProblem(call: Call, ending: Exclude<Ending, "caller_left">): Problem {
    if (ending === "caller_slow") return callerTimeoutProblem(call.destination, call.deadlineMs);
    if (ending === "stopping") return closingProblem();
    if (ending === "body_too_large") return bodyTooLargeProblem(this.maxBodyBytes);
    return timeoutProblem(call.destination, call.operation, call.deadlineMs);
  }

  /** Settles a call that failed before its answer, and answers what its caller is told. */
  failed(call: Call, error: unknown): Problem {
    const problem = this.#problemOf(call, error);
    if (problem.reason === "internal_error") {
      reportFault(this.#onError, error);
      call.fault(problem);
    } else call.fail(error, call.isWitness ? undefined : problem);
    return problem;
  }

  #problemOf({ destination, operation, deadlineMs }: Call, error: unknown): Problem {
    const fault = ownFault(error);
    if (fault === "resources") return resourcesProblem();
    // It was a request when we took it, so that making another of it is our fault.
    if (fault === "request") return internalProblem();
    return isTimeoutError(error)
      ? timeoutProblem(destination, operation, deadlineMs)
      : upstreamErrorProblem(destination, operation);
  }
}

/**
 * Gateways that a request may pass: more than anybody stacks on purpose, and few enough for a loop to end
 * before it is a load.
 */
const HOPS_MAX = 8;

/** Which gateway on its way this one is; a count that is none is taken for the first. */
function hopsOf(header: HeaderReader): number {
  const passed = Number(header(HOPS_HEADER) ?? 0);
  return (passed >= 0 && passed < Number.POSITIVE_INFINITY ? Math.floor(passed) : 0) + 1;
}

/** What the upstream is to be asked; undefined when it would not be this upstream. */
function insideTarget(
  destination: Destination,
  { path, query }: UpstreamRoute,
): string | undefined {
  const target = targetPath(destination, path, query);
  return staysInside(destination, target) ? target : undefined;
}

function leavesProblem(): Problem {
  return targetProblem("it would leave the upstream's base URL");
}

/** Statuses that a final answer can have; servers refuse to send others, or garble them. */
export function isFinalStatus(status: number): boolean {
  return status >= 200 && status <= 599;
}

/** Whether an answer is without a body by its status or the request's method (RFC 9112 §6.3). */
export function isBodiless(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304;
}

/** Whether a `Content-Length` value is one: digits, and nothing else (RFC 9110 §8.6). */
export function isLength(contentLength: string): boolean {
  return /^\d+$/.test(contentLength);
}

/** Whether a `Content-Length` value declares a body small enough to be passed on in one piece. */
export function fitsOnePiece(contentLength: string | null | undefined): boolean {
  if (contentLength === null || contentLength === undefined) return false;
  return Number(contentLength) <= ONE_PIECE_BYTES_MAX;
}
