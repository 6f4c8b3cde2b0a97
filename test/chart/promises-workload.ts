// Pods: how they are secured, probed, stopped, spread and scaled.

import assert from "node:assert/strict";
import type { Any, Manifests } from "./helm.ts";
import { MEMORY, REDIS, renderCi, UPSTREAMS, type Promised } from "./promise.ts";

const SELECTOR = {
  "app.kubernetes.io/name": "switchgear",
  "app.kubernetes.io/instance": "switchgear",
  "app.kubernetes.io/component": "gateway",
};

const API_VERSIONS: Readonly<Record<string, string>> = {
  ConfigMap: "v1",
  Pod: "v1",
  Secret: "v1",
  Service: "v1",
  ServiceAccount: "v1",
  Deployment: "apps/v1",
  StatefulSet: "apps/v1",
  HorizontalPodAutoscaler: "autoscaling/v2",
  PodDisruptionBudget: "policy/v1",
  NetworkPolicy: "networking.k8s.io/v1",
  PodMonitor: "monitoring.coreos.com/v1",
  PrometheusRule: "monitoring.coreos.com/v1",
  ServiceMonitor: "monitoring.coreos.com/v1",
  AlertmanagerConfig: "monitoring.coreos.com/v1alpha1",
  TestRun: "k6.io/v1alpha1",
};

/** As Pod Security's level "restricted" asks, and what it does not: a read-only root, and no token. */
function assertRestricted(pod: Any, what: string): void {
  assert.equal(pod.securityContext.runAsNonRoot, true, what);
  assert.equal(pod.securityContext.runAsUser, 65532, what);
  assert.equal(pod.securityContext.runAsGroup, 65532, what);
  assert.equal(pod.securityContext.fsGroup, 65532, what);
  assert.equal(pod.securityContext.fsGroupChangePolicy, "OnRootMismatch", what);
  assert.deepEqual(pod.securityContext.seccompProfile, { type: "RuntimeDefault" }, what);
  assert.equal(pod.automountServiceAccountToken, false, what);
  assert.equal(pod.enableServiceLinks, false, what);
  for (const key of ["hostNetwork", "hostPID", "hostIPC", "hostUsers"])
    assert.equal(pod[key], undefined, what);
  for (const container of pod.containers) {
    assert.deepEqual(
      container.securityContext,
      {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      },
      what,
    );
    const { requests, limits } = container.resources;
    assert.deepEqual(
      Object.keys(requests).toSorted(),
      ["cpu", "ephemeral-storage", "memory"],
      what,
    );
    // Throttled, it is late, and its breakers take that for their upstreams' slowness.
    assert.deepEqual(Object.keys(limits).toSorted(), ["ephemeral-storage", "memory"], what);
    assert.equal(container.imagePullPolicy, "IfNotPresent", what);
  }
  for (const volume of pod.volumes ?? []) assert.equal(volume.hostPath, undefined, what);
}

function mountOf({ container }: Manifests, name: string): Any {
  return container.volumeMounts.find((mount: Any) => mount.name === name);
}

function volumeOf({ pod }: Manifests, name: string): Any {
  return pod.volumes.find((volume: Any) => volume.name === name);
}

