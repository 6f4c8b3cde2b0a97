// The other programs of the documentation, the configurations and the commands: each is run as it stands on its
// page, against servers of this test's own. A page that gets a new one says here what runs it.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { UpstreamOptionsCache } from "../../src/cli/breakers.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createSwitchgear, latching, type Switchgear } from "../../src/index.ts";
import {
  blocksOf,
  endOf,
  load,
  programsOf,
  repeat,
  startBookmaker,
  type Bookmaker,
} from "../support/docs.ts";
import { ROOT, freePorts, serve, start, switchgear, temporaryFolder } from "../support/programs.ts";
import { parseExposition, sampleOf } from "./exposition.ts";
import { selfSigned } from "./gateway-certificate.ts";

/** The languages of each page's blocks in order, drawings apart, and the tests that run them. */
const REGISTER: Readonly<Record<string, readonly [languages: string, tests: readonly string[]]>> = {
  "README.md": [
    "sh ts js yaml sh sh",
    [
      "contract/docs-programs.test.ts",
      "contract/docs-pages.test.ts",
      "e2e/package.test.ts",
      "alerts/rules.test.ts",
    ],
  ],
  "docs/adaptive.md": ["yaml js", ["contract/docs-pages.test.ts"]],
  "docs/alerts.md": ["sh", ["alerts/values.test.ts"]],
  "docs/breakers.md": ["yaml", ["contract/docs-pages.test.ts"]],
  "docs/calls.md": [
    "js js js js js js",
    ["contract/docs-programs.test.ts", "contract/real-clients.test.ts"],
  ],
  "docs/fleet.md": ["sh text yaml js yaml", ["e2e/fleet-docs.test.ts"]],
  "docs/gateway.md": ["yaml yaml", ["contract/docs-pages.test.ts"]],
  "docs/hyper-bun.md": [
    "ts ts ts ts ts ts bash bash js sql ts",
    ["acceptance/hyper-bun-docs.test.ts"],
  ],
  "docs/kubernetes.md": ["sh yaml sh sh sh yaml", ["cluster/docs-story.ts"]],
  "docs/limits.md": ["yaml js", ["contract/docs-pages.test.ts"]],
  "docs/load-test-metrics.md": ["promql promql promql promql", ["e2e/testrun.test.ts"]],
  "docs/metrics.md": ["js js", ["contract/docs-pages.test.ts"]],
  "docs/rates.md": ["yaml js yaml", ["contract/docs-pages.test.ts"]],
  // What PagerDuty received, written by `npm run page-proof`: no program.
  "docs/page-proof.md": ["json json", []],
  // What was typed and shown, written by `npm run game-day`; the runbook's commands have tests of their own.
  "docs/game-day.md": ["json sh text sh text sh text sh text sh text json", []],
};

test("every program of README.md and docs is run by a test", () => {
  const pages = readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`);
  for (const page of ["README.md", ...pages]) {
    const [languages, tests] = REGISTER[page] ?? ["", []];
    const found = blocksOf(page).filter(({ language }) => language !== "");
    assert.equal(found.map(({ language }) => language).join(" "), languages, page);
    // A fence that nobody sees as a block would be a program that nobody runs.
    const fences = readFileSync(join(ROOT, page), "utf8").match(/^\s*(?:```|~~~)/gm) ?? [];
    assert.equal(fences.length, blocksOf(page).length * 2, page);
    for (const path of tests) {
      const text = readFileSync(join(ROOT, "test", path), "utf8");
      assert.ok(text.includes(page.split("/").at(-1) ?? page), `${path} names ${page}`);
    }
  }
});

let first: Bookmaker;
let second: Bookmaker;
const folder = mkdtempSync(join(tmpdir(), "switchgear-pages-"));

before(async () => {
  first = await startBookmaker();
  second = await startBookmaker();
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
  first.close();
  second.close();
});

