// What a simulated upstream answers, and what each answer must count as. Errors are plain objects:
// a seed makes hundreds, and walking a stack costs more than the rest of a call.

import type { ErrorClass } from "../../src/core/classify.ts";
import { RefusedError } from "../../src/core/errors.ts";
import type { Outcome } from "../../src/index.ts";
import type { Classifiers } from "../../src/pipeline/call/judge.ts";
import type { SeededRandom } from "../../src/testing/index.ts";
import { pick } from "./kinds.ts";
import type { Ending } from "./ledger.ts";
import type { Plan } from "./swarm.ts";

/** How an answer looks to whoever judges it. */
type Look = "good" | "bad" | "late" | "odd" | "cancelled" | "refused" | "busy";

export interface Answer {
  readonly isError: boolean;
  readonly value: { readonly look: Look };
}

/** Health of an upstream: what its script sets it to. */
export interface Health {
  /** Share of calls that fail. */
  failing: number;
  /** Share of calls that never answer. */
  hanging: number;
  /** Typical time to answer; 0 answers at once. */
  latencyMs: number;
}

export const HEALTHY: Readonly<Health> = { failing: 0, hanging: 0, latencyMs: 0 };

export const GOOD: Answer = { isError: false, value: { look: "good" } };

/** Of a call that was given up on its way. */
export const GONE: Answer = { isError: true, value: errorOf("cancelled", undefined) };

const FAILURES: readonly Look[] = ["bad", "bad", "bad", "late", "cancelled", "refused"];

const REFUSAL = new RefusedError("SG_BREAKER_OPEN", "another guard refused", {
  upstream: "elsewhere",
  operation: "unknown",
  reason: "tripped",
  retryAfterMs: undefined,
});

export function drawAnswer(random: SeededRandom, plan: Plan, { failing }: Health): Answer {
  if (random.next() >= failing) {
    const look = plan.has("resultClassifier") && random.integer(6) === 0 ? "odd" : "good";
    return { isError: false, value: { look } };
  }
  const isValue = plan.has("resultClassifier") && random.integer(3) === 0;
  if (isValue) return { isError: false, value: { look: random.integer(3) === 0 ? "late" : "bad" } };
  if (plan.has("retryAfter") && random.integer(3) === 0) {
    return { isError: true, value: errorOf("busy", random.integer(4) * 400) };
  }
  const look = FAILURES[random.integer(FAILURES.length)] ?? "bad";
  return { isError: true, value: errorOf(look, undefined) };
}

function errorOf(look: Look, retryAfterMs: number | undefined): Answer["value"] {
  if (look === "refused") return Object.assign(REFUSAL, { look });
  const name = look === "cancelled" ? "AbortError" : "Error";
  const message = look === "late" ? "it timed out" : `it was ${look}`;
  return { look, name, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } as {
    readonly look: Look;
  };
}

/** The host's classifiers, some of which throw. */
export function classifiersOf(plan: Plan): Classifiers {
  const isBad = plan.has("badClassifiers");
  return {
    ...(isBad
      ? {
          classifyError: (error) => {
            const { look } = error as Answer["value"];
            if (look === "late") throw new TypeError("a classifier's own fault");
            return CLASSES[look] ?? "failed";
          },
        }
      : {}),
    ...(plan.has("resultClassifier")
      ? {
          classifyResult: (value) => {
            const look = (value as Answer["value"] | undefined)?.look;
            if (look === "odd" && isBad) throw new TypeError("a classifier's own fault");
            if (look === "odd") return "ignore";
            if (look === "late") return "timeout";
            return look === "bad" ? "failure" : "success";
          },
        }
      : {}),
  };
}

const CLASSES: Readonly<Partial<Record<Look, ErrorClass>>> = {
  bad: "failed",
  busy: "failed",
  late: "timeout",
  cancelled: "ignored",
  refused: "ignored",
};

/** What the answer must count as. */
export function endingOf(plan: Plan, { isError, value: { look } }: Answer): Ending {
  const isBad = plan.has("badClassifiers");
  // Where a classifier throws, the call counts as without it.
  if (isError) return CLASSES[look] ?? "failed";
  if (!plan.has("resultClassifier")) return "ok";
  if (look === "odd") return isBad ? "ok" : "ignored";
  if (look === "late") return "timeout";
  return look === "bad" ? "failed" : "ok";
}

/** What an adapter says of its call, and what that must count as. */
export function drawOutcome(
  random: SeededRandom,
  plan: Plan,
  { failing }: Health,
): { readonly outcome: Outcome; readonly ending: Ending } {
  const latencyMs = pick(random, [undefined, undefined, 3, 150, Number.NaN, -1]);
  const time = latencyMs === undefined ? {} : { latencyMs };
  if (random.next() >= Math.max(0.2, failing)) {
    const ending = random.integer(5) === 0 ? "ignored" : "ok";
    return { outcome: { outcome: ending, ...time }, ending };
  }
  const timeout = random.integer(3) === 0;
  const weight = random.integer(4) === 0 ? pick(random, [0, 0.5, 3]) : undefined;
  const retryAfterMs = plan.has("retryAfter") ? random.integer(4) * 400 : undefined;
  return {
    outcome: {
      outcome: "failed",
      timeout,
      error: errorOf("bad", undefined),
      ...time,
      ...(weight === undefined ? {} : { weight }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
    ending: timeout ? "timeout" : "failed",
  };
}
