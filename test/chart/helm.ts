// Runs the real Helm on the chart, and reads what it renders. Each set of values is rendered once, and what comes of it
// is shared: nobody changes it.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { toolPath } from "../tools/build.ts";
import type { Renderer, Rendering } from "./renderer.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const CHART = join(ROOT, "deploy/helm/switchgear");

/** An object as Kubernetes has it, with whatever is in it. */
// oxlint-disable-next-line typescript/no-explicit-any -- manifests are asserted about, and not worked with
export type Any = any;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Any;
  readonly data: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly automountServiceAccountToken?: boolean;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function run(program: string, args: readonly string[], env = {}): Promise<Ended> {
  return new Promise((done) => {
    execFile(
      program,
      args,
      { maxBuffer: 64 * 1024 * 1024, timeout: 60_000, env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        done({ code, stdout, stderr });
      },
    );
  });
}

export interface RenderOptions {
  readonly release?: string;
  readonly namespace?: string;
  /** Further arguments of Helm's. */
  readonly args?: readonly string[];
}

/** A chart in a folder. `close()` removes what it wrote. */
export class Chart {
  readonly folder: string;
  readonly #known = new Map<string, Promise<Ended>>();
  readonly #read = new Map<string, Manifests>();
  readonly #renderings = new Map<string, Promise<Rendering>>();
  readonly #temporary = mkdtempSync(join(tmpdir(), "switchgear-chart-"));

  readonly #renderer: Renderer | undefined;

  /** With a renderer it is asked in place of the command, but for what only the command can. */
  constructor(folder = CHART, renderer?: Renderer) {
    this.folder = folder;
    this.#renderer = renderer;
  }

  close(): void {
    rmSync(this.#temporary, { recursive: true, force: true });
  }

  /** The same chart with one file more. It ends with this one. */
  withFile(path: string, text: string): Chart {
    const folder = join(this.#temporary, "with-a-file", "switchgear");
    cpSync(this.folder, folder, { recursive: true });
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
    return new Chart(folder, this.#renderer);
  }

  /** What Helm says and exits with. */
  template(values: object, options: RenderOptions = {}): Promise<Ended> {
    const { release = "switchgear", namespace = "switchgear", args = [] } = options;
    const key = JSON.stringify([values, release, namespace, args]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const file = join(this.#temporary, `${this.#known.size}.yaml`);
    writeFileSync(file, stringify(values));
    const ended = run(toolPath("helm"), [
      "template",
      release,
      this.folder,
      `--namespace=${namespace}`,
      `--values=${file}`,
      ...args,
    ]);
    this.#known.set(key, ended);
    return ended;
  }

  /** What an installation would say to whoever runs it, without one. */
  async install(values: object): Promise<Ended> {
    if (this.#renderer !== undefined) {
      const { error, notes = "" } = await this.#rendered(values, {});
      return { code: error === undefined ? 0 : 1, stdout: notes, stderr: error ?? "" };
    }
    const file = join(this.#temporary, `install-${this.#known.size}.yaml`);
    const key = JSON.stringify(["install", values]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    writeFileSync(file, stringify(values));
    const ended = run(toolPath("helm"), [
      "install",
      "switchgear",
      this.folder,
      "--dry-run=client",
      "--namespace=switchgear",
      `--values=${file}`,
    ]);
    this.#known.set(key, ended);
    return ended;
  }

  /** All that is rendered. Throws what Helm says when it refuses. */
  async render(values: object = {}, options: RenderOptions = {}): Promise<Manifests> {
    if (this.#renderer !== undefined && options.args === undefined) {
      const { error, manifests = [] } = await this.#rendered(values, options);
      if (error !== undefined) throw new Error(error);
      return new Manifests(manifests);
    }
    const { code, stdout, stderr } = await this.template(values, options);
    if (code !== 0) throw new Error(stderr);
    const known = this.#read.get(stdout);
    if (known !== undefined) return known;
    const manifests = new Manifests(manifestsIn(stdout), stdout);
    this.#read.set(stdout, manifests);
    return manifests;
  }

  /** `skipSchema` where nobody asks about the schema. */
  #rendered(values: object, options: RenderOptions, skipSchema = true): Promise<Rendering> {
    const { release = "switchgear", namespace = "switchgear" } = options;
    const asked = { chart: this.folder, values: stringify(values), release, namespace, skipSchema };
    const key = JSON.stringify(asked);
    const known = this.#renderings.get(key);
    if (known !== undefined) return known;
    if (this.#renderer === undefined) throw new Error("there is no renderer");
    const rendering = this.#renderer.render(asked);
    this.#renderings.set(key, rendering);
    return rendering;
  }

  /** What Helm says when it refuses. Throws when it does not. */
  async refuse(values: object, options: RenderOptions = {}): Promise<string> {
    if (this.#renderer !== undefined && options.args === undefined) {
      const { error } = await this.#rendered(values, options, false);
      if (error === undefined) throw new Error("these values were taken");
      return error;
    }
    const { code, stderr } = await this.template(values, options);
    if (code === 0) throw new Error(`these values were taken: ${JSON.stringify(values)}`);
    return stderr;
  }
}

function manifestsIn(text: string): Manifest[] {
  return parseAllDocuments(text, { uniqueKeys: true }).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(document.errors.join("\n"));
    const manifest = document.toJS() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

export class Manifests {
  readonly all: readonly Manifest[];
  /** As Helm wrote them. */
  readonly text: string;

  constructor(all: readonly Manifest[], text = "") {
    this.all = all;
    this.text = text;
  }

  /** Of a kind, by what its name ends with where there are several. */
  find(kind: string, name = ""): Manifest | undefined {
    const found = this.all.filter((one) => one.kind === kind && one.metadata.name.endsWith(name));
    return found.find((one) => one.metadata.name === name) ?? found[0];
  }

  get(kind: string, name = ""): Manifest {
    const found = this.find(kind, name);
    if (found === undefined) throw new Error(`no ${kind} ${name} is rendered`);
    return found;
  }

  /** Names of the kinds, sorted. */
  kinds(): string[] {
    return this.all.map(({ kind }) => kind).toSorted();
  }

  /** The StatefulSet or the Deployment. */
  get workload(): Manifest {
    return this.find("StatefulSet") ?? this.get("Deployment");
  }

  get pod(): Any {
    return this.workload.spec.template.spec;
  }

  get container(): Any {
    return this.pod.containers[0];
  }
}
