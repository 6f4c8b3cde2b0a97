// Builds the real programs that rules and load are tested with, from Go modules, once per machine.
//
// Each tool has a folder with its own go.mod and go.sum, which pin every module it is made of. Nothing
// here changes them: no tidying, no "latest". What is built lies in a cache outside the checkout, so
// that a fresh clone on the same machine finds it; a stamp of everything that goes in says whether it
// is still the right one. The first build takes some minutes and says so.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ensureRedis } from "./redis.ts";

interface Module {
  readonly programs: readonly string[];
  readonly tags?: string;
  /** For the linker, where a program built from a module does not know its own version. */
  readonly define?: string;
}

const MODULES = {
  prometheus: {
    programs: ["prometheus", "promtool"],
    // Of all service discoveries, those that a cluster and these tests use; the others cost minutes.
    tags: "remove_all_sd,enable_kubernetes_sd,enable_dns_sd",
    define: "github.com/prometheus/common/version.Version=3.15.0",
  },
  alertmanager: {
    programs: ["alertmanager", "amtool"],
    define: "github.com/prometheus/common/version.Version=0.31.1",
  },
  k6: { programs: ["k6"] },
  helm: {
    programs: ["helm", "helm-render"],
    define: "helm.sh/helm/v4/internal/version.version=v4.3.1",
  },
  chart: { programs: ["helm-docs", "kubeconform"] },
  // Needs Kubernetes' types of a year ago, which the others cannot be built with.
  "kube-score": { programs: ["kube-score"] },
  crd: { programs: ["controller-gen"] },
} as const satisfies Readonly<Record<string, Module>>;

type ModuleName = keyof typeof MODULES;
export type Tool = (typeof MODULES)[ModuleName]["programs"][number];

/** The oldest Go that the modules accept. */
const GO_MIN = "1.26";

export const GO_ENVIRONMENT = {
  ...process.env,
  GOFLAGS: "-buildvcs=false",
  GOTOOLCHAIN: "local",
  GOWORK: "off",
  CGO_ENABLED: "0",
};

/** Whoever builds holds a lock; one that is older than this was left by a process that died. */
const LOCK_MS_MAX = 30 * 60_000;

/** Where a tool lies. Builds it, and what comes from the same module, when it is missing or stale. */
export function toolPath(tool: Tool): string {
  return join(ensureModule(moduleOf(tool)), tool);
}

function moduleOf(tool: Tool): ModuleName {
  for (const [name, { programs }] of Object.entries(MODULES)) {
    if ((programs as readonly string[]).includes(tool)) return name as ModuleName;
  }
  throw new Error(`no module builds ${tool}`);
}

export function cacheFolder(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(base, "switchgear", "tools");
}

const ensured = new Map<ModuleName, string>();

function ensureModule(name: ModuleName): string {
  const known = ensured.get(name);
  if (known !== undefined) return known;
  const version = goVersion();
  const folder = join(cacheFolder(), `${name}-${stamp(name, version)}`);
  if (!isBuilt(name, folder)) {
    const release = lock(`${folder}.lock`);
    try {
      // Somebody else may have built it while this one waited.
      if (!isBuilt(name, folder)) build(name, folder);
    } finally {
      release();
    }
  }
  ensured.set(name, folder);
  return folder;
}

/** Written last: a build that was cut off leaves none. */
function doneFile(folder: string): string {
  return join(folder, "done");
}

function isBuilt(name: ModuleName, folder: string): boolean {
  return (
    existsSync(doneFile(folder)) &&
    MODULES[name].programs.every((program) => existsSync(join(folder, program)))
  );
}

/** Of everything that decides what comes out. */
function stamp(name: ModuleName, version: string): string {
  const hash = createHash("sha256")
    .update(version)
    .update(JSON.stringify(flags(name)));
  const folder = join(import.meta.dirname, name);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  // A program of our own has its source there, too.
  for (const file of files.filter((one) => /\.go$|^go\.(mod|sum)$/.test(one)).toSorted()) {
    hash.update("\0").update(readFileSync(join(folder, file)));
  }
  return hash.digest("hex").slice(0, 16);
}

function flags(name: ModuleName): string[] {
  const { tags, define }: Module = MODULES[name];
  return [
    "-trimpath",
    ...(tags === undefined ? [] : ["-tags", tags]),
    "-ldflags",
    define === undefined ? "-s -w" : `-s -w -X ${define}`,
  ];
}

export function goVersion(): string {
  const { stdout, error } = spawnSync("go", ["env", "GOVERSION"], {
    encoding: "utf8",
    env: GO_ENVIRONMENT,
  });
  const found = error === undefined ? stdout.trim() : "none";
  const problem = goProblem(found);
  if (problem !== undefined) throw new Error(problem);
  return found;
}

/** What is wrong with a Go toolchain that says this of itself, in one sentence. */
export function goProblem(found: string): string | undefined {
  const advice = `install Go ${GO_MIN} or newer from https://go.dev/dl and put it on the PATH`;
  const version = /^go(\d+)\.(\d+)/.exec(found);
  if (version === null) return `Building the test tools needs Go, and there is none: ${advice}.`;
  const [major = 0, minor = 0] = version.slice(1).map(Number);
  const [majorMin = 0, minorMin = 0] = GO_MIN.split(".").map(Number);
  if (major > majorMin || (major === majorMin && minor >= minorMin)) return undefined;
  return `Building the test tools needs a newer Go than ${found}: ${advice}.`;
}

function build(name: ModuleName, folder: string): void {
  const { programs } = MODULES[name];
  process.stderr.write(`building ${programs.join(" and ")}: minutes the first time\n`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { status, stderr, error } = spawnSync("go", ["install", ...flags(name), "tool"], {
    cwd: join(import.meta.dirname, name),
    encoding: "utf8",
    env: { ...GO_ENVIRONMENT, GOBIN: folder },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) {
    const reason = error?.message ?? stderr.trim();
    throw new Error(`${programs.join(" and ")} could not be built (test/tools/${name}): ${reason}`);
  }
  writeFileSync(doneFile(folder), "");
}

/** Test files run as processes side by side: one builds, the others wait for it. */
export function lock(path: string): () => void {
  mkdirSync(join(path, ".."), { recursive: true });
  for (;;) {
    try {
      const file = openSync(path, "wx");
      writeFileSync(file, String(process.pid));
      closeSync(file);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (isAbandoned(path)) rmSync(path, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
}

function isAbandoned(path: string): boolean {
  try {
    if (Date.now() - statSync(path).mtimeMs > LOCK_MS_MAX) return true;
    const owner = Number(readFileSync(path, "utf8"));
    if (owner === 0) return false;
    process.kill(owner, 0);
    return false;
  } catch (error) {
    // No such process, or the lock is gone already: then the next attempt takes it.
    return ["ESRCH", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "");
  }
}

if (import.meta.main) {
  const ensureModules = (): void => {
    for (const name of Object.keys(MODULES) as ModuleName[]) ensureModule(name);
  };
  // Where there is no Redis, Go's programs are built all the same, and the other way round.
  for (const step of [ensureRedis, ensureModules]) {
    try {
      step();
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exitCode = 1;
    }
  }
}
