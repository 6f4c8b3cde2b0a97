// What is evidence against an upstream, and what is not.

import {
  CircuitState,
  SamplingBreaker,
  bulkhead,
  circuitBreaker,
  handleAll,
  isBrokenCircuitError,
} from "cockatiel";
import { createBreaker, isRefused, slidingWindow } from "../../src/index.ts";
import { outcomeOfAnswer } from "../../src/gateway/classify.ts";
import { boom, isAbort, untilAborted, fail, openCall, openCalls } from "./acts.ts";
import { OpossumBreaker } from "./opossum.ts";
import { pitfall, type Guard, type Stage } from "./stage.ts";

export const COUNTING = [
  pitfall({
    promise: "calls that have not ended do not dilute the share of those that failed",
    pitfall: "In-flight in the denominator",
    async scenario(stage) {
      const guard = stage.guard();
      openCalls(guard, 10);
      await fail(guard, 10);
      return guard.state;
    },
    seen: { switchgear: "open", opossum: "closed", cockatiel: "open" },
    words: {
      switchgear: "ten of ten failed: trips",
      opossum: "ten of twenty: stays closed, as the ratio is failures to calls started",
      cockatiel: "ten of ten failed: trips",
    },
  }),
  pitfall({
    promise: "an inner breaker's refusals are no failures for the outer one",
    pitfall: "Local rejections as failures: nested guards",
    async scenario(stage) {
      const inner = stage.guard();
      await fail(inner, 3);
      const stateOf = async (outer: Guard): Promise<string> => {
        for (let n = 0; n < 10; n += 1) {
          await outer.call(() => inner.call(() => "odds")).catch(() => {});
        }
        return outer.state;
      };
      const byDefault = await stateOf(stage.guard());
      return { byDefault, toldSo: await stateOf(stage.guard({ ignores: isRefusal })) };
    },
    seen: {
      switchgear: { byDefault: "closed", toldSo: "closed" },
      opossum: { byDefault: "open", toldSo: "closed" },
      cockatiel: { byDefault: "open", toldSo: "closed" },
    },
    words: {
      switchgear: "knows a refusal when it sees one",
      opossum: "trips the outer one, unless `errorFilter` takes out `EOPENBREAKER`",
      cockatiel: "trips the outer one, unless its policy leaves out `BrokenCircuitError`",
    },
  }),
  pitfall({
    promise: "what is refused because this process is full is no failure of the upstream",
    pitfall: "Local rejections as failures: own capacity",
    scenario: refuseForCapacity,
    seen: {
      switchgear: { refused: 10, state: "closed" },
      opossum: { refused: 10, state: "open" },
      cockatiel: { refused: 10, state: "open" },
    },
    words: {
      switchgear: "the load shedder's refusals do not reach the breaker",
      opossum: "refusals for `capacity` trip its own breaker",
      cockatiel: "refusals of a bulkhead inside the breaker trip it",
    },
  }),
  pitfall({
    promise: "callers who go away are no evidence against the upstream",
    pitfall: "Cancelled by caller",
    async scenario(stage) {
      const stateAfterTen = async (guard: Guard, hand: "on" | "in"): Promise<string> => {
        const caller = new AbortController();
        for (let n = 0; n < 10; n += 1) {
          if (hand === "on") openCall(guard, caller.signal);
          else guard.call(() => untilAborted(caller.signal)).catch(() => {});
        }
        await stage.time.turn();
        caller.abort();
        await stage.time.turn();
        return guard.state;
      };
      return {
        signalHandedOn: await stateAfterTen(stage.guard(), "on"),
        functionsOwnSignal: await stateAfterTen(stage.guard(), "in"),
        toldSo: await stateAfterTen(stage.guard({ ignores: isAbort }), "in"),
      };
    },
    seen: {
      switchgear: { signalHandedOn: "closed", functionsOwnSignal: "closed", toldSo: "closed" },
      opossum: { signalHandedOn: "open", functionsOwnSignal: "open", toldSo: "closed" },
      cockatiel: { signalHandedOn: "open", functionsOwnSignal: "open", toldSo: "closed" },
    },
    words: {
      switchgear: "ten aborted calls count nothing",
      opossum: "ten aborted calls trip it, unless `errorFilter` takes them out",
      cockatiel: "ten aborted calls trip it, unless its policy leaves them out",
    },
  }),
  pitfall({
    promise: "an answer that is bad can be counted as a failure and is returned all the same",
    pitfall: "Success that is bad",
    async scenario(stage) {
      const guard = stage.guard({ isBad: (value) => value === "error page" });
      const values = [];
      for (let n = 0; n < 3; n += 1) values.push(await guard.call(() => "error page"));
      return { values, state: guard.state };
    },
    seen: {
      switchgear: { values: Array(3).fill("error page"), state: "open" },
      opossum: { values: Array(3).fill("error page"), state: "closed" },
      cockatiel: { values: Array(3).fill("error page"), state: "open" },
    },
    words: {
      switchgear: "`classifyResult`",
      opossum: "no option: the function has to throw",
      cockatiel: "`handleWhenResult`",
    },
  }),
  pitfall({
    promise: "a 429 is no evidence, neither against the upstream nor for it",
    pitfall: "429 is not 503",
    scenario: mixQuotaAndSickness,
    seen: { switchgear: "open", opossum: "closed", cockatiel: "open" },
    words: {
      switchgear:
        "the gateway leaves 429 out; the library counts what is thrown unless `classifyError` says otherwise",
      opossum: "`errorFilter` turns 429 into successes, which hide the 503",
      cockatiel: "what its policy leaves out counts nothing while closed",
    },
  }),
  pitfall({
    // nodeshift/opossum#217 and #288, found by users; `volumeThreshold` came of them, 0 by default.
    promise: "as it comes, one failed call is no reason to trip",
    pitfall: "Trips at the first failure",
    async scenario({ subject }) {
      const error = (): Promise<never> => Promise.reject(boom);
      const switchgear = createBreaker("dk", slidingWindow());
      const opossum = new OpossumBreaker(error);
      const breaker = new SamplingBreaker({ threshold: 0.5, duration: 10_000 });
      const cockatiel = circuitBreaker(handleAll, { halfOpenAfter: 1000, breaker });
      await switchgear.execute(error).catch(() => {});
      await opossum.fire().catch(() => {});
      await cockatiel.execute(error).catch(() => {});
      const isOpen = {
        switchgear: switchgear.isTripped,
        opossum: opossum.opened,
        cockatiel: cockatiel.state === CircuitState.Open,
      };
      return isOpen[subject] ? "open" : "closed";
    },
    seen: { switchgear: "closed", opossum: "open", cockatiel: "closed" },
    words: {
      switchgear: "`minimumCalls`, 10 by default",
      opossum: "trips: `volumeThreshold` is 0 by default",
      cockatiel: "`SamplingBreaker` wants several failures a second by default",
    },
  }),
  pitfall<number | string>({
    promise: "how often it tripped is counted, also when nobody looked meanwhile",
    pitfall: "Counter gaps",
    async scenario(stage) {
      const guard = stage.guard();
      for (let n = 0; n < 3; n += 1) {
        await fail(guard, 10);
        await stage.time.pass(60_000);
        await guard.call(() => "odds");
      }
      const { upstream, opossum, cockatiel } = guard.itself;
      if (upstream !== undefined) return upstream.counters.trips;
      return tellsOpenings(opossum?.stats ?? cockatiel?.toJSON() ?? {}) ? "somewhere" : "nowhere";
    },
    seen: { switchgear: 3, opossum: "nowhere", cockatiel: "nowhere" },
    words: {
      switchgear: "counts trips; a scrape later sees all three",
      opossum: "tells by events only; `stats` has no count of them",
      cockatiel: "tells by events only; `toJSON()` has no count of them",
    },
  }),
];

