// The same function gives the same result, settlement and counts whichever way its call takes: every odd
// answer in every frame, held against what `await` alone makes of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  adaptive,
  createSwitchgear,
  latching,
  type CallOptions,
  type Switchgear,
  type Upstream,
} from "../../src/index.ts";

type Frame = (fn: () => unknown) => { readonly upstream: Upstream; readonly end: Promise<unknown> };

function gear(
  options: { readonly deadlineMs?: number; readonly endpoints?: readonly string[] } = {},
): {
  readonly gear: Switchgear;
  readonly upstream: Upstream;
} {
  const breaker = latching({ failureThreshold: 1000 });
  const made = createSwitchgear({ upstreams: { draftkings: { breaker, ...options } } });
  return { gear: made, upstream: made.upstream("draftkings") };
}

function framed(options?: Parameters<typeof gear>[0], call?: () => CallOptions): Frame {
  return (fn) => {
    const { upstream } = gear(options);
    return { upstream, end: upstream.execute(fn, call?.()) };
  };
}

const signal = (): CallOptions => ({ signal: new AbortController().signal });

const FRAMES: Readonly<Record<string, Frame>> = {
  alone: framed(),
  "with a deadline": framed({ deadlineMs: 60_000 }),
  "with a call's deadline": framed({}, () => ({ deadlineMs: 60_000 })),
  "with a signal": framed({}, signal),
  "with a deadline and a signal": framed({ deadlineMs: 60_000 }, signal),
  "with endpoints": framed({ endpoints: ["http://a.example", "http://b.example"] }),
  watched: (fn) => {
    const { gear: made, upstream } = gear();
    made.watchCalls({
      begin: () => ({
        refused() {},
        admitted() {},
        within: (run) => run(),
        ended: (_outcome, _error, settle) => settle(),
      }),
    });
    return { upstream, end: upstream.execute(fn) };
  },
  "heard by listeners": (fn) => {
    const { upstream } = gear();
    for (const type of ["settled", "failed"] as const) upstream.on(type, () => {});
    return { upstream, end: upstream.execute(fn) };
  },
  held: (fn) => {
    const { upstream } = gear();
    const end = upstream.hold((_context, held) => {
      held.done();
      return fn();
    });
    return { upstream, end };
  },
  wrapped: (fn) => {
    const { upstream } = gear();
    return { upstream, end: upstream.wrap(fn)() };
  },
};

const boom = new Error("boom");

/** Thenables are what is tried here, and a linter warns of each that it can see. */
const THEN: string = ["th", "en"].join("");

class Query extends Promise<string> {
  readonly text: number;
  constructor(text: string) {
    let settle: (value: string) => void = () => {};
    super((resolve) => {
      settle = resolve;
    });
    this.text = text.length;
    settle("row");
  }
}

class Lazy extends Promise<string> {
  // oxlint-disable-next-line unicorn/no-thenable -- what is tried
  override then<A, B>(
    ok?: ((value: string) => A | PromiseLike<A>) | null,
    no?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return Promise.resolve("late row").then(ok, no);
  }
}

function thenable(
  then: (ok: (value: unknown) => void, no: (error: unknown) => void) => void,
): unknown {
  return { [THEN]: then };
}

