// deploy/k6/testrun.yaml: the load test as a TestRun of k6-operator, with its script as a ConfigMap.
//
// The operator mounts `script.configMap` flat at /test, and neither a key of a ConfigMap nor `script.configMap.file`
// can name a folder. So each file is a key by its own name, and imports of `./lib/` become `./`. An archive of k6
// in `binaryData` would do as well, but nobody could read it, nor see in a review what changed.

import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { TREND_STATS } from "./load-test-series.ts";

const ROOT = resolve(import.meta.dirname, "..");
const SCRIPT = "loadtest/super-bowl.ts";
const NAME = "switchgear-super-bowl";

/** Users of the two images: a kubelet can only tell from a number that a user is not root. */
const K6_USER = 12345;
const STARTER_USER = 65532;

/** Beside the script all that it imports from here, at whatever depth. */
export function flatFiles(script = join(ROOT, SCRIPT)): Map<string, string> {
  const files = new Map<string, string>();
  const paths = new Map<string, string>();
  const waiting = [script];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const name = basename(path);
    const other = paths.get(name);
    if (other === path) continue;
    if (other !== undefined)
      throw new Error(`${other} and ${path} would have one name in a ConfigMap: rename one`);
    paths.set(name, path);
    const folder = dirname(path);
    const flat = readFileSync(path, "utf8").replaceAll(
      /(?<=\bfrom ")\.{1,2}\/[^"]+(?=")/g,
      (specifier) => {
        waiting.push(resolve(folder, specifier));
        return `./${basename(specifier)}`;
      },
    );
    files.set(name, flat);
  }
  return new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The k6 that the tests run is the one that the cluster runs. */
function k6Version(): string {
  const module = readFileSync(join(ROOT, "test/tools/k6/go.mod"), "utf8");
  const version = /go\.k6\.io\/k6\/v2 v(\d+\.\d+\.\d+)\b/.exec(module)?.[1];
  if (version === undefined) throw new Error("test/tools/k6/go.mod must require go.k6.io/k6/v2");
  return version;
}

function securityContexts(user: number): string {
  return `automountServiceAccountToken: "false"
    securityContext:
      runAsNonRoot: true
      runAsUser: ${user}
      runAsGroup: ${user}
      seccompProfile: { type: RuntimeDefault }
    containerSecurityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }`;
}

export function testRun(): string {
  const data = [...flatFiles()].map(
    ([name, text]) => `  ${name}: |\n${text.replaceAll(/^(?=.)/gm, "    ")}`,
  );
  return `# Generated from loadtest/ and scripts/testrun.ts by \`npm run generate\`; loadtest/README.md says how to use it.
apiVersion: k6.io/v1alpha1
kind: TestRun
metadata:
  name: ${NAME}
  labels: { app.kubernetes.io/name: ${NAME}, app.kubernetes.io/part-of: switchgear }
spec:
  # One, since each runner judges the thresholds by its own calls alone, and its claims are ratios to the capacity
  # that its own setup measured: of two, each would take half of the bookmaker for all of it.
  parallelism: 1
  script:
    configMap: { name: ${NAME}, file: ${basename(SCRIPT)} }
  # \`args\` would need operator 1.6; this is one option without spaces or quotes.
  arguments: -o experimental-prometheus-rw
  # No \`cleanup\`: it would take the verdict away, which is the runner's exit code and its log.
  runner:
    image: grafana/k6:${k6Version()}
    env:
      # Without an address nothing begins: the initializer fails, and says so.
      - name: GATEWAY
        value: ""
      - { name: SCENARIO, value: spike }
      - { name: SCALE, value: "1" }
      - { name: SHORT, value: "0" }
      - { name: TARGET, value: draftkings }
      - { name: HEALTHY, value: fanduel }
      - { name: DEADLINE_MS, value: "2000" }
      # Such as http://prometheus.monitoring:9090/api/v1/write. Without one k6 asks its own pod, says at each push
      # that nobody is there, and goes on.
      - name: K6_PROMETHEUS_RW_SERVER_URL
        value: ""
      - { name: K6_PROMETHEUS_RW_TREND_STATS, value: "${TREND_STATS.join(",")}" }
      # By default five seconds: a third of a spike.
      - { name: K6_PROMETHEUS_RW_PUSH_INTERVAL, value: 1s }
      # Series end with the run, and not five minutes later.
      - { name: K6_PROMETHEUS_RW_STALE_MARKERS, value: "true" }
      - { name: K6_NO_USAGE_REPORT, value: "true" }
      - { name: K6_AUTO_EXTENSION_RESOLUTION, value: "false" }
      # While Go collects garbage, calls wait for a quarter of a second and seem slow: not before half the memory is used.
      - { name: GOGC, value: "off" }
      - { name: GOMEMLIMIT, value: 1GiB }
    # No limit on the CPU: throttled, k6 would start calls late, and there would be no verdict.
    resources:
      requests: { cpu: "1", memory: 1Gi }
      limits: { memory: 2Gi }
    ${securityContexts(K6_USER)}
    # The initializer, which is as the runner, writes an archive.
    volumes: [{ name: tmp, emptyDir: { sizeLimit: 16Mi } }]
    volumeMounts: [{ name: tmp, mountPath: /tmp }]
  starter:
    ${securityContexts(STARTER_USER)}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: ${NAME}
  labels: { app.kubernetes.io/name: ${NAME}, app.kubernetes.io/part-of: switchgear }
data:
${data.join("")}`;
}
