// Images of everything but the gateway, packed from programs that were built here or lie here.

import { realpathSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ROOT } from "../support/programs.ts";
import { toolPath } from "../tools/build.ts";
import { OPERATOR, ensured, goPart } from "../tools/cluster/build.ts";
import { packImage, type Image } from "../tools/cluster/image.ts";
import { programPath } from "../tools/redis.ts";

/** As the operator asks for them: with a `v`. */
export const VERSIONS = {
  prometheus: "v3.15.0",
  alertmanager: "v0.31.1",
  operator: `v${OPERATOR}`,
};

export const IMAGES = {
  operator: `localhost/prometheus-operator:${VERSIONS.operator}`,
  reloader: `localhost/prometheus-config-reloader:${VERSIONS.operator}`,
  prometheus: `localhost/prometheus:${VERSIONS.prometheus}`,
  alertmanager: `localhost/alertmanager:${VERSIONS.alertmanager}`,
  redis: "localhost/redis:7",
  neighbours: "localhost/neighbours:1",
} as const;

/** Archives of programs, which the cache keeps from one run to the next. */
export function toolImages(): string[] {
  const operator = goPart("operator");
  return [
    ofProgram(IMAGES.operator, join(operator, "operator")),
    ofProgram(IMAGES.reloader, join(operator, "prometheus-config-reloader")),
    ofProgram(IMAGES.prometheus, toolPath("prometheus")),
    ofProgram(IMAGES.alertmanager, toolPath("alertmanager")),
    ofProgram(IMAGES.redis, programPath("redis-server") ?? ""),
  ];
}

/** The operator starts some of its programs by their path, which is below /bin. */
function ofProgram(name: string, program: string): string {
  const path = `/bin/${program.split("/").at(-1)}`;
  const key = createHash("sha256").update(`${name}\0${program}`).digest("hex");
  const folder = ensured("image", key, (target) =>
    packImage(join(target, "image.tar"), { name, files: { [path]: program }, entrypoint: [path] }),
  );
  return join(folder, "image.tar");
}

/** Bookmakers, Hyper-Bun's stand-in, PagerDuty's and callers: programs of this repository, on Bun. */
export function neighboursImage(folder: string): string {
  const archive = join(folder, "neighbours.tar");
  const ours = [
    "package.json",
    "src",
    "loadtest/bookmaker",
    "test/fixtures/hyper-bun",
    "test/pager",
    "test/cluster/pods",
  ];
  const image: Image = {
    name: IMAGES.neighbours,
    files: {
      "/usr/local/bin/bun": realpathSync(join(ROOT, "node_modules/.bin/bun")),
      "/app/node_modules/zod": join(ROOT, "node_modules/zod"),
      ...Object.fromEntries(ours.map((path) => [`/app/${path}`, join(ROOT, path)])),
    },
    env: { HOME: "/scratch", BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
    entrypoint: ["/usr/local/bin/bun"],
  };
  packImage(archive, image);
  return archive;
}
