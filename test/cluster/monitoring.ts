// Prometheus Operator with a Prometheus and an Alertmanager, as a cluster has them: they select by label, and look
// into every namespace. PagerDuty is played.

import { globSync } from "node:fs";
import { join } from "node:path";
import { until } from "../pager/processes.ts";
import { goPart } from "../tools/cluster/build.ts";
import type { Cluster } from "../tools/cluster/cluster.ts";
import { IMAGES, VERSIONS } from "./images.ts";
import { asList, namespace, workload } from "./objects.ts";
import type { World } from "./world.ts";

export const MONITORING = "monitoring";
export const ROUTING_KEY = "0123456789abcdef0123456789abcdef";

/** What is looked for, as the chart kube-prometheus-stack of this name does it. */
export const RELEASE = { release: "kube-prometheus-stack" };

/** Those that are asked for; without its own an operator leaves a part out. */
const KINDS = [
  "alertmanagerconfigs",
  "alertmanagers",
  "podmonitors",
  "probes",
  "prometheuses",
  "prometheusrules",
  "scrapeconfigs",
  "servicemonitors",
];

const WATCH_MS_MAX = 120_000;

export async function monitoringStory({ checks, cluster }: World): Promise<void> {
  await checks.check("Prometheus Operator's kinds are known", () => installDefinitions(cluster));
  await checks.check("the operator makes a Prometheus and an Alertmanager", async () => {
    await installMonitoring(cluster);
    await monitoringIsReady(cluster);
  });
}

async function installDefinitions(cluster: Cluster): Promise<void> {
  const files = globSync(
    join(goPart("operator"), `monitoring.coreos.com_{${KINDS.join(",")}}.yaml`),
  );
  // Too large for the annotation that the client would keep them in.
  const flags = files.flatMap((file) => ["-f", file]);
  await cluster.kubectl(["apply", "--server-side", ...flags]);
  await cluster.kubectl(["apply", "-f", "-"], { input: asList([testRuns()]) });
}

/** Of k6-operator, which is not run here: that the API server takes a TestRun is all that is seen. */
function testRuns(): object {
  const schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "testruns.k6.io" },
    spec: {
      group: "k6.io",
      names: { kind: "TestRun", plural: "testruns" },
      scope: "Namespaced",
      versions: [
        { name: "v1alpha1", served: true, storage: true, schema: { openAPIV3Schema: schema } },
      ],
    },
  };
}

async function installMonitoring(cluster: Cluster): Promise<void> {
  const objects = [
    namespace(MONITORING),
    ...accounts(),
    ...workload({
      name: "prometheus-operator",
      namespace: MONITORING,
      image: IMAGES.operator,
      args: [
        `--prometheus-config-reloader=${IMAGES.reloader}`,
        "--config-reloader-cpu-request=10m",
        "--config-reloader-cpu-limit=0",
        "--config-reloader-memory-request=16Mi",
      ],
      ports: { http: 8080 },
      serviceAccount: "prometheus-operator",
    }),
    ...workload({
      name: "pagerduty",
      namespace: MONITORING,
      image: IMAGES.neighbours,
      args: ["/app/test/cluster/pods/pagerduty.ts"],
      env: { ROUTING_KEY },
      ports: { events: 8080, desk: 8081 },
    }),
    prometheus(),
    alertmanager(),
  ];
  await cluster.kubectl(["apply", "-f", "-"], { input: asList(objects) });
}

async function monitoringIsReady(cluster: Cluster): Promise<void> {
  const wait = (what: string, condition: string): Promise<string> =>
    cluster.kubectl(["-n", MONITORING, "wait", what, `--for=${condition}`, "--timeout=150s"]);
  await wait("deployment/prometheus-operator", "condition=Available");
  await wait("prometheus/main", "condition=Available");
  await wait("alertmanager/main", "condition=Available");
  await wait("deployment/pagerduty", "condition=Available");
  // A change that comes between its first look and its watch is missed for three minutes.
  for (const pod of ["prometheus-main-0", "alertmanager-main-0"]) {
    await until(
      `the reloader of ${pod} watches`,
      async () => {
        const logs = await cluster.kubectl([
          "-n",
          MONITORING,
          "logs",
          pod,
          "-c",
          "config-reloader",
        ]);
        return logs.includes("started watching") || undefined;
      },
      WATCH_MS_MAX,
    );
  }
}

const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 65532,
  runAsGroup: 65532,
  fsGroup: 65532,
  seccompProfile: { type: "RuntimeDefault" },
};

function prometheus(): object {
  return {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "Prometheus",
    metadata: { name: "main", namespace: MONITORING },
    spec: {
      image: IMAGES.prometheus,
      version: VERSIONS.prometheus,
      imagePullPolicy: "IfNotPresent",
      replicas: 1,
      serviceAccountName: "prometheus",
      scrapeInterval: "5s",
      evaluationInterval: "2s",
      serviceMonitorSelector: { matchLabels: RELEASE },
      serviceMonitorNamespaceSelector: {},
      podMonitorSelector: { matchLabels: RELEASE },
      podMonitorNamespaceSelector: {},
      ruleSelector: { matchLabels: RELEASE },
      ruleNamespaceSelector: {},
      alerting: {
        alertmanagers: [{ namespace: MONITORING, name: "alertmanager-operated", port: "web" }],
      },
      resources: { requests: { cpu: "20m", memory: "64Mi" } },
      securityContext: RESTRICTED,
      terminationGracePeriodSeconds: 5,
    },
  };
}

function alertmanager(): object {
  return {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "Alertmanager",
    metadata: { name: "main", namespace: MONITORING },
    spec: {
      image: IMAGES.alertmanager,
      version: VERSIONS.alertmanager,
      imagePullPolicy: "IfNotPresent",
      replicas: 1,
      alertmanagerConfigSelector: {},
      alertmanagerConfigNamespaceSelector: {},
      resources: { requests: { cpu: "10m", memory: "32Mi" } },
      securityContext: RESTRICTED,
    },
  };
}

function accounts(): object[] {
  const account = (name: string): object => ({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name, namespace: MONITORING },
  });
  const binding = (name: string, role: string): object => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [{ kind: "ServiceAccount", name, namespace: MONITORING }],
  });
  const verbs = ["get", "list", "watch"];
  return [
    account("prometheus-operator"),
    // Whatever it does: its rights are not what is tested.
    binding("prometheus-operator", "cluster-admin"),
    account("prometheus"),
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "prometheus" },
      rules: [
        { apiGroups: [""], resources: ["services", "endpoints", "pods", "namespaces"], verbs },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs },
      ],
    },
    binding("prometheus", "prometheus"),
  ];
}
