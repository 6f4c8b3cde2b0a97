// A real one-node Kubernetes in namespaces of its own: brought up, entered, cut off and started again, and taken
// away without a trace. It dies with this process, however that ends.

import { spawn, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { until } from "../../pager/processes.ts";
import { debianPart, goPart, words } from "./build.ts";
import { packImage } from "./image.ts";
import { namespaceOf } from "./leftovers.ts";
import { writePki } from "./pki.ts";
import {
  ADDRESS,
  NODE,
  PAUSE_IMAGE,
  SERVICES,
  commands,
  kubeconfig,
  pkiFolder,
  settingsFiles,
} from "./settings.ts";

export interface Shown {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface InsideOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly msMax?: number;
}

/** Everything takes seconds; this is for a machine that others load, too. */
const START_MS_MAX = 180_000;
const COMMAND_MS_MAX = 180_000;

/** So many volumes can be claimed before there are none left. */
const VOLUMES = 24;

export class Cluster {
  readonly folder: string;
  /** The group of all that runs in it, in each hierarchy. */
  readonly group: string;
  /** Of processes: those that it has had, one for each start. */
  readonly namespaces = new Set<string>();
  readonly #path: string;
  #outer: ChildProcess | undefined;
  #isOver = false;
  #starting: Promise<void> = Promise.resolve();
  #programs: ChildProcess[] = [];

  /** `folder` is empty, or a cluster's that was cut off; `tools` are folders of further programs. */
  constructor(folder: string, tools: readonly string[] = []) {
    this.folder = folder;
    this.group = `switchgear-${basename(folder)}`;
    this.#path = [this.#file("bin"), goPart("kube"), goPart("coredns"), ...tools].join(":");
  }

  /** Starts everything, and imports these archives of images. Resolves when pods can be made. */
  start(images: readonly string[] = []): Promise<void> {
    this.#starting = this.#start(images);
    return this.#starting;
  }

  async #start(images: readonly string[]): Promise<void> {
    this.#goOn();
    this.#write();
    await this.#isolate();
    const all = commands(this.folder);
    for (const name of ["etcd", "containerd", "apiserver"]) this.#run(name, all[name]);
    await this.#answers("containerd", ["ctr", "version"]);
    const importing = this.#import([this.#pauseImage(), ...images]);
    // Whoever waits for it hears of it.
    importing.catch(() => {});
    await this.#answers("apiserver", ["kubectl", "get", "--raw", "/readyz"]);
    for (const name of ["controller-manager", "scheduler", "proxy", "coredns"]) {
      this.#run(name, all[name]);
    }
    await this.kubectl(["apply", "-f", "-"], { input: readBase(this.#volumes()) });
    this.#run("kubelet", all["kubelet"]);
    const isReady = `kubectl wait --for=condition=Ready node/${NODE} --timeout=5s`;
    await this.#answers("node", words(isReady));
    // Without it every pod is refused.
    await this.#answers("service account", ["kubectl", "get", "serviceaccount", "default"]);
    await importing;
  }

  /** As a node that loses its power: every process at once. What lies on disks stays. */
  async cut(): Promise<void> {
    const outer = this.#outer;
    if (outer !== undefined) {
      this.#outer = undefined;
      const all = [outer, ...this.#programs].map(ended);
      this.#programs = [];
      outer.kill("SIGKILL");
      await Promise.all(all);
    }
    await until("the control groups are empty", () => this.#removeGroups() || undefined, 20_000);
  }

  /** For good: a start that is under way, as when a signal comes in the middle of a test, goes no further. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#starting.catch(() => {});
    await this.cut();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command in the cluster's namespaces, whatever it ends with. */
  show(command: readonly string[], options: InsideOptions = {}): Promise<Shown> {
    const { input, msMax = COMMAND_MS_MAX } = options;
    // A signal would end `nsenter` and not what it runs.
    const bounded = ["timeout", "--signal=KILL", String(msMax / 1000), ...command];
    const child = this.spawn(bounded, options, input === undefined ? "ignore" : "pipe");
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdin?.end(input);
    return new Promise((done, fail) => {
      child.on("error", fail);
      child.on("close", (code) => done({ code, stdout, stderr }));
    });
  }

  /** The same, and throws unless it ends with 0. Answers what it wrote. */
  async run(command: readonly string[], options: InsideOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.show(command, options);
    if (code === 0) return stdout;
    throw new Error(`${command.join(" ")}\nended with ${code}: ${stderr}${stdout}`);
  }

  kubectl(args: readonly string[], options: InsideOptions = {}): Promise<string> {
    return this.run(["kubectl", ...args], options);
  }

  /** One that goes on; it ends by itself, or with the cluster: signals do not reach it. */
  spawn(
    command: readonly string[],
    { cwd = process.cwd(), env = {} }: InsideOptions = {},
    stdin: "ignore" | "pipe" = "ignore",
  ): ChildProcess {
    return spawn("nsenter", this.#inside(command, cwd), {
      env: { ...process.env, ...this.env(), ...env },
      stdio: [stdin, "pipe", "pipe"],
    });
  }

  /** What a command in it finds its way with. */
  env(): Record<string, string> {
    const helm = this.#file("helm");
    return {
      PATH: `${this.#path}:${process.env["PATH"] ?? ""}`,
      KUBECONFIG: kubeconfig(this.folder, "admin"),
      HELM_CACHE_HOME: helm,
      HELM_CONFIG_HOME: helm,
      HELM_DATA_HOME: helm,
      GOMAXPROCS: "2",
    };
  }

  /** How one gets in from a shell. */
  inside(...command: readonly string[]): string {
    const { PATH = "", KUBECONFIG = "" } = this.env();
    const words = ["nsenter", ...this.#inside([], process.cwd())];
    return [...words, `PATH=${PATH}`, `KUBECONFIG=${KUBECONFIG}`, ...command].join(" ");
  }

  /** The number, outside, of the process that all others in it descend from. */
  firstProcess(): string {
    return readFileSync(this.#file("init.pid"), "utf8");
  }

  #inside(command: readonly string[], cwd: string): string[] {
    const pid = this.firstProcess();
    // A mount namespace is entered at its root: the working directory is found anew.
    return ["-t", pid, "-m", "-n", "-p", "-i", "env", "-C", cwd, ...command];
  }

  #file(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  #write(): void {
    const debian = debianPart("node");
    const places = {
      folder: this.folder,
      group: this.group,
      cniPlugins: join(debian, "usr/lib/cni"),
      runc: this.#file("bin/runc"),
    };
    for (const name of ["log/pods", "kubelet", "containerd", "etcd", "bin", "images"]) {
      mkdirSync(this.#file(name), { recursive: true });
    }
    for (const volume of this.#volumes()) mkdirSync(volume, { recursive: true });
    for (const [name, text] of Object.entries(settingsFiles(places))) {
      mkdirSync(dirname(this.#file(name)), { recursive: true });
      writeFileSync(this.#file(name), text);
    }
    const libraries = globSync(join(debian, "usr/lib/*-linux-gnu")).concat(
      globSync(join(debian, "lib/*-linux-gnu")),
    );
    // Unpacked programs find the libraries that were unpacked with them.
    for (const program of globSync(join(debian, "usr/{bin,sbin}/*"))) {
      const file = this.#file("bin", basename(program));
      const text = `#!/bin/sh\nLD_LIBRARY_PATH='${libraries.join(":")}' exec '${program}' "$@"\n`;
      writeFileSync(file, text);
      chmodSync(file, 0o755);
    }
    writePki(pkiFolder(this.folder));
  }

  #volumes(): string[] {
    return Array.from({ length: VOLUMES }, (_, at) => this.#file("volumes", `v${at}`));
  }

  async #isolate(): Promise<void> {
    rmSync(this.#file("prepared"), { force: true });
    const log = openSync(this.#file("log/init.log"), "a");
    const outer = spawn(
      "setpriv",
      [
        // Whatever kills this process kills unshare, and that the first process inside.
        ...words("--pdeathsig KILL"),
        ...words("unshare --mount --net --pid --ipc --fork --kill-child=SIGKILL"),
        ...words("--mount-proc --propagation private"),
        join(import.meta.dirname, "init.sh"),
        ...words(`${this.folder} ${this.group} ${ADDRESS} ${SERVICES}`),
      ],
      { stdio: ["ignore", log, log] },
    );
    closeSync(log);
    this.#outer = outer;
    const isPrepared = (): true | undefined => {
      if (outer.exitCode !== null) {
        throw new Error(`no namespaces: ${readFileSync(this.#file("log/init.log"), "utf8")}`);
      }
      return existsSync(this.#file("prepared")) || undefined;
    };
    await until("the namespaces are prepared", isPrepared, START_MS_MAX);
    const children = `/proc/${outer.pid}/task/${outer.pid}/children`;
    const pid = readFileSync(children, "utf8").trim();
    writeFileSync(this.#file("init.pid"), pid);
    this.namespaces.add(namespaceOf(pid) ?? "");
  }

  #run(name: string, command: readonly string[] = []): void {
    const log = openSync(this.#file("log", `${name}.log`), "a");
    const child = spawn("nsenter", this.#inside(command, "/"), {
      env: { ...process.env, ...this.env() },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#programs.push(child);
  }

  #goOn(): void {
    if (this.#isOver) throw new Error("the cluster is being taken away");
  }

  async #answers(what: string, command: readonly string[]): Promise<void> {
    let last: Shown | undefined;
    const look = async (): Promise<true | undefined> => {
      this.#goOn();
      last = await this.show(command, { msMax: 10_000 });
      return last.code === 0 || undefined;
    };
    await until(`${what} answers`, look, START_MS_MAX, () => `${last?.stderr}${this.logs(what)}`);
  }

  /** The last lines of a program. */
  logs(name: string, lines = 20): string {
    const file = this.#file("log", `${name}.log`);
    if (!existsSync(file)) return "";
    return readFileSync(file, "utf8").split("\n").slice(-lines).join("\n");
  }

  async #import(images: readonly string[]): Promise<void> {
    for (const image of images) await this.load(image);
  }

  /** Makes an archive's image known to the node. */
  async load(archive: string): Promise<void> {
    await this.run(["ctr", "-n", "k8s.io", "images", "import", archive]);
  }

  #pauseImage(): string {
    const file = this.#file("images/pause.tar");
    if (!existsSync(file)) {
      const program = join(goPart("pause"), "pause");
      packImage(file, {
        name: PAUSE_IMAGE,
        files: { "/pause": program },
        entrypoint: ["/pause"],
      });
    }
    return file;
  }

  /** Whether none is left. A group that still holds a process, or one that is ending, stays. */
  #removeGroups(): boolean {
    let isGone = true;
    for (const folder of groupFolders(this.group)) {
      for (const one of nested(folder)) {
        try {
          rmdirSync(one);
        } catch {
          isGone = false;
        }
      }
    }
    return isGone;
  }
}

function groupFolders(group: string): string[] {
  return globSync(`/sys/fs/cgroup/*/${group}`);
}

/** The innermost first. */
function nested(folder: string): string[] {
  const inner = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => nested(join(folder, name)));
  return [...inner, folder];
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => child.once("exit", () => done()));
}

/** What a cluster has before anybody asks: the rights of its DNS, and volumes. */
function readBase(volumes: readonly string[]): string {
  const base = readFileSync(join(import.meta.dirname, "base.yaml"), "utf8");
  return [base, ...volumes.map((path, at) => JSON.stringify(volume(`v${at}`, path)))].join(
    "\n---\n",
  );
}

/** Unlike a path of the host, a local volume heeds `fsGroup`: who is not root may write. */
function volume(name: string, path: string): object {
  const values = [NODE];
  const expression = { key: "kubernetes.io/hostname", operator: "In", values };
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name },
    spec: {
      capacity: { storage: "10Gi" },
      accessModes: ["ReadWriteOnce"],
      storageClassName: "local",
      persistentVolumeReclaimPolicy: "Retain",
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
    },
  };
}