async function check(yaml: string): Promise<string> {
  const file = join(folder, "switchgear.yaml");
  writeFileSync(file, yaml);
  const { stdout, stderr } = await switchgear(["check", file]).ended;
  return stdout + stderr;
}

/** What `switchgear serve` makes of a configuration, in this process. */
function gearOf(yaml: string): Switchgear {
  const file = join(folder, "gear.yaml");
  writeFileSync(file, yaml);
  return createSwitchgear({
    upstreams: new UpstreamOptionsCache().of(loadConfig(file, {}).upstreams),
    sampler: { systemLoad: () => 0 },
  });
}

describe("README.md", () => {
  const [yaml = ""] = programsOf("README.md", "yaml");
  const [make = "", commands = ""] = programsOf("README.md", "sh");

  test("what it makes is in the Makefile", () => {
    const makefile = readFileSync(join(ROOT, "Makefile"), "utf8");
    const targets = [...make.matchAll(/^make (\S+)/gm)].map(([, target = ""]) => target);
    assert.deepEqual(targets, ["run", "test"]);
    for (const target of targets) assert.match(makefile, new RegExp(`^${target}:`, "m"));
  });

  test("the gateway takes the configuration, and each command does what is said beside it", async (t) => {
    first.behaviour = "odds";
    assert.equal(await check(yaml), "ok: 1 upstream: draftkings\n");
    const config = yaml.replace("https://api.draftkings.example", first.url);
    const serving = await serve(t, temporaryFolder(t), config);
    const main = `${JSON.stringify(process.execPath)} ${JSON.stringify(join(ROOT, "src/cli/main.ts"))}`;
    writeFileSync(join(folder, "switchgear.yaml"), yaml);
    const said: string[] = [];
    for (const line of commands.trim().split("\n")) {
      // The one that stays; it runs already.
      if (line.startsWith("npx switchgear serve")) continue;
      const own = line
        .replace("npx switchgear", main)
        .replace("http://127.0.0.1:8080", serving.gateway);
      const env = { SWITCHGEAR_URL: serving.admin };
      const ended = await start(["sh", "-c", own], { cwd: folder, env }).ended;
      assert.equal(ended.code, 0, ended.stderr);
      said.push(ended.stdout);
    }

    assert.equal(said.length, 3);
    assert.match(said[0] ?? "", /^ok: 1 upstream/);
    assert.equal(said[1], '{"price":1.9}');
    assert.match(said[2] ?? "", /draftkings.*closed/);
    assert.equal((await serving.stop()).code, 0);
  });
});

describe("docs/breakers.md", () => {
  test("its latching upstream trips at ten failures, its cautious one by the share that failed", async () => {
    const [yaml = ""] = programsOf("docs/breakers.md", "yaml");
    assert.equal(await check(yaml), "ok: 2 upstreams: draftkings, pinnacle\n");

    const gear = gearOf(yaml);
    const fail = (name: string, times: number): Promise<unknown[]> =>
      repeat(times, () => gear.upstream(name).execute(() => Promise.reject(new Error("down"))));
    await fail("draftkings", 9);
    assert.equal(gear.upstream("draftkings").isTripped, false);
    await fail("draftkings", 1);
    assert.equal(gear.upstream("draftkings").isTripped, true);
    await fail("pinnacle", 200);
    assert.equal(gear.upstream("pinnacle").state(), "open");
    await gear.close();
  });
});

