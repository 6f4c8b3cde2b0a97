// What is in the gateway's image and what is not, and that it starts at once: without a network, without a shell, as
// nobody, on a file system that nobody writes to.

import assert from "node:assert/strict";
import {
  chmodSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../support/programs.ts";
import { run, words } from "../tools/cluster/build.ts";
import { NOBODY } from "../tools/cluster/image.ts";
import type { GatewayImage } from "./gateway-image.ts";
import type { World } from "./world.ts";

/** What it weighs at most, unpacked: Node is 121 MiB of it. */
const MIB_MAX = 200;

/**
 * The best of so many starts counts, and of it what the processor worked: others work on this machine, too, and it is
 * all that the start waits for.
 */
const STARTS = 3;
/** What is claimed is a second, and this tells what it took; a machine that others use may take twice as long. */
const START_MS_MAX = 3000;

interface Config {
  readonly config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
    readonly Env: readonly string[];
  };
}

interface Descriptor {
  readonly digest: string;
}

export async function imageStory(world: World, image: GatewayImage): Promise<void> {
  const { checks, cluster } = world;
  const folder = mkdtempSync(join(cluster.folder, "image-"));
  // It is mounted, and read by nobody in particular.
  chmodSync(folder, 0o755);
  const root = join(folder, "root");
  const config = unpack(image.archive, folder, root);

  await checks.check(
    "the image is built from deploy/docker/Dockerfile, for nobody in particular",
    () => {
      assert.equal(config.config.User, NOBODY);
      assert.deepEqual(config.config.Entrypoint, ["/usr/local/bin/switchgear"]);
      assert.equal(config.config.Labels["org.opencontainers.image.version"], image.version);
    },
  );
  const mib = Number(run("du", ["-sm", root]).split("\t")[0]);
  await checks.check(`it is small: ${mib} MiB, of which Node is 121`, () => {
    assert.ok(mib > 0 && mib <= MIB_MAX, `${mib} MiB`);
  });
  await checks.check(
    "it holds no shell, no npm, no package of development, no source, no secret",
    () => {
      assert.deepEqual(programsIn(root), ["/usr/local/bin/node", "/usr/local/bin/switchgear"]);
      const { packages } = read(join(ROOT, "package-lock.json")) as {
        readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
      };
      const isServing = (path: string): boolean =>
        packages[path] !== undefined && packages[path].dev === undefined;
      const strangers = packagePaths(root).filter((path) => !isServing(path));
      assert.deepEqual(strangers, []);
      assert.deepEqual(globSync("app/**/*.{ts,cts,mts,map}", { cwd: root }), []);
      assert.deepEqual(globSync("**/{.npmrc,.env,.git,*.key,*.pem}", { cwd: root }), []);
      assert.deepEqual(
        config.config.Env.filter((one) => /token|secret|password|key/i.test(one)),
        [],
      );
    },
  );
  await checks.check(
    "its SBOM, /app/sbom.cdx.json, lists every package in it, and no other",
    () => {
      const bom = read(join(root, "app/sbom.cdx.json")) as {
        readonly bomFormat: string;
        readonly components: readonly Package[];
      };
      assert.equal(bom.bomFormat, "CycloneDX");
      const told = (packages: readonly Package[]): string[] =>
        [...new Set(packages.map(({ name, version }) => `${name}@${version}`))].toSorted();
      assert.deepEqual(told(bom.components), told(packagesIn(root)));
      assert.ok(bom.components.length > 20);
    },
  );
  await checks.check(`it knows its version, ${image.version}`, async () => {
    const shown = await runImage(world, folder, ["--version"]);
    assert.equal(shown.trim(), image.version);
  });
  const starts: Start[] = [];
  while (starts.length < STARTS) starts.push(await measureStart(world, folder));
  const least = (values: readonly number[]): string => (Math.min(...values) / 1000).toFixed(2);
  const cpu = least(starts.map(({ cpuMs }) => cpuMs));
  const whole = least(starts.map(({ wholeMs }) => wholeMs));
  await checks.check(
    `without a network, on a read-only root, it serves after ${cpu} s of a processor (${whole} s here and now)`,
    () => assert.ok(Number(cpu) * 1000 < START_MS_MAX),
  );
  rmSync(folder, { recursive: true });
}

