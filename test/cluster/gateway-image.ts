// The gateway's image, built from deploy/docker/Dockerfile by buildah, which needs no daemon. In place of the public
// base images stand two that are packed from this machine's programs: it may have no registry.

import { createHash } from "node:crypto";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { realpathSync } from "node:fs";
import { ROOT } from "../support/programs.ts";
import { debianPart, ensured, run, words } from "../tools/cluster/build.ts";
import { packImage } from "../tools/cluster/image.ts";
import { programPath } from "../tools/redis.ts";

export const NODE = join(ROOT, "node_modules/node/bin/node");

/** What the image is made of, as .dockerignore lets it through. */
const SOURCES = [
  "package.json",
  "package-lock.json",
  "LICENSE",
  "tsconfig.json",
  "tsconfig.build.json",
  "src/**/*",
  "deploy/docker/Dockerfile",
  ".dockerignore",
  "test/cluster/gateway-image.ts",
  "test/tools/cluster/image.ts",
];

export interface GatewayImage {
  readonly archive: string;
  readonly version: string;
}

/** Builds it, or finds what was built from the same sources. */
export function gatewayImage(name: string, version: string): GatewayImage {
  const hash = createHash("sha256").update(`${name} ${version}`);
  for (const file of SOURCES.flatMap((one) => globSync(one, { cwd: ROOT })).toSorted()) {
    const path = join(ROOT, file);
    if (/\.\w+$|LICENSE|Dockerfile/.test(file))
      hash.update(`\0${file}\0`).update(readFileSync(path));
  }
  const folder = ensured("gateway-image", hash.digest("hex"), (target) =>
    build(target, name, version),
  );
  return { archive: join(folder, "image.tar"), version };
}

function build(target: string, name: string, version: string): void {
  const buildah = buildahIn(join(target, "work"));
  const bases = { BUILD_IMAGE: "localhost/build-base:1", RUN_IMAGE: "localhost/run-base:1" };
  packImage(join(target, "build-base.tar"), {
    ...buildBase(),
    name: bases.BUILD_IMAGE,
    user: "0",
    env: { HOME: "/root" },
    entrypoint: [],
  });
  packImage(join(target, "run-base.tar"), { ...runBase(), name: bases.RUN_IMAGE, entrypoint: [] });
  for (const [file, base] of [
    ["build-base.tar", bases.BUILD_IMAGE],
    ["run-base.tar", bases.RUN_IMAGE],
  ] as const) {
    const id = buildah("pull", "--quiet", `oci-archive:${join(target, file)}`).trim();
    buildah("tag", id, base);
  }
  const cache = run("npm", ["config", "get", "cache"], { cwd: ROOT }).trim();
  buildah(
    ...words("build --pull-never --isolation=chroot --network=host --quiet"),
    ...Object.entries({ ...bases, VERSION: version }).map(
      ([key, value]) => `--build-arg=${key}=${value}`,
    ),
    // What `npm ci` of this checkout has fetched is not fetched again.
    `--volume=${cache}:/root/.npm`,
    `--file=${join(ROOT, "deploy/docker/Dockerfile")}`,
    `--tag=${name}`,
    ROOT,
  );
  buildah(
    ...words("push --quiet --disable-compression"),
    name,
    `oci-archive:${join(target, "image.tar")}:${name}`,
  );
  for (const left of ["work", "build-base.tar", "run-base.tar"]) {
    run("rm", ["-rf", join(target, left)]);
  }
}

function buildahIn(work: string): (...args: readonly string[]) => string {
  const debian = debianPart("buildah");
  mkdirSync(work, { recursive: true });
  const file = (name: string, text: string): string => {
    writeFileSync(join(work, name), text);
    return join(work, name);
  };
  const policy = file("policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}');
  const env = {
    ...process.env,
    CONTAINERS_REGISTRIES_CONF: file("registries.conf", ""),
    CONTAINERS_CONF: file("containers.conf", ""),
    CONTAINERS_STORAGE_CONF: file(
      "storage.conf",
      `[storage]\ndriver = "overlay"\ngraphroot = "${work}/root"\nrunroot = "${work}/run"\n`,
    ),
    TMPDIR: work,
  };
  const [libraries = ""] = globSync("/usr/lib/*-linux-gnu");
  const layers = [...globSync(join(debian, "{usr/lib,lib}/*-linux-gnu")), libraries].join(":");
  // It starts itself anew, without its environment: its libraries must lie where libraries are. In a mount namespace
  // of its own they do, and nothing that it mounts outlives it.
  const inside = `mount -t overlay -o "lowerdir=${layers}" overlay "${libraries}" && exec "$@"`;
  const isolated = ["--mount", "--propagation", "private", "sh", "-c", inside, "sh"];
  return (verb = "", ...args) => {
    const judged = verb === "tag" ? [] : [`--signature-policy=${policy}`];
    const command = [join(debian, "usr/bin/buildah"), verb, ...judged, ...args];
    return run("unshare", [...isolated, ...command], { env });
  };
}

/** What node:…-slim has of what the Dockerfile calls. */
function buildBase() {
  const tools = ["sh", "env", "rm", "find", "chmod"];
  const npm = join(dirname(realpathSync(programPath("npm") ?? "")), "..");
  return {
    files: {
      ...Object.fromEntries(tools.map((tool) => [`/usr/bin/${tool}`, programPath(tool) ?? ""])),
      "/bin/sh": programPath("sh") ?? "",
      "/usr/local/bin/node": NODE,
      "/usr/local/lib/node_modules/npm": npm,
    },
    texts: {
      "/usr/local/bin/npm":
        '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n',
    },
  };
}

/** As distroless' cc: what Node is linked to, certificates, and users. */
function runBase() {
  return {
    files: { "/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt" },
    librariesFor: [NODE],
  };
}