/** What those who were told so leave out of the count. */
function isRefusal(error: unknown): boolean {
  return (
    isRefused(error) ||
    isBrokenCircuitError(error) ||
    (error as { code?: unknown }).code === "EOPENBREAKER"
  );
}

/** Whether a report has a number of openings in it, whatever it is called. */
function tellsOpenings(report: object): boolean {
  return Object.entries(report).some(
    ([name, value]) =>
      (/open|trip|break/i.test(name) && typeof value === "number") ||
      (typeof value === "object" && value !== null && tellsOpenings(value)),
  );
}

/** Ten calls to a process that is full; its upstream is well and hears of none of them. */
async function refuseForCapacity(stage: Stage): Promise<{ refused: number; state: string }> {
  const hang = (): Promise<never> => new Promise(() => {});
  const guard = stage.guard({ load: 1 }, stage.subject === "opossum" ? { capacity: 1 } : undefined);
  const { upstream } = guard.itself;
  const one = bulkhead(1);
  const work = stage.subject === "cockatiel" ? () => one.execute(hang) : hang;
  // The one that fills it. Switchgear's process is full by its load.
  if (upstream === undefined) void guard.call(work);
  let refused = 0;
  for (let n = 0; n < 10; n += 1) {
    const call = upstream === undefined ? guard.call(work) : upstream.execute(hang, { load: 1000 });
    await call.catch(() => (refused += 1));
  }
  return { refused, state: guard.state };
}

/** Six answers of 503, as many as three sick breakers need, among ten of 429. */
async function mixQuotaAndSickness(stage: Stage): Promise<string> {
  const statuses = [429, 429, 503, 429, 503, 429, 503, 429, 429, 503, 429, 503, 429, 503, 429, 429];
  const statusOf = (error: unknown): unknown => (error as { status?: unknown }).status;
  const guard = stage.guard({ calls: 5, ignores: (error) => statusOf(error) === 429 });
  const { upstream } = guard.itself;
  for (const status of statuses) {
    if (upstream === undefined) {
      await guard
        .call(() => Promise.reject(Object.assign(new Error("HTTP"), { status })))
        .catch(() => {});
      continue;
    }
    const admission = upstream.tryAcquire();
    if (admission.admitted) admission.settle(outcomeOfAnswer(status, "neutral", 1));
  }
  return guard.state;
}
