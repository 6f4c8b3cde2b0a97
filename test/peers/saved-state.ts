// What outlives a restart, what people ordered, and how much is kept.

import { fail, knock, succeed } from "./acts.ts";
import { createSwitchgear, memoryStore, slidingWindow, type Store } from "../../src/index.ts";
import { OpossumBreaker } from "./opossum.ts";
import { pitfall, type Guard, type Stage } from "./stage.ts";

const DAY_MS = 86_400_000;

export const SAVED_STATE = [
  pitfall({
    promise: "an open breaker waits out the rest of its time in the next process",
    pitfall: "Restart amnesia: open",
    async scenario(stage) {
      const afterRestart = async (ageMs: number): Promise<readonly string[]> => {
        const { guard, save } = restartable(stage);
        await stage.time.pass(ageMs);
        await fail(guard, 3);
        await stage.time.pass(400);
        const next = save()();
        const atOnce = await knock(stage, next);
        await stage.time.pass(600);
        return [atOnce, await knock(stage, next)];
      };
      return { ofANewBreaker: await afterRestart(0), ofAnOldOne: await afterRestart(60_000) };
    },
    seen: {
      switchgear: {
        ofANewBreaker: ["refused", "admitted"],
        ofAnOldOne: ["refused", "admitted"],
      },
      opossum: {
        ofANewBreaker: ["refused", "refused"],
        ofAnOldOne: ["admitted", "refused"],
      },
      cockatiel: {
        ofANewBreaker: ["refused", "admitted"],
        ofAnOldOne: ["refused", "admitted"],
      },
    },
    words: {
      switchgear: "waits the rest",
      opossum:
        "`toJSON()` dates the wait from the breaker's making: an old one probes at once, a new one waits anew",
      cockatiel: "waits the rest",
    },
  }),
  pitfall({
    promise: "failures counted before a restart do not trip the next process a day later",
    pitfall: "Restart amnesia: stale window",
    async scenario(stage) {
      const { guard, save } = restartable(stage);
      await fail(guard, 2);
      const restart = save();
      await stage.time.pass(DAY_MS);
      const next = restart();
      await fail(next, 1);
      return next.state;
    },
    seen: { switchgear: "closed", opossum: "open", cockatiel: "open" },
    words: {
      switchgear: "a window starts empty; a latching breaker keeps its count, as it has no window",
      opossum: "with `status` handed on too, the first failure trips it",
      cockatiel: "`CountBreaker`'s calls have no date: the first failure trips it",
    },
  }),
  pitfall({
    promise: "a person's order holds, outlives a restart, and can be taken back after it",
    pitfall: "Orders by people",
    async scenario(stage) {
      const { guard, save } = restartable(stage);
      const { upstream, opossum, cockatiel } = guard.itself;
      upstream?.trip({ reason: "maintenance" });
      opossum?.open();
      cockatiel?.isolate();
      await stage.time.pass(DAY_MS);
      const aDayLater = await knock(stage, guard);
      const next = save()();
      const afterRestart = await knock(stage, next);
      next.itself.upstream?.reset({ force: true });
      next.itself.opossum?.close();
      next.itself.cockatiel?.isolate().dispose();
      return { aDayLater, afterRestart, takenBack: await knock(stage, next) };
    },
    seen: {
      switchgear: { aDayLater: "refused", afterRestart: "refused", takenBack: "admitted" },
      opossum: { aDayLater: "admitted", afterRestart: "admitted", takenBack: "admitted" },
      cockatiel: { aDayLater: "refused", afterRestart: "refused", takenBack: "refused" },
    },
    words: {
      switchgear: "`trip` holds until `reset`",
      opossum: "`open()` is probed after `resetTimeout` like any trip",
      cockatiel: "an isolated breaker stays so after a restart, and no handle is left to end it",
    },
  }),
  pitfall({
    promise: "a registry that is fed keys by traffic stays bounded, and forgets no trip",
    pitfall: "Per-key leak",
    async scenario(stage) {
      const upstream = { breaker: slidingWindow({ minimumCalls: 3 }) };
      const gear = createSwitchgear({
        otherUpstreams: upstream,
        limits: { upstreams: 10 },
        clock: stage.time,
        sampler: { systemLoad: () => 0 },
      });
      for (let n = 0; n < 3; n += 1) gear.upstream("sick").record({ outcome: "failed" });
      for (let n = 0; n < 1000; n += 1) await gear.upstream(`key ${n}`).execute(() => "odds");
      return {
        kept: gear.upstreams().length,
        evicted: gear.counters().evicted,
        sick: gear.find("sick")?.state(),
      };
    },
    seen: { switchgear: { kept: 10, evicted: 991, sick: "open" } },
    words: {
      switchgear: "at most `limits.upstreams`; idle ones make room, tripped ones never",
      opossum: "has no registry",
      cockatiel: "has no registry",
    },
  }),
  pitfall({
    promise: "names of operations cannot multiply the series without bound",
    pitfall: "Metric cardinality",
    async scenario(stage) {
      const guard = stage.guard();
      const { upstream } = guard.itself;
      for (let n = 0; n < 1000; n += 1) {
        await upstream?.execute(() => "odds", { operation: `GET /events/${n}` });
      }
      const names = [...(upstream?.operations ?? [])].map(({ name }) => name);
      return { names: names.length, rest: names.includes("__overflow__") };
    },
    seen: { switchgear: { names: 201, rest: true } },
    words: {
      switchgear: "200 operations, the rest as `__overflow__`",
      opossum: "counts by breaker only",
      cockatiel: "counts nothing for metrics",
    },
  }),
  pitfall({
    promise: "a store that fails is asked nothing by a call, and changes none",
    pitfall: "Shared state on the request path",
    async scenario(stage) {
      let asked = 0;
      const failing = (): never => {
        asked += 1;
        throw new Error("the disk is gone");
      };
      const store: Store = Object.assign(memoryStore(), { durable: true, commit: failing });
      const guard = stage.guard({}, store);
      await succeed(guard, 1000);
      const bySuccesses = asked;
      // The window holds the latest hundred.
      await fail(guard, 51);
      return { bySuccesses, state: guard.state, next: await knock(stage, guard) };
    },
    seen: { switchgear: { bySuccesses: 0, state: "open", next: "refused" } },
    words: {
      switchgear: "memory decides; only a transition is written",
      opossum: "has no store",
      cockatiel: "has no store",
    },
  }),
];

/** A guard, and what saves it as each documents it, to make the next process's of that. */
function restartable(stage: Stage): { guard: Guard; save: () => () => Guard } {
  if (stage.subject === "switchgear") {
    const store: Store = Object.assign(memoryStore(), { durable: true });
    return { guard: stage.guard({}, store), save: () => () => stage.guard({}, store) };
  }
  const guard = stage.guard();
  const { opossum, cockatiel } = guard.itself;
  const save = (): (() => Guard) => {
    const saved: unknown = JSON.parse(JSON.stringify(opossum ?? cockatiel));
    if (opossum === undefined) return () => stage.guard({}, saved);
    const { state, status } = saved as { state: unknown; status: unknown };
    return () => stage.guard({}, { state, status: OpossumBreaker.newStatus({ stats: status }) });
  };
  return { guard, save };
}
