// What both transports do with a request before any byte of its body is read: the order of checks,
// written once. It ends in an answer of our own, or in an admitted call and its target.

import { Call, CallBook } from "./call.ts";
import type { CallWishes, HeaderReader } from "./call-options.ts";
import { readCallWishes } from "./call-options.ts";
import type { RequestHeaderRules } from "./headers.ts";
import type { GatewayOptions } from "./ports.ts";
import type { Problem } from "./problem.ts";
import {
  METHODS,
  RefusalAnswers,
  bodyTooLargeProblem,
  closingProblem,
  headerProblem,
  methodProblem,
  rootProblem,
  targetProblem,
  timeoutProblem,
  unknownUpstreamProblem,
  upgradeProblem,
} from "./problem.ts";
import type { Destination } from "./route.ts";
import { parseTarget, staysInside, targetPath, toDestination } from "./route.ts";
import type { Ending } from "./classify.ts";

/**
 * Longest declared body that is passed on in one piece instead of as a stream: what fits in a
 * socket's buffer arrives together anyway. One piece costs half, keeps its `Content-Length` on
 * Bun, and lets a body that breaks off become a 502 or 504 instead of a cut answer.
 */
export const ONE_PIECE_BYTES_MAX = 65_536;

/** An upstream and what its requests' headers are made with. */
export interface Lane {
  readonly destination: Destination;
  readonly rules: RequestHeaderRules;
  readonly refusals: RefusalAnswers;
}

/** The parts of a request's head that decide. Header names are asked for in lower case. */
export interface RequestHead {
  readonly method: string;
  /** Origin form: path and query. */
  readonly target: string;
  readonly header: HeaderReader;
}

export type Reception =
  | { readonly kind: "answer"; readonly problem: Problem }
  | { readonly kind: "forward"; readonly call: Call; readonly lane: Lane; readonly target: string };

export class FrontDesk {
  readonly book: CallBook;
  readonly maxBodyBytes: number;
  readonly #lanes = new Map<string, Lane>();

  constructor(options: GatewayOptions) {
    this.book = new CallBook(options.scheduler, options.onAccess);
    this.maxBodyBytes = options.maxBodyBytes;
    for (const [name, upstream] of options.upstreams) {
      const destination = toDestination(upstream);
      const rules = {
        host: destination.host,
        userAgent: `switchgear/${options.version}`,
        isAdminToken: options.isAdminToken,
      };
      this.#lanes.set(name, { destination, rules, refusals: new RefusalAnswers(destination) });
    }
  }

  get lanes(): Iterable<Lane> {
    return this.#lanes.values();
  }

  receive(head: RequestHead): Reception {
    const { method, header } = head;
    if (!METHODS.has(method)) return this.answer(method, methodProblem(method));
    // Clients that offer HTTP/2 in passing (`Upgrade: h2c`) are content with an HTTP/1.1 answer.
    const upgrade = header("upgrade") ?? undefined;
    if (upgrade !== undefined && upgrade.toLowerCase() !== "h2c") {
      return this.answer(method, upgradeProblem());
    }

    const route = parseTarget(head.target);
    if (route.kind === "refused") return this.answer(method, targetProblem(route.why));
    if (route.kind === "root") return this.answer(method, rootProblem());
    const lane = this.#lanes.get(route.upstream);
    if (lane === undefined) return this.answer(method, unknownUpstreamProblem(route.upstream));

    const { destination } = lane;
    const wishes = readCallWishes(destination, route.path, method, header);
    if (!wishes.ok) return this.answer(method, headerProblem(wishes.header, wishes.detail), lane);
    const target = targetPath(destination, route.path, route.query);
    if (!staysInside(destination, target)) {
      return this.answer(method, targetProblem("it would leave the upstream's base URL"), lane);
    }
    if (Number(header("content-length") ?? 0) > this.maxBodyBytes) {
      return this.answer(method, bodyTooLargeProblem(this.maxBodyBytes), lane);
    }
    return this.#admit(method, lane, wishes, target);
  }

  #admit(
    method: string,
    lane: Lane,
    wishes: Extract<CallWishes, { ok: true }>,
    target: string,
  ): Reception {
    const { options, deadlineMs } = wishes;
    const admission = lane.destination.upstream.guard.tryAcquire(options);
    if (!admission.admitted) {
      return this.answer(method, lane.refusals.of(admission), lane, admission.operation);
    }
    const call = new Call(this.book, lane.destination, {
      method,
      options,
      deadlineMs,
      admitted: admission,
    });
    return { kind: "forward", call, lane, target };
  }

  /** An answer of our own that no admitted call stands behind. */
  answer(
    method: string,
    problem: Problem,
    lane?: Lane,
    operation: string | null = null,
  ): Reception {
    this.book.refused(method, problem, lane?.destination, operation);
    return { kind: "answer", problem };
  }

  /** What a caller is told when its call ended early and nothing was sent yet. */
  endingProblem(call: Call, ending: Exclude<Ending, "caller_left">): Problem {
    if (ending === "deadline" || ending === "stalled") {
      return timeoutProblem(call.destination, call.operation, call.deadlineMs);
    }
    return ending === "stopping" ? closingProblem() : bodyTooLargeProblem(this.maxBodyBytes);
  }
}

/** Statuses that a final answer can have; servers refuse to send others, or garble them. */
export function isFinalStatus(status: number): boolean {
  return status >= 200 && status <= 599;
}

/** Whether an answer is without a body by its status or the request's method (RFC 9112 §6.3). */
export function isBodiless(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304;
}

/** Whether a `Content-Length` value declares a body small enough to be passed on in one piece. */
export function fitsOnePiece(contentLength: string | null | undefined): boolean {
  if (contentLength === null || contentLength === undefined) return false;
  return Number(contentLength) <= ONE_PIECE_BYTES_MAX;
}
