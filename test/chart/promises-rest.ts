// Names, the network, what users add of their own, and `helm test`.

import assert from "node:assert/strict";
import type { Any } from "./helm.ts";
import { MEMORY, REDIS, UPSTREAMS, type Promised } from "./promise.ts";

const TEST_PEER = {
  podSelector: {
    matchLabels: {
      "app.kubernetes.io/name": "switchgear-test",
      "app.kubernetes.io/instance": "switchgear",
    },
  },
};

export const REST: readonly Promised[] = [
  {
    name: "names come from the release and are never too long for what Kubernetes adds to them",
    async check(chart) {
      const nameOf = async (values: object, release: string): Promise<Any> =>
        (await chart.render(values, { release })).workload.metadata.name;
      assert.equal(await nameOf({}, "switchgear"), "switchgear");
      assert.equal(await nameOf({}, "prod"), "prod-switchgear");
      assert.equal(await nameOf({}, "my-switchgear"), "my-switchgear");
      assert.equal(await nameOf({ nameOverride: "gw" }, "prod"), "prod-gw");
      assert.equal(await nameOf({ fullnameOverride: "gw" }, "prod"), "gw");
      const long = "a".repeat(47);
      for (const values of [
        {},
        { fullnameOverride: `${long}-switchgear` },
        { nameOverride: `${long}-switchgear` },
      ]) {
        const manifests = await chart.render(values, { release: `${long}-a` });
        for (const { kind, metadata } of manifests.all) {
          assert.ok(metadata.name.length <= 63, `${kind} ${metadata.name}`);
          assert.doesNotMatch(metadata.name, /-$/);
          for (const [key, value] of Object.entries(metadata.labels ?? {}))
            assert.ok(value.length <= 63 && !value.endsWith("-"), `${key}: ${value}`);
        }
        // `controller-revision-hash` of its pods is the name, a dash and ten letters.
        assert.ok(manifests.workload.metadata.name.length <= 63 - 11);
      }
    },
  },
  {
    name: "the ServiceAccount is its own, another's or the namespace's",
    async check(chart) {
      const own = await chart.render({ serviceAccount: { name: "me", annotations: { a: "b" } } });
      assert.equal(own.get("ServiceAccount").metadata.name, "me");
      assert.deepEqual(own.get("ServiceAccount").metadata.annotations, { a: "b" });
      assert.equal(own.pod.serviceAccountName, "me");
      assert.equal(own.get("Pod").spec.serviceAccountName, "me");
      const plain = await chart.render();
      assert.equal(plain.pod.serviceAccountName, "switchgear");
      const other = await chart.render({ serviceAccount: { create: false, name: "other" } });
      assert.equal(other.find("ServiceAccount"), undefined);
      assert.equal(other.pod.serviceAccountName, "other");
      const none = await chart.render({ serviceAccount: { create: false } });
      assert.equal(none.pod.serviceAccountName, "default");
    },
  },
  {
    name: "a network policy lets callers to the gateway, Prometheus to the admin port, and both nowhere else",
    async check(chart) {
      assert.equal((await chart.render()).find("NetworkPolicy"), undefined);
      const manifests = await chart.render({ networkPolicy: { enabled: true } });
      const { spec } = manifests.get("NetworkPolicy", "switchgear");
      assert.deepEqual(spec.policyTypes, ["Ingress", "Egress"]);
      assert.deepEqual(spec.ingress, [
        {
          from: [TEST_PEER, { podSelector: {} }],
          ports: [{ port: "http", protocol: "TCP" }],
        },
        {
          from: [
            TEST_PEER,
            {
              namespaceSelector: {
                matchLabels: { "kubernetes.io/metadata.name": "monitoring" },
              },
            },
          ],
          ports: [{ port: "admin", protocol: "TCP" }],
        },
      ]);
      const names = new Set(manifests.container.ports.map(({ name }: Any) => name));
      for (const { ports } of spec.ingress) assert.ok(names.has(ports[0].port));
      const [dns, upstreams, ...others] = spec.egress;
      assert.deepEqual(others, []);
      assert.deepEqual(dns, {
        to: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
          },
        ],
        ports: [
          { port: 53, protocol: "UDP" },
          { port: 53, protocol: "TCP" },
        ],
      });
      assert.deepEqual(upstreams.ports, [{ port: 443, protocol: "TCP" }]);
      // What clouds tell their machines, credentials among it, is no bookmaker.
      assert.ok(upstreams.to[0].ipBlock.except.includes("169.254.0.0/16"));
      assert.deepEqual(
        upstreams.to.map(({ ipBlock }: Any) => [ipBlock.cidr, ipBlock.except.length]),
        [
          ["0.0.0.0/0", 5],
          ["::/0", 2],
        ],
      );
      const redis = await chart.render({ ...REDIS, networkPolicy: { enabled: true } });
      assert.deepEqual(redis.get("NetworkPolicy").spec.egress.at(-1), {
        ports: [{ port: 6379, protocol: "TCP" }],
      });
    },
  },
  {
    name: "a network policy is as the values say",
    async check(chart) {
      const peer = { podSelector: { matchLabels: { app: "hyper-bun" } } };
      const manifests = await chart.render({
        networkPolicy: {
          enabled: true,
          callers: [peer],
          monitoring: [],
          extraIngress: [{ from: [peer] }],
          egress: { dns: [peer], upstreams: [{ to: [peer] }] },
        },
      });
      const { spec } = manifests.get("NetworkPolicy");
      assert.deepEqual(spec.ingress[0].from, [TEST_PEER, peer]);
      assert.deepEqual(spec.ingress[1].from, [TEST_PEER]);
      assert.deepEqual(spec.ingress[2], { from: [peer] });
      assert.deepEqual(spec.egress[0].to, [peer]);
      assert.deepEqual(spec.egress[1], { to: [peer] });
      const open = await chart.render({
        networkPolicy: { enabled: true, egress: { enabled: false } },
      });
      assert.deepEqual(open.get("NetworkPolicy").spec.policyTypes, ["Ingress"]);
      assert.equal(open.get("NetworkPolicy").spec.egress, undefined);
    },
  },
  {
    name: "users add variables, volumes, containers and whole objects of their own",
    async check(chart) {
      const container = { name: "side", image: "side:1" };
      const values = {
        extraEnv: [{ name: "A", value: "1" }],
        extraEnvFrom: [{ secretRef: { name: "more" } }],
        extraVolumes: [{ name: "ca", configMap: { name: "ca" } }],
        extraVolumeMounts: [{ name: "ca", mountPath: "/ca" }],
        extraContainers: [container],
        extraInitContainers: [container],
        podAnnotations: { a: "b" },
        extraObjects: [
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { name: '{{ include "switchgear.fullname" . }}-x' },
          },
          "apiVersion: v1\nkind: Secret\nmetadata:\n  name: y-{{ .Release.Namespace }}\n",
        ],
      };
      const manifests = await chart.render(values);
      assert.deepEqual(manifests.container.env.at(-1), values.extraEnv[0]);
      assert.deepEqual(manifests.container.envFrom, values.extraEnvFrom);
      assert.deepEqual(manifests.pod.volumes.at(-1), values.extraVolumes[0]);
      assert.deepEqual(manifests.container.volumeMounts.at(-1), values.extraVolumeMounts[0]);
      assert.deepEqual(manifests.pod.containers[1], container);
      assert.deepEqual(manifests.pod.initContainers, [container]);
      assert.equal(manifests.workload.spec.template.metadata.annotations.a, "b");
      manifests.get("Secret", "switchgear-x");
      manifests.get("Secret", "y-switchgear");
    },
  },
  {
    name: "`helm test` asks this gateway, in its own image, and what Prometheus there is",
    async check(chart) {
      const manifests = await chart.render({
        service: { port: 80, adminPort: 81 },
        tests: {
          call: { upstream: "draftkings", path: "/odds" },
          prometheusUrl: "http://prometheus:9090/",
        },
        monitoring: { prometheusRule: { enabled: true } },
      });
      const { metadata, spec } = manifests.get("Pod", "switchgear-test");
      assert.deepEqual(metadata.annotations, {
        "helm.sh/hook": "test",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
      });
      assert.equal(metadata.labels?.["app.kubernetes.io/name"], "switchgear-test");
      assert.equal(metadata.labels?.["app.kubernetes.io/component"], undefined);
      assert.equal(spec.restartPolicy, "Never");
      assert.equal(spec.activeDeadlineSeconds, 120);
      const [container] = spec.containers;
      assert.deepEqual(container.command, ["node", "--input-type=module", "--eval"]);
      // Kubernetes would put a variable's value there.
      assert.doesNotMatch(container.args[0], /\$\(/);
      const env = Object.fromEntries(container.env.map(({ name, value }: Any) => [name, value]));
      assert.deepEqual(env, {
        GATEWAY: "http://switchgear:80",
        ADMIN: "http://switchgear:81",
        UPSTREAM: "draftkings",
        CALL_PATH: "/odds",
        PROMETHEUS: "http://prometheus:9090",
        NAMESPACE: "switchgear",
        JOB: "switchgear",
        RULES: "yes",
      });
      const none = await chart.render({ tests: { enabled: false } });
      assert.equal(none.find("Pod"), undefined);
      const plain = (await chart.render()).get("Pod").spec.containers[0].env;
      assert.equal(plain.find(({ name }: Any) => name === "RULES").value, "no");
      const files = await chart.render({ monitoring: { files: { enabled: true } } });
      const rules = files.get("Pod").spec.containers[0].env.at(-1);
      assert.deepEqual(rules, { name: "RULES", value: "yes" });
    },
  },
  {
    name: "notes say how to see that it works, and what uninstalling leaves",
    async check(chart) {
      const notesOf = async (values: object): Promise<string> => {
        const { code, stdout, stderr } = await chart.install(values);
        assert.equal(code, 0, stderr);
        return stdout;
      };
      const plain = await notesOf({});
      assert.match(plain, /kubectl -n switchgear rollout status statefulset\/switchgear/);
      assert.match(plain, /get secret switchgear-admin -o 'jsonpath=\{\.data\.token\}'/);
      assert.match(plain, /No upstream is configured yet/);
      assert.match(plain, /By nobody, as far as this chart knows/);
      assert.match(plain, /a trip pages nobody/);
      assert.match(plain, /Uninstalling leaves the volume .*\n.*delete pvc data-switchgear-0/);
      const monitored = await notesOf({
        config: { upstreams: UPSTREAMS },
        monitoring: {
          serviceMonitor: { enabled: true },
          prometheusRule: { enabled: true },
          alertmanagerConfig: { enabled: true },
        },
      });
      assert.match(monitored, /curl -i http:\/\/127\.0\.0\.1:8080\/draftkings\//);
      assert.match(monitored, /query=up\{job="switchgear",namespace="switchgear"\}/);
      assert.match(monitored, /rule_name\[\]=CircuitBreakerTripped/);
      assert.match(monitored, /It should name switchgear\/switchgear\/pagerduty/);
      assert.match(monitored, /Warnings tell nobody/);
      assert.match(monitored, /Nobody hears when Prometheus or Alertmanager stop/);
      assert.doesNotMatch(monitored, /which nothing here scrapes/);
      const unscraped = await notesOf({ monitoring: { prometheusRule: { enabled: true } } });
      assert.match(unscraped, /They go by job="switchgear", which nothing here scrapes/);
      const redis = await notesOf({ ...REDIS, adminToken: { generate: false } });
      assert.match(redis, /rollout status deployment\/switchgear/);
      assert.match(redis, /there is no token/);
      assert.match(redis, /Uninstalling leaves nothing\./);
      assert.match(await notesOf(MEMORY), /Uninstalling leaves nothing\./);
      const files = await notesOf({ monitoring: { files: { enabled: true } } });
      assert.match(files, /ConfigMap switchgear-prometheus/);
      const annotated = await notesOf({ monitoring: { annotations: { enabled: true } } });
      assert.match(annotated, /a job of its own/);
    },
  },
];
