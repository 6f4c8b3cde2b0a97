// What `helm test` runs in a cluster, against a gateway and a Prometheus of this test's own: that it says yes, and that
// it says no. The rules are those that the chart renders.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { startBookmaker } from "../support/docs.ts";
import {
  freePorts,
  ready,
  serve,
  start,
  temporaryFolder,
  type Ended,
} from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { Chart, CHART } from "./helm.ts";

const skip = "Bun" in globalThis ? "once is enough" : whyNoTools(["helm", "prometheus"]);

const SCRIPT = join(CHART, "files/test.mjs");

function helmTest(env: Readonly<Record<string, string>>): Promise<Ended> {
  return start([process.execPath, SCRIPT], {
    env: {
      UPSTREAM: "",
      CALL_PATH: "/",
      PROMETHEUS: "",
      NAMESPACE: "switchgear",
      JOB: "switchgear",
      RULES: "yes",
      WAIT_MS: "20000",
      ...env,
    },
  }).ended;
}

/** With the rules and the scrape that are given. */
async function startPrometheus(t: TestContext, rules: string, target: string): Promise<string> {
  const folder = temporaryFolder(t);
  const [port = 0] = await freePorts(1);
  writeFileSync(join(folder, "switchgear.rules.yml"), rules);
  const file = join(folder, "prometheus.yml");
  writeFileSync(
    file,
    JSON.stringify({
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: ["*.rules.yml"],
      scrape_configs: [
        {
          job_name: "switchgear",
          static_configs: [{ targets: [target], labels: { namespace: "switchgear" } }],
        },
      ],
    }),
  );
  const program = start([
    toolPath("prometheus"),
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  t.after(() => program.child.kill("SIGKILL"));
  const url = `http://127.0.0.1:${port}`;
  await ready(program, `${url}/-/ready`);
  return url;
}

describe("what `helm test` runs", { skip }, () => {
  test("says yes of a gateway that answers, is scraped and has its rules", async (t) => {
    const bookmaker = await startBookmaker();
    t.after(() => bookmaker.close());
    const { gateway, admin } = await serve(
      t,
      temporaryFolder(t),
      `upstreams: { draftkings: { url: "${bookmaker.url}" } }\n`,
    );
    const chart = new Chart();
    t.after(() => chart.close());
    const manifests = await chart.render({ monitoring: { files: { enabled: true } } });
    const { data } = manifests.get("ConfigMap", "-prometheus");
    const rules = data["switchgear.rules.yml"] ?? "";
    const target = admin.replace("http://", "");
    const prometheus = await startPrometheus(t, rules, target);

    const { code, stdout, stderr } = await helmTest({
      GATEWAY: gateway,
      ADMIN: admin,
      UPSTREAM: "draftkings",
      CALL_PATH: "/odds",
      PROMETHEUS: prometheus,
    });

    assert.equal(code, 0, stdout + stderr);
    assert.equal(stdout.match(/^ok {4}/gm)?.length, 6, stdout);
  });

  test("says what it did not ask for", async (t) => {
    const { gateway, admin } = await serve(t, temporaryFolder(t), "upstreams: {}\n");

    const { code, stdout } = await helmTest({ GATEWAY: gateway, ADMIN: admin });

    assert.equal(code, 0, stdout);
    assert.equal(stdout.match(/^ok {4}/gm)?.length, 3, stdout);
    assert.match(stdout, /a call comes back.*: skipped: tests\.call\.upstream names none/);
    assert.match(stdout, /Prometheus scrapes it: skipped: tests\.prometheusUrl names none/);
  });

  test("says no, and what is wrong, of everything that is not so", async (t) => {
    const serving = await serve(
      t,
      temporaryFolder(t),
      'upstreams: { draftkings: { url: "http://127.0.0.1:9" } }\n',
    );
    const { gateway, admin } = serving;
    await serving.run("trip", "draftkings", "--reason", "test");
    const prometheus = await startPrometheus(t, "groups: []\n", "127.0.0.1:9");

    const { code, stdout } = await helmTest({
      GATEWAY: gateway,
      ADMIN: admin,
      UPSTREAM: "draftkings",
      PROMETHEUS: prometheus,
      WAIT_MS: "0",
    });

    assert.equal(code, 1, stdout);
    assert.match(stdout, /^FAULT a call comes back.*: status 503, reason tripped$/m);
    assert.match(stdout, /^FAULT Prometheus scrapes it: sum\(up\{.*monitoring\.labels$/m);
    assert.match(
      stdout,
      /^FAULT Prometheus has the rules: .* is not there; see monitoring\.labels$/m,
    );

    const [free = 0] = await freePorts(1);
    const nobody = `http://127.0.0.1:${free}`;
    const none = await helmTest({ GATEWAY: nobody, ADMIN: nobody, WAIT_MS: "0" });
    assert.equal(none.code, 1, none.stdout);
    assert.equal(none.stdout.match(/^FAULT .*ECONNREFUSED/gm)?.length, 3, none.stdout);
    // The admin port is no gateway, and the other way round.
    const crossed = await helmTest({ GATEWAY: admin, ADMIN: gateway, WAIT_MS: "0" });
    assert.equal(crossed.code, 1);
    assert.equal(crossed.stdout.match(/^FAULT /gm)?.length, 3, crossed.stdout);
  });
});
