// What both transports do with a request before any byte of its body is read: the order of checks,
// written once. It ends in an answer of our own, or in an admitted call and its target.

import { Call, CallBook } from "./call.ts";
import type { CallWishes, HeaderReader } from "./call-options.ts";
import { readCallWishes } from "./call-options.ts";
import type { RequestHeaderRules } from "./headers.ts";
import type { GatewayOptions, GatewayUpstream } from "./ports.ts";
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
import type { Admitted } from "../pipeline/call/admission.ts";
import type { Destination, Route } from "./route.ts";
import { parseTarget, staysInside, targetPath, toDestination } from "./route.ts";
import type { Ending } from "./classify.ts";

/**
 * Longest declared body that is passed on in one piece instead of as a stream: what fits in a
 * socket's buffer arrives together anyway. One piece costs half, keeps its `Content-Length` on
 * Bun, and lets a body that breaks off become a 502 or 504 instead of a cut answer.
 */
export const ONE_PIECE_BYTES_MAX = 65_536;

/** One base URL of an upstream, and what its requests' headers are made with. */
export interface Lane {
  readonly destination: Destination;
  readonly rules: RequestHeaderRules;
  readonly refusals: RefusalAnswers;
}

/** An upstream's lane, and one for each endpoint where there are several. */
interface Junction {
  readonly main: Lane;
  readonly byEndpoint: ReadonlyMap<string, Lane> | undefined;
}

/** The parts of a request's head that decide. Header names are asked for in lower case. */
export interface RequestHead {
  readonly method: string;
  /** Origin form: path and query. */
  readonly target: string;
  readonly header: HeaderReader;
  /** For the fields that `header` does not know, where it knows but those that decide. */
  readonly anyHeader?: HeaderReader;
}

export type Reception =
  | { readonly kind: "answer"; readonly problem: Problem }
  | {
      readonly kind: "forward";
      readonly call: Call;
      readonly lane: Lane;
      readonly target: string;
      /** Fields that take the place of the caller's of the same names. */
      readonly traceHeaders: Readonly<Record<string, string>> | undefined;
    };

type Wishes = Extract<CallWishes, { readonly ok: true }>;
type UpstreamRoute = Extract<Route, { readonly kind: "upstream" }>;

export class FrontDesk {
  readonly book: CallBook;
  readonly maxBodyBytes: number;
  readonly #tracing: GatewayOptions["tracing"];
  readonly #junctions = new Map<string, Junction>();

  constructor(options: GatewayOptions) {
    this.book = new CallBook(options.scheduler, options.onAccess);
    this.maxBodyBytes = options.maxBodyBytes;
    this.#tracing = options.tracing;
    const toLane = (upstream: GatewayUpstream, url = upstream.url): Lane => {
      const destination = toDestination(upstream, url);
      const rules = {
        host: destination.host,
        userAgent: `switchgear/${options.version}`,
        isAdminToken: options.isAdminToken,
      };
      return { destination, rules, refusals: new RefusalAnswers(destination) };
    };
    for (const [name, upstream] of options.upstreams) {
      const { endpoints } = upstream;
      const byEndpoint =
        endpoints === undefined
          ? undefined
          : new Map([...endpoints].map(([endpoint, url]) => [endpoint, toLane(upstream, url)]));
      this.#junctions.set(name, { main: toLane(upstream), byEndpoint });
    }
  }

  /** Every base URL that may be asked. */
  *lanes(): Generator<Lane> {
    for (const { main, byEndpoint } of this.#junctions.values()) {
      if (byEndpoint === undefined) yield main;
      else yield* byEndpoint.values();
    }
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
    const junction = this.#junctions.get(route.upstream);
    if (junction === undefined) return this.answer(method, unknownUpstreamProblem(route.upstream));

    const { main } = junction;
    let wishes = readCallWishes(main.destination, route.path, method, header);
    if (!wishes.ok) return this.answer(method, headerProblem(wishes.header, wishes.detail), main);
    if (Number(header("content-length") ?? 0) > this.maxBodyBytes) {
      return this.answer(method, bodyTooLargeProblem(this.maxBodyBytes), main);
    }
    if (this.#tracing !== undefined) {
      wishes = {
        ...wishes,
        options: { ...wishes.options, parent: this.#tracing.parentOf(head.anyHeader ?? header) },
      };
    }
    if (junction.byEndpoint !== undefined) return this.#choose(method, junction, wishes, route);
    const target = insideTarget(main.destination, route);
    if (target === undefined) return this.answer(method, leavesProblem(), main);
    const admission = main.destination.upstream.guard.tryAcquire(wishes.options);
    return admission.admitted
      ? this.#forward(method, main, wishes, target, admission)
      : this.answer(method, main.refusals.of(admission), main, admission.operation);
  }

  /** Which endpoint is known once the call is admitted; its prefix may not take every path. */
  #choose(
    method: string,
    { main, byEndpoint }: Junction,
    wishes: Wishes,
    route: UpstreamRoute,
  ): Reception {
    const admission = main.destination.upstream.guard.tryAcquire(wishes.options);
    if (!admission.admitted) {
      return this.answer(method, main.refusals.of(admission), main, admission.operation);
    }
    const lane = byEndpoint?.get(admission.endpoint?.name ?? "") ?? main;
    const target = insideTarget(lane.destination, route);
    if (target !== undefined) return this.#forward(method, lane, wishes, target, admission);
    admission.settle({ outcome: "ignored" });
    return this.answer(method, leavesProblem(), lane);
  }

  #forward(
    method: string,
    lane: Lane,
    { options, deadlineMs }: Wishes,
    target: string,
    admission: Admitted,
  ): Reception {
    const call = new Call(this.book, lane.destination, {
      method,
      options,
      deadlineMs,
      admitted: admission,
    });
    const traceHeaders = this.#tracing?.headersOf(admission.watched);
    return { kind: "forward", call, lane, target, traceHeaders };
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

/** Whether a `Content-Length` value declares a body small enough to be passed on in one piece. */
export function fitsOnePiece(contentLength: string | null | undefined): boolean {
  if (contentLength === null || contentLength === undefined) return false;
  return Number(contentLength) <= ONE_PIECE_BYTES_MAX;
}
