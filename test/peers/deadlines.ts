// Deadlines and signals: who is stopped, who is not, and who waits.

import { TimeoutStrategy, bulkhead, timeout, wrap } from "cockatiel";
import { openCall, tripAndWait } from "./acts.ts";
import { pitfall, type Stage } from "./stage.ts";

export const DEADLINES = [
  pitfall({
    promise: "calls that outlived their deadline and still run are told",
    pitfall: "Timeout does not stop work",
    scenario: outliveTheDeadline,
    seen: {
      switchgear: { running: 12, told: 12 },
      opossum: { running: 12, told: 0 },
      cockatiel: { running: 12, told: 0 },
    },
    words: {
      switchgear: "`status().abandoned` is 12; a limit that counts them is not built yet",
      opossum: "with `capacity: 2` twelve run, and both of its places are free",
      cockatiel: "with `bulkhead(2)` twelve run, and both of its places are free",
    },
  }),
  pitfall({
    // nodeshift/opossum#780 (intended, say the maintainers) and #861.
    promise: "one call's deadline aborts that call, and no other before or after it",
    pitfall: "Shared AbortController",
    scenario: abortOne,
    seen: {
      switchgear: { timedOut: true, neighbour: false, later: false },
      opossum: { timedOut: true, neighbour: true, later: true },
      cockatiel: { timedOut: true, neighbour: false, later: false },
    },
    words: {
      switchgear: "a signal for each call, made when it is asked for",
      opossum:
        "one `abortController` for all: calls under way are aborted, and later ones start aborted; `autoRenewAbortController` renews it at a transition only",
      cockatiel: "a signal for each call",
    },
  }),
  pitfall({
    promise: "nobody waits for another's probe once he has given up",
    pitfall: "Waiters ignoring abort",
    async scenario(stage) {
      const guard = stage.guard();
      await tripAndWait(stage, guard);
      openCall(guard);
      const caller = new AbortController();
      const waiter = openCall(guard, caller.signal);
      await stage.time.turn();
      caller.abort();
      await stage.time.pass(60_000);
      return waiter.ended === undefined ? "still waits a minute later" : "ended";
    },
    seen: { switchgear: "ended", opossum: "ended", cockatiel: "still waits a minute later" },
    words: {
      switchgear: "nobody waits: refused at once",
      opossum: "nobody waits: refused at once",
      cockatiel: "waits for the probe's verdict, whatever its signal says",
    },
  }),
];

/** Twelve calls, two at a time where there is a limit, of functions that heed no signal. */
async function outliveTheDeadline(stage: Stage): Promise<{ running: number; told: number }> {
  let running = 0;
  const work = (): Promise<never> => {
    running += 1;
    return new Promise(() => {});
  };
  const guard = stage.guard(
    { calls: 100, deadlineMs: 100 },
    stage.subject === "opossum" ? { capacity: 2 } : undefined,
  );
  const two = bulkhead(2);
  const limited = wrap(two, timeout(100, TimeoutStrategy.Aggressive));
  for (let n = 0; n < 6; n += 1) {
    for (let twice = 0; twice < 2; twice += 1) {
      const call = stage.subject === "cockatiel" ? limited.execute(work) : guard.call(work);
      call.catch(() => {});
    }
    await stage.time.pass(100);
  }
  const { upstream, opossum } = guard.itself;
  if (upstream !== undefined) return { running, told: upstream.status().abandoned };
  if (opossum !== undefined) return { running, told: 2 - opossum.semaphore.count };
  return { running, told: 2 - two.executionSlots };
}

/** Two calls half a deadline apart: the first is timed out while the second is under way. */
async function abortOne(
  stage: Stage,
): Promise<{ timedOut: boolean; neighbour: boolean; later: boolean }> {
  const setup = { calls: 100, deadlineMs: 100 };
  const signals: AbortSignal[] = [];
  let start: () => void;
  if (stage.subject === "opossum") {
    const options = { abortController: new AbortController(), autoRenewAbortController: true };
    const guard = stage.guard(setup, options);
    const { opossum } = guard.itself;
    const keep = (): Promise<never> => {
      const signal = opossum?.getSignal();
      if (signal !== undefined) signals.push(signal);
      return new Promise(() => {});
    };
    start = () => void guard.call(keep).catch(() => {});
  } else {
    const guard = stage.guard(setup);
    const keep = (signal: AbortSignal | undefined): Promise<never> => {
      if (signal !== undefined) signals.push(signal);
      return new Promise(() => {});
    };
    start = () => void guard.call(keep).catch(() => {});
  }
  start();
  await stage.time.pass(50);
  start();
  await stage.time.pass(50);
  start();
  await stage.time.turn();
  const [timedOut, neighbour, later] = signals.map(({ aborted }) => aborted);
  return { timedOut: timedOut === true, neighbour: neighbour === true, later: later === true };
}
