// npm run bench:gateway: CPU seconds of the proxy per 1,000 requests, Switchgear and its peers.
//
// All proxies run at once on core 0 and idle but for the one under load; upstream and wrk are on
// core 1. Rounds are interleaved in shuffled order. A round counts only when every answer was
// right: no wrk error, the expected status, and as many requests at the upstream as were proxied.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parseArgs } from "node:util";
import { SeededRandom } from "../../../src/testing/index.ts";
import { describeMachine, machineLines, packageVersion } from "../support/machine.ts";
import { cpuSeconds, freePort, start, type Started } from "../support/processes.ts";
import { runtimeVersions } from "../support/runtimes.ts";
import { writeReport } from "../support/table.ts";
import { upstreamNginx } from "./configs.ts";
import { CONTENDERS, LABELS, kindsOf, prepare, type Contender } from "./contenders.ts";
import {
  PATHS,
  SMALL_BYTES,
  TYPICAL_BYTES,
  TYPICAL_HEADERS,
  faultOf,
  load,
  writeLoadScripts,
  type Kind,
} from "./load.ts";
import { costsOf, report, type Round } from "./report.ts";

const USAGE = `usage: npm run bench:gateway -- [options]
  --quick       a smoke run of half a minute; its numbers are not kept
  --only A,B    some contenders alone (${CONTENDERS.join(", ")}); not kept
  --rounds N    rounds (5)
  --seed N      seed of the order of rounds (1)
`;

const PROGRAMS = ["wrk", "nginx", "haproxy"] as const;

const READY_MS_MAX = 15_000;

const ATTEMPTS_MAX = 3;

/** As many failures as the breakers of Switchgear need. */
const FAILURES_TO_TRIP = 10;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string", default: "5" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});

function fail(message: string, code: number): never {
  process.stderr.write(`bench:gateway: ${message}\n`);
  process.exit(code);
}

if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (process.platform !== "linux") fail("reads /proc, so it runs on Linux only", 1);

/** Debian keeps servers where people's search path does not look. */
function find(program: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
}

const found = new Map(PROGRAMS.map((program) => [program, find(program)]));
const missing = PROGRAMS.filter((program) => found.get(program) === undefined);
if (missing.length > 0) {
  fail(`${missing.join(", ")} missing; run apt-get install -y wrk nginx haproxy`, 1);
}
const program = (name: (typeof PROGRAMS)[number]): string => found.get(name) ?? name;

const wanted = values.only?.split(",") ?? CONTENDERS;
const contenderIds = CONTENDERS.filter((id) => wanted.includes(id));
if (contenderIds.length !== wanted.length) fail(`--only takes some of ${CONTENDERS.join(",")}`, 2);

const hasCores = availableParallelism() >= 2 && find("taskset") !== undefined;
const proxyCore = hasCores ? 0 : undefined;
const loadCore = hasCores ? 1 : undefined;
const seconds = values.quick ? 1 : 3;
/** Rounds of warming: at least so many, and at most. */
const WARM_ROUNDS_MIN = 3;
const WARM_ROUNDS_MAX = 20;
/** A contender is warm when two rounds running cost no less than this share below its lowest. */
const FLAT_SHARE = 0.05;
const rounds = values.quick ? 1 : Number(values.rounds);

const folder = mkdtempSync(join(tmpdir(), "switchgear-bench-"));
const started: Started[] = [];

async function cleanUp(): Promise<void> {
  await Promise.all(started.map((each) => each.stop()));
  rmSync(folder, { recursive: true, force: true });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void cleanUp().finally(() => process.exit(1)));
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

function text(bytes: number): string {
  const odds = `{"bookmaker":"draftkings","market":"moneyline","odds":[1.91,2.05]},`;
  return `[${odds.repeat(Math.ceil(bytes / odds.length)).slice(0, bytes - 2)}]`;
}

async function startUpstream(): Promise<number> {
  const port = await freePort();
  mkdirSync(join(folder, "www/draftkings"), { recursive: true });
  writeFileSync(join(folder, "www/draftkings/small"), text(SMALL_BYTES));
  writeFileSync(join(folder, "www/draftkings/typical"), text(TYPICAL_BYTES));
  const file = join(folder, "upstream.conf");
  writeFileSync(file, upstreamNginx(folder, port));
  const command = [program("nginx"), "-e", join(folder, "upstream.log"), "-c", file];
  const upstream = start({ name: "upstream", command, core: loadCore });
  started.push(upstream);
  await ready(upstream, port);
  return port;
}