/** Its `then` is read anew each time: it answers a text, or throws an error. */
function readings(...each: readonly (string | Error)[]): object {
  let reading = 0;
  return Object.defineProperty({}, THEN, {
    get() {
      const now = each[reading];
      reading += 1;
      if (now instanceof Error) throw now;
      return (ok: (value: unknown) => void) => ok(now);
    },
  });
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const FROZEN = Object.freeze(new Error("frozen"));
const LOOP: Error = new Error("loop");
LOOP.cause = LOOP;
const REVOKED = revoked();
const BARE: unknown = Object.create(null);
const FUNCTION = Object.assign(() => {}, {
  toString() {
    throw boom;
  },
});
const MUTE = Object.defineProperty(new Error("x"), "message", {
  get() {
    throw boom;
  },
});

const ERRORS: Readonly<Record<string, unknown>> = {
  undefined,
  null: null,
  0: 0,
  "a text": "down",
  "a symbol": Symbol("down"),
  "a bigint": 5n,
  "a frozen error": FROZEN,
  "an error that is its own cause": LOOP,
  "an object without prototype": BARE,
  "a function whose toString throws": FUNCTION,
  "an error whose message throws": MUTE,
  "a revoked proxy": REVOKED,
};

const ANSWERS: Readonly<Record<string, () => unknown>> = {
  nothing: () => undefined,
  null: () => null,
  "a value": () => 5,
  "an object": () => FROZEN,
  "a function": () => FUNCTION,
  "a promise": () => Promise.resolve("odds"),
  "a promise of nothing": () => Promise.resolve(),
  "an object whose then is no function": () => ({ [THEN]: 5 }),
  "an object whose then throws": () =>
    Object.defineProperty({}, THEN, {
      get() {
        throw boom;
      },
    }),
  "an object whose then throws when it is read first": () => readings(boom, "odds"),
  "an object whose then can be read once": () => readings("odds", boom),
  "a thenable": () => thenable((ok) => void setTimeout(() => ok("odds"), 1)),
  "a thenable that answers at once": () => thenable((ok) => ok("odds")),
  "a thenable that rejects": () => thenable((_ok, no) => void setTimeout(() => no(boom), 1)),
  "a thenable that throws": () =>
    thenable(() => {
      throw boom;
    }),
  "a thenable that answers, then throws": () =>
    thenable((ok) => {
      ok("odds");
      throw boom;
    }),
  "a thenable that answers twice": () =>
    thenable((ok) => {
      ok("odds");
      ok("again");
    }),
  "a thenable that answers and rejects": () =>
    thenable((ok, no) => {
      ok("odds");
      no(boom);
    }),
  "a thenable of a thenable": () =>
    thenable((ok) => ok(thenable((inner) => void setTimeout(() => inner("odds"), 1)))),
  "a callable thenable": () =>
    Object.assign(() => {}, {
      [THEN]: (_ok: unknown, no: (error: unknown) => void) => void setTimeout(() => no(boom), 1),
    }),
  "a promise whose own then answers twice": () =>
    Object.assign(Promise.resolve("odds"), {
      [THEN]: (ok: (value: unknown) => void) => {
        ok("odds");
        ok("again");
      },
    }),
  "a subclass with a constructor of its own": () => new Query("select"),
  "a subclass that starts at then": () => new Lazy(() => {}),
  "a revoked proxy": () => REVOKED,
  ...Object.fromEntries(
    Object.entries(ERRORS).flatMap(([name, error]) => [
      [`a rejection with ${name}`, () => Promise.reject(error)],
      [
        `${name}, thrown`,
        () => {
          throw error;
        },
      ],
    ]),
  ),
};

interface End {
  readonly how: "fulfilled" | "rejected";
  readonly what: unknown;
}

async function endOf(promise: Promise<unknown>): Promise<End> {
  try {
    return { how: "fulfilled", what: await promise };
  } catch (error) {
    return { how: "rejected", what: error };
  }
}

/** What `await` makes of it, in a function of its own. */
function awaited(answer: () => unknown): Promise<End> {
  return endOf((async () => await answer())());
}

/** The same thing, or the same word of a runtime's own error. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (one instanceof TypeError && other instanceof TypeError) return one.message === other.message;
  return Object.getOwnPropertyDescriptor(Object(one), "then")?.value === 5;
}

for (const [frameName, frame] of Object.entries(FRAMES)) {
  describe(`a call ${frameName}`, () => {
    for (const [name, answer] of Object.entries(ANSWERS)) {
      test(`${name} comes out as await has it, and is settled once`, async () => {
        const expected = await awaited(answer);
        const { upstream, end } = frame(answer);
        const got = await endOf(end);
        // A second answer of a thenable comes in the same turn.
        await new Promise((resolve) => void setTimeout(resolve, 2));

        assert.equal(got.how, expected.how);
        assert.ok(isSame(got.what, expected.what), "another result");
        const [operation] = upstream.operations;
        const isOk = expected.how === "fulfilled";
        assert.deepEqual(
          [operation?.ok, operation?.failed, operation?.timeout, operation?.ignored],
          isOk ? [1, 0, 0, 0] : [0, 1, 0, 0],
        );
        assert.deepEqual([upstream.inFlight, upstream.abandoned], [0, 0]);
      });
    }
  });
}

test("an odd answer gives its probe back", async () => {
  const upstream = createSwitchgear({
    upstreams: {
      draftkings: { breaker: adaptive({ failureThreshold: 1 }), deadlineMs: 60_000 },
    },
  }).upstream("draftkings");
  for (const answer of Object.values(ANSWERS)) {
    await endOf(upstream.execute(answer));
    upstream.reset({ force: true });
  }

  assert.equal(await upstream.execute(() => "admitted"), "admitted");
  assert.equal(upstream.inFlight, 0);
});
