// What people type and hosts hand in wrongly is told in a sentence: names that nobody knows or that were
// left out, a system load that is none, verdicts that are none. And what the console shows of resets.

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import {
  installConsole,
  LoadShedError,
  type BreakerConsole,
  type ResultClassifier,
} from "../../src/hyper-bun/index.ts";
import { drop, type Dropped } from "../support/hyper-bun.ts";

interface Typed extends Omit<Dropped, "audits"> {
  readonly console: BreakerConsole;
  readonly audits: (bookmaker?: string) => string[];
  /** What was printed since the last asking. */
  readonly printed: () => string[];
}

/** Where `draftkings` is known. */
function typed(t: TestContext): Typed {
  const made = drop();
  void made.breaker.recordSuccess("draftkings", 5);
  const lines: string[] = [];
  const host = globalThis.console;
  t.after(() => (globalThis.console = host));
  globalThis.console = {
    ...host,
    log: (text: unknown) => void lines.push(String(text)),
    table: (rows: unknown) => void lines.push(JSON.stringify(rows)),
  };
  const console = installConsole(made.breaker);
  const audits = (bookmaker?: string): string[] => made.audits(bookmaker);
  return { ...made, audits, console, printed: () => lines.splice(0) };
}

test("a command without a name says what to type", (t) => {
  const { console, printed, audits } = typed(t);
  const untyped = console as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [command, answer] of [
    ["status", null],
    ["getStatus", null],
    ["reset", false],
    ["trip", undefined],
    ["isTripped", false],
  ] as const) {
    for (const name of [undefined, "", 7, null]) {
      assert.equal(untyped[command]?.(name), answer);
      const said = command === "getStatus" ? "status" : command;
      assert.deepEqual(printed(), [
        `breaker.${said}() needs a bookmaker's name, such as breaker.${said}("draftkings"); breaker.statusAll() shows all`,
      ]);
    }
  }
  assert.deepEqual(audits(), []);
});

test("a name that nobody knows is answered with the one that was meant", (t) => {
  const { console, breaker, printed, logs, audits } = typed(t);
  const hint = '; did you mean "draftkings"?';

  assert.equal(console.status("draftkigns"), null);
  assert.equal(console.isTripped("draftkigns"), false);
  assert.deepEqual(printed(), Array(2).fill(`draftkigns: nothing recorded${hint}`));

  assert.equal(console.reset("draftkigns", "typo", true), false);
  assert.deepEqual(printed(), [`Nothing to reset: draftkigns is unknown${hint}`]);
  assert.match(audits("draftkigns")[0] ?? "", /^RESET .* typo$/);
  assert.match(
    logs.at(-1)?.message ?? "",
    /draftkigns is unknown\. .* Reason: typo; did you mean "draftkings"\?$/,
  );
  assert.equal(breaker.reset("draftkigns"), false);
  assert.equal(breaker.getStatus("draftkigns"), null);

  console.status("pinnacle");
  assert.deepEqual(printed(), ["pinnacle: nothing recorded"]);
  assert.equal(console.reset("draftkings"), true);
  assert.equal(breaker.reset("draftkings"), true);
});

test("a trip of a new name trips it, and says that it is new and which one is near", (t) => {
  const { console, breaker, printed, logs } = typed(t);

  console.trip("draftkigns", "maintenance");

  const [first, table] = printed();
  assert.equal(
    first,
    'draftkigns is new: nothing was known of it before this trip; did you mean "draftkings"?',
  );
  assert.match(table ?? "", /draftkigns/);
  assert.equal(breaker.isTripped("draftkigns"), true);
  assert.equal(breaker.isTripped("draftkings"), false);
  assert.deepEqual(
    logs.slice(-2).map(({ level, message }) => `${level} ${message}`),
    [
      "warn [CIRCUIT_BREAKER] TRIPPED: draftkigns after 0 failures. Last error: maintenance. Manual intervention required.",
      `warn [CIRCUIT_BREAKER] draftkigns is new: nothing was known of it before this trip; did you mean "draftkings"?`,
    ],
  );

  console.trip("draftkigns", "again");
  assert.doesNotMatch(printed().join("\n"), /is new/);
  console.trip("pinnacle", "maintenance");
  assert.match(printed()[0] ?? "", /^pinnacle is new: nothing was known of it before this trip$/);
  assert.equal(logs.filter(({ message }) => message.includes("is new")).length, 1);
});

