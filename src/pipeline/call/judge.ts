// Judges what a call came to: the classifiers of the upstream's options first, then what every HTTP client's
// answers and errors have in common. A classifier is the host's code: what it throws, or answers in a word
// that is none, is told and costs neither the result nor the judgement.

import { classifyRead, errorText, failureText, retryAfterOf } from "../../core/classify.ts";
import { factsOf, type ErrorFacts } from "../../core/error-facts.ts";
import { property } from "../../core/foreign.ts";
import {
  isResponse,
  judgeErrorsAnswer,
  judgeResponse,
  type AnswerVerdict,
} from "../../core/http-answer.ts";
import type { Status429 } from "../../core/http-status.ts";
import { show } from "../../core/options.ts";
import { outcomeOfVerdict, type CallOutcome, type Verdict } from "../../core/outcome.ts";
import type { Clock } from "../ports.ts";
import type { Complaints } from "./complaints.ts";

export interface Classifiers {
  /**
   * How an error counts. Default: by the HTTP status that it carries, else by what clients' time-outs and
   * cancellations look like; what is neither has failed.
   */
  readonly classifyError?: ((error: unknown) => Verdict) | undefined;
  /**
   * How a fulfilled value counts; the value is returned all the same. Default: a `Response` by its status,
   * all else is `ok`.
   */
  readonly classifyResult?: ((value: unknown) => Verdict) | undefined;
  /**
   * How an answer of 429 counts, which tells of the caller's quota: `neutral` as no evidence, `failure`,
   * or `success`. Default `neutral`. For the default classifiers.
   */
  readonly status429?: Status429 | undefined;
}

/** A call that says nothing bad about its upstream, or what it says. */
export type Judgement = "ok" | "ignored" | BadNews;

export interface BadNews {
  readonly kind: "failed" | "timeout";
  /** What is kept as the breaker's last error. */
  readonly message: string;
  readonly retryAfterMs: number | undefined;
}

interface JudgePorts {
  readonly clock: Clock;
  readonly complaints: Complaints;
}

const WORDS = "ok, failed, timeout or ignored";

export class Judge {
  readonly #upstream: string;
  readonly #ports: JudgePorts;
  #classifyError: Classifiers["classifyError"];
  #classifyResult: Classifiers["classifyResult"];
  #status429: Status429 = "neutral";

  constructor(upstream: string, ports: JudgePorts) {
    this.#upstream = upstream;
    this.#ports = ports;
  }

  configure({ classifyError: ofErrors, classifyResult, status429 = "neutral" }: Classifiers): void {
    this.#classifyError = ofErrors;
    this.#classifyResult = classifyResult;
    this.#status429 = status429;
  }

  /** What a call that fulfilled with this came to. */
  ofValue(value: unknown): Judgement {
    const classify = this.#classifyResult;
    return classify === undefined && !isResponse(value) ? "ok" : this.#ofTelling(value, classify);
  }

  #ofTelling(value: unknown, classify: Classifiers["classifyResult"]): Judgement {
    if (classify !== undefined) {
      const said = this.#ask("classifyResult", classify, value);
      if (said === "ok" || said === "ignored") return said;
      if (said !== undefined) return newsOfValue(said);
    }
    const answer = judgeResponse(value, this.#status429, this.#ports.clock);
    if (answer === undefined || answer.outcome === "ok") return "ok";
    if (answer.outcome === "ignored") return "ignored";
    const { outcome: kind, status, retryAfterMs } = answer;
    return { kind, message: `HTTP ${status}`, retryAfterMs };
  }

  /** What a call that rejected with this, or threw it, came to. */
  ofError(error: unknown): Judgement {
    const classify = this.#classifyError;
    const facts = factsOf(error);
    const answer = judgeErrorsAnswer(error, facts, this.#status429, this.#ports.clock);
    const outcome =
      (classify === undefined ? undefined : this.#ask("classifyError", classify, error)) ??
      this.#usual(error, facts, answer);
    if (outcome === "ok" || outcome === "ignored") return outcome;
    const retryAfterMs = retryAfterOf(facts) ?? answer?.retryAfterMs;
    return { kind: outcome, message: failureText(error, facts), retryAfterMs };
  }

  #usual(error: unknown, facts: ErrorFacts, answer: AnswerVerdict | undefined): CallOutcome {
    // Another guard's refusal, told by its headers; all else an error's own walk finds, too.
    if (answer?.outcome === "ignored") return "ignored";
    return classifyRead(error, facts, this.#status429);
  }

  /** Undefined when the classifier said nothing that can be counted. */
  #ask(
    option: "classifyError" | "classifyResult",
    classify: (value: unknown) => unknown,
    about: unknown,
  ): CallOutcome | undefined {
    let said: unknown;
    try {
      said = classify(about);
    } catch (error) {
      this.#complain(option, `threw ${errorText(error)}`);
      return undefined;
    }
    const outcome = outcomeOfVerdict(said);
    if (outcome !== undefined) return outcome;
    const isPromise = typeof property(said, "then") === "function";
    if (isPromise) swallow(said);
    this.#complain(
      option,
      isPromise ? "answered a promise, and must answer at once" : `answered ${show(said)}`,
    );
    return undefined;
  }

  #complain(option: string, what: string): void {
    const sentence = `${option} ${what}; it must answer ${WORDS}, so the call counts as without it`;
    this.#ports.complaints.tell(this.#upstream, option, sentence);
  }
}

function newsOfValue(kind: "failed" | "timeout"): BadNews {
  const word = kind === "failed" ? "failure" : "timeout";
  return { kind, message: `the result was classified as ${word}`, retryAfterMs: undefined };
}

/** A promise that nobody awaits must not end the process when it is rejected. */
function swallow(promise: unknown): void {
  Promise.resolve(promise).catch(() => {});
}