/** Lays the image's layers over each other, and answers its configuration. */
function unpack(archive: string, folder: string, root: string): Config {
  const oci = join(folder, "oci");
  for (const one of [oci, root]) mkdirSync(one);
  run("tar", ["-xf", archive, "-C", oci]);
  const blob = ({ digest }: Descriptor): string => join(oci, "blobs", digest.replace(":", "/"));
  const { manifests } = read(join(oci, "index.json")) as { manifests: Descriptor[] };
  const manifest = read(blob(manifests[0] as Descriptor)) as {
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
  };
  for (const layer of manifest.layers) run("tar", ["-xf", blob(layer), "-C", root]);
  return read(blob(manifest.config)) as Config;
}

function read(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

function programsIn(root: string): string[] {
  const found = run("find", [root, "-type", "f", "-perm", "/111", "-not", "-name", "*.so*"]);
  return found
    .split("\n")
    .filter((path) => path !== "" && !path.includes("/node_modules/"))
    .map((path) => path.slice(root.length));
}

interface Package {
  readonly name: string;
  readonly version: string;
}

/** As the lock file has them: `node_modules/pino`. */
function packagePaths(root: string): string[] {
  return globSync("node_modules/**/package.json", { cwd: join(root, "app") })
    .filter((path) => /node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path))
    .map((path) => dirname(path));
}

function packagesIn(root: string): Package[] {
  return packagePaths(root).map((path) => read(join(root, "app", path, "package.json")) as Package);
}

const CONFIG =
  "store: { kind: memory }\nupstreams: { draftkings: { url: http://draftkings.example } }\n";

/** Runs the image once, with no network but its own loopback. */
function command(world: World, folder: string, id: string, args: readonly string[]): string[] {
  writeFileSync(join(folder, "switchgear.yaml"), CONFIG);
  const mount = `type=bind,src=${folder},dst=/etc/switchgear,options=rbind:ro`;
  const group = groupOf(world, id);
  const run = words(`ctr -n k8s.io run --rm --read-only --cgroup ${group} --mount ${mount}`);
  return run.concat(world.image, id, "switchgear", args);
}

/** Below the cluster's, with which it goes. */
function groupOf({ cluster }: World, id: string): string {
  return `/${cluster.group}/${id}`;
}

let runs = 0;

function runImage(world: World, folder: string, args: readonly string[]): Promise<string> {
  runs += 1;
  return world.cluster.run(command(world, folder, `image-${runs}`, args));
}

interface Start {
  /** What the container's processes have worked, and how long it took, to the line that says that it serves. */
  readonly cpuMs: number;
  readonly wholeMs: number;
}

async function measureStart(world: World, folder: string): Promise<Start> {
  const { cluster } = world;
  runs += 1;
  const id = `image-${runs}`;
  const startedMs = performance.now();
  const child = cluster.spawn(command(world, folder, id, ["serve"]), {});
  let output = "";
  try {
    return await new Promise<Start>((done, fail) => {
      child.stdout?.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (!output.includes("switchgear is serving")) return;
        const usage = `/sys/fs/cgroup/cpuacct${groupOf(world, id)}/cpuacct.usage`;
        const cpuMs = Number(readFileSync(usage, "utf8")) / 1e6;
        done({ cpuMs, wholeMs: performance.now() - startedMs });
      });
      child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
      child.on("close", () => fail(new Error(`it ended instead: ${output}`)));
    });
  } finally {
    const over = new Promise((done) => child.once("close", done));
    await cluster.show(["ctr", "-n", "k8s.io", "task", "kill", "--signal", "SIGKILL", id]);
    if (child.exitCode === null) await over;
  }
}
