// Hyper-Bun's three calls to bookmakers, guarded. All three catch every error and answer with an
// object, so that a guard that looks at errors alone records successes for ever and never trips: what
// they answer is judged here.

import { toldBy } from "./error-words.ts";
import { getCircuitBreaker } from "./instance.ts";
import type { CircuitBreakerContext, ResultClassifier, ResultVerdict } from "./options.ts";
import type { ProductionCircuitBreaker } from "./production-circuit-breaker.ts";

/** What is protected; a service may lack some of the three. */
export interface MarketProbeServiceLike {
  executeBookmakerApiProbe?(bookmaker: string): Promise<unknown>;
  simulateMicroBetAttempt?(marketNode: never): Promise<unknown>;
  probeDarkPoolMarket?(bookmaker: string, marketId: string): Promise<unknown>;
}

interface CallSite {
  readonly context: CircuitBreakerContext;
  readonly bookmakerOf: (first: unknown) => unknown;
}

/**
 * The bookmaker failed when every endpoint of it did; timed out when each of them did that. Endpoints
 * that this host could not call say nothing.
 */
export const classifyDeepProbe: ResultClassifier = (value) => {
  const { endpoints } = fieldsOf(value);
  if (!Array.isArray(endpoints) || endpoints.length === 0) return "success";
  const probes = endpoints.map(fieldsOf);
  if (probes.some(({ success }) => success !== false)) return "success";
  const verdicts = probes.map(({ error, endpoint }) => {
    const words = wordsOf(error);
    // A probe without an error was answered, and badly.
    if (words === "") return failed("failure", `${String(endpoint)} answered with an error`);
    return verdictOn(words) ?? failed("failure", words);
  });
  if (verdicts.includes("success")) return "success";
  const found = verdicts.filter((verdict) => typeof verdict === "object");
  return found.find(({ result }) => result === "failure") ?? found[0] ?? "ignored";
};

/**
 * Nothing but the words of an error came back when the attempt never reached the bookmaker. A refused
 * stake mostly took time and has limits; one that has neither is told from it by its words: only those
 * of a transport speak against the bookmaker, and none at all say nothing.
 */
export const classifyMicroBet: ResultClassifier = (value) => {
  const { accessible, responseTime, limits, rejectionReason } = fieldsOf(value);
  const isAnswered = Number(responseTime) > 0 || Object.keys(fieldsOf(limits)).length > 0;
  if (accessible !== false || isAnswered) return "success";
  const words = wordsOf(rejectionReason);
  return words === "" ? "ignored" : (verdictOn(words) ?? "success");
};

/** `HTTP 5…` is the bookmaker's failure; any other status is an answer of one that is alive. */
export const classifyDarkPoolProbe: ResultClassifier = (value) => {
  const { success, error } = fieldsOf(value);
  if (success !== false) return "success";
  const words = wordsOf(error);
  if (words === "") return failed("failure", "no reason given");
  const status = /^HTTP (\d{3})\b/.exec(words)?.[1];
  if (status !== undefined) return status.startsWith("5") ? failed("failure", words) : "success";
  return verdictOn(words) ?? failed("failure", words);
};

const CALL_SITES: Readonly<Record<keyof MarketProbeServiceLike, CallSite>> = {
  executeBookmakerApiProbe: {
    context: { operation: "deepProbe", estimatedLoad: 50, classifyResult: classifyDeepProbe },
    bookmakerOf: (bookmaker) => bookmaker,
  },
  simulateMicroBetAttempt: {
    context: { operation: "microBet", estimatedLoad: 10, classifyResult: classifyMicroBet },
    bookmakerOf: (marketNode) => fieldsOf(marketNode)["bookmaker"],
  },
  probeDarkPoolMarket: {
    context: {
      operation: "darkPoolProbe",
      estimatedLoad: 15,
      classifyResult: classifyDarkPoolProbe,
    },
    bookmakerOf: (bookmaker) => bookmaker,
  },
};

/** The same in every copy of this module: a method guarded twice would count twice. */
const GUARDED = Symbol.for("switchgear.hyper-bun.guarded");

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Guards the three methods of this very object, so that its own calls of them are guarded too, and
 * gives it back. All else about it stays. A guarded method rejects with `CircuitBreakerTrippedError`
 * where it used to answer; who calls it must expect that. Twice is once.
 *
 * Default breaker: the process's own, looked up at each call. Throws `TypeError` when the service has
 * none of the three methods.
 */
export function protectMarketProbeService<Service extends MarketProbeServiceLike>(
  service: Service,
  breaker?: ProductionCircuitBreaker,
): Service {
  let found = 0;
  for (const [name, site] of Object.entries(CALL_SITES)) {
    const method = (service as Record<string, unknown>)[name];
    if (typeof method !== "function") continue;
    found += 1;
    if (GUARDED in method) continue;
    Object.defineProperty(service, name, {
      value: guarded(method as Method, site, () => breaker ?? getCircuitBreaker()),
      configurable: true,
      writable: true,
    });
  }
  if (found > 0) return service;
  throw new TypeError(`the service has none of ${Object.keys(CALL_SITES).join(", ")}`);
}

function guarded(
  method: Method,
  { context, bookmakerOf }: CallSite,
  breaker: () => ProductionCircuitBreaker,
): Method {
  return Object.assign(
    function (this: unknown, ...args: unknown[]): unknown {
      const bookmaker = bookmakerOf(args[0]);
      // Without a name there is nobody to guard; the method says itself what it makes of that.
      if (typeof bookmaker !== "string" || bookmaker === "") return method.apply(this, args);
      return breaker().callApi(bookmaker, () => method.apply(this, args), context);
    },
    { [GUARDED]: true },
  );
}

type FailedVerdict = ResultVerdict & {
  readonly result: "failure" | "timeout";
  readonly error: string;
};

function failed(result: "failure" | "timeout", error: string): FailedVerdict {
  return { result, error };
}

/** Undefined for words that nobody knows. */
function verdictOn(words: string): FailedVerdict | "success" | "ignored" | undefined {
  const told = toldBy(words);
  if (told === "timeout") return failed("timeout", words);
  if (told === "transport") return failed("failure", words);
  if (told === "own") return "ignored";
  return told === "business" ? "success" : undefined;
}

/** Services fill in what is missing: with nothing, 0 and {}; some keep the error itself. */
function wordsOf(value: unknown): string {
  if (typeof value === "string") return value.trim();
  const { message, code } = fieldsOf(value);
  const words = [message, code].filter((word) => typeof word === "string" && word !== "");
  return words.join(" ");
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