describe("docs/adaptive.md", () => {
  const EU = "https://eu.feeds.example";
  const US = "https://us.feeds.example";

  test("its configuration leads calls away from the endpoint that fails", async () => {
    const [yaml = ""] = programsOf("docs/adaptive.md", "yaml");
    assert.equal(await check(yaml), "ok: 1 upstream: feeds\n");

    const gear = gearOf(yaml);
    let toEu = 0;
    await repeat(12, () =>
      gear.upstream("feeds").execute(({ endpoint }) => {
        if (endpoint?.name !== "feeds-eu") return;
        toEu += 1;
        throw new Error("down");
      }),
    );
    // Three failures degrade it; from then on it gets one call in ten.
    assert.ok(toEu >= 3 && toEu <= 4, `${toEu}`);
    await gear.close();
  });

  test("its program asks the endpoint that it is told", async () => {
    const [program = ""] = programsOf("docs/adaptive.md", "js");
    const led = program.replace(EU, first.url).replace(US, second.url);
    first.behaviour = "500";
    second.behaviour = "odds";
    first.asked = 0;
    second.asked = 0;
    const { gear } = await load<{ gear: Switchgear }>(led, "export { gear };");
    assert.equal(first.asked + second.asked, 1);

    await repeat(11, () =>
      gear.upstream("feeds").execute(({ endpoint, signal }) => {
        assert.ok(endpoint);
        return fetch(endpoint.url, { signal });
      }),
    );
    assert.equal(first.asked + second.asked, 12);
    assert.ok(first.asked >= 3 && first.asked <= 4, `${first.asked}`);
    assert.equal(gear.upstream("feeds").isTripped, false);
    await gear.close();
  });
});

describe("docs/rates.md", () => {
  const [rates = "", replicas = ""] = programsOf("docs/rates.md", "yaml");
  const admitted = (gear: Switchgear, operation: string): number =>
    Array.from({ length: 100 }, () => {
      const one = gear.upstream("draftkings").tryAcquire({ operation });
      // At its end: how many are in flight at once has a limit of its own.
      if (one.admitted) one.settle({ outcome: "ok" });
      return one;
    }).filter((one) => one.admitted).length;

  test("its configuration and its program let the same bursts through", async () => {
    assert.equal(await check(rates), "ok: 1 upstream: draftkings\n");
    const [program = ""] = programsOf("docs/rates.md", "js");
    const { gear: ofProgram } = await load<{ gear: Switchgear }>(program, "");
    for (const gear of [gearOf(rates), ofProgram]) {
      assert.equal(admitted(gear, "deepProbe"), 1);
      assert.equal(admitted(gear, "odds"), 5);
      // Those of the upstream that are left, and what comes in while this runs.
      const others = admitted(gear, "anything");
      assert.ok(others >= 34 && others < 100, `${others}`);
      await gear.close();
    }
  });

  test("its replica has a quarter of the quota", async () => {
    assert.equal(await check(replicas), "ok: 1 upstream: draftkings\n");
    const [rate] = gearOf(replicas).upstream("draftkings").status().rates;
    assert.deepEqual([rate?.perSecond, rate?.burst], [100 / 4, 20 / 4]);
  });
});