async function ready(process: Started, port: number): Promise<void> {
  const untilMs = performance.now() + READY_MS_MAX;
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) });
      return;
    } catch {
      if (process.hasEnded() || performance.now() > untilMs) {
        throw new Error(`${process.name} did not start: ${process.complaints()}`);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
  }
}

async function requestsAtUpstream(port: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/count`)).text();
  return Number(/ \d+ \d+ (\d+)/.exec(page)?.[1]);
}

async function get(
  port: number,
  kind: Kind,
): Promise<{ status: number; headers: Headers; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${PATHS[kind]}`, {
    headers: kind === "typical" ? TYPICAL_HEADERS : {},
    signal: AbortSignal.timeout(5000),
  });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

/** Every contender answers what it should before anything is timed. */
async function verify({ id, port }: Contender, upstreamPort: number): Promise<void> {
  for (const kind of ["small", "typical"] as const) {
    const direct = await get(upstreamPort, kind);
    const proxied = await get(port, kind);
    if (proxied.status !== 200 || proxied.body !== direct.body) {
      throw new Error(
        `${id} answered ${kind} with ${proxied.status}, ${proxied.body.length} bytes`,
      );
    }
    if (proxied.headers.get("x-request-id") !== direct.headers.get("x-request-id")) {
      throw new Error(`${id} lost a header of the upstream's answer to ${kind}`);
    }
  }
  for (let n = 0; n < FAILURES_TO_TRIP; n += 1) await get(port, "refused");
  const refusal = await get(port, "refused");
  if (refusal.status !== 503) throw new Error(`${id} refused with ${refusal.status}, not 503`);
  const reason = refusal.headers.get("x-switchgear-reason");
  if (id.startsWith("switchgear") && reason !== "tripped") {
    throw new Error(`${id} refused for ${reason ?? "no reason"}, not because it is tripped`);
  }
}

interface Running {
  readonly contender: Contender;
  readonly process: Started;
}

async function round(
  { contender, process }: Running,
  kind: Kind,
  upstreamPort: number,
  durationSeconds: number,
): Promise<Round> {
  const reachedBefore = await requestsAtUpstream(upstreamPort);
  const cpuBefore = cpuSeconds(process.pid);
  const result = await load({
    wrk: program("wrk"),
    folder,
    port: contender.port,
    kind,
    seconds: durationSeconds,
    core: loadCore,
  });
  const cpu = cpuSeconds(process.pid) - cpuBefore;
  // The second look at the count is itself a request.
  const reached = (await requestsAtUpstream(upstreamPort)) - reachedBefore - 1;
  const fault = faultOf(kind, result, reached);
  if (fault !== undefined) throw new RoundFault(`${LABELS[contender.id]}, ${kind}: ${fault}`);
  return { contender: contender.id, kind, cpuSeconds: cpu, load: result };
}

/** Something was not answered right. The round does not count; the report tells of it. */
class RoundFault extends Error {}

const faults: string[] = [];

/** A faulty round is measured again; a contender that keeps failing ends the run. */
async function soundRound(...args: Parameters<typeof round>): Promise<Round> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await round(...args);
    } catch (error) {
      if (!(error instanceof RoundFault) || attempt === ATTEMPTS_MAX) throw error;
      tell(`discarded: ${error.message}`);
      faults.push(error.message);
    }
  }
}

/**
 * Until its cost is flat: a runtime compiles what is hot for tens of thousands of requests, and rounds before
 * that measure the compiler.
 */
async function warm(running: Running, kind: Kind, upstreamPort: number): Promise<void> {
  const name = `${LABELS[running.contender.id]}, ${kind}`;
  let lowest = Number.POSITIVE_INFINITY;
  let flat = 0;
  for (let n = 1; n <= WARM_ROUNDS_MAX; n += 1) {
    const { cpuSeconds: cpu, load: result } = await soundRound(
      running,
      kind,
      upstreamPort,
      seconds,
    );
    const cost = cpu / result.requests;
    // Against the lowest so far, since noise only adds.
    flat = cost >= lowest * (1 - FLAT_SHARE) ? flat + 1 : 0;
    lowest = Math.min(lowest, cost);
    if (n >= WARM_ROUNDS_MIN && flat >= 2) {
      tell(`${name}: warm after ${n} rounds`);
      return;
    }
  }
  notWarm.push(name);
  tell(`${name}: not flat after ${WARM_ROUNDS_MAX} rounds`);
}