test("the console shows the last reset, by whom and why", (t) => {
  const { console, printed, breaker } = typed(t);

  console.statusAll();
  assert.match(printed().join("\n"), /lastReset/);
  console.trip("draftkings", "maintenance");
  printed();
  console.reset("draftkings", { user: "ann", reason: "API team\ncleared it", force: true });

  const { lastResetAt } = breaker.getStatus("draftkings") ?? {};
  const at = new Date(lastResetAt ?? 0).toISOString().slice(0, 19).replace("T", " ");
  for (const lines of [printed(), (console.status("draftkings"), printed())]) {
    const all = lines.join("\n").replaceAll("\\\\n", "\\n");
    assert.ok(all.includes(`${at} by ann: API team\\ncleared it`), all);
  }
});

const heavy = { operation: "graph_build", estimatedLoad: 500 };

test("an async getSystemLoad sheds nothing, is told of once, and its rejection ends nothing", async () => {
  const made = drop();
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", listener);
  const asynchronous: () => unknown = () => Promise.reject(new Error("no sensor"));
  made.breaker.getSystemLoad = asynchronous as () => number;
  for (let n = 0; n < 20; n += 1) {
    assert.equal(await made.breaker.callApi("dk", () => 1, heavy), 1);
    made.clock.advance(60_000);
  }
  await new Promise(setImmediate);
  process.off("unhandledRejection", listener);
  assert.deepEqual(unhandled, []);
  assert.deepEqual(made.logged("SG_MISUSE"), [
    "[CIRCUIT_BREAKER] getSystemLoad() answered a promise, so that nothing is shed: it must answer a number from 0 to 1 at once",
  ]);
});

for (const [load, said] of [
  ["0.99", '"0.99"'],
  [Number.NaN, "NaN"],
  [undefined, "undefined"],
  [-1, "-1"],
  [{ load: 1 }, "an object"],
  [99n, "99"],
  [Symbol("load"), "a symbol"],
] as const) {
  test(`a system load of ${said} sheds nothing, and is told of once`, async () => {
    const made = drop();
    made.breaker.getSystemLoad = (() => load) as () => number;
    await made.breaker.callApi("dk", () => 1, heavy);
    await made.breaker.callApi("dk", () => 1, heavy);
    const lines = made.logged("SG_MISUSE");
    assert.equal(lines.length, 1);
    assert.ok(lines[0]?.includes(`getSystemLoad() answered ${said}, so that nothing is shed`));
  });
}

test("a system load in percent is told of, and counts as full", async () => {
  const made = drop();
  made.breaker.getSystemLoad = () => 85;
  await assert.rejects(
    made.breaker.callApi("dk", () => 1, heavy),
    LoadShedError,
  );
  assert.match(made.logged("SG_MISUSE")[0] ?? "", /answered 85, which counts as 1/);
});

for (const [answer, said] of [
  [true, "true"],
  [undefined, "undefined"],
  ["good", '"good"'],
  ["constructor", '"constructor"'],
  [Promise.resolve("failure"), "a promise"],
  [{ result: "bad" }, '"bad"'],
  [{}, "an object"],
] as const) {
  test(`a classifyResult that answers ${said} (${typeof answer}) counts as a success and is told of once`, async () => {
    const classifyResult = (() => answer) as unknown as ResultClassifier;
    const made = drop({ options: { classifyResult } });
    await made.breaker.recordFailure("dk", "boom");
    await made.breaker.callApi("dk", () => 1);
    await made.breaker.callApi("dk", () => 1);
    assert.equal(made.breaker.getStatus("dk")?.failures, 0);
    const lines = made.logged("SG_MISUSE");
    assert.equal(lines.length, 1);
    assert.ok(lines[0]?.includes(`classifyResult answered ${said}, which counts as a success`));
  });
}

test("a classifyError that answers no verdict counts as a failure and is told of once", async () => {
  const classifyError = (() => Promise.reject(new Error("x"))) as unknown as () => "ignored";
  const made = drop({ options: { classifyError } });
  for (let n = 0; n < 3; n += 1) {
    await assert.rejects(made.breaker.callApi("dk", () => Promise.reject(new Error("boom"))));
  }
  assert.equal(made.breaker.getStatus("dk")?.failures, 3);
  assert.deepEqual(made.logged("SG_MISUSE"), [
    "[CIRCUIT_BREAKER] classifyError answered a promise, which counts as a failure: it must answer one of ok, success, failed, failure, timeout, ignored, ignore at once",
  ]);
});

