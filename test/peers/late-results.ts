// What comes back after the world has changed.

import { boom, fail, openCall, succeed, tripAndWait } from "./acts.ts";
import { pitfall } from "./stage.ts";

export const LATE_RESULTS = [
  pitfall({
    promise: "a success from before the trip does not close a half-open breaker",
    pitfall: "Late success",
    async scenario(stage) {
      const guard = stage.guard();
      const straggler = openCall(guard);
      await tripAndWait(stage, guard);
      openCall(guard);
      straggler.resolve("odds");
      await stage.time.turn();
      return guard.state;
    },
    seen: { switchgear: "half-open", opossum: "closed", cockatiel: "half-open" },
    words: {
      switchgear: "goes on waiting for its probe",
      opossum: "closes: any success does while it is half-open",
      cockatiel: "goes on waiting for its probe",
    },
  }),
  pitfall({
    promise: "a failure from before the trip does not open a half-open breaker again",
    pitfall: "Late failure",
    async scenario(stage) {
      const guard = stage.guard();
      const straggler = openCall(guard);
      await tripAndWait(stage, guard);
      const probe = openCall(guard);
      straggler.reject(boom);
      await stage.time.turn();
      const before = guard.state;
      probe.resolve("odds");
      await stage.time.turn();
      return { before, afterTheProbeSucceeded: guard.state };
    },
    seen: {
      switchgear: { before: "half-open", afterTheProbeSucceeded: "closed" },
      opossum: { before: "open", afterTheProbeSucceeded: "open" },
      cockatiel: { before: "open", afterTheProbeSucceeded: "open" },
    },
    words: {
      switchgear: "waits for its probe, and closes with it",
      opossum: "opens again, and drops the probe's success",
      cockatiel: "opens again, and drops the probe's success",
    },
  }),
  pitfall({
    promise: "failures from before the trip do not count against a recovered upstream",
    pitfall: "Late failures after recovery",
    async scenario(stage) {
      const guard = stage.guard();
      const stragglers = Array.from({ length: 5 }, () => openCall(guard));
      // In opossum unfinished calls are part of the ratio; these let it trip all the same.
      await fail(guard, 10);
      await stage.time.pass(1000);
      await succeed(guard);
      const recovered = guard.state;
      for (const straggler of stragglers) straggler.reject(boom);
      await stage.time.turn();
      return { recovered, afterThem: guard.state };
    },
    seen: {
      switchgear: { recovered: "closed", afterThem: "closed" },
      opossum: { recovered: "closed", afterThem: "open" },
      cockatiel: { recovered: "closed", afterThem: "open" },
    },
    words: {
      switchgear: "counts them as late and stays closed",
      opossum: "trips the recovered upstream",
      cockatiel: "trips the recovered upstream",
    },
  }),
  pitfall({
    promise: "a breaker that closed again starts with an empty window",
    pitfall: "Window of before the trip",
    async scenario(stage) {
      const guard = stage.guard();
      await tripAndWait(stage, guard);
      await succeed(guard);
      await fail(guard, 1);
      return guard.state;
    },
    seen: { switchgear: "closed", opossum: "open", cockatiel: "closed" },
    words: {
      switchgear: "needs new evidence to trip again",
      opossum: "trips at the first failure: the old ones are still in its window",
      cockatiel: "needs new evidence to trip again",
    },
  }),
];