describe("docs/limits.md", () => {
  test("its configuration limits as it says, the critical calls last", async () => {
    const [yaml = ""] = programsOf("docs/limits.md", "yaml");
    assert.equal(await check(yaml), "ok: 3 upstreams: draftkings, pinnacle, internal\n");
    const gear = gearOf(yaml);
    const { limit: adaptive } = gear.upstream("draftkings").status();
    const defaults = gearOf(yaml.replace(/limit: \{ kind: adaptive.*/, ""));
    assert.deepEqual(adaptive, defaults.upstream("draftkings").status().limit);
    assert.deepEqual([adaptive?.limit, adaptive?.min, adaptive?.max], [20, 2, 5000]);
    const admitted = Array.from({ length: 50 }, () => gear.upstream("pinnacle").tryAcquire());
    assert.equal(admitted.filter((one) => one.admitted).length, 40);
    assert.equal(gear.upstream("internal").status().limit, null);
    await gear.close();
  });

  test("its program's bets are settled while anything is", async () => {
    const [program = ""] = programsOf("docs/limits.md", "js");
    const { gear, settleBet } = await load<{
      gear: Switchgear;
      settleBet: (send: () => unknown) => Promise<unknown>;
    }>(program, "");
    assert.equal(await settleBet(() => "settled"), "settled");
    const { limit } = gear.upstream("draftkings").status();
    assert.equal(limit?.max, 200);
    assert.equal(limit?.tiers.critical_plus.admitted, 1);
    assert.equal(gear.upstream("pinnacle").status().limit?.limit, 40);
    await gear.close();
  });
});

describe("docs/gateway.md", () => {
  const [operations = "", tls = ""] = programsOf("docs/gateway.md", "yaml");

  test("a stream outlives its deadline where idleMs is set, and ends when nothing more comes", async (t) => {
    const ticking = createServer((request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      let n = 0;
      const ticks = setInterval(() => {
        n += 1;
        if (n <= 6) response.write(`data: ${n}\n\n`);
        else if (request.url?.startsWith("/live/ends")) response.end();
      }, 100);
      response.on("close", () => clearInterval(ticks));
    });
    await new Promise<void>((resolve) => void ticking.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      ticking.closeAllConnections();
      ticking.close();
    });
    const url = `http://127.0.0.1:${(ticking.address() as AddressInfo).port}`;
    assert.equal(await check(operations), "ok: 1 upstream: feeds\n");
    // Its times are for a service; the test has their order only.
    const quick = operations.replace("2000", "300").replace("30000", "1000");
    const serving = await serve(t, temporaryFolder(t), quick.replace("https://feeds.example", url));
    const read = async (path: string): Promise<unknown> =>
      endOf(fetch(`${serving.gateway}/feeds${path}`).then((answer) => answer.text()));

    assert.match(String(await read("/live/ends")), /data: 6/);
    assert.doesNotMatch(String(await read("/live/stalls")), /data/);
    assert.doesNotMatch(String(await read("/other")), /data: 6/);
    assert.equal((await serving.stop()).code, 0);
  });

  test("the files of a connection are read, and each that is missing is named", async () => {
    const certificate = selfSigned("odds.internal");
    const own = tls.replaceAll("/etc/tls", folder);
    assert.match(await check(own), /ca\.pem[\s\S]*us\.pem[\s\S]*us\.key/);

    writeFileSync(join(folder, "ca.pem"), certificate.cert);
    writeFileSync(join(folder, "us.pem"), certificate.cert);
    writeFileSync(join(folder, "us.key"), certificate.key);
    assert.equal(await check(own), "ok: 1 upstream: private\n");
  });
});

describe("docs/metrics.md", () => {
  const programs = programsOf("docs/metrics.md", "js");
  /** The page's programs are about a registry that a service has already. */
  const GEAR = "const { gear } = globalThis.switchgearOfTheDocs;\n";
  const here = globalThis as { switchgearOfTheDocs?: { readonly gear: Switchgear } };
  let gear: Switchgear;

  before(async () => {
    gear = createSwitchgear({ upstreams: { draftkings: { breaker: latching() } } });
    here.switchgearOfTheDocs = { gear };
    await gear.upstream("draftkings").execute(() => "odds");
  });
  after(async () => {
    delete here.switchgearOfTheDocs;
    await gear.close();
  });

  const shows = (text: string): void => {
    const samples = parseExposition(text.replaceAll("\n\n", "\n"));
    const labels = { bookmaker: "draftkings" };
    assert.equal(sampleOf(samples, "circuit_breaker_tripped", labels), 0);
  };

  test("the first serves the series on every address", async () => {
    const [port = 0] = await freePorts(1);
    const program = programs[0]?.replace('host: "0.0.0.0",', `$& port: ${port},`) ?? "";
    const { reader } = await load<{ reader: { shutdown(): Promise<void> } }>(
      GEAR + program,
      "export { reader };",
    );
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    const text = await answer.text();
    await reader.shutdown();

    shows(text);
    assert.doesNotMatch(text, /otel_scope|target_info/);
  });

  test("the second adds them to prom-client's registry", async () => {
    const { failures, register } = await load<{
      failures: number;
      register: { metrics(): Promise<string>; clear(): void };
    }>(GEAR + (programs[1] ?? ""), "export { failures, register };");
    assert.equal(failures, 0);
    shows(await register.metrics());
    register.clear();
  });
});