describe("a classifier that fails in its own way costs no result, and is told of once", () => {
  const WORDS =
    "it must answer one of ok, success, failed, failure, timeout, ignored, ignore at once";

  function revoked(): object {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  }

  function throwingOn(key: string, rest: object = {}): object {
    return Object.defineProperty({ ...rest }, key, {
      get(): never {
        throw new Error(`no ${key}`);
      },
    });
  }

  const thrower = (): never => {
    throw new Error("undefined is not a market");
  };

  const RESULTS: readonly (readonly [string, () => unknown, RegExp])[] = [
    [
      "throws",
      thrower,
      /classifyResult threw undefined is not a market, which counts as a success/,
    ],
    ["answers a throwing getter", () => throwingOn("result"), /classifyResult threw no result, /],
    [
      "answers a revoked proxy",
      revoked,
      /classifyResult threw .*revoked.*, which counts as a success/,
    ],
    ["answers a verdict that is none", () => ({ result: revoked() }), /answered an object, which/],
    [
      "answers a foreign promise",
      // oxlint-disable-next-line unicorn/no-thenable -- what is tested
      () => ({ then: () => {} }),
      /classifyResult answered a promise, /,
    ],
    [
      "throws a revoked proxy",
      () => {
        throw revoked();
      },
      /classifyResult threw .*, which counts/,
    ],
  ];
  for (const [what, classify, sentence] of RESULTS) {
    for (const place of ["the breaker's", "the call's"]) {
      test(`${place} classifyResult ${what}`, async () => {
        const classifyResult = classify as () => "ok";
        const made = drop(place === "the call's" ? {} : { options: { classifyResult } });
        const context = place === "the call's" ? { classifyResult } : {};
        for (let n = 0; n < 3; n += 1) {
          assert.equal(await made.breaker.callApi("dk", () => "odds", context), "odds");
        }
        const told = made.logged("SG_MISUSE");
        assert.equal(told.length, 1);
        assert.match(told[0] ?? "", sentence);
        assert.ok(told[0]?.endsWith(WORDS));
        assert.equal(made.breaker.getStatus("dk")?.failures, 0);
        assert.notEqual(made.breaker.getStatus("dk")?.lastSuccessAt, null);
      });
    }
  }

  test("a verdict counts, whatever its words are", async () => {
    const classifyResult = (): "ok" => throwingOn("error", { result: "failed" }) as never;
    const made = drop({ options: { classifyResult } });
    assert.equal(await made.breaker.callApi("dk", () => "odds"), "odds");
    assert.equal(made.breaker.getStatus("dk")?.failures, 1);
    assert.equal(made.breaker.getStatus("dk")?.lastError, "the result was classified as failed");
    assert.match(
      made.logged("SG_MISUSE").join(),
      /the error of what classifyResult answered cannot be read.*no error/,
    );
  });

  const ERRORS: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["throws", thrower, /classifyError threw undefined is not a market, which counts as a failure/],
    [
      "answers a revoked proxy",
      revoked,
      /classifyError answered an object, which counts as a failure/,
    ],
  ];
  for (const [what, classify, sentence] of ERRORS) {
    test(`classifyError ${what}`, async () => {
      const made = drop({ options: { classifyError: classify as () => "ok" } });
      const boom = new Error("boom");
      for (let n = 0; n < 3; n += 1) {
        await assert.rejects(
          made.breaker.callApi("dk", () => Promise.reject(boom)),
          boom,
        );
      }
      const told = made.logged("SG_MISUSE");
      assert.equal(told.length, 1);
      assert.match(told[0] ?? "", sentence);
      assert.equal(made.breaker.getStatus("dk")?.failures, 3);
    });
  }

  test("each kind of mistake is told once", async () => {
    const answers = [thrower, () => 5, thrower, () => 7];
    const classifyError = (): "ok" => answers.shift()?.() as never;
    const made = drop({ options: { classifyError } });
    for (let n = 0; n < 4; n += 1) {
      await made.breaker.callApi("dk", () => Promise.reject(new Error("boom"))).catch(() => {});
    }
    assert.equal(made.logged("SG_MISUSE").length, 2);
  });

  test("a context that cannot be read is the caller's error, and nothing was run", async () => {
    const made = drop();
    let ran = 0;
    const context = throwingOn("classifyResult");
    await assert.rejects(
      made.breaker.callApi("dk", () => (ran += 1), context),
      /no classifyResult/,
    );
    assert.equal(ran, 0);
    assert.equal(made.breaker.getStatus("dk"), null);
  });

  test("a load that throws what cannot be read sheds nothing", async () => {
    const made = drop();
    made.breaker.getSystemLoad = () => {
      throw revoked();
    };
    assert.equal(await made.breaker.callApi("dk", () => 1, { estimatedLoad: 900 }), 1);
    assert.match(made.logged("SG_MISUSE").join(), /getSystemLoad\(\) failed, nothing is shed/);
  });
});
