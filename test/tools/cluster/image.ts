// Packs images without a registry and without a builder: one layer of files from this machine, as an archive that
// containerd imports. The same files make the same bytes.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "./build.ts";

export interface Contents {
  /** Where each file or folder of this machine goes; programs bring the libraries that they are linked to. */
  readonly files: Readonly<Record<string, string>>;
  /** Programs that come in otherwise, and whose libraries must be there. */
  readonly librariesFor?: readonly string[];
  /** Written as they are, such as /etc/passwd; one that begins with `#!` can be run. */
  readonly texts?: Readonly<Record<string, string>>;
}

export interface Image extends Contents {
  /** With its tag. */
  readonly name: string;
  /** Default: 65532, who is nobody. */
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly workdir?: string;
}

export const NOBODY = "65532:65532";

/** As OCI names this machine's processor. */
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

export function packImage(archive: string, image: Image): void {
  const work = mkdtempSync(join(tmpdir(), "switchgear-image-"));
  try {
    const root = join(work, "root");
    fillRoot(root, image);
    const blobs = join(work, "oci/blobs/sha256");
    mkdirSync(blobs, { recursive: true });
    const layer = tarOf(root, join(work, "layer"), ["."]);
    const layerBlob = asBlob(blobs, layer, "application/vnd.oci.image.layer.v1.tar");
    const config = write(join(work, "config"), {
      architecture: ARCHITECTURE,
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: {
        User: image.user ?? NOBODY,
        Env: Object.entries({
          PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          ...image.env,
        }).map(([name, value]) => `${name}=${value}`),
        Entrypoint: image.entrypoint,
        WorkingDir: image.workdir ?? "/",
      },
      rootfs: { type: "layers", diff_ids: [layerBlob.digest] },
    });
    const manifest = write(join(work, "manifest"), {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: asBlob(blobs, config, "application/vnd.oci.image.config.v1+json"),
      layers: [layerBlob],
    });
    const annotations = {
      "io.containerd.image.name": image.name,
      "org.opencontainers.image.ref.name": image.name,
    };
    write(join(work, "oci/index.json"), {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [
        {
          ...asBlob(blobs, manifest, "application/vnd.oci.image.manifest.v1+json"),
          platform: { architecture: ARCHITECTURE, os: "linux" },
          annotations,
        },
      ],
    });
    write(join(work, "oci/oci-layout"), { imageLayoutVersion: "1.0.0" });
    mkdirSync(dirname(archive), { recursive: true });
    // One that is there is whole.
    const part = tarOf(join(work, "oci"), `${archive}.part`, ["oci-layout", "index.json", "blobs"]);
    renameSync(part, archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A root file system of these files, the libraries of those that are programs, and the least that glibc asks. */
function fillRoot(root: string, { files, librariesFor = [], texts = {} }: Contents): void {
  for (const folder of ["tmp", "etc"]) mkdirSync(join(root, folder), { recursive: true });
  run("chmod", ["1777", join(root, "tmp")]);
  const users = {
    "/etc/passwd":
      "root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n",
    "/etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
  };
  for (const [path, text] of Object.entries({ ...users, ...texts })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
  }
  for (const [path, source] of Object.entries(files)) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    const real = realpathSync(source);
    if (statSync(real).isDirectory()) {
      cpSync(real, target, { recursive: true, verbatimSymlinks: true });
      continue;
    }
    cpSync(real, target);
    addLibraries(root, real);
  }
  for (const program of librariesFor) addLibraries(root, realpathSync(program));
}

function addLibraries(root: string, program: string): void {
  for (const library of librariesOf(program)) {
    if (existsSync(join(root, library))) continue;
    mkdirSync(dirname(join(root, library)), { recursive: true });
    cpSync(realpathSync(library), join(root, library));
  }
}

/** As the linker finds them; none of what is linked statically or no program. */
function librariesOf(program: string): string[] {
  const { stdout } = spawnSync("ldd", [program], { encoding: "utf8" });
  return [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, path = ""]) => path);
}

function tarOf(folder: string, file: string, names: readonly string[]): string {
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  run("tar", ["-C", folder, "--sort=name", "--mtime=@0", ...owner, "-cf", file, ...names]);
  return file;
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function asBlob(blobs: string, file: string, mediaType: string): Blob {
  const bytes = readFileSync(file);
  const digest = createHash("sha256").update(bytes).digest("hex");
  linkSync(file, join(blobs, digest));
  return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
}

function write(file: string, value: object): string {
  writeFileSync(file, JSON.stringify(value));
  return file;
}
