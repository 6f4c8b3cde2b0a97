// Types of guarded functions, held to by `tsc`: this file is checked and never run.

import { fetch as undiciFetch } from "undici";
import { createBreaker, isRefused, latching } from "../../src/index.ts";
import { guardFetch } from "../../src/fetch/index.ts";

interface Odds {
  readonly price: number;
}

/** Whether two types are the same, and not only assignable to each other. */
type Same<A, B> = Is<A> extends Is<B> ? true : false;
interface Is<A> {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what compares them
  (): <T>() => T extends A ? 1 : 2;
}

type Expect<Truth extends true> = Truth;

declare function fetchOdds(id: string): Promise<Odds>;
declare const cache: ReadonlyMap<string, Odds>;

const guard = createBreaker("draftkings", latching());

// Functions that answer now or later.
const early = guard.wrap((id?: string) => (id === undefined ? undefined : fetchOdds(id)));
const cached = guard.wrap((id: string) => cache.get(id) ?? fetchOdds(id));
const orNull = guard.execute(() => (Math.random() > 0.5 ? null : fetchOdds("x")));
const either = guard.execute(() => (Math.random() > 0.5 ? fetchOdds("x") : ("none" as const)));
const nothing = guard.wrap(() => {});

// Arguments, generics, `this`.
const optional = guard.wrap((a: string, b?: number, ...rest: boolean[]) =>
  Promise.resolve(`${a} ${b} ${rest.length}`),
);
declare function parse<Value>(text: string): Promise<Value>;
const generic = guard.wrap(parse);
export const parsed: Promise<number> = generic<number>("1");
declare function overloaded(id: string): Promise<string>;
declare function overloaded(id: number): Promise<number>;
const both = guard.wrap(overloaded);
export const text: Promise<string> = both("x");
export const number: Promise<number> = both(1);
class Api {
  readonly base = "x";
  odds(id: number): string {
    return this.base + String(id);
  }
}
function withThis(this: Api, id: number): string {
  return this.odds(id);
}
const bound = guard.wrap(withThis);
void bound.call(new Api(), 1);
// @ts-expect-error -- `this` is missing
void bound(1);

// What runs is given its context, and errors narrow.
const answer = guard.execute(({ signal, endpoint }) => fetch(endpoint?.url ?? "x", { signal }));
const guarded = guardFetch(guard);
void guardFetch(guard, fetch);
void guardFetch(guard, undiciFetch);
void guardFetch(guard, (input, init) => fetch(input, { ...init, redirect: "manual" }));
// @ts-expect-error -- what answers no answer
void guardFetch(guard, (input: string) => Promise.resolve(input));
try {
  await answer;
} catch (error) {
  if (isRefused(error)) {
    const { retryAfterMs, upstream }: { retryAfterMs: number | undefined; upstream: string } =
      error;
    void [retryAfterMs, upstream];
  }
}

// A classifier's words are the words that count.
createBreaker("dk", latching(), { classifyResult: () => "ok", classifyError: () => "success" });
// @ts-expect-error -- a boolean is no verdict
createBreaker("dk", latching(), { classifyResult: (value) => value === 1 });

export type Checks = [
  Expect<Same<ReturnType<typeof early>, Promise<Odds | undefined>>>,
  Expect<Same<ReturnType<typeof cached>, Promise<Odds>>>,
  Expect<Same<typeof orNull, Promise<Odds | null>>>,
  Expect<Same<typeof either, Promise<Odds | "none">>>,
  Expect<Same<ReturnType<typeof nothing>, Promise<void>>>,
  Expect<
    Same<Parameters<typeof optional>, [a: string, b?: number | undefined, ...rest: boolean[]]>
  >,
  Expect<Same<ReturnType<typeof both>, Promise<number>>>,
  Expect<Same<typeof answer, Promise<Response>>>,
  Expect<Same<ReturnType<typeof guarded>, Promise<Response>>>,
];
