// The gateway's configuration, its secrets, and the image.

import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { parseConfig } from "../../src/config/load.ts";
import { startApiServer } from "./api-server.ts";
import type { Any, Chart, Manifests } from "./helm.ts";
import { REDIS, renderCi, UPSTREAMS, type Promised } from "./promise.ts";

const FILE = "switchgear.yaml";
/** As people write it, with YAML's word and no quotes. */
const OFF = join(import.meta.dirname, "limits-values.yaml");
const CHECKSUM = "checksum/config";

function fileOf(manifests: Manifests): string {
  return manifests.all.find(({ data }) => data?.[FILE] !== undefined)?.data[FILE] ?? "";
}

function configOf(manifests: Manifests): Any {
  return parse(fileOf(manifests));
}

function envOf({ container }: Manifests): Any {
  return Object.fromEntries(container.env.map(({ name, ...rest }: Any) => [name, rest]));
}

async function checksumOf(chart: Chart, config: object): Promise<string> {
  const { workload } = await chart.render({ config });
  return workload.spec.template.metadata.annotations[CHECKSUM];
}

export const CONFIG: readonly Promised[] = [
  {
    name: "the gateway reads the configuration that it is given, as its own loader sees it",
    async check(chart) {
      for (const [name, manifests] of await renderCi(chart)) {
        const env = {
          SWITCHGEAR_REDIS_URL: "redis://elsewhere:6379",
          SWITCHGEAR_REDIS_USERNAME: "gateway",
        };
        const config = parseConfig(fileOf(manifests), { file: name, env });
        assert.equal(config.gateway.drainDelayMs, 5000, name);
      }
      const manifests = await chart.render({
        config: { upstreams: UPSTREAMS, gateway: { maxBodyBytes: 104_857_600 } },
      });
      assert.deepEqual(configOf(manifests), {
        gateway: { drainDelayMs: 5000, maxBodyBytes: 104_857_600 },
        store: { kind: "sqlite", path: "/var/lib/switchgear/circuit_breaker.db" },
        upstreams: UPSTREAMS,
      });
      // Helm's numbers are floats, and would be written 1.048576e+08, which is no whole number to YAML.
      assert.match(fileOf(manifests), /maxBodyBytes: 104857600$/m);
    },
  },
  {
    name: "a limiter that is off stays off, though Helm reads the word as false",
    async check(chart) {
      const manifests = await chart.render({}, { args: ["--values", OFF] });
      const { upstreams } = parseConfig(fileOf(manifests), { file: FILE });
      assert.equal(upstreams["draftkings"]?.limit.kind, "off");
      assert.equal(upstreams["fanduel"]?.limit.kind, "fixed");
    },
  },
  {
    name: "its file is mounted as a folder, so that a change arrives",
    async check(chart) {
      const { container, pod } = await chart.render();
      assert.deepEqual(container.args, ["serve"]);
      const mount = container.volumeMounts.find(({ name }: Any) => name === "config");
      assert.deepEqual(mount, { name: "config", mountPath: "/etc/switchgear", readOnly: true });
      const volume = pod.volumes.find(({ name }: Any) => name === "config");
      assert.deepEqual(volume, { name: "config", configMap: { name: "switchgear" } });
      const { SWITCHGEAR_CONFIG } = envOf(await chart.render());
      assert.deepEqual(SWITCHGEAR_CONFIG, { value: "/etc/switchgear/switchgear.yaml" });
    },
  },
  {
    name: "what is reloaded restarts nothing, and everything else does",
    async check(chart) {
      const before = await checksumOf(chart, { upstreams: UPSTREAMS });
      assert.match(before, /^[0-9a-f]{64}$/);
      const same = [
        {},
        { upstreams: { other: { url: "https://other.example" } } },
        { gateway: { maxCriticality: "sheddable" } },
      ];
      for (const config of same)
        assert.equal(await checksumOf(chart, config), before, JSON.stringify(config));
      const quiet = await checksumOf(chart, { logging: { level: "warn" } });
      assert.equal(quiet, await checksumOf(chart, { logging: { level: "debug" } }));
      const others = [
        { gateway: { drainDelayMs: 6000 } },
        { admin: { port: 9465 } },
        { store: { kind: "memory" } },
        { store: { auditRetentionDays: 30 } },
        { logging: { format: "hyper-bun" } },
        { loadShedding: { threshold: 0.5 } },
        { limits: { upstreams: 10 } },
      ];
      const sums = await Promise.all(others.map((config) => checksumOf(chart, config)));
      assert.equal(new Set([before, quiet, ...sums]).size, others.length + 2);
    },
  },
  {
    name: "ports go where the configuration puts them",
    async check(chart) {
      const values = {
        config: { gateway: { port: 8081 }, admin: { port: 9465 } },
        service: { port: 80, adminPort: 9000, type: "NodePort", annotations: { a: "b" } },
        monitoring: { annotations: { enabled: true } },
      };
      const manifests = await chart.render(values);
      assert.deepEqual(
        manifests.container.ports.map(({ name, containerPort }: Any) => [name, containerPort]),
        [
          ["http", 8081],
          ["admin", 9465],
        ],
      );
      const portsOf = (name: string): Any => manifests.get("Service", name).spec.ports;
      const port = (name: string, number: number): object => ({
        name,
        port: number,
        targetPort: name,
        protocol: "TCP",
        appProtocol: "http",
      });
      assert.deepEqual(portsOf("switchgear"), [port("http", 80), port("admin", 9000)]);
      assert.deepEqual(portsOf("switchgear-headless"), [port("http", 8081), port("admin", 9465)]);
      const service = manifests.get("Service", "switchgear");
      assert.equal(service.spec.type, "NodePort");
      assert.deepEqual(service.metadata.annotations, { a: "b" });
      const { annotations } = manifests.workload.spec.template.metadata;
      assert.equal(annotations["prometheus.io/port"], "9465");
      const plain = (await chart.render()).get("Service", "switchgear");
      assert.deepEqual(plain.spec.ports, [port("http", 8080), port("admin", 9464)]);
      assert.equal(plain.spec.type, "ClusterIP");
      assert.equal(plain.spec.ipFamilyPolicy, undefined);
      const dual = await chart.render({
        service: { ipFamilyPolicy: "PreferDualStack", trafficDistribution: "PreferClose" },
      });
      assert.equal(dual.get("Service", "switchgear").spec.ipFamilyPolicy, "PreferDualStack");
      assert.equal(dual.get("Service", "switchgear").spec.trafficDistribution, "PreferClose");
    },
  },
  {
    name: "a configuration that no other pod could reach, or that has no Service, is refused",
    async check(chart) {
      for (const section of ["gateway", "admin"]) {
        for (const host of ["127.0.0.1", "localhost", "::1"]) {
          const refusal = await chart.refuse({ config: { [section]: { host } } });
          assert.match(refusal, new RegExp(`config\\.${section}\\.host: .* own loopback`));
        }
        await chart.render({ config: { [section]: { host: "::" } } });
        const refusal = await chart.refuse({ config: { [section]: { port: 0 } } });
        assert.match(refusal, new RegExp(`config\\.${section}\\.port: .*from 1 to 65535`));
      }
      assert.match(
        await chart.refuse({ config: { admin: { port: 8080 } } }),
        /config\.admin\.port: gateway and admin cannot share port 8080/,
      );
    },
  },
  {
    name: "a database that is not on the volume is refused",
    async check(chart) {
      const refusal = await chart.refuse({ config: { store: { path: "/tmp/x.db" } } });
      assert.match(refusal, /config\.store\.path: \/tmp\/x\.db is not on the volume.*\/var\/lib/);
      const near = await chart.refuse({ config: { store: { path: "/var/lib/switchgear2/x.db" } } });
      assert.match(near, /is not on the volume/);
      const { path } = configOf(
        await chart.render({ config: { store: { path: "/var/lib/switchgear/x.db" } } }),
      ).store;
      assert.equal(path, "/var/lib/switchgear/x.db");
    },
  },
  {
    name: "the token is a file of a Secret that is there already, or that is made",
    async check(chart) {
      const made = await chart.render();
      const secret = made.get("Secret", "switchgear-admin");
      assert.equal(secret.type, "Opaque");
      assert.deepEqual(Object.keys(secret.data), ["token"]);
      const token = Buffer.from(secret.data["token"] ?? "", "base64").toString();
      assert.match(token, /^[A-Za-z0-9]{40}$/);
      assert.deepEqual(envOf(made)["SWITCHGEAR_ADMIN_TOKEN_FILE"], {
        value: "/run/secrets/switchgear-admin/token",
      });
      const volume = ({ pod }: Manifests): Any =>
        pod.volumes.find(({ name }: Any) => name === "admin-token")?.secret;
      const expected = (secretName: string, key: string): object => ({
        secretName,
        defaultMode: 0o440,
        items: [{ key, path: "token" }],
      });
      assert.deepEqual(volume(made), expected("switchgear-admin", "token"));
      const mount = made.container.volumeMounts.find(({ name }: Any) => name === "admin-token");
      assert.equal(mount.mountPath, "/run/secrets/switchgear-admin");
      assert.equal(mount.readOnly, true);

      const own = await chart.render({ adminToken: { existingSecret: "mine", key: "a.b" } });
      assert.equal(own.find("Secret"), undefined);
      assert.deepEqual(volume(own), expected("mine", "a.b"));
      const none = await chart.render({ adminToken: { generate: false } });
      assert.equal(none.find("Secret"), undefined);
      assert.equal(volume(none), undefined);
      assert.equal(envOf(none)["SWITCHGEAR_ADMIN_TOKEN_FILE"], undefined);
      assert.equal(
        none.container.volumeMounts.find(({ name }: Any) => name === "admin-token"),
        undefined,
      );
    },
  },
  {
    name: "the token that is there is kept, whatever is upgraded",
    async check(chart) {
      const tokenOf = async (secrets: Any, values: object, key: string): Promise<string> => {
        const server = await startApiServer(secrets);
        try {
          const args = [
            "--dry-run=server",
            "--disable-openapi-validation",
            "--skip-tests",
            `--kube-apiserver=${server.url}`,
          ];
          const manifests = await chart.render(values, { args });
          const { data } = manifests.get("Secret", "switchgear-admin");
          return Buffer.from(data[key] ?? "", "base64").toString();
        } finally {
          await server.close();
        }
      };
      const there = { "switchgear-admin": { token: "kept by whoever has it" } };
      assert.equal(await tokenOf(there, {}, "token"), "kept by whoever has it");
      const renamed = await tokenOf(there, { adminToken: { key: "other" } }, "other");
      assert.match(renamed, /^[A-Za-z0-9]{40}$/);
      assert.match(await tokenOf({}, {}, "token"), /^[A-Za-z0-9]{40}$/);
    },
  },
  {
    name: "no secret is in the configuration, and no text that the values hold is one",
    async check(chart) {
      const refusal = await chart.refuse({
        config: { store: { kind: "redis", url: "redis://redis:6379", password: "hunter2" } },
      });
      assert.match(refusal, /config\.store\.password: a ConfigMap is no place for a secret/);
      assert.ok(!refusal.includes("hunter2"));
      const taken = await chart.render({
        config: {
          store: { kind: "redis", url: "redis://redis:6379", password: "${REDIS_PASSWORD}" },
        },
      });
      assert.equal(configOf(taken).store.password, "${REDIS_PASSWORD}");
    },
  },
  {
    name: "what is secret of Redis comes from a Secret: the password as a file, that changes are seen",
    async check(chart) {
      const manifests = await chart.render({
        replicas: 2,
        config: { store: { kind: "redis" } },
        redis: {
          existingSecret: "redis",
          passwordKey: "pass",
          usernameKey: "user",
          urlKey: "url",
        },
      });
      assert.deepEqual(configOf(manifests).store, {
        kind: "redis",
        passwordFile: "/run/secrets/switchgear-redis/pass",
        url: "${SWITCHGEAR_REDIS_URL}",
        username: "${SWITCHGEAR_REDIS_USERNAME}",
      });
      const env = envOf(manifests);
      const from = (key: string): object => ({
        valueFrom: { secretKeyRef: { name: "redis", key } },
      });
      assert.deepEqual(env["SWITCHGEAR_REDIS_URL"], from("url"));
      assert.deepEqual(env["SWITCHGEAR_REDIS_USERNAME"], from("user"));
      const volume = manifests.pod.volumes.find(({ name }: Any) => name === "redis");
      assert.deepEqual(volume.secret, {
        secretName: "redis",
        defaultMode: 0o440,
        items: [{ key: "pass", path: "pass" }],
      });
      const mount = manifests.container.volumeMounts.find(({ name }: Any) => name === "redis");
      assert.deepEqual(mount, {
        name: "redis",
        mountPath: "/run/secrets/switchgear-redis",
        readOnly: true,
      });

      const own = await chart.render({
        ...REDIS,
        config: {
          store: { ...REDIS.config.store, passwordFile: "/mine", username: "me" },
        },
        redis: { existingSecret: "redis", usernameKey: "user" },
      });
      assert.equal(configOf(own).store.passwordFile, "/mine");
      assert.equal(configOf(own).store.username, "me");
      const usual = await chart.render({ ...REDIS, redis: { existingSecret: "redis" } });
      assert.equal(configOf(usual).store.passwordFile, "/run/secrets/switchgear-redis/password");
      const open = await chart.render({
        ...REDIS,
        redis: { existingSecret: "redis", passwordKey: "" },
      });
      assert.equal(configOf(open).store.passwordFile, undefined);
      assert.equal(
        open.pod.volumes.find(({ name }: Any) => name === "redis"),
        undefined,
      );
      // A Secret for Redis is nothing to a gateway without one.
      const sqlite = await chart.render({ redis: { existingSecret: "redis", urlKey: "url" } });
      assert.deepEqual(Object.keys(envOf(sqlite)), [
        "SWITCHGEAR_CONFIG",
        "SWITCHGEAR_ADMIN_TOKEN_FILE",
      ]);
      assert.equal(
        sqlite.pod.volumes.find(({ name }: Any) => name === "redis"),
        undefined,
      );
    },
  },
  {
    name: "Redis is in one place, and not in none or two",
    async check(chart) {
      const store = { kind: "redis" };
      const none = await chart.refuse({ config: { store } });
      assert.match(none, /config\.store: give one of url, sentinel and cluster.*found none/);
      const two = await chart.refuse({
        config: { store: { ...store, url: "redis://a:1", cluster: { nodes: ["a:1"] } } },
      });
      assert.match(two, /found config\.store\.url and config\.store\.cluster/);
      const three = await chart.refuse({
        config: { store: { ...store, url: "redis://a:1" } },
        redis: { existingSecret: "redis", urlKey: "url" },
      });
      assert.match(three, /found config\.store\.url and redis\.urlKey/);
      await chart.render({
        config: { store: { ...store, sentinel: { master: "m", nodes: ["a:1"] } } },
      });
    },
  },
  {
    name: "all faults are told at once",
    async check(chart) {
      const refusal = await chart.refuse({
        replicas: 2,
        config: { gateway: { host: "localhost" }, store: { path: "/tmp/x" } },
      });
      for (const place of [/replicas: /, /config\.gateway\.host: /, /config\.store\.path: /])
        assert.match(refusal, place);
    },
  },
  {
    name: "the image is what the values say, of a registry for all charts where there is one",
    async check(chart) {
      const imageOf = async (values: object): Promise<Any> => {
        const manifests = await chart.render(values);
        assert.equal(manifests.get("Pod").spec.containers[0].image, manifests.container.image);
        return manifests.container.image;
      };
      const digest = `sha256:${"0".repeat(64)}`;
      assert.match(await imageOf({}), /^registry\.example\/switchgear:\d+\.\d+\.\d+$/);
      assert.match(await imageOf({ image: { registry: "" } }), /^switchgear:\d/);
      assert.equal(
        await imageOf({ image: { registry: "r.example", repository: "a/b", tag: "1" } }),
        "r.example/a/b:1",
      );
      assert.equal(
        await imageOf({ image: { tag: "1", digest } }),
        `registry.example/switchgear@${digest}`,
      );
      assert.match(
        await imageOf({ global: { imageRegistry: "mirror.example" } }),
        /^mirror\.example\/switchgear:/,
      );
      const pulled = await chart.render({
        image: { pullPolicy: "Always" },
        imagePullSecrets: ["own", { name: "other" }, "shared"],
        global: { imagePullSecrets: [{ name: "shared" }] },
      });
      const secrets = [{ name: "shared" }, { name: "own" }, { name: "other" }];
      assert.deepEqual(pulled.pod.imagePullSecrets, secrets);
      assert.deepEqual(pulled.get("Pod").spec.imagePullSecrets, secrets);
      assert.equal(pulled.container.imagePullPolicy, "Always");
      assert.equal(pulled.get("Pod").spec.containers[0].imagePullPolicy, "Always");
      assert.equal((await chart.render()).pod.imagePullSecrets, undefined);
    },
  },
];
