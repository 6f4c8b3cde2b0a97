// What functions answer, what listeners do, and what a breaker takes from whoever made it.

import { AsyncLocalStorage } from "node:async_hooks";
import {
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleAll,
  type ICircuitBreakerOptions,
} from "cockatiel";
import { createBreaker, slidingWindow } from "../../src/index.ts";
import { boom } from "./acts.ts";
import { OpossumBreaker } from "./opossum.ts";
import { pitfall, type Guard, type Stage, type SubjectName } from "./stage.ts";

const OWN_CONTEXTS = ["function of a in a", "function of b in b", "caller a in a", "caller b in b"];

export const CALLS = [
  pitfall({
    promise: "a function may throw, answer a plain value, nothing, or anybody's thenable",
    pitfall: "Sync throw, non-promise and foreign thenables",
    async scenario(stage) {
      const guard = stage.guard({ calls: 100 });
      const values = {
        thrown: await outcomeOf(guard, () => {
          throw boom;
        }),
        number: await outcomeOf(guard, () => 7),
        nothing: await outcomeOf(guard, () => undefined),
        thenable: await outcomeOf(guard, () => thenable((resolve) => resolve("odds"))),
        answersTwice: await outcomeOf(guard, () =>
          thenable((resolve) => {
            resolve("odds");
            resolve("again");
          }),
        ),
      };
      return values;
    },
    seen: {
      switchgear: {
        thrown: "boom",
        number: 7,
        nothing: undefined,
        thenable: "odds",
        answersTwice: "odds",
      },
      opossum: {
        thrown: "boom",
        number: 7,
        nothing: "TypeError",
        thenable: "odds",
        answersTwice: "odds",
      },
      cockatiel: {
        thrown: "boom",
        number: 7,
        nothing: undefined,
        thenable: "odds",
        answersTwice: "odds",
      },
    },
    words: {
      switchgear: "hands on each as it is",
      opossum: "a function that returns nothing rejects with a `TypeError`, and counts as failed",
      cockatiel: "hands on each as it is",
    },
  }),
  pitfall({
    promise: "a thenable counts once, whether it answers twice, at once, or chains to nothing",
    pitfall: "Foreign thenables, counted",
    async scenario(stage) {
      const countsAfterFour = async (answer: () => unknown): Promise<unknown> => {
        const guard = stage.guard({ calls: 100 });
        for (let n = 0; n < 4; n += 1) await guard.call(answer).catch(() => {});
        return counts(guard);
      };
      return {
        twice: await countsAfterFour(() =>
          thenable((resolve) => {
            resolve("odds");
            resolve("again");
          }),
        ),
        bare: await countsAfterFour(() => ({
          // oxlint-disable-next-line unicorn/no-thenable -- that is the point
          then: (resolve: (value: string) => void) => resolve("odds"),
        })),
      };
    },
    seen: {
      switchgear: { twice: { ok: 4, failed: 0 }, bare: { ok: 4, failed: 0 } },
      opossum: { twice: { ok: 8, failed: 0 }, bare: { ok: 4, failed: 4 } },
      cockatiel: { twice: { ok: 4, failed: 0 }, bare: { ok: 4, failed: 0 } },
    },
    words: {
      switchgear: "adopts it once",
      opossum: "counts both answers; one whose `then` answers nothing is a success and a failure",
      cockatiel: "adopts it once",
    },
  }),
  pitfall({
    promise: "a listener that throws changes no result and no count",
    pitfall: "Throwing listener",
    async scenario(stage) {
      const guard = stage.guard();
      const { upstream, opossum, cockatiel } = guard.itself;
      const listener = (): never => {
        throw new Error("a listener's own");
      };
      upstream?.on("settled", listener);
      opossum?.on("success", listener);
      cockatiel?.onSuccess(listener);
      const results = [];
      for (let n = 0; n < 3; n += 1) {
        results.push(await guard.call(() => Promise.resolve("odds")).catch(() => "rejected"));
      }
      return { results, state: guard.state };
    },
    seen: {
      switchgear: { results: Array(3).fill("odds"), state: "closed" },
      opossum: { results: Array(3).fill("rejected"), state: "open" },
      cockatiel: { results: Array(3).fill("rejected"), state: "open" },
    },
    words: {
      switchgear: "counts it in `switchgear_listener_errors_total`",
      opossum: "a successful call rejects with the listener's error, counts as failed, and trips",
      cockatiel: "a successful call rejects with the listener's error, counts as failed, and trips",
    },
  }),
  pitfall({
    promise: "options are read once: neither changed, nor shared between breakers made of them",
    pitfall: "Options mutated or shared",
    scenario: shareOptions,
    seen: {
      switchgear: { untouched: true, takesFrozen: true, neighbour: "closed" },
      opossum: { untouched: false, takesFrozen: false, neighbour: "closed" },
      cockatiel: { untouched: true, takesFrozen: true, neighbour: "open" },
    },
    words: {
      switchgear: "copies and freezes",
      opossum: "writes its defaults into the caller's object; a frozen one throws",
      cockatiel:
        "`breaker` holds the counts: a failure of one counts for every breaker of that options object",
    },
  }),
  pitfall({
    promise: "a call's function and whoever awaits it run in the caller's async context",
    pitfall: "Async context loss",
    async scenario(stage) {
      const guard = stage.guard();
      const request = new AsyncLocalStorage<string>();
      const seen: string[] = [];
      const ask = (name: string): Promise<unknown> =>
        request.run(name, async () => {
          const { promise, resolve } = Promise.withResolvers<void>();
          const call = guard.call(() => {
            seen.push(`function of ${name} in ${request.getStore()}`);
            return promise;
          });
          await Promise.resolve();
          resolve();
          await call.catch(() => {});
          seen.push(`caller ${name} in ${request.getStore()}`);
        });
      await Promise.all([ask("a"), ask("b")]);
      return seen;
    },
    seen: { switchgear: OWN_CONTEXTS, opossum: OWN_CONTEXTS, cockatiel: OWN_CONTEXTS },
    words: {
      switchgear: "both keep it",
      opossum: "both keep it",
      cockatiel: "both keep it",
    },
  }),
];

