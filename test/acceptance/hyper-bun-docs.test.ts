// docs/hyper-bun.md: its files are the stand-in's, its programs run, its commands work as printed.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { test } from "node:test";
import { ProductionCircuitBreaker } from "../../src/hyper-bun/index.ts";
import { ROOT, start, temporaryFolder } from "../support/programs.ts";
import { ADMIN, BUN, FIXTURE, startStandIn } from "../support/stand-in.ts";

interface Block {
  readonly language: string;
  readonly file: string | undefined;
  readonly text: string;
}

const page = readFileSync(join(ROOT, "docs/hyper-bun.md"), "utf8");
const blocks: Block[] = [...page.matchAll(/^```(\w+)(?: file=(\S+))?\n([\s\S]*?)^```$/gm)].map(
  ([, language = "", file, text = ""]) => ({ language, file, text }),
);

function inLanguage(language: string): Block[] {
  const found = blocks.filter((block) => block.language === language && block.file === undefined);
  assert.ok(found.length > 0, language);
  return found;
}

/** The programs of the page import what lies beside them in Hyper-Bun. */
function resolved(text: string): string {
  return text.replaceAll(/from "\.\/([^"]+)"/g, (_all, path: string) => {
    return `from "${pathToFileURL(join(FIXTURE, "src", path)).href}"`;
  });
}

test("every block of the page is of a kind that is tested", () => {
  const kinds = new Set(blocks.map(({ language }) => language));
  assert.deepEqual([...kinds].toSorted(), ["bash", "js", "sql", "ts"]);
  assert.equal(page.match(/^```/gm)?.length, blocks.length * 2);
});

test("the two files are the stand-in's", () => {
  const files = blocks.filter(({ file }) => file !== undefined);
  assert.equal(files.length, 2);
  for (const { file = "", text } of files) {
    const own = text.replace("switchgear/hyper-bun", "../../../../../src/hyper-bun/index.ts");
    assert.equal(own, readFileSync(join(FIXTURE, file), "utf8"));
  }
});

/** What each program prints, and whether it leaves the service's database behind. */
const SAYS: readonly (readonly [printed: RegExp, isDurable: boolean])[] = [
  [/^$/, true],
  [/^true 0\.5$/m, true],
  [/^$/, true],
  [/^true$/m, false],
  [/draftkings is tripped: maintenance/, true],
];

for (const [index, { text }] of inLanguage("ts").entries()) {
  test(`program ${index + 1} of the page runs: ${text.split("\n")[0]}`, async (t) => {
    const folder = temporaryFolder(t);
    const run = async (database: string): Promise<void> => {
      writeFileSync(join(folder, "program.ts"), resolved(text));
      const env = { CIRCUIT_BREAKER_DB: database };
      const ended = await start([BUN, "program.ts"], { cwd: folder, env }).ended;
      assert.equal(ended.code, 0, ended.stderr);
      assert.match(ended.stdout, SAYS[index]?.[0] ?? /never/);
    };

    // A program that makes a breaker of its own says itself where.
    const isOwn = text.includes("new ProductionCircuitBreaker(");
    if (!isOwn) await run(":memory:");
    assert.deepEqual(readdirSync(folder), isOwn ? [] : ["program.ts"]);
    await run("");
    assert.equal(existsSync(join(folder, "data/circuit_breaker.db")), SAYS[index]?.[1]);
  });
}

test("the commands work as printed", async (t) => {
  const service = await startStandIn(t);
  const trip = `${service.url}/api/circuit-breakers/draftkings/trip`;
  const tripped = await fetch(trip, { method: "POST", headers: ADMIN });
  assert.equal(tripped.status, 200);

  const answers: string[] = [];
  for (const { text } of inLanguage("bash")) {
    for (const line of text.trim().split("\n")) {
      const ended = await start(
        ["bash", "-c", line.replaceAll("http://localhost:3000", service.url)],
        {
          env: { HYPER_BUN_ADMIN_TOKEN: ADMIN.authorization.replace("Bearer ", "") },
        },
      ).ended;
      assert.equal(ended.code, 0, line);
      answers.push(ended.stdout);
    }
  }
  assert.equal(answers.length, 5);
  assert.match(answers[0] ?? "", /^circuit_breaker_tripped\{bookmaker="draftkings"\} 1$/m);
  assert.match(answers[1] ?? "", /"total":1,"trippedCount":1/);
  assert.match(answers[2] ?? "", /"bookmaker":"draftkings","tripped":true/);
  assert.match(answers[3] ?? "", /"success":true.*reset/);
  assert.match(answers[4] ?? "", /"success":true.*tripped/);

  const lines = inLanguage("js").flatMap(({ text }) => text.trim().split("\n"));
  const console = await service.console(...lines);
  assert.equal(console.code, 0, console.stderr);
  const said = console.stdout.split("\n");
  assert.ok(said.some((line) => line.startsWith("Reset denied: draftkings tripped <60s ago")));
  assert.ok(said.includes('"odds"'), console.stdout);
  assert.doesNotMatch(console.stdout, /is not defined|is not a function/);
  assert.equal((await service.stop()).code, 0);

  const db = new DatabaseSync(join(service.folder, "data/circuit_breaker.db"));
  const queries = inLanguage("sql").flatMap(({ text }) => text.trim().split(/;\n?/));
  const found = queries.filter((sql) => sql !== "").map((sql) => db.prepare(sql).all());
  db.close();
  assert.equal(found.length, 2);
  assert.equal(found[0]?.[0]?.["bookmaker"], "draftkings");
  assert.ok(found[1]?.some((row) => row["action"] === "RESET" && row["user"] === "ann"));
});

test("every option of the page's table is an option, and none is left out", (t) => {
  const table = /\| Option [\s\S]*?\n\n/.exec(page)?.[0] ?? "";
  const cells = [...table.matchAll(/^\| (`.+?`) +\|/gm)].map(([, cell = ""]) => cell).join();
  const named = [...cells.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
  const folder = temporaryFolder(t);
  const unknown: object = { noSuchOption: true };
  assert.throws(
    () => new ProductionCircuitBreaker(join(folder, "x.db"), undefined, 1, 1, 1, unknown),
    (error: unknown) => {
      const known = /\(([^)]+)\)/.exec((error as Error).message)?.[1]?.split(", ");
      assert.deepEqual(named.toSorted(), known?.toSorted());
      return true;
    },
  );
});

test("the page's settings name the path that is opened by default, and its pending requests are counted", (t) => {
  const text = inLanguage("ts").find((block) => block.text.includes("pendingRequests"))?.text ?? "";
  const path = /const path = "(.+)";/.exec(text)?.[1];
  assert.ok(path !== undefined && page.includes(`opens \`${path}\``));
  // As the page wires them.
  const server = { pendingRequests: 500 };
  const breaker = new ProductionCircuitBreaker(":memory:", undefined, 5, 1, 1, {
    pendingRequests: () => server.pendingRequests,
    maxPendingRequests: 500,
    loadMode: "max",
    logger: {},
  });
  t.after(() => breaker.close());
  assert.equal(breaker.getSystemLoad(), 1);
});
