// values.schema.json: what the chart's values may be. What is Kubernetes' own, such as an affinity, is left to the API
// server; everything else is closed, so that a misspelled name fails before anything is installed.

import { alertValuesSchema } from "./alert-values-schema.ts";
import { chartConfigSchema, type Json } from "./config-schema.ts";

const text: Json = { type: "string" };
const flag: Json = { type: "boolean" };
const port: Json = { type: "integer", minimum: 1, maximum: 65_535 };
/** Of Kubernetes: any map, any list. */
const map: Json = { type: "object" };
const list: Json = { type: "array", items: { type: "object" } };
const texts: Json = { type: "object", additionalProperties: { type: "string" } };
const optional = (schema: Json): Json => ({ anyOf: [schema, { type: "null" }] });
const duration: Json = { type: "string", pattern: "^[0-9]+(ms|[smhdwy])$" };
const seconds: Json = { type: "integer", minimum: 0 };

function closed(properties: Json): Json {
  return { type: "object", additionalProperties: false, properties };
}

const secretKey = closed({ existingSecret: text, key: text });

const monitor = {
  enabled: flag,
  labels: texts,
  annotations: texts,
  relabelings: list,
  metricRelabelings: list,
};

const alert = closed({
  enabled: flag,
  severity: { type: "string", enum: ["critical", "warning", "info", "none"] },
  for: duration,
  keepFiringFor: duration,
  labels: texts,
  annotations: texts,
});

function monitoring(alerts: readonly string[]): Json {
  return closed({
    labels: texts,
    serviceMonitor: closed(monitor),
    podMonitor: closed(monitor),
    hyperBun: closed({
      ...monitor,
      namespace: text,
      selector: map,
      port: text,
      path: text,
      job: text,
    }),
    prometheusRule: closed({ enabled: flag, labels: texts, annotations: texts }),
    alertmanagerConfig: closed({
      enabled: flag,
      labels: texts,
      annotations: texts,
      pagerduty: closed({ existingSecret: text, key: text, url: text }),
      tickets: secretKey,
      secondChannel: secretKey,
      deadMansSwitch: secretKey,
    }),
    files: closed({ enabled: flag, labels: texts, annotations: texts }),
    dashboards: closed({ enabled: flag, labels: texts, annotations: texts }),
    grafanaDashboards: closed({ enabled: flag, instanceSelector: map, folder: text }),
    annotations: closed({ enabled: flag }),
    values: alertValuesSchema(),
    alerts: closed(Object.fromEntries(alerts.map((name) => [name, alert]))),
    alertLabels: texts,
  });
}

export function valuesSchema(alerts: readonly string[]): Json {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of the chart switchgear",
    // As a part of another chart it is given these two.
    ...closed({
      global: map,
      enabled: flag,
      nameOverride: text,
      fullnameOverride: text,
      commonLabels: texts,
      config: chartConfigSchema(),
      replicas: optional(seconds),
      image: closed({
        registry: text,
        repository: { type: "string", minLength: 1 },
        tag: text,
        digest: { type: "string", pattern: "^(sha256:[0-9a-f]{64})?$" },
        pullPolicy: { type: "string", enum: ["Always", "IfNotPresent", "Never"] },
      }),
      imagePullSecrets: { type: "array", items: { type: ["string", "object"] } },
      adminToken: closed({
        existingSecret: text,
        key: { type: "string", minLength: 1 },
        generate: flag,
      }),
      redis: closed({ existingSecret: text, passwordKey: text, usernameKey: text, urlKey: text }),
      persistence: closed({
        enabled: flag,
        existingClaim: text,
        storageClass: text,
        size: text,
        accessModes: { type: "array", items: text },
        annotations: texts,
        mountPath: { type: "string", pattern: "^/.+" },
      }),
      service: closed({
        type: { type: "string", enum: ["ClusterIP", "NodePort", "LoadBalancer"] },
        port,
        adminPort: port,
        annotations: texts,
        ipFamilyPolicy: {
          type: "string",
          enum: ["", "SingleStack", "PreferDualStack", "RequireDualStack"],
        },
        trafficDistribution: text,
      }),
      serviceAccount: closed({ create: flag, name: text, annotations: texts }),
      podLabels: texts,
      podAnnotations: texts,
      podSecurityContext: map,
      securityContext: map,
      resources: map,
      startupProbe: map,
      livenessProbe: map,
      readinessProbe: map,
      terminationGracePeriodSeconds: optional({ type: "integer", minimum: 1 }),
      revisionHistoryLimit: seconds,
      nodeSelector: texts,
      tolerations: list,
      affinity: map,
      topologySpreadConstraints: list,
      priorityClassName: text,
      podDisruptionBudget: closed({
        enabled: flag,
        maxUnavailable: { type: ["integer", "string"] },
      }),
      autoscaling: closed({
        enabled: flag,
        minReplicas: { type: "integer", minimum: 1 },
        maxReplicas: { type: "integer", minimum: 1 },
        metrics: list,
        behavior: map,
      }),
      networkPolicy: closed({
        enabled: flag,
        callers: list,
        monitoring: list,
        extraIngress: list,
        egress: closed({ enabled: flag, dns: list, upstreams: list, redis: list }),
      }),
      monitoring: monitoring(alerts),
      testRun: closed({ enabled: flag, image: text, env: texts, resources: map }),
      tests: closed({
        enabled: flag,
        call: closed({ upstream: text, path: text }),
        prometheusUrl: text,
      }),
      extraEnv: list,
      extraEnvFrom: list,
      extraVolumes: list,
      extraVolumeMounts: list,
      extraContainers: list,
      extraInitContainers: list,
      extraObjects: { type: "array", items: { type: ["string", "object"] } },
    }),
  };
}