/** How many calls each says have succeeded and failed. */
function counts({ itself }: Guard): { ok: unknown; failed: unknown } {
  const { upstream, opossum, cockatiel } = itself;
  if (upstream !== undefined) {
    const [stats] = upstream.operations;
    return { ok: stats?.ok, failed: stats?.failed };
  }
  if (opossum !== undefined) {
    return { ok: opossum.stats["successes"], failed: opossum.stats["failures"] };
  }
  const saved = cockatiel?.toJSON() as { breakerState: { successes: number; failures: number } };
  return { ok: saved.breakerState.successes, failed: saved.breakerState.failures };
}

async function outcomeOf(guard: Guard, work: () => unknown): Promise<unknown> {
  let call: Promise<unknown>;
  try {
    call = guard.call(work);
  } catch {
    return "thrown at the caller";
  }
  return call.catch((error: unknown) => (error === boom ? "boom" : (error as Error).name));
}

/** A promise of some other library: no prototype of ours, and only `then`. */
function thenable(start: (resolve: (value: unknown) => void) => void): unknown {
  return {
    // oxlint-disable-next-line unicorn/no-thenable -- that is the point
    then(resolve: (value: unknown) => void) {
      start(resolve);
      return this;
    },
    catch() {
      return this;
    },
  };
}

/** Makes two breakers of one options object; each trips at four failures, and they see three and one. */
async function shareOptions(
  stage: Stage,
): Promise<{ untouched: boolean; takesFrozen: boolean; neighbour: string }> {
  const { options, make } = MAKERS[stage.subject]();
  const before = Object.keys(options);
  const [first, second] = [make(options), make(options)];
  for (let n = 0; n < 3; n += 1) await first.fail();
  await second.fail();
  return {
    untouched: Object.keys(options).length === before.length,
    takesFrozen: isFine(() => make(Object.freeze({ ...MAKERS[stage.subject]().options }))),
    neighbour: second.isOpen() ? "open" : "closed",
  };
}

interface Maker {
  readonly options: object;
  readonly make: (options: object) => { fail(): Promise<unknown>; isOpen(): boolean };
}

const rejecting = (): Promise<never> => Promise.reject(boom);

const MAKERS: Readonly<Record<SubjectName, () => Maker>> = {
  switchgear: () => ({
    options: { minimumCalls: 4 },
    make(options) {
      const upstream = createBreaker("dk", slidingWindow(options));
      return {
        fail: () => upstream.execute(rejecting).catch(() => {}),
        isOpen: () => upstream.isTripped,
      };
    },
  }),
  opossum: () => ({
    options: { volumeThreshold: 4 },
    make(options) {
      const opossum = new OpossumBreaker(rejecting, options);
      return { fail: () => opossum.fire().catch(() => {}), isOpen: () => opossum.opened };
    },
  }),
  cockatiel: () => ({
    options: { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(4) },
    make(options) {
      const policy = circuitBreaker(handleAll, options as ICircuitBreakerOptions);
      return {
        fail: () => policy.execute(rejecting).catch(() => {}),
        isOpen: () => policy.state === CircuitState.Open,
      };
    },
  }),
};

function isFine(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}
