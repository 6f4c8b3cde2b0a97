// Time: clocks that jump, processes that stand still, timers that nobody needs.

import { EventEmitter } from "node:events";
import { fail, knock, openCalls } from "./acts.ts";
import { pitfall } from "./stage.ts";

const HOUR_MS = 3_600_000;

export const CLOCKS = [
  pitfall({
    promise: "setting the wall clock neither shortens nor lengthens the wait",
    pitfall: "Wall clock",
    async scenario(stage) {
      const ahead = stage.guard();
      const back = stage.guard();
      await fail(ahead, 3);
      stage.time.jumpWall(HOUR_MS);
      const anHourAhead = await knock(stage, ahead);
      await fail(back, 3);
      stage.time.jumpWall(-HOUR_MS);
      await stage.time.pass(1000);
      return { anHourAhead, anHourBack: await knock(stage, back) };
    },
    seen: {
      switchgear: { anHourAhead: "refused", anHourBack: "admitted" },
      opossum: { anHourAhead: "refused", anHourBack: "admitted" },
      cockatiel: { anHourAhead: "admitted", anHourBack: "refused" },
    },
    words: {
      switchgear: "waits on the monotonic clock",
      opossum: "waits on a timer",
      cockatiel: "probes at once when the clock is put ahead, and an hour late when it is put back",
    },
  }),
  pitfall({
    promise: "a process that stood still does not take its own pause for the upstream's timeouts",
    pitfall: "Event-loop stall",
    async scenario(stage) {
      const guard = stage.guard({ deadlineMs: 100 });
      const calls = openCalls(guard, 10);
      await stage.time.turn();
      // The answers arrived meanwhile; but a loop fires what timers are due before it reads sockets.
      stage.time.stall(2000);
      const fired = stage.time.pass(100);
      for (const call of calls) call.resolve("odds");
      await fired;
      await stage.time.pass(1);
      const answered = calls.filter(({ ended }) => ended !== undefined && "value" in ended).length;
      return { answered, state: guard.state };
    },
    seen: {
      switchgear: { answered: 10, state: "closed" },
      opossum: { answered: 0, state: "open" },
      cockatiel: { answered: 0, state: "open" },
    },
    words: {
      switchgear: "reads the answers first; what is overdue even then is no evidence",
      opossum: "times all of them out and trips a healthy upstream",
      cockatiel: "times all of them out and trips a healthy upstream",
    },
  }),
  pitfall({
    // nodeshift/opossum#799 and #809: the timers of many breakers were too much for a service.
    promise: "idle breakers keep no timers",
    pitfall: "Timer per breaker",
    async scenario(stage) {
      for (let n = 0; n < 100; n += 1) stage.guard();
      const byDefault = stage.time.pendingTimers;
      const shared = { enableSnapshots: false, rotateBucketController: new EventEmitter() };
      const saved = stage.subject === "opossum" ? shared : undefined;
      for (let n = 0; n < 100; n += 1) stage.guard({}, saved);
      return { byDefault, more: stage.time.pendingTimers - byDefault };
    },
    seen: {
      switchgear: { byDefault: 0, more: 0 },
      opossum: { byDefault: 200, more: 0 },
      cockatiel: { byDefault: 0, more: 0 },
    },
    words: {
      switchgear: "none; deadlines of running calls share one per duration",
      opossum: "two for each breaker; `enableSnapshots` and `rotateBucketController` spare them",
      cockatiel: "none",
    },
  }),
  pitfall({
    // nodeshift/opossum#580: a loop that only ever awaits settled promises never lets a timer fire.
    promise: "the wait ends when its time is over, also where no timer got to fire",
    pitfall: "Recovery by a timer",
    async scenario(stage) {
      const guard = stage.guard();
      await fail(guard, 3);
      stage.time.stall(5000);
      return knock(stage, guard);
    },
    seen: { switchgear: "admitted", opossum: "refused", cockatiel: "admitted" },
    words: {
      switchgear: "the next call looks at the clock",
      opossum: "refuses until the event loop comes to its timer",
      cockatiel: "the next call looks at the clock",
    },
  }),
  pitfall({
    promise: "failures of an hour ago are no evidence, however long nobody called",
    pitfall: "Stale window after idle",
    async scenario(stage) {
      const guard = stage.guard({ calls: 10, windowMs: 10_000 });
      await fail(guard, 9);
      await stage.time.pass(HOUR_MS);
      await fail(guard, 1);
      return guard.state;
    },
    seen: { switchgear: "closed", opossum: "closed", cockatiel: "open" },
    words: {
      switchgear: "counts one call",
      opossum: "counts one call: its timers emptied the window",
      cockatiel:
        "`SamplingBreaker` counts ten: it empties one slice for each call, however old the rest",
    },
  }),
  pitfall({
    promise: "calls that succeed too slowly can be made to trip",
    pitfall: "Slow is as bad as failed",
    async scenario(stage) {
      const guard = stage.guard({ switchgear: { slowCallMs: 1000 } });
      const calls = openCalls(guard, 10);
      await stage.time.pass(5000);
      for (const call of calls) call.resolve("odds");
      await stage.time.turn();
      return guard.state;
    },
    seen: { switchgear: "open", opossum: "closed", cockatiel: "closed" },
    words: {
      switchgear: "with `slowCallMs`, off by default",
      opossum: "no option; a timeout instead ends such calls",
      cockatiel: "no option; a timeout instead ends such calls",
    },
  }),
];
