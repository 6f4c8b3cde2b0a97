// What is rendered, as tools see it that know what Kubernetes and its operators take: with every values file of ci/.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { stringify } from "yaml";
import { readTestRun } from "../support/testrun.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import {
  KUBERNETES_VERSIONS,
  kubernetesSchemas,
  operatorSchemas,
  whyNoSchemas,
} from "../tools/schemas.ts";
import { Chart, CHART, run, type Any, type Manifests } from "./helm.ts";
import { EXCEPTIONS } from "./kube-score-exceptions.ts";
import { ciValues, renderCi } from "./promise.ts";

const skip =
  "Bun" in globalThis
    ? "once is enough"
    : whyNoTools(["helm", "kubeconform", "kube-score", "controller-gen", "helm-docs"]);
const noSchemas = skip === false && whyNoSchemas();

const chart = new Chart();
const folder = mkdtempSync(join(tmpdir(), "switchgear-manifests-"));
after(() => {
  chart.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Other operators', of which there are no schemas here: the load test has a reader of its own. */
const WITHOUT_SCHEMA = "TestRun,GrafanaDashboard";

describe("what the chart renders", { skip }, () => {
  let all: readonly (readonly [string, Manifests])[] = [];
  before(async () => {
    all = await renderCi(chart);
  });

  function kubeconform(
    schemas: readonly string[],
    files: readonly string[],
  ): ReturnType<typeof run> {
    return run(toolPath("kubeconform"), [
      "-strict",
      "-summary",
      "-output=json",
      `-skip=${WITHOUT_SCHEMA}`,
      ...schemas.map((one) => `-schema-location=${one}/{{ .ResourceKind }}{{ .KindSuffix }}.json`),
      ...files,
    ]);
  }

  function written(): string[] {
    return all.map(([name, { text }]) => {
      const file = join(folder, `${name}.yaml`);
      writeFileSync(file, text);
      return file;
    });
  }

  for (const version of KUBERNETES_VERSIONS) {
    const what = `is what Kubernetes ${version} and the Prometheus operator take, to the last field`;
    test(what, { skip: noSchemas }, async () => {
      const schemas = [kubernetesSchemas(version), operatorSchemas()];
      const { code, stdout } = await kubeconform(schemas, written());
      assert.equal(code, 0, stdout);
      const { summary } = JSON.parse(stdout);
      assert.deepEqual([summary.invalid, summary.errors, summary.skipped], [0, 0, 1]);
      assert.ok(summary.valid > 50, stdout);
    });
  }

  test(
    "would not be taken with a field too many, a wrong type or one missing",
    {
      skip: noSchemas,
    },
    async () => {
      const schemas = [kubernetesSchemas("1.36"), operatorSchemas()];
      const [, manifests] = all.find(([name]) => name === "everything") ?? [];
      const spoil = (kind: string, change: (spec: Any) => void): object => {
        const copy = structuredClone(manifests?.get(kind)) as Any;
        change(copy.spec);
        return copy;
      };
      const wrong = [
        spoil("Deployment", (spec) => (spec.template.spec.hostNetwrk = false)),
        spoil("Deployment", (spec) => (spec.revisionHistoryLimit = "5")),
        spoil("Deployment", (spec) => delete spec.template.spec.containers[0].name),
        spoil("ServiceMonitor", (spec) => (spec.endpoints[0].honorLabel = true)),
        spoil("PrometheusRule", (spec) => (spec.groups[0].rules[0].keepFiringFor = "1m")),
        spoil("AlertmanagerConfig", (spec) => (spec.receivers[0].pagerdutyConfigs[0].links = [])),
        spoil("PodMonitor", (spec) => delete spec.selector),
      ];
      for (const [index, one] of wrong.entries()) {
        const file = join(folder, `wrong-${index}.yaml`);
        writeFileSync(file, stringify(one));
        const { code, stdout } = await kubeconform(schemas, [file]);
        assert.equal(code, 1, stdout);
      }
    },
  );

  test("is, of the load test, what k6-operator takes", async () => {
    const manifests = await chart.render({ testRun: { enabled: true } });
    const documents = [
      manifests.get("TestRun"),
      manifests.get("ConfigMap", "switchgear-load-test"),
    ].map(({ metadata: { namespace: _release, ...metadata }, ...rest }) =>
      stringify({ ...rest, metadata }),
    );
    const { testRun, configMap } = readTestRun(documents.join("---\n"));
    const { name, file } = testRun.spec.script.configMap;
    assert.equal(name, configMap.metadata.name);
    assert.ok(configMap.data[file] !== undefined);
  });

  test("has kube-score's word, but for what is left as it is with a reason", async () => {
    const used = new Set<string>();
    const faults: string[] = [];
    for (const [name, { text }] of all) {
      const file = join(folder, `${name}-score.yaml`);
      writeFileSync(file, text);
      const args = ["score", "--kubernetes-version=v1.36", "--output-format=json", file];
      const { stdout } = await run(toolPath("kube-score"), args);
      for (const object of JSON.parse(stdout) as Any[]) {
        const what = `${object.type_meta.kind}/${object.object_meta.name}`;
        for (const { check, grade, skipped, comments } of object.checks) {
          if (skipped || grade >= GRADE_OK) continue;
          for (const { summary } of comments ?? []) {
            const reason = EXCEPTIONS.find(
              (one) =>
                one.check === check.id && one.objects.test(what) && (one.only ?? /./).test(summary),
            );
            if (reason === undefined) faults.push(`${name}: ${what}: ${check.id}: ${summary}`);
            else used.add(reason.check);
          }
        }
      }
    }
    assert.deepEqual(faults, []);
    assert.deepEqual(
      EXCEPTIONS.filter(({ check }) => !used.has(check)),
      [],
    );
  });

  test("passes helm lint --strict, with every values file", async () => {
    for (const name of ciValues().keys()) {
      const values = join(CHART, `ci/${name}-values.yaml`);
      const args = ["lint", "--strict", "--namespace=switchgear", `--values=${values}`, CHART];
      const { code, stdout, stderr } = await run(toolPath("helm"), args);
      assert.equal(code, 0, stdout + stderr);
    }
  });

  test("is packaged small enough for the Secret that Helm keeps it in", async () => {
    const { code, stdout, stderr } = await run(toolPath("helm"), [
      "package",
      CHART,
      `--destination=${folder}`,
    ]);
    assert.equal(code, 0, stderr);
    const [, file = ""] = /saved it to: (.*)/.exec(stdout) ?? [];
    // A Secret holds 1 MiB; the release adds the manifests, and Base64 a third, twice.
    assert.ok(statSync(file).size < 120 * 1024, `${statSync(file).size} bytes`);
  });

  test("has the version of the package", () => {
    const read = (path: string): string => readFileSync(join(CHART, path), "utf8");
    const { version } = JSON.parse(read("../../../package.json")) as { version: string };
    assert.match(read("Chart.yaml"), new RegExp(`^appVersion: ${version}$`, "m"));
  });

  test("is described in README.md by what helm-docs makes of values.yaml", async () => {
    const { code, stdout, stderr } = await run(toolPath("helm-docs"), [
      "--dry-run",
      `--chart-search-root=${CHART}`,
      "--sort-values-order=file",
      "--log-level=error",
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(
      readFileSync(join(CHART, "README.md"), "utf8"),
      stdout,
      "`npm run chart:docs` writes it",
    );
  });
});

/** kube-score's grades: 1 is critical, 5 a warning, 7 and more are well. */
const GRADE_OK = 7;