const notWarm: string[] = [];

async function startAll(upstreamPort: number): Promise<Running[]> {
  const programs = { nginx: program("nginx"), haproxy: program("haproxy") };
  const setting = { folder, upstreamPort, core: proxyCore, programs };
  const running: Running[] = [];
  for (const id of contenderIds) {
    const contender = await prepare(id, setting);
    const process = start(contender.command);
    started.push(process);
    await ready(process, contender.port);
    await verify(contender, upstreamPort);
    running.push({ contender, process });
    tell(`${LABELS[id]}: answers are right`);
  }
  return running;
}

async function measureAll(): Promise<Round[]> {
  writeLoadScripts(folder);
  const upstreamPort = await startUpstream();
  const running = await startAll(upstreamPort);
  const cells = running.flatMap((each) =>
    kindsOf(each.contender.id).map((kind) => ({ each, kind })),
  );
  const random = new SeededRandom(Number(values.seed));
  if (!values.quick) for (const cell of cells) await warm(cell.each, cell.kind, upstreamPort);
  const all: Round[] = [];
  for (let n = 1; n <= rounds; n += 1) {
    tell(`round ${n} of ${rounds}`);
    const order = cells
      .map((cell) => ({ cell, place: random.next() }))
      .toSorted((a, b) => a.place - b.place);
    for (const { cell } of order) {
      all.push(await soundRound(cell.each, cell.kind, upstreamPort, seconds));
    }
  }
  return all;
}

function versionOf(name: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(name, args, { encoding: "utf8" });
  return /\d+(?:\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? "unknown";
}

const INTRODUCTION = `# Cost per proxied request

Written by \`npm run bench:gateway\`. CPU seconds (user and system, all threads and children) of the
proxy per 1,000 requests, at a modest rate that wrk keeps by resting between requests; ${rounds} rounds
of ${seconds} s, interleaved in shuffled order. Proxies run on one core, upstream (nginx) and wrk on another,
all on loopback with connections kept alive. Before anything counts each contender has answered
byte for byte what the upstream does, and refused with 503, and was loaded until two rounds running
cost no less than ${Math.round(FLAT_SHARE * 100)} % below its lowest; a round counts when wrk saw no error and the upstream saw
each request that it should, and none of the refused.

Switchgear runs as \`switchgear serve\` with SQLite, a deadline, the latching breaker, and load
shedding measured for each call; it logs refusals, which the others do not, so its refusals are measured
without the log as well. opossum has a timeout of 2 s. The bare proxies' refusals are the shortest
answer that their servers have, HAProxy's and nginx's are \`return 503\`.`;

try {
  const versions = {
    ...(await runtimeVersions()),
    switchgear: packageVersion("switchgear"),
    opossum: packageVersion("opossum"),
    undici: packageVersion("undici"),
    nginx: versionOf(program("nginx"), ["-v"]),
    haproxy: versionOf(program("haproxy"), ["-v"]),
    wrk: versionOf(program("wrk"), ["-v"]),
  };
  const machine = describeMachine(versions);
  if (!hasCores) tell("without two cores and taskset, proxies share their core with the load");
  const all = await measureAll();
  const costs = costsOf(all);
  const unwarmed =
    notWarm.length === 0 ? "" : `Not flat after ${WARM_ROUNDS_MAX} rounds: ${notWarm.join("; ")}. `;
  const discarded =
    unwarmed +
    (faults.length === 0
      ? "No round was discarded."
      : `Discarded rounds:\n\n${faults.map((fault) => `- ${fault}`).join("\n")}`);
  process.stdout.write(`${machineLines(machine)}\n\n${report(costs)}\n\n${discarded}\n`);
  if (!values.quick && values.only === undefined) {
    const markdown = [INTRODUCTION, machineLines(machine), report(costs), discarded].join("\n\n");
    await writeReport("gateway", markdown, {
      machine,
      seed: Number(values.seed),
      costs,
      rounds: all,
    });
    tell("written to test/bench/results/gateway.md and gateway.json");
  }
} catch (error) {
  process.exitCode = 1;
  tell(`bench:gateway: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await cleanUp();
}
