// Certificates of a cluster that lives for minutes, and a kubeconfig for each of its programs.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, words } from "./build.ts";
import { ADDRESS, API_ADDRESS, NODE } from "./settings.ts";

interface Identity {
  /** Who it is, to the API server. */
  readonly subject: string;
  /** What it serves under; without it is a client's. */
  readonly names?: readonly string[];
}

const API_NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

const IDENTITIES: Readonly<Record<string, Identity>> = {
  apiserver: {
    subject: "/CN=kube-apiserver",
    names: [
      ...["127.0.0.1", ADDRESS, API_ADDRESS].map((ip) => `IP:${ip}`),
      ...API_NAMES.map((name) => `DNS:${name}`),
      "DNS:kubernetes.default.svc.cluster.local",
    ],
  },
  "kubelet-server": {
    subject: `/O=system:nodes/CN=system:node:${NODE}`,
    names: [`IP:${ADDRESS}`, `DNS:${NODE}`],
  },
  "apiserver-kubelet": { subject: "/O=system:masters/CN=apiserver-kubelet" },
  admin: { subject: "/O=system:masters/CN=admin" },
  "controller-manager": { subject: "/CN=system:kube-controller-manager" },
  scheduler: { subject: "/CN=system:kube-scheduler" },
  kubelet: { subject: `/O=system:nodes/CN=system:node:${NODE}` },
  proxy: { subject: "/CN=system:kube-proxy" },
  coredns: { subject: "/CN=system:coredns" },
};

/** A node that is started again keeps what it has: tokens that it signed are in the pods. */
export function writePki(folder: string): void {
  if (existsSync(join(folder, "sa.pub"))) return;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const openssl = (...args: readonly string[]): string => run("openssl", args, { cwd: folder });
  const key = (name: string): string =>
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
  const days = ["-days", "2"];
  key("ca");
  openssl(
    ...words("req -x509 -new -key ca.key -subj /CN=cluster -out ca.crt"),
    ...days,
    ...words("-addext basicConstraints=critical,CA:TRUE"),
    ...words("-addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature"),
  );
  for (const [name, { subject, names }] of Object.entries(IDENTITIES)) {
    key(name);
    const usage = names === undefined ? "clientAuth" : "serverAuth";
    const lines = ["keyUsage=critical,digitalSignature", `extendedKeyUsage=${usage}`];
    if (names !== undefined) lines.push(`subjectAltName=${names.join(",")}`);
    writeFileSync(join(folder, "extensions"), lines.join("\n"));
    openssl("req", "-new", "-key", `${name}.key`, "-subj", subject, "-out", "request");
    openssl(
      ...words("x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial"),
      ...words(`-extfile extensions -out ${name}.crt`),
      ...days,
    );
    if (names === undefined) writeKubeconfig(folder, name);
  }
  key("sa");
  openssl("ec", "-in", "sa.key", "-pubout", "-out", "sa.pub");
  for (const file of ["request", "extensions"]) rmSync(join(folder, file));
}

function writeKubeconfig(folder: string, name: string): void {
  const data = (file: string): string => readFileSync(join(folder, file)).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "cluster",
        cluster: {
          server: "https://127.0.0.1:6443",
          "certificate-authority-data": data("ca.crt"),
        },
      },
    ],
    users: [
      {
        name,
        user: {
          "client-certificate-data": data(`${name}.crt`),
          "client-key-data": data(`${name}.key`),
        },
      },
    ],
    contexts: [{ name: "cluster", context: { cluster: "cluster", user: name } }],
    "current-context": "cluster",
  };
  writeFileSync(join(folder, `${name}.kubeconfig`), JSON.stringify(config), { mode: 0o600 });
}
