// A steady rate of honest callers beside all others, for a while, on one runtime: honest ones lose
// nothing, no breaker moves, memory and descriptors are flat.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededRandom } from "../../src/testing/index.ts";
import { ROOT, runtimePath, type Runtime } from "../bench/support/runtimes.ts";
import { freePort, start, type Started } from "../bench/support/processes.ts";
import { honest, other, OTHER_KINDS, type Target } from "./callers.ts";
import { isFlat, read, trend, type Reading, type Trend } from "./gauges.ts";
import { startHealthyUpstream } from "./upstream.ts";

export interface SoakOptions {
  readonly runtime: Runtime;
  readonly seconds: number;
  readonly seed: number;
  /** Honest calls a second, and others. */
  readonly honestRate: number;
  readonly otherRate: number;
  /** How long others hold on. */
  readonly heldMsMax: number;
  readonly tell?: (line: string) => void;
}

export interface SoakResult {
  readonly runtime: Runtime;
  readonly honest: number;
  readonly others: number;
  /** What honest callers found wrong, the first twenty. */
  readonly lost: readonly string[];
  /** The longest that callers and upstream, which are one process, stood still. */
  readonly stillMs: number;
  readonly memory: Trend;
  readonly descriptors: Trend;
  readonly faults: readonly string[];
}

const TICK_MS = 20;
const READING_MS = 1_000;

/** Beyond noise: what a collector may keep, and the callers that just come and go. */
const MEMORY_SLACK_BYTES = 24 * 1024 * 1024;
const DESCRIPTORS_SLACK = 40;

/** More of the others are not held open at once: they are to be beside honest callers, not instead. */
const OTHERS_MAX = 400;

/** For the last connections to be closed on both sides. */
const SETTLE_MS = 2_000;

