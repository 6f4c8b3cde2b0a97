// The load test as a cluster runs it: the ConfigMap's files mounted as a kubelet mounts them, k6 with the
// operator's commands and the manifest's environment, a gateway before simulated bookmakers, and a Prometheus that
// takes what k6 writes.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createWorld } from "../../loadtest/run/world.ts";
import { labelsOf, rowsOf, seriesOf } from "../../scripts/load-test-series.ts";
import { ready, startProcess, until } from "../pager/processes.ts";
import { k6 } from "../support/k6.ts";
import { freePorts, ROOT, temporaryFolder } from "../support/programs.ts";
import { readTestRun } from "../support/testrun.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";

const skip =
  "Bun" in globalThis
    ? "k6 and Prometheus are run, whatever starts them; once is enough"
    : whyNoTools(["k6", "prometheus"]);

const MS_MAX = 150_000;
/** A tenth of the load, and a second of calm. */
const SMALL = { SCALE: "0.1", SHORT: "1", CALM_S: "1" };
const ALL_HELD = 0;
const BREACHED = 99;
const EXCEPTION = 107;

const { testRun, configMap } = readTestRun();
const { name } = testRun.metadata;

type Env = Readonly<Record<string, string>>;

function envWith(changes: Env): Env {
  const env = testRun.spec.runner.env.map(({ name, value }) => [name, value]);
  return { ...(Object.fromEntries(env) as Env), ...changes };
}

/** Files are links to links there, so that all of them change at once. The path of the script. */
function mount(folder: string): string {
  const path = join(folder, "test");
  mkdirSync(join(path, "..2026_11_28"), { recursive: true });
  symlinkSync("..2026_11_28", join(path, "..data"));
  for (const [file, text] of Object.entries(configMap.data)) {
    writeFileSync(join(path, "..2026_11_28", file), text, { mode: 0o444 });
    symlinkSync(join("..data", file), join(path, file));
  }
  return join(path, testRun.spec.script.configMap.file);
}

/** Before any runner there is the initializer, which makes an archive with each variable of the runner. */
async function initialize(
  folder: string,
  env: Env,
): Promise<{ code: number | null; text: string }> {
  const archive = join(folder, "archive.tar");
  const variables = Object.keys(env).flatMap((key) => ["-e", `${key}=${env[key]}`]);
  const args = ["archive", mount(folder), ...variables, "-O", archive];
  const archived = await k6({ folder, args, env });
  if (archived.code !== 0) return { code: archived.code, text: archived.stderr };
  const inspect = ["inspect", "--execution-requirements", archive];
  const { code, stdout } = await k6({ folder, args: inspect, env });
  return { code, text: stdout };
}

test("the initializer takes script and environment", { skip }, async (t) => {
  const env = envWith({ GATEWAY: "http://127.0.0.1:1" });

  const { code, text } = await initialize(temporaryFolder(t), env);

  assert.equal(code, 0, text);
  const { maxVUs, totalDuration } = JSON.parse(text) as { maxVUs: number; totalDuration: string };
  assert.ok(maxVUs > 10);
  assert.match(totalDuration, /^\d+m\d+/);
});

test("as it is, the manifest fails before there is a runner", { skip }, async (t) => {
  const { code, text } = await initialize(temporaryFolder(t), envWith({}));

  assert.match(text, /GATEWAY is missing/);
  assert.equal(code, EXCEPTION);
});

interface Prometheus {
  readonly url: string;
  readonly query: (path: string) => Promise<unknown>;
}

async function startPrometheus(t: TestContext): Promise<Prometheus> {
  const folder = temporaryFolder(t);
  const [port = 0] = await freePorts(1);
  writeFileSync(join(folder, "prometheus.yml"), "global: {}\n");
  const running = startProcess(
    "prometheus",
    [
      toolPath("prometheus"),
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--web.enable-remote-write-receiver",
    ],
    { cwd: folder, env: { HOME: folder }, msMax: 2 * MS_MAX },
  );
  t.after(() => running.kill());
  const url = `http://127.0.0.1:${port}`;
  await ready(running, `${url}/-/ready`);
  const query = async (path: string): Promise<unknown> => {
    const answer = await fetch(`${url}/api/v1/${path}`);
    return ((await answer.json()) as { data: unknown }).data;
  };
  return { url, query };
}

