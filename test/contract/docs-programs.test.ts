// The programs of README.md and docs/calls.md, as they stand there, against servers that answer, fail, hang,
// stall in the body, break it off, and refuse.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Switchgear, Upstream } from "../../src/index.ts";
import type { VirtualClock } from "../../src/testing/index.ts";
import {
  endOf,
  evidence,
  load,
  outcomes,
  programsOf,
  repeat,
  repeatUntilTimedOut,
  runnable,
  startBookmaker,
  type Bookmaker,
} from "../support/docs.ts";
import { start } from "../support/programs.ts";

let bookmaker: Bookmaker;
let url: string;
const folder = mkdtempSync(join(tmpdir(), "switchgear-docs-"));

before(async () => {
  bookmaker = await startBookmaker();
  url = `${bookmaker.url}/odds`;
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
  bookmaker.close();
});

/** Deadlines of the pages are for people; nobody wants to wait for twenty of them here. */
function impatient(program: string): string {
  return program.replaceAll("2_000", "150");
}

const [fetching = "", client = "", , judging = "", adapter = "", testing = ""] = programsOf(
  "docs/calls.md",
  "js",
);

describe("docs/calls.md", () => {
  interface Fetching {
    readonly guard: Upstream;
    readonly odds: (url: string) => Promise<unknown>;
  }
  const guarded = (program: string) => load<Fetching>(program, "export { guard };");

  test("fetch: odds come, and a refusal costs no request", async () => {
    const { guard, odds } = await guarded(fetching);
    bookmaker.behaviour = "odds";
    assert.deepEqual(await odds(url), { price: 1.9 });
    assert.deepEqual(outcomes(guard), { ok: 1 });

    bookmaker.behaviour = "500";
    await repeat(10, () => odds(url));
    bookmaker.asked = 0;
    assert.equal(await endOf(odds(url)), "SG_BREAKER_OPEN");
    assert.equal(bookmaker.asked, 0);
  });

  for (const [how, expected] of [
    ["500", { failed: 3 }],
    ["404", { ok: 3 }],
    ["break", { failed: 3 }],
  ] as const) {
    test(`fetch: a server that answers with ${how} counts as ${Object.keys(expected).join()}`, async () => {
      const { guard, odds } = await guarded(fetching);
      bookmaker.behaviour = how;

      const ends = await repeat(3, () => odds(url));

      assert.ok(ends.every((end) => typeof end === "string"));
      assert.deepEqual(outcomes(guard), expected);
      assert.equal(guard.inFlight, 0);
    });
  }

  for (const how of ["hang", "stall"] as const) {
    test(`fetch: a server that answers with ${how} counts as timeout`, async () => {
      const { guard, odds } = await guarded(impatient(fetching));
      bookmaker.behaviour = how;

      const ends = await repeatUntilTimedOut(guard, 3, () => odds(url));

      assert.ok(ends.every((end) => end === "SG_DEADLINE"));
      assert.deepEqual(evidence(guard), { timeout: 3 });
      assert.equal(guard.inFlight, 0);
    });
  }

  test("any other client: 404s trip nothing, 500s do, a hanging server times out", async () => {
    interface Client {
      readonly guard: Upstream;
      readonly odds: (client: object, url: string) => Promise<unknown>;
    }
    const { guard, odds } = await load<Client>(client, "export { guard };");
    /** As axios has it: a bad status is an error that carries it. */
    const throwing = {
      async get(target: string, init: RequestInit): Promise<unknown> {
        const answer = await fetch(target, init);
        if (answer.ok) return answer.json();
        throw Object.assign(new Error(`Request failed with ${answer.status}`), {
          status: answer.status,
        });
      },
    };
    bookmaker.behaviour = "404";
    await repeat(12, () => odds(throwing, url));
    assert.deepEqual(outcomes(guard), { ok: 12 });
    assert.equal(guard.isTripped, false);
    bookmaker.behaviour = "500";
    await repeat(10, () => odds(throwing, url));
    assert.equal(guard.isTripped, true);

    const hasty = await load<Client>(impatient(client), "export { guard };");
    bookmaker.behaviour = "hang";
    await repeatUntilTimedOut(hasty.guard, 1, () => hasty.odds(throwing, url));
    assert.deepEqual(evidence(hasty.guard), { timeout: 1 });
  });

  test("your own judgement: an error inside of a 200 fails, and so does a 404", async () => {
    const { guard } = await load<{ guard: Upstream }>(judging);
    const call = () =>
      guard.execute(async () => {
        const answer = await fetch(url);
        if (answer.status === 404) throw Object.assign(new Error("none"), { status: 404 });
        return (await answer.json()) as unknown;
      });
    bookmaker.behaviour = "odds";
    await call();
    bookmaker.behaviour = "error inside";
    assert.deepEqual(await call(), { error: "down" });
    bookmaker.behaviour = "404";
    await endOf(call());

    assert.deepEqual(outcomes(guard), { ok: 1, failed: 2 });
  });

  test("adapters: what is refused is a value", async () => {
    const { odds } = await load<{ odds: (load: () => Promise<unknown>) => Promise<unknown> }>(
      adapter,
    );
    assert.equal(await odds(() => Promise.resolve("odds")), "odds");
    await repeat(10, () => odds(() => Promise.reject(new Error("down"))));

    assert.deepEqual(await odds(() => Promise.resolve("odds")), { refused: "tripped" });
  });

  test("tests: a virtual clock lets the open duration pass", async () => {
    const { clock, gear } = await load<{ clock: VirtualClock; gear: Switchgear }>(testing);
    const upstream = gear.upstream("draftkings");
    await repeat(20, () => upstream.execute(() => Promise.reject(new Error("down"))));
    assert.equal(await endOf(upstream.execute(() => "odds")), "SG_BREAKER_OPEN");

    clock.advance(15_000);

    assert.equal(await upstream.execute(() => "odds"), "odds");
  });
});

describe("README.md", () => {
  const [first = ""] = programsOf("README.md", "ts");
  const [second = ""] = programsOf("README.md", "js");

  test("the first program prints its answer and how it was refused", async () => {
    writeFileSync(join(folder, "first.ts"), runnable(first));
    const ended = await start([process.execPath, join(folder, "first.ts")]).ended;

    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stdout, /^200\nSG_BREAKER_OPEN – .*draftkings.*\n$/);
    assert.equal(ended.stderr, "");
  });

  test("the second program trips on what its server does, and stays tripped in the next process", async () => {
    interface Second {
      readonly gear: Switchgear;
      readonly draftkings: (url: string) => Promise<Response>;
    }
    const program = impatient(second)
      .replace("./data/circuit_breaker.db", join(folder, "readme.db"))
      .replaceAll(/https:\/\/api\.draftkings\.example\/odds/g, url);
    const run = () => load<Second>(program, "export { gear, draftkings };");
    bookmaker.behaviour = "odds";
    const first = await run();
    assert.equal(first.gear.upstream("draftkings").isTripped, false);
    bookmaker.behaviour = "404";
    await repeat(12, () => first.draftkings(url));
    bookmaker.behaviour = "stall";
    const guard = first.gear.upstream("draftkings");
    const stalled = async (): Promise<unknown> => (await first.draftkings(url)).text();
    await repeatUntilTimedOut(guard, 19, stalled);
    assert.equal(guard.isTripped, false);
    await repeatUntilTimedOut(guard, 20, stalled);
    assert.equal(guard.isTripped, true);
    await first.gear.close();

    bookmaker.asked = 0;
    const error = await endOf(run());
    assert.equal(error, "SG_BREAKER_OPEN");
    assert.equal(bookmaker.asked, 0);
  });
});