const READY_MS_MAX = 20_000;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { runtime, seconds, seed, tell = () => {} } = options;
  const folder = mkdtempSync(join(tmpdir(), "switchgear-soak-"));
  const upstream = await startHealthyUpstream();
  const [port, adminPort] = [await freePort(), await freePort()];
  const serving = serve(runtime, { folder, port, adminPort, url: upstream.url });
  try {
    await ready(serving, adminPort);
    const target = { port, random: new SeededRandom(seed), heldMsMax: options.heldMsMax };
    const readings: Reading[] = [];
    const before = read(serving.pid, 0).descriptors;
    const counts = await drive(target, options, (atMs) => {
      readings.push(read(serving.pid, atMs));
      if (readings.length % 30 === 0) tell(progress(runtime, readings, seconds));
    });
    const faults = await findings(adminPort);
    await pause(SETTLE_MS);
    const left = read(serving.pid, 0).descriptors - before;
    if (left > DESCRIPTORS_SLACK) faults.push(`${left} descriptors are left when all have gone`);
    const memory = trend(readings, ({ rssBytes }) => rssBytes);
    const descriptors = trend(readings, (reading) => reading.descriptors);
    if (!isFlat(memory, MEMORY_SLACK_BYTES)) faults.push("memory grew");
    if (!isFlat(descriptors, DESCRIPTORS_SLACK)) faults.push("descriptors grew");
    if (counts.lost.length > 0) faults.push("honest callers lost answers");
    if (serving.hasEnded()) faults.push(`it ended: ${serving.complaints()}`);
    return { runtime, ...counts, memory, descriptors, faults };
  } finally {
    await serving.stop();
    upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function serve(
  runtime: Runtime,
  place: {
    readonly folder: string;
    readonly port: number;
    readonly adminPort: number;
    readonly url: string;
  },
): Started {
  const file = join(place.folder, "switchgear.yaml");
  writeFileSync(
    file,
    `gateway: { host: 127.0.0.1, port: ${place.port}, drainDelayMs: 0 }
admin: { host: 127.0.0.1, port: ${place.adminPort} }
store: { kind: sqlite, path: ${place.folder}/soak.db }
upstreams:
  book:
    url: ${place.url}
    deadlineMs: 10000
    breaker: { kind: latching, failureThreshold: 3 }
    operations:
      odds: { path: /odds }
      events: { path: /events, idleMs: 2000 }
`,
  );
  const command = [runtimePath(runtime), join(ROOT, "src/cli/main.ts"), "serve", "-c", file];
  const env = { BUN_CONFIG_MAX_HTTP_REQUESTS: "65000" };
  return start({
    name: `switchgear on ${runtime}`,
    command,
    core: undefined,
    env,
    cwd: place.folder,
  });
}

async function ready(serving: Started, adminPort: number): Promise<void> {
  const untilMs = performance.now() + READY_MS_MAX;
  for (;;) {
    try {
      await (await fetch(`http://127.0.0.1:${adminPort}/livez`)).text();
      return;
    } catch {
      if (serving.hasEnded() || performance.now() > untilMs) throw new Error(serving.complaints());
      await pause(50);
    }
  }
}

interface Counts {
  readonly honest: number;
  readonly others: number;
  readonly lost: readonly string[];
  readonly stillMs: number;
}

/** Calls by the clock, whatever becomes of those before: an open model, as real callers are. */
async function drive(
  target: Target,
  { seconds, honestRate, otherRate }: SoakOptions,
  onReading: (atMs: number) => void,
): Promise<Counts> {
  const startMs = performance.now();
  const lost: string[] = [];
  const pending = new Set<Promise<unknown>>();
  const keep = (promise: Promise<unknown>): void => {
    pending.add(promise);
    void promise.finally(() => pending.delete(promise));
  };
  const made = { honest: 0, others: 0 };
  let open = 0;
  let readingMs = 0;
  let stillMs = 0;
  let lastMs = 0;
  for (;;) {
    const atMs = performance.now() - startMs;
    stillMs = Math.max(stillMs, atMs - lastMs - TICK_MS);
    lastMs = atMs;
    if (atMs >= seconds * 1000) break;
    for (; made.honest < (atMs / 1000) * honestRate; made.honest += 1) {
      keep(
        honest(target).then((finding) => {
          if (finding !== undefined && lost.length < 20) {
            lost.push(`after ${Math.round(atMs / 1000)} s: ${finding}`);
          }
        }),
      );
    }
    for (; made.others < (atMs / 1000) * otherRate; made.others += 1) {
      if (open >= OTHERS_MAX) continue;
      open += 1;
      const kind = OTHER_KINDS[target.random.integer(OTHER_KINDS.length)] ?? "leaves";
      keep(other(target, kind).finally(() => (open -= 1)));
    }
    if (atMs >= readingMs) {
      onReading(atMs);
      readingMs += READING_MS;
    }
    await pause(TICK_MS);
  }
  await Promise.all(pending);
  return { ...made, lost, stillMs };
}

/** What the process itself says of its upstream. */
async function findings(adminPort: number): Promise<string[]> {
  const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const found: string[] = [];
  for (const line of page.split("\n")) {
    const isBad =
      /^circuit_breaker_(?:tripped|trips_total|failures_1m)\{/.test(line) ||
      /^switchgear_requests_total\{.*outcome="(?:failed|timeout)"/.test(line) ||
      // Callers who give it a millisecond are told that this is too little.
      /^circuit_breaker_rejected_total\{.*reason="(?!no_time)/.test(line);
    if (isBad && !line.endsWith(" 0")) found.push(line);
  }
  return found;
}

function progress(runtime: Runtime, readings: readonly Reading[], seconds: number): string {
  const { atMs = 0, rssBytes = 0, descriptors = 0 } = readings.at(-1) ?? {};
  return `${runtime}: ${Math.round(atMs / 1000)} of ${seconds} s, ${Math.round(rssBytes / 2 ** 20)} MiB, ${descriptors} descriptors`;
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