/** What the operator's starter does once its runners wait. */
async function unpause(address: string): Promise<void> {
  const status = { data: { attributes: { paused: false }, id: "default", type: "status" } };
  await until(
    "k6 takes the order to begin",
    async () => {
      try {
        const body = JSON.stringify(status);
        const headers = { "content-type": "application/json" };
        const url = `http://${address}/v1/status`;
        return (await fetch(url, { method: "PATCH", headers, body })).ok ? true : undefined;
      } catch {
        return undefined;
      }
    },
    30_000,
  );
}

test("the runner's results arrive under the names that the page lists", { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const scale = Number(SMALL.SCALE);
  const [prometheus, world] = await Promise.all([
    startPrometheus(t),
    createWorld({ subject: "gateway", scenario: "spike", runtime: "node", scale, folder }),
  ]);
  t.after(() => world.stop());
  const [port = 0] = await freePorts(1);
  const env = envWith({
    ...SMALL,
    GATEWAY: world.address,
    K6_PROMETHEUS_RW_SERVER_URL: `${prometheus.url}/api/v1/write`,
  });
  const args = [
    "run",
    "--quiet",
    ...testRun.spec.arguments.split(" "),
    mount(folder),
    `--address=127.0.0.1:${port}`,
    "--paused",
    "--tag=instance_id=1",
    `--tag=testrun_name=${name}`,
  ];

  const running = k6({ folder, args, env });
  await unpause(`127.0.0.1:${port}`);
  const { code, stdout, stderr } = await running;

  // A busy machine breaches claims, and then says so: what is judged here is the way that results take.
  assert.ok(code === ALL_HELD || code === BREACHED, `${code}\n${stdout}${stderr}`);
  assert.match(stdout, /^(?:held {4}|BREACHED) goodput_of_capacity /m);
  assert.doesNotMatch(stderr, /Failed to send/);
  const match = encodeURIComponent('{__name__=~"k6_.+"}');
  const found = new Map<string, Set<string>>();
  for (const { __name__ = "", ...labels } of (await prometheus.query(
    `series?match[]=${match}`,
  )) as Env[]) {
    assert.equal(labels["testrun_name"], name);
    const known = found.get(__name__) ?? new Set();
    for (const label of Object.keys(labels)) known.add(label);
    found.set(__name__, known);
  }
  if (found.has("k6_dropped_iterations_total"))
    return t.skip("the machine was too busy: k6 gave up before the end");
  const listed = rowsOf("spike").flatMap((row) =>
    seriesOf(row).map((series) => [series, labelsOf(row)] as const),
  );
  const sorted = [...found].map(([series, labels]) => [series, [...labels].toSorted()] as const);
  assert.deepEqual(Object.fromEntries(sorted), Object.fromEntries(listed));
  await answersAll(prometheus);
  // Seconds, as the page says: the bookmaker works for tens of milliseconds.
  const [slowest = NaN] = await maxima(prometheus, "max(k6_http_req_duration_max)");
  assert.ok(slowest > 0.01 && slowest < 10, String(slowest));
});

/** At some moment of the run, since its series end with it. */
async function maxima({ query }: Prometheus, text: string): Promise<number[]> {
  const asked = encodeURIComponent(`max_over_time((${text})[2m:1s])`);
  const { result } = (await query(`query?query=${asked}`)) as {
    result: { value: [number, string] }[];
  };
  return result.map(({ value }) => Number(value[1]));
}

async function answersAll(prometheus: Prometheus): Promise<void> {
  const page = readFileSync(join(ROOT, "docs/load-test-metrics.md"), "utf8");
  const queries = [...page.matchAll(/^```promql\n(.+)\n```$/gm)].map(([, text = ""]) => text);
  assert.ok(queries.length >= 4);
  for (const text of queries) {
    const values = await maxima(prometheus, text);
    assert.ok(
      values.some((value) => value > 0),
      text,
    );
  }
}
