// Builds what a one-node Kubernetes is made of, once per machine: Kubernetes, CoreDNS, the pause program and
// Prometheus Operator from Go modules; etcd, containerd, runc and their like are unpacked, not installed, from
// Debian's packages. Everything lies in the cache of the other tools. The first build takes minutes.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { basename, join } from "node:path";
import { GO_ENVIRONMENT, cacheFolder, goVersion, lock } from "../build.ts";
import { programPath } from "../redis.ts";

const KUBERNETES = "1.36.3";
export const OPERATOR = "0.94.1";

interface GoModule {
  /** Below test/tools. */
  readonly folder: string;
  /** What `go` is asked for; the programs land in the folder that is its last argument's. */
  readonly args: (folder: string) => readonly string[];
  /** Other names of the one program that it builds. */
  readonly aliases?: readonly string[];
  /** What else of a module is kept: these of its files. */
  readonly keeps?: { readonly module: string; readonly files: string };
}

const VERSION = "k8s.io/component-base/version.git";
const [MAJOR = "", MINOR = ""] = KUBERNETES.split(".");
const STRIPPED = ["-trimpath", "-gcflags=all=-dwarf=false"];

const GO_MODULES = {
  kube: {
    folder: "cluster/kube",
    // Without its version the server calls itself 0.0.0, which fails every chart's `kubeVersion`.
    args: (folder) => [
      "build",
      ...STRIPPED,
      `-ldflags=-s -w -X ${VERSION}Version=v${KUBERNETES} -X ${VERSION}Major=${MAJOR} -X ${VERSION}Minor=${MINOR}`,
      `-o=${join(folder, "kube")}`,
      ".",
    ],
    aliases: [
      "kube-apiserver",
      "kube-controller-manager",
      "kube-scheduler",
      "kube-proxy",
      "kubelet",
      "kubectl",
    ],
  },
  coredns: {
    folder: "cluster/coredns",
    args: (folder) => [
      "build",
      ...STRIPPED,
      "-ldflags=-s -w",
      `-o=${join(folder, "coredns")}`,
      ".",
    ],
  },
  pause: {
    folder: "cluster/pause",
    args: (folder) => ["build", ...STRIPPED, "-ldflags=-s -w", `-o=${join(folder, "pause")}`, "."],
  },
  operator: {
    folder: "operator",
    args: () => [
      "install",
      ...STRIPPED,
      `-ldflags=-s -w -X github.com/prometheus/common/version.Version=${OPERATOR}`,
      "tool",
    ],
    keeps: {
      module: "github.com/prometheus-operator/prometheus-operator",
      files: "example/prometheus-operator-crd/*.yaml",
    },
  },
} as const satisfies Readonly<Record<string, GoModule>>;

export type GoPart = keyof typeof GO_MODULES;

/** The folder that holds the programs of a part, built when they are not there. */
export function goPart(part: GoPart): string {
  const { folder, args, aliases, keeps }: GoModule = GO_MODULES[part];
  const source = join(import.meta.dirname, "..", folder);
  const hash = createHash("sha256").update(goVersion());
  for (const file of readdirSync(source).toSorted()) hash.update(readFileSync(join(source, file)));
  hash.update(JSON.stringify([args("/"), aliases, keeps]));
  return ensured(part, hash.digest("hex"), (target) => {
    const how = { cwd: source, env: { ...GO_ENVIRONMENT, GOBIN: target } };
    run("go", args(target), how);
    for (const alias of aliases ?? []) symlinkSync(part, join(target, alias));
    if (keeps === undefined) return;
    const cwd = run("go", ["list", "-m", "-f", "{{.Dir}}", keeps.module], how).trim();
    for (const file of globSync(keeps.files, { cwd })) {
      cpSync(join(cwd, file), join(target, basename(file)));
    }
  });
}

/** What is unpacked together, with the libraries that a small Debian may lack. */
const DEBIAN = {
  node: [
    "containerd",
    "runc",
    "etcd-server",
    "containernetworking-plugins",
    "libseccomp2",
    "nftables",
    "libnftables1",
    "libnftnl11",
    "libmnl0",
    "libjansson4",
    "libxtables12",
    "libedit2",
    "libbsd0",
    "libmd0",
  ],
  buildah: [
    "buildah",
    "golang-github-containers-common",
    "golang-github-containers-image",
    "libgpgme11",
    "libassuan0",
    "libgpg-error0",
    "libdevmapper1.02.1",
    "libseccomp2",
    "libsubid4",
  ],
} as const;

export type DebianPart = keyof typeof DEBIAN;

/** The folder that these packages of Debian's are unpacked in. */
export function debianPart(part: DebianPart): string {
  const key = createHash("sha256").update(DEBIAN[part].join()).digest("hex");
  return ensured(part, key, (target) => {
    const packages = mkdtempSync(join(target, "packages-"));
    const download = (): string =>
      run("apt-get", ["download", "-qq", ...DEBIAN[part]], { cwd: packages });
    try {
      download();
    } catch {
      // Lists that are missing or old.
      run("apt-get", ["update", "-qq"]);
      download();
    }
    for (const file of readdirSync(packages)) run("dpkg", ["-x", join(packages, file), target]);
    rmSync(packages, { recursive: true });
  });
}

/** Why none of this can be had here, in one sentence, or false. */
export function whyNoCluster(): string | false {
  if (process.platform !== "linux") return "A cluster needs Linux.";
  if (process.getuid?.() !== 0) return "A cluster needs root: it mounts, and makes control groups.";
  for (const program of ["apt-get", "dpkg", "openssl", "ip", "nsenter", "setpriv", "curl"]) {
    if (programPath(program) === undefined) return `A cluster needs ${program} on the PATH.`;
  }
  const { status, stderr } = spawnSync("unshare", ["--mount", "--net", "--pid", "--fork", "true"], {
    encoding: "utf8",
  });
  if (status !== 0) return `A cluster needs namespaces of its own: ${stderr.trim()}.`;
  try {
    goVersion();
  } catch (error) {
    return (error as Error).message;
  }
  return false;
}

/** A folder of the cache under this key. It is built beside its place, so that one that is there is whole. */
export function ensured(name: string, key: string, build: (target: string) => void): string {
  const folder = join(cacheFolder(), `${name}-${key.slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  const release = lock(`${folder}.lock`);
  try {
    if (existsSync(folder)) return folder;
    process.stderr.write(`building ${name} for the cluster\n`);
    const target = `${folder}.new`;
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target, { recursive: true });
    try {
      build(target);
      renameSync(target, folder);
    } finally {
      rmSync(target, { recursive: true, force: true });
    }
  } finally {
    release();
  }
  return folder;
}

/** Of a command line in which no word has a blank. */
export function words(text: string): string[] {
  return text.split(" ");
}

interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export function run(program: string, args: readonly string[], options: RunOptions = {}): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  if (status === 0) return stdout;
  const reason = error?.message ?? stderr.trim();
  throw new Error(`${program} ${args.slice(0, 3).join(" ")} failed: ${reason}`);
}

if (import.meta.main) {
  for (const part of Object.keys(DEBIAN)) debianPart(part as DebianPart);
  for (const part of Object.keys(GO_MODULES)) goPart(part as GoPart);
}
