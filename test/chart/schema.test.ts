// values.schema.json: what is wrong or misspelled fails, in words that name it, and nothing that is right does.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { temporaryFolder } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";
import { Chart, CHART } from "./helm.ts";
import { ciValues, UPSTREAMS } from "./promise.ts";

const skip = "Bun" in globalThis ? "once is enough" : whyNoTools(["helm"]);

const chart = new Chart();
after(() => chart.close());

const upstream = (own: object): object => ({
  config: { upstreams: { draftkings: { url: "https://a.example", ...own } } },
});

const WRONG: readonly (readonly [values: object, message: RegExp])[] = [
  // The gateway's own.
  [upstream({ deadlineMs: "2s" }), /\/config\/upstreams\/draftkings\/deadlineMs': got string/],
  [upstream({ deadlineMs: 0 }), /draftkings\/deadlineMs': minimum/],
  [upstream({ breaker: { kind: "latch" } }), /breaker\/kind': value must be one of 'latching'/],
  [
    upstream({ breaker: { kind: "sliding-window", failureRatio: 2 } }),
    /breaker\/failureRatio': maximum: got 2, want 1/,
  ],
  [
    upstream({ breaker: { kind: "sliding-window", cooldownMs: 1 } }),
    /breaker': additional properties 'cooldownMs' not allowed/,
  ],
  [upstream({ breaker: { failureThreshold: 0 } }), /breaker\/failureThreshold': minimum/],
  [upstream({ limit: { kind: "fixd" } }), /limit\/kind': value must be one of 'adaptive'/],
  [upstream({ retries: 3 }), /draftkings': additional properties 'retries' not allowed/],
  [upstream({ url: "a.example" }), /draftkings\/url': 'a.example' does not match pattern/],
  [upstream({ url: "https://user@a.example" }), /draftkings\/url': .* does not match pattern/],
  [upstream({ operations: { odds: { path: "odds" } } }), /odds\/path': 'odds' does not match/],
  [{ config: { store: { kind: "redis", url: "redis:6379" } } }, /store\/url': .* does not match/],
  [{ config: { upstreams: { a: {} } } }, /upstreams\/a': missing property 'url'/],
  [{ config: { upstreams: { "a/b": { url: "https://a" } } } }, /upstreams': .*a\/b|'a\/b'/],
  [{ config: { upstreams: { status: { url: "https://a" } } } }, /status/],
  [{ config: { gateway: { prt: 1 } } }, /\/config\/gateway': additional properties 'prt'/],
  [{ config: { gateway: { port: 70_000 } } }, /\/config\/gateway\/port': maximum/],
  [{ config: { gateway: { methods: ["TRACE"] } } }, /\/config\/gateway\/methods\/0': 'not'/],
  [{ config: { gateway: { methods: ["purge"] } } }, /methods\/0': 'purge' does not match/],
  [{ config: { gatway: {} } }, /\/config': additional properties 'gatway'/],
  [{ config: { store: { kind: "postgres" } } }, /\/config\/store\/kind': value must be one of/],
  [
    { config: { store: { kind: "redis", path: "/x" } } },
    /\/config\/store': additional properties 'path' not allowed/,
  ],
  [{ config: { logging: { level: "loud" } } }, /\/config\/logging\/level': value must be one of/],
  // The chart's.
  [{ replica: 2 }, /at '': additional properties 'replica' not allowed/],
  [{ replicas: "2" }, /\/replicas'/],
  [{ replicas: -1 }, /\/replicas'.*\n?.*minimum/],
  [{ image: { digest: "sha256:1" } }, /\/image\/digest': 'sha256:1' does not match pattern/],
  [{ image: { pullPolicy: "Sometimes" } }, /\/image\/pullPolicy': value must be one of/],
  [{ image: { repository: "" } }, /\/image\/repository': minLength/],
  [{ adminToken: { token: "x" } }, /\/adminToken': additional properties 'token' not allowed/],
  [{ adminToken: { key: "" } }, /\/adminToken\/key': minLength/],
  [{ persistence: { mountPath: "data" } }, /\/persistence\/mountPath': 'data' does not match/],
  [{ service: { port: 0 } }, /\/service\/port': minimum/],
  [{ service: { type: "ExternalName" } }, /\/service\/type': value must be one of/],
  [{ podLabels: { a: 1 } }, /\/podLabels\/a': got number, want string/],
  [{ terminationGracePeriodSeconds: 0 }, /\/terminationGracePeriodSeconds'/],
  [{ autoscaling: { minReplicas: 0 } }, /\/autoscaling\/minReplicas': minimum/],
  [{ extraEnv: { A: "1" } }, /\/extraEnv': got object, want array/],
  [{ networkPolicy: { egres: {} } }, /\/networkPolicy': additional properties 'egres'/],
  [
    { monitoring: { alerts: { CircuitBreakerTriped: {} } } },
    /\/monitoring\/alerts': additional properties 'CircuitBreakerTriped' not allowed/,
  ],
  [
    { monitoring: { alerts: { CircuitBreakerTripped: { severity: "page" } } } },
    /CircuitBreakerTripped\/severity': value must be one of/,
  ],
  [
    { monitoring: { alerts: { CircuitBreakerTripped: { for: "5 minutes" } } } },
    /CircuitBreakerTripped\/for': '5 minutes' does not match/,
  ],
  [{ monitoring: { values: { gap: 5 } } }, /\/monitoring\/values\/gap': got number, want string/],
  [{ monitoring: { serviceMonitor: true } }, /\/monitoring\/serviceMonitor': got boolean/],
];

describe("values", { skip }, () => {
  test("that are wrong fail with words that name them", async () => {
    for (const [values, message] of WRONG)
      assert.match(await chart.refuse(values), message, JSON.stringify(values));
  });

  test("fail as they are given on the command line, too", async () => {
    const message = await chart.refuse({}, { args: ["--set", "config.gateway.port=http"] });
    assert.match(message, /\/config\/gateway\/port': got string, want integer/);
    await chart.render({}, { args: ["--set", "config.gateway.port=8081"] });
  });

  test("of every kind of breaker and limit are taken", async () => {
    for (const kind of ["latching", "sliding-window", "adaptive"])
      await chart.render(upstream({ breaker: { kind } }));
    for (const limit of [{}, { kind: "adaptive" }, { kind: "fixed", max: 5 }, { kind: "off" }])
      await chart.render(upstream({ limit }));
    await chart.render(upstream({ url: "${BOOKMAKER_URL}", operations: { o: { path: "/${A}" } } }));
    await chart.render(upstream({ breaker: {} }));
    await chart.render(upstream({ share: { quorum: 2 } }));
    await chart.render({ config: { upstreams: UPSTREAMS, gateway: { methods: ["PURGE"] } } });
  });

  test("of a parent chart reach it: global, enabled, and its own below its name", async (t) => {
    const parent = join(temporaryFolder(t), "parent");
    mkdirSync(join(parent, "charts"), { recursive: true });
    cpSync(CHART, join(parent, "charts/switchgear"), { recursive: true });
    writeFileSync(
      join(parent, "Chart.yaml"),
      "apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n" +
        "  - { name: switchgear, version: 0.1.0, condition: switchgear.enabled }\n" +
        "  - { name: switchgear, version: 0.1.0, alias: second, condition: second.enabled }\n",
    );
    const whole = new Chart(parent);
    t.after(() => whole.close());
    const global = { imageRegistry: "mirror.example", theirs: { any: "thing" } };
    const values = {
      global,
      switchgear: { enabled: true, monitoring: { prometheusRule: { enabled: true } } },
      second: { enabled: true, ...ciValues().get("redis-fleet") },
    };
    const manifests = await whole.render(values, { release: "all" });
    const first = manifests.get("StatefulSet", "all-switchgear");
    const second = manifests.get("Deployment", "all-second");
    for (const { spec } of [first, second])
      assert.match(spec.template.spec.containers[0].image, /^mirror\.example\/switchgear:/);
    assert.notDeepEqual(first.spec.selector.matchLabels, second.spec.selector.matchLabels);
    const { groups } = manifests.get("PrometheusRule", "all-switchgear").spec;
    assert.ok(groups.length > 4);
    const off = await whole.render(
      { ...values, switchgear: { enabled: false }, second: { enabled: false } },
      { release: "all" },
    );
    assert.deepEqual(off.kinds(), []);
    assert.match(
      await whole.refuse({ switchgear: { replica: 2 } }),
      /switchgear:\n- at '': additional properties 'replica'/,
    );
  });
});