export const WORKLOAD: readonly Promised[] = [
  {
    name: "every pod satisfies Pod Security's level restricted, has a read-only root, and no token",
    async check(chart) {
      for (const [name, manifests] of await renderCi(chart)) {
        assertRestricted(manifests.pod, name);
        const test = manifests.find("Pod");
        if (test !== undefined) assertRestricted(test.spec, `${name}: test`);
        assert.equal(manifests.get("ServiceAccount").automountServiceAccountToken, false);
        for (const { kind } of manifests.all) assert.doesNotMatch(kind, /Role|ClusterRole/);
      }
    },
  },
  {
    name: "it may write to its volume and to /tmp, and to nothing else",
    async check(chart) {
      const manifests = await chart.render();
      assert.deepEqual(mountOf(manifests, "tmp"), { name: "tmp", mountPath: "/tmp" });
      assert.deepEqual(volumeOf(manifests, "tmp"), {
        name: "tmp",
        emptyDir: { sizeLimit: "64Mi" },
      });
      assert.deepEqual(mountOf(manifests, "data"), {
        name: "data",
        mountPath: "/var/lib/switchgear",
      });
      for (const mount of manifests.container.volumeMounts)
        assert.equal(mount.readOnly ?? false, !["tmp", "data"].includes(mount.name), mount.name);
    },
  },
  {
    name: "SQLite has one replica with a claim of its own, which outlives it",
    async check(chart) {
      const manifests = await chart.render();
      assert.equal(manifests.find("Deployment"), undefined);
      const { spec } = manifests.get("StatefulSet", "switchgear");
      assert.equal(spec.replicas, 1);
      assert.equal(spec.serviceName, "switchgear-headless");
      assert.equal(spec.podManagementPolicy, "Parallel");
      assert.equal(spec.revisionHistoryLimit, 5);
      assert.deepEqual(spec.persistentVolumeClaimRetentionPolicy, {
        whenDeleted: "Retain",
        whenScaled: "Retain",
      });
      const [claim, ...others] = spec.volumeClaimTemplates;
      assert.deepEqual(others, []);
      assert.equal(claim.metadata.name, "data");
      assert.deepEqual(claim.spec, {
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: "1Gi" } },
      });
      // A label that goes with the version would make the next upgrade fail: a claim's template cannot change.
      assert.deepEqual(claim.metadata.labels, SELECTOR);
      const headless = manifests.get("Service", "switchgear-headless");
      assert.equal(headless.spec.clusterIP, "None");
      assert.equal(headless.spec.publishNotReadyAddresses, true);
      assert.deepEqual(headless.spec.selector, SELECTOR);
    },
  },
  {
    name: "a volume may be of another class or size, there already, or none",
    async check(chart) {
      const claimOf = async (persistence: object, global = {}): Promise<Any> => {
        const { spec } = (await chart.render({ persistence, global })).get("StatefulSet");
        return spec.volumeClaimTemplates[0];
      };
      const own = await claimOf({
        size: "5Gi",
        storageClass: "fast",
        annotations: { a: "b" },
        accessModes: ["ReadWriteOncePod"],
      });
      assert.equal(own.spec.storageClassName, "fast");
      assert.equal(own.spec.resources.requests.storage, "5Gi");
      assert.deepEqual(own.spec.accessModes, ["ReadWriteOncePod"]);
      assert.deepEqual(own.metadata.annotations, { a: "b" });
      assert.equal((await claimOf({ storageClass: "-" })).spec.storageClassName, "");
      assert.equal((await claimOf({}, { storageClass: "all" })).spec.storageClassName, "all");
      const existing = await chart.render({ persistence: { existingClaim: "mine" } });
      assert.equal(existing.workload.spec.volumeClaimTemplates, undefined);
      assert.deepEqual(volumeOf(existing, "data").persistentVolumeClaim, { claimName: "mine" });
      const none = await chart.render({ persistence: { enabled: false } });
      assert.equal(none.workload.spec.volumeClaimTemplates, undefined);
      assert.deepEqual(volumeOf(none, "data").emptyDir, {});
      const moved = await chart.render({ persistence: { mountPath: "/data/" } });
      assert.match(moved.get("ConfigMap").data["switchgear.yaml"] ?? "", /path: \/data\/circuit/);
      assert.equal(mountOf(moved, "data").mountPath, "/data/");
    },
  },
  {
    name: "Redis has a Deployment without a volume, which never serves with fewer than asked for",
    async check(chart) {
      const manifests = await chart.render(REDIS);
      assert.equal(manifests.find("StatefulSet"), undefined);
      assert.equal(manifests.find("Service", "-headless"), undefined);
      const { spec } = manifests.get("Deployment", "switchgear");
      assert.equal(spec.replicas, 2);
      assert.equal(spec.revisionHistoryLimit, 5);
      assert.deepEqual(spec.strategy, {
        type: "RollingUpdate",
        rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
      });
      assert.equal(mountOf(manifests, "data"), undefined);
      assert.equal(volumeOf(manifests, "data"), undefined);
      const memory = await chart.render(MEMORY);
      assert.equal(memory.get("Deployment").spec.replicas, 1);
    },
  },
  {
    name: "probes ask the process, and no bookmaker",
    async check(chart) {
      const { container } = await chart.render({ config: { upstreams: UPSTREAMS } });
      assert.deepEqual(container.startupProbe, {
        httpGet: { path: "/livez", port: "admin" },
        periodSeconds: 1,
        timeoutSeconds: 2,
        failureThreshold: 60,
      });
      assert.deepEqual(container.livenessProbe, {
        httpGet: { path: "/livez", port: "admin" },
        periodSeconds: 10,
        timeoutSeconds: 5,
        failureThreshold: 6,
      });
      assert.deepEqual(container.readinessProbe, {
        httpGet: { path: "/readyz", port: "admin" },
        periodSeconds: 5,
        timeoutSeconds: 3,
        failureThreshold: 2,
      });
      assert.deepEqual(container.ports, [
        { name: "http", containerPort: 8080, protocol: "TCP" },
        { name: "admin", containerPort: 9464, protocol: "TCP" },
      ]);
      assert.equal(container.lifecycle, undefined);
    },
  },
  {
    name: "a pod has longer to stop than the drain and the calls in flight take",
    async check(chart) {
      const graceOf = async (values: object): Promise<number> =>
        (await chart.render(values)).pod.terminationGracePeriodSeconds;
      assert.equal(await graceOf({}), 5 + 7 + 3);
      assert.equal(await graceOf({ config: { gateway: { drainDelayMs: 0 } } }), 10);
      assert.equal(await graceOf({ config: { gateway: { drainDelayMs: 1001 } } }), 12);
      // Left to the gateway it is 2 s.
      assert.equal(await graceOf({ config: { gateway: { drainDelayMs: null } } }), 12);
      assert.equal(await graceOf({ config: { gateway: null } }), 12);
      assert.equal(await graceOf({ terminationGracePeriodSeconds: 60 }), 60);
      const refusal = await chart.refuse({ terminationGracePeriodSeconds: 12 });
      assert.match(refusal, /terminationGracePeriodSeconds: a stop takes up to 12 seconds/);
    },
  },
  {
    name: "selectors hold what never changes, and find the gateway's pods alone",
    async check(chart) {
      for (const [name, manifests] of await renderCi(chart)) {
        const { spec } = manifests.workload;
        const labels = spec.template.metadata.labels;
        const selectors = [
          spec.selector.matchLabels,
          ...manifests.all.flatMap(({ kind, spec }) => (kind === "Service" ? [spec.selector] : [])),
          ...["PodDisruptionBudget", "NetworkPolicy"].flatMap((kind) => {
            const found = manifests.find(kind);
            return found === undefined
              ? []
              : [(found.spec.selector ?? found.spec.podSelector).matchLabels];
          }),
        ];
        for (const selector of selectors) {
          assert.deepEqual(
            Object.keys(selector).toSorted(),
            Object.keys(SELECTOR).toSorted(),
            name,
          );
          for (const [key, value] of Object.entries(selector))
            assert.equal(labels[key], value, name);
        }
        // Runbooks ask for the pods of this name, and take each for a replica.
        const test = manifests.find("Pod");
        assert.notEqual(
          test?.metadata.labels?.["app.kubernetes.io/name"],
          labels["app.kubernetes.io/name"],
        );
      }
      const { workload } = await chart.render({
        commonLabels: { team: "odds" },
        podLabels: { a: "b" },
      });
      assert.deepEqual(workload.spec.template.metadata.labels, {
        ...SELECTOR,
        team: "odds",
        a: "b",
      });
      assert.deepEqual(workload.spec.selector.matchLabels, SELECTOR);
      const stolen = await chart.render({
        podLabels: { "app.kubernetes.io/component": "other" },
        commonLabels: { "app.kubernetes.io/instance": "other" },
      });
      assert.deepEqual(stolen.workload.spec.template.metadata.labels, SELECTOR);
    },
  },
  {
    name: "everything has its API's version, Kubernetes' recommended labels and its namespace",
    async check(chart) {
      for (const [name, manifests] of await renderCi(chart)) {
        for (const { apiVersion, kind, metadata } of manifests.all) {
          const what = `${name}: ${kind} ${metadata.name}`;
          assert.equal(apiVersion, API_VERSIONS[kind], what);
          assert.equal(metadata.namespace, "switchgear", what);
          if (metadata.labels?.["from"] === "extra") continue;
          const { labels = {} } = metadata;
          assert.match(labels["helm.sh/chart"] ?? "", /^[\w-]+-\d+\.\d+\.\d+$/, what);
          assert.equal(labels["app.kubernetes.io/managed-by"], "Helm", what);
          assert.equal(labels["app.kubernetes.io/part-of"], "switchgear", what);
          assert.match(labels["app.kubernetes.io/version"] ?? "", /^\d+\.\d+\.\d+/, what);
          assert.equal(labels["app.kubernetes.io/instance"], "switchgear", what);
          assert.ok(labels["app.kubernetes.io/name"] !== undefined, what);
        }
      }
    },
  },
  {
    name: "more than one replica are spread and survive the draining of nodes; one is in nobody's way",
    async check(chart) {
      const manifests = await chart.render(REDIS);
      const spread = (topologyKey: string): object => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: "ScheduleAnyway",
        matchLabelKeys: ["pod-template-hash"],
        labelSelector: { matchLabels: SELECTOR },
      });
      assert.deepEqual(manifests.pod.topologySpreadConstraints, [
        spread("kubernetes.io/hostname"),
        spread("topology.kubernetes.io/zone"),
      ]);
      assert.deepEqual(manifests.get("PodDisruptionBudget", "switchgear").spec, {
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: "AlwaysAllow",
        selector: { matchLabels: SELECTOR },
      });
      const one = await chart.render({ ...REDIS, replicas: 1 });
      assert.equal(one.find("PodDisruptionBudget"), undefined);
      assert.equal((await chart.render()).find("PodDisruptionBudget"), undefined);
      assert.equal((await chart.render()).pod.topologySpreadConstraints, undefined);
      const without = await chart.render({ ...REDIS, podDisruptionBudget: { enabled: false } });
      assert.equal(without.find("PodDisruptionBudget"), undefined);
      const own = [{ maxSkew: 2, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule" }];
      const given = await chart.render({ ...REDIS, topologySpreadConstraints: own });
      assert.deepEqual(given.pod.topologySpreadConstraints, own);
    },
  },
  {
    name: "whoever scales it owns the number of replicas",
    async check(chart) {
      const scaled = await chart.render({ ...REDIS, autoscaling: { enabled: true } });
      assert.ok(!("replicas" in scaled.get("Deployment").spec));
      const { spec } = scaled.get("HorizontalPodAutoscaler", "switchgear");
      assert.deepEqual(spec.scaleTargetRef, {
        apiVersion: "apps/v1",
        kind: "Deployment",
        name: "switchgear",
      });
      assert.equal(spec.minReplicas, 2);
      assert.equal(spec.maxReplicas, 10);
      assert.deepEqual(spec.metrics, [
        {
          type: "Resource",
          resource: { name: "cpu", target: { type: "AverageValue", averageValue: "600m" } },
        },
      ]);
      assert.equal(spec.behavior.scaleDown.stabilizationWindowSeconds, 300);
      assert.ok(scaled.find("PodDisruptionBudget") !== undefined);
      const alone = await chart.render({
        ...REDIS,
        autoscaling: { enabled: true, minReplicas: 1 },
      });
      assert.equal(alone.find("PodDisruptionBudget"), undefined);
      const other = await chart.render({ ...REDIS, replicas: null });
      assert.ok(!("replicas" in other.get("Deployment").spec));
      assert.equal(other.find("HorizontalPodAutoscaler"), undefined);
      assert.ok(other.find("PodDisruptionBudget") !== undefined);
      assert.equal((await chart.render({ replicas: 0 })).workload.spec.replicas, 0);
    },
  },
  {
    name: "what shares no store has one replica, and more are refused with the reason",
    async check(chart) {
      for (const store of [{ kind: "sqlite" }, { kind: "memory" }]) {
        for (const more of [
          { replicas: 2 },
          { replicas: null },
          { autoscaling: { enabled: true } },
        ]) {
          const refusal = await chart.refuse({ config: { store }, ...more });
          assert.match(
            refusal,
            /replicas: with config\.store\.kind "(sqlite|memory)" each replica/,
          );
        }
      }
    },
  },
  {
    name: "scheduling is as the values say",
    async check(chart) {
      const values = {
        priorityClassName: "high",
        nodeSelector: { disk: "ssd" },
        tolerations: [{ key: "dedicated", operator: "Exists" }],
        affinity: { nodeAffinity: {} },
      };
      const { pod } = await chart.render(values);
      for (const [key, value] of Object.entries(values)) assert.deepEqual(pod[key], value, key);
      const { spec } = (await chart.render(values)).get("Pod");
      assert.deepEqual(spec.nodeSelector, values.nodeSelector);
      assert.deepEqual(spec.tolerations, values.tolerations);
      assert.equal((await chart.render()).pod.priorityClassName, undefined);
    },
  },
];
