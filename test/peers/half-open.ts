// Finding out whether the upstream is back, without knocking it over.

import {
  abortError,
  fail,
  isAbort,
  knock,
  openCall,
  openCalls,
  succeed,
  tripAndWait,
} from "./acts.ts";
import { pitfall } from "./stage.ts";

/** Longer than anything that is meant to end by itself. */
const DAY_MS = 86_400_000;

export const HALF_OPEN = [
  pitfall({
    promise:
      "whoever comes while the probe is out is turned away at once, and none is let loose after it",
    pitfall: "Half-open stampede",
    async scenario(stage) {
      const guard = stage.guard();
      await tripAndWait(stage, guard);
      const probe = openCall(guard);
      const crowd = openCalls(guard, 1000);
      await stage.time.turn();
      const turnedAway = crowd.filter(({ ended }) => ended !== undefined).length;
      probe.resolve("odds");
      await stage.time.turn();
      return { turnedAway, letLooseTogether: crowd.filter(({ started }) => started).length };
    },
    seen: {
      switchgear: { turnedAway: 1000, letLooseTogether: 0 },
      // nodeshift/opossum#119 was about this, and was mended.
      opossum: { turnedAway: 1000, letLooseTogether: 0 },
      cockatiel: { turnedAway: 0, letLooseTogether: 1000 },
    },
    words: {
      switchgear: "refuses them",
      opossum: "refuses them",
      cockatiel: "lets all wait, without a bound, and starts them together when the probe succeeds",
    },
  }),
  pitfall({
    // nodeshift/opossum#613 and connor4312/cockatiel#73 ask for this; cockatiel 4 has it.
    promise: "closing can be made to need several successful probes",
    pitfall: "One success closes",
    async scenario(stage) {
      const guard = stage.guard({ probes: 2 });
      await tripAndWait(stage, guard);
      await succeed(guard);
      const afterOne = guard.state;
      await succeed(guard);
      return { afterOne, afterTwo: guard.state };
    },
    seen: {
      switchgear: { afterOne: "half-open", afterTwo: "closed" },
      opossum: { afterOne: "closed", afterTwo: "closed" },
      cockatiel: { afterOne: "half-open", afterTwo: "closed" },
    },
    words: {
      switchgear: "`halfOpenSuccesses`, 2 by default",
      opossum: "one success closes; there is no option",
      cockatiel: "`halfOpenSampling`, 1 by default",
    },
  }),
  pitfall({
    promise: "full traffic can be made to return in steps",
    pitfall: "All-or-nothing close",
    async scenario(stage) {
      const guard = stage.guard({ switchgear: { ramping: true } });
      await tripAndWait(stage, guard);
      await succeed(guard);
      const crowd = openCalls(guard, 100);
      await stage.time.turn();
      return crowd.filter(({ started }) => started).length;
    },
    seen: { switchgear: 5, opossum: 100, cockatiel: 100 },
    words: {
      switchgear: "with `ramping`, off by default: 5 of the next 100 calls",
      opossum: "all of the next 100 calls; there is no option",
      cockatiel: "all of the next 100 calls; there is no option",
    },
  }),
  pitfall({
    promise: "a probe that never answers does not keep the breaker half-open for ever",
    pitfall: "Probe permit leak: never settled",
    async scenario(stage) {
      const aDayAfter = async (deadlineMs?: number): Promise<string> => {
        const guard = stage.guard(deadlineMs === undefined ? {} : { deadlineMs });
        await tripAndWait(stage, guard);
        openCall(guard);
        await stage.time.pass(10_000);
        await stage.time.pass(DAY_MS);
        return knock(stage, guard);
      };
      return { withoutDeadline: await aDayAfter(), withDeadline: await aDayAfter(10_000) };
    },
    seen: {
      switchgear: { withoutDeadline: "admitted", withDeadline: "admitted" },
      opossum: { withoutDeadline: "refused", withDeadline: "admitted" },
      cockatiel: { withoutDeadline: "waits", withDeadline: "admitted" },
    },
    words: {
      switchgear: "after `probeLeaseMs` the next call gets the slot",
      opossum: "with `timeout: false` refuses for ever; its default timeout prevents it",
      cockatiel: "without a timeout policy inside, all later calls wait for ever",
    },
  }),
  pitfall({
    promise: "a probe whose caller went away says nothing, and gives its slot back",
    pitfall: "Probe permit leak: aborted",
    async scenario(stage) {
      const guard = stage.guard();
      await tripAndWait(stage, guard);
      const caller = new AbortController();
      const probe = openCall(guard, caller.signal);
      await stage.time.turn();
      caller.abort();
      await stage.time.turn();
      return {
        probe: probe.ended !== undefined,
        state: guard.state,
        next: await knock(stage, guard),
      };
    },
    seen: {
      switchgear: { probe: true, state: "half-open", next: "admitted" },
      opossum: { probe: true, state: "open", next: "refused" },
      cockatiel: { probe: true, state: "open", next: "refused" },
    },
    words: {
      switchgear: "the next call is the probe",
      opossum: "opens again: an abort is a failure",
      cockatiel: "opens again: an abort is a failure",
    },
  }),
  pitfall({
    promise:
      "a probe that ends in an error that was declared to be no evidence does not close the breaker",
    pitfall: "Probe permit leak: ignored",
    async scenario(stage) {
      const guard = stage.guard({ ignores: isAbort });
      await tripAndWait(stage, guard);
      await guard.call(() => Promise.reject(abortError())).catch(() => {});
      return guard.state;
    },
    seen: { switchgear: "half-open", opossum: "closed", cockatiel: "closed" },
    words: {
      switchgear: "`ignored` is neither a success nor a failure",
      opossum: "closes: what `errorFilter` takes out is a success",
      cockatiel: "closes: what the policy does not handle is a success",
    },
  }),
  pitfall({
    promise: "breakers that tripped together can be made not to come back together",
    pitfall: "Thundering herd",
    async scenario(stage) {
      const largestWave = async (spread: boolean): Promise<"together" | "spread"> => {
        let waiting = Array.from({ length: 100 }, () => stage.guard({ spread }));
        for (const guard of waiting) await fail(guard, 3);
        let largest = 0;
        for (let ms = 0; ms <= 3000 && waiting.length > 0; ms += 50) {
          const left = [];
          for (const guard of waiting) {
            if ((await knock(stage, guard)) === "refused") left.push(guard);
          }
          largest = Math.max(largest, waiting.length - left.length);
          waiting = left;
          await stage.time.pass(50);
        }
        return largest === 100 ? "together" : "spread";
      };
      return { byDefault: await largestWave(false), whenAsked: await largestWave(true) };
    },
    seen: {
      switchgear: { byDefault: "together", whenAsked: "spread" },
      opossum: { byDefault: "together", whenAsked: "together" },
      cockatiel: { byDefault: "together", whenAsked: "spread" },
    },
    words: {
      switchgear:
        "together by default; `openDurationJitter`, or the preset `cautious`, spreads them",
      opossum: "together; there is no option",
      cockatiel: "together with a number; its `ExponentialBackoff` spreads them",
    },
  }),
];
