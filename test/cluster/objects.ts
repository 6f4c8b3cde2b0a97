// The neighbours' objects, as small as Pod Security `restricted` lets them be.

export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Ports of its Service, by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Answers when it is ready. Default: whoever takes a connection on the first port is. */
  readonly ready?: string;
  readonly serviceAccount?: string;
  readonly memory?: string;
}

/** A namespace in which nothing runs that `restricted` forbids. */
export function namespace(name: string): object {
  const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

/** A Deployment of one, and its Service. */
export function workload(one: Workload): object[] {
  const { name, namespace, ports, env = {} } = one;
  const labels = { "app.kubernetes.io/name": name };
  const [[first] = [""]] = Object.entries(ports);
  const probe =
    one.ready === undefined
      ? { tcpSocket: { port: first } }
      : { httpGet: { path: one.ready, port: first } };
  const container = {
    name,
    image: one.image,
    imagePullPolicy: "IfNotPresent",
    ...(one.command === undefined ? {} : { command: one.command }),
    ...(one.args === undefined ? {} : { args: one.args }),
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    ports: Object.entries(ports).map(([name, containerPort]) => ({ name, containerPort })),
    readinessProbe: { ...probe, periodSeconds: 1 },
    // Limits without requests would reserve whole processors of the two.
    resources: {
      requests: { cpu: "10m", memory: "32Mi" },
      limits: { memory: one.memory ?? "256Mi" },
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [{ name: "scratch", mountPath: "/scratch" }],
    workingDir: "/scratch",
  };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: one.serviceAccount !== undefined,
          ...(one.serviceAccount === undefined ? {} : { serviceAccountName: one.serviceAccount }),
          terminationGracePeriodSeconds: 2,
          enableServiceLinks: false,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65532,
            runAsGroup: 65532,
            fsGroup: 65532,
            seccompProfile: { type: "RuntimeDefault" },
          },
          containers: [container],
          volumes: [{ name: "scratch", emptyDir: {} }],
        },
      },
    },
  };
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, labels },
    spec: {
      selector: labels,
      ports: Object.entries(ports).map(([name, port]) => ({ name, port, targetPort: name })),
    },
  };
  return [deployment, service];
}

export function asList(items: readonly object[]): string {
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}
