// The programs of README.md and docs/calls.md, as they stand there, against servers that answer, fail, hang,
// stall in the body, break it off, and refuse.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Switchgear, Upstream } from "../../src/index.ts";
import type { VirtualClock } from "../../src/testing/index.ts";
import { ROOT } from "../support/programs.ts";

type Behaviour = "odds" | "500" | "404" | "hang" | "stall" | "break" | "error inside";

let server: Server;
let url: string;
let behaviour: Behaviour = "odds";
let asked = 0;
const folder = mkdtempSync(join(tmpdir(), "switchgear-docs-"));

const ANSWERS: Readonly<Record<Behaviour, (response: ServerResponse) => void>> = {
  odds: (response) => void response.end('{"price":1.9}'),
  "500": (response) => void response.writeHead(500).end("down"),
  "404": (response) => void response.writeHead(404).end("none"),
  hang: () => {},
  stall: (response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("{");
  },
  break: (response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("{");
    setTimeout(() => response.destroy(), 20);
  },
  "error inside": (response) => void response.end('{"error":"down"}'),
};

before(async () => {
  server = createServer((_request, response) => {
    asked += 1;
    ANSWERS[behaviour](response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/odds`;
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
  server.closeAllConnections();
  server.close();
});

/** The programs of a page, in order. */
function programsOf(page: string): string[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  return [...text.matchAll(/```(?:js|ts)\n([\s\S]*?)```/g)].map(([, program = ""]) => program);
}

const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  exports: Record<string, { readonly default?: string }>;
};

/** The program as it stands, with the package's names led to its sources. */
async function load<Module>(program: string, more = ""): Promise<Module> {
  const led = program.replaceAll(/from "switchgear(\/[\w-]+)?"/g, (_all, path: string = "") => {
    const built = exports[`.${path}`]?.default;
    assert.ok(built, `switchgear${path} is exported`);
    const source = built.replace("./dist/", "./src/").replace(/\.js$/, ".ts");
    return `from ${JSON.stringify(pathToFileURL(join(ROOT, source)).href)}`;
  });
  count += 1;
  const file = join(folder, `${count}.mjs`);
  writeFileSync(file, `${led}\n${more}`);
  return (await import(pathToFileURL(file).href)) as Module;
}
let count = 0;

/** How a call ended: its value, or the code or name of its error. */
async function endOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    const { code, name } = error as { readonly code?: string; readonly name: string };
    return code ?? name;
  }
}

async function repeat(times: number, call: () => Promise<unknown>): Promise<unknown[]> {
  const ends: unknown[] = [];
  for (let n = 0; n < times; n += 1) ends.push(await endOf(call()));
  return ends;
}

function outcomes(guard: Upstream): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const one of guard.operations) {
    for (const key of ["ok", "failed", "timeout", "ignored"] as const) {
      if (one[key] > 0) sum[key] = (sum[key] ?? 0) + one[key];
    }
  }
  return sum;
}

/** Deadlines of the pages are for people; nobody wants to wait for twenty of them here. */
function impatient(program: string): string {
  return program.replaceAll("2_000", "150");
}

const [fetching = "", client = "", judging = "", adapter = "", testing = ""] =
  programsOf("docs/calls.md");

describe("docs/calls.md", () => {
  interface Fetching {
    readonly guard: Upstream;
    readonly odds: (url: string) => Promise<unknown>;
  }
  const fetchingGuard = () => load<Fetching>(impatient(fetching), "export { guard };");

  test("fetch: odds come, and a refusal costs no request", async () => {
    const { guard, odds } = await fetchingGuard();
    behaviour = "odds";
    assert.deepEqual(await odds(url), { price: 1.9 });
    assert.deepEqual(outcomes(guard), { ok: 1 });

    behaviour = "500";
    await repeat(10, () => odds(url));
    asked = 0;
    assert.equal(await endOf(odds(url)), "SG_BREAKER_OPEN");
    assert.equal(asked, 0);
  });

  for (const [how, expected] of [
    ["500", { failed: 3 }],
    ["404", { ok: 3 }],
    ["hang", { timeout: 3 }],
    ["stall", { timeout: 3 }],
    ["break", { failed: 3 }],
  ] as const) {
    test(`fetch: a server that answers with ${how} counts as ${Object.keys(expected).join()}`, async () => {
      const { guard, odds } = await fetchingGuard();
      behaviour = how;

      const ends = await repeat(3, () => odds(url));

      assert.ok(ends.every((end) => typeof end === "string"));
      assert.deepEqual(outcomes(guard), expected);
      assert.equal(guard.inFlight, 0);
    });
  }

  test("any other client: 404s trip nothing, 500s do, a hanging server times out", async () => {
    interface Client {
      readonly guard: Upstream;
      readonly odds: (client: object, url: string) => Promise<unknown>;
    }
    const { guard, odds } = await load<Client>(impatient(client), "export { guard };");
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
    behaviour = "404";
    await repeat(12, () => odds(throwing, url));
    assert.deepEqual(outcomes(guard), { ok: 12 });
    assert.equal(guard.isTripped, false);
    behaviour = "hang";
    assert.equal(await endOf(odds(throwing, url)), "SG_DEADLINE");
    behaviour = "500";
    await repeat(10, () => odds(throwing, url));
    assert.equal(guard.isTripped, true);
  });

  test("your own judgement: an error inside of a 200 fails, and so does a 404", async () => {
    const { guard } = await load<{ guard: Upstream }>(judging);
    const call = () =>
      guard.execute(async () => {
        const answer = await fetch(url);
        if (answer.status === 404) throw Object.assign(new Error("none"), { status: 404 });
        return (await answer.json()) as unknown;
      });
    behaviour = "odds";
    await call();
    behaviour = "error inside";
    assert.deepEqual(await call(), { error: "down" });
    behaviour = "404";
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
  const [, second = ""] = programsOf("README.md");

  test("the second program trips on what its server does, and stays tripped in the next process", async () => {
    interface Second {
      readonly gear: Switchgear;
      readonly draftkings: (url: string) => Promise<Response>;
    }
    const program = impatient(second)
      .replace("./data/circuit_breaker.db", join(folder, "readme.db"))
      .replaceAll(/https:\/\/api\.draftkings\.example\/odds/g, url);
    const run = () => load<Second>(program, "export { gear, draftkings };");
    behaviour = "odds";
    const first = await run();
    assert.equal(first.gear.upstream("draftkings").isTripped, false);
    behaviour = "stall";
    await repeat(20, async () => (await first.draftkings(url)).text());
    assert.equal(first.gear.upstream("draftkings").isTripped, true);
    await first.gear.close();

    asked = 0;
    const error = await endOf(run());
    assert.equal(error, "SG_BREAKER_OPEN");
    assert.equal(asked, 0);
  });
});
