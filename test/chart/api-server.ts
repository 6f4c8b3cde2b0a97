// As much of a Kubernetes API server as Helm asks for when a template looks something up: what kinds there are, and the
// Secrets. In a real cluster the same is asked by `make cluster-test`; here it shows in a moment what a deletion breaks.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const KINDS: Readonly<Record<string, readonly (readonly [kind: string, plural: string])[]>> = {
  "/api/v1": [
    ["Secret", "secrets"],
    ["ConfigMap", "configmaps"],
    ["Service", "services"],
    ["ServiceAccount", "serviceaccounts"],
  ],
  "/apis/apps/v1": [["StatefulSet", "statefulsets"]],
};

const GROUPS = [
  {
    name: "apps",
    versions: [{ groupVersion: "apps/v1", version: "v1" }],
    preferredVersion: { groupVersion: "apps/v1", version: "v1" },
  },
];

/** `secrets` by name, with their data as it is, not in Base64. */
export async function startApiServer(
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer(({ url = "" }, response) => {
    const [path = ""] = url.split("?");
    const found = answerTo(path, secrets);
    response.writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(found ?? NOT_FOUND));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => server.close(() => done()));
}

const NOT_FOUND = {
  apiVersion: "v1",
  kind: "Status",
  status: "Failure",
  reason: "NotFound",
  code: 404,
};

function answerTo(
  path: string,
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>>,
): object | undefined {
  if (path === "/version") return { major: "1", minor: "36", gitVersion: "v1.36.3" };
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (path === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: GROUPS };
  const kinds = KINDS[path];
  if (kinds !== undefined) {
    const resources = kinds.map(([kind, name]) => ({
      kind,
      name,
      namespaced: true,
      verbs: ["get", "list"],
    }));
    const groupVersion = path.replace(/^\/apis?\//, "");
    return { kind: "APIResourceList", apiVersion: "v1", groupVersion, resources };
  }
  const [, name = ""] = /^\/api\/v1\/namespaces\/switchgear\/secrets\/(.*)$/.exec(path) ?? [];
  const data = secrets[name];
  if (data === undefined) return undefined;
  const encoded = Object.entries(data).map(([key, text]) => [
    key,
    Buffer.from(text).toString("base64"),
  ]);
  return {
    apiVersion: "v1",
    kind: "Secret",
    // As an earlier revision of the release made it: Helm takes over nobody else's.
    metadata: {
      name,
      namespace: "switchgear",
      labels: { "app.kubernetes.io/managed-by": "Helm" },
      annotations: {
        "meta.helm.sh/release-name": "switchgear",
        "meta.helm.sh/release-namespace": "switchgear",
      },
    },
    data: Object.fromEntries(encoded),
  };
}
