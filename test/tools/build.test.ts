// The builder with a Go that is played: what is built again and what is not, and what it says when it
// cannot build. That the real one builds is shown by every test that runs a tool.

import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { start, temporaryFolder, type Ended } from "../support/programs.ts";
import { goProblem } from "./build.ts";

interface Bench {
  /** A copy of this folder, free to be changed. */
  readonly tools: string;
  readonly cache: string;
  readonly build: () => Promise<Ended>;
  /** What a `go` on the PATH does: a shell script. */
  readonly play: (script: string) => void;
  readonly installs: () => string[];
}

function bench(t: TestContext): Bench {
  const folder = temporaryFolder(t);
  const bin = join(folder, "bin");
  const cache = join(folder, "cache");
  mkdirSync(bin);
  const tools = join(folder, "tools");
  cpSync(import.meta.dirname, tools, { recursive: true });
  const log = join(folder, "installs");
  writeFileSync(log, "");
  return {
    tools,
    cache: join(cache, "switchgear/tools"),
    build: () =>
      start([process.execPath, join(tools, "build.ts")], {
        env: { PATH: `${bin}:/bin:/usr/bin`, XDG_CACHE_HOME: cache, LOG: log },
      }).ended,
    play: (script) => {
      writeFileSync(join(bin, "go"), `#!/bin/sh\n${script}\n`);
      chmodSync(join(bin, "go"), 0o755);
    },
    installs: () => readFileSync(log, "utf8").trim().split("\n"),
  };
}

const VERSION = 'if [ "$1" = env ]; then echo go1.26.8; exit; fi';
const BUILD =
  'echo "$(basename "$PWD") $*" >> "$LOG"; for p in prometheus promtool alertmanager amtool k6 helm helm-render helm-docs kubeconform kube-score controller-gen; do : > "$GOBIN/$p"; done';

/** Modules, each of which is installed once. */
const ALL = 7;

test("builds what is missing, with pinned flags, and then no more", async (t) => {
  const { build, play, installs, cache } = bench(t);
  play(`${VERSION}\n${BUILD}`);

  const first = await build();

  assert.equal(first.code, 0, first.stderr);
  assert.match(
    first.stderr,
    /^building prometheus and promtool.*\nbuilding alertmanager and amtool.*\nbuilding k6: .*\n(building .*\n){4}$/,
  );
  assert.equal(first.stdout, "");
  assert.deepEqual(installs(), [
    "prometheus install -trimpath -tags remove_all_sd,enable_kubernetes_sd,enable_dns_sd -ldflags -s -w -X github.com/prometheus/common/version.Version=3.15.0 tool",
    "alertmanager install -trimpath -ldflags -s -w -X github.com/prometheus/common/version.Version=0.31.1 tool",
    "k6 install -trimpath -ldflags -s -w tool",
    "helm install -trimpath -ldflags -s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1 tool",
    "chart install -trimpath -ldflags -s -w tool",
    "kube-score install -trimpath -ldflags -s -w tool",
    "crd install -trimpath -ldflags -s -w tool",
  ]);
  const again = await build();
  assert.deepEqual([again.code, again.stdout, again.stderr], [0, "", ""]);
  assert.equal(installs().length, ALL);
  assert.equal(readdirSync(cache).filter((name) => name.endsWith(".lock")).length, 0);
});

test("builds again what lost a program or was cut off, and what is made of something else", async (t) => {
  const { build, play, installs, cache, tools } = bench(t);
  play(`${VERSION}\n${BUILD}`);
  await build();
  const folder = readdirSync(cache).find((name) => name.startsWith("prometheus-")) ?? "";

  rmSync(join(cache, folder, "promtool"));
  await build();
  assert.equal(installs().length, ALL + 1);
  rmSync(join(cache, folder, "done"));
  writeFileSync(join(cache, folder, "half"), "");
  await build();
  assert.equal(installs().length, ALL + 2);
  assert.ok(!existsSync(join(cache, folder, "half")));
  play(`${VERSION.replace("1.26.8", "1.27.0")}\n${BUILD}`);
  await build();
  assert.equal(installs().length, 2 * ALL + 2);
  for (const [index, file] of ["go.mod", "go.sum"].entries()) {
    appendFileSync(join(tools, "prometheus", file), "\n");
    await build();
    assert.equal(installs().length, 2 * ALL + 3 + index);
  }
});

test("two that need a tool at once build it once", async (t) => {
  const { build, play, installs } = bench(t);
  play(`${VERSION}\nsleep 0.5\n${BUILD}`);

  const ended = await Promise.all([build(), build()]);

  assert.deepEqual(
    ended.map(({ code }) => code),
    [0, 0],
  );
  assert.equal(installs().length, ALL);
});

test("a builder that died holds nobody up", async (t) => {
  const { build, play, installs, cache } = bench(t);
  play(`${VERSION}\n${BUILD}`);
  await build();
  for (const name of readdirSync(cache)) {
    rmSync(join(cache, name, "done"));
    const dead = start(["true"]);
    await dead.ended;
    const lock = join(cache, `${name}.lock`);
    const isReused = name.startsWith("alertmanager");
    writeFileSync(lock, String(isReused ? process.pid : dead.child.pid));
    // Its number may be another process's by now: nobody builds for hours.
    if (isReused) utimesSync(lock, new Date(0), new Date(0));
  }

  const { code } = await build();

  assert.equal(code, 0);
  assert.equal(installs().length, 2 * ALL);
});

test("says which tool failed, and leaves nothing that looks built", async (t) => {
  const { build, play, cache } = bench(t);
  play(`${VERSION}\necho "module refused" >&2; exit 1`);

  const { code, stderr } = await build();

  assert.equal(code, 1);
  assert.match(
    stderr,
    /\nprometheus and promtool could not be built \(test\/tools\/prometheus\): module refused\n$/,
  );
  for (const name of readdirSync(cache)) assert.deepEqual(readdirSync(join(cache, name)), []);
});

test("without a Go, or with one that is too old, says in one sentence what to do", async (t) => {
  const { build, play } = bench(t);
  play("echo go1.25.9");
  const old = await build();
  assert.equal(old.code, 1);
  assert.match(
    old.stderr,
    /^Building the test tools needs a newer Go than go1\.25\.9: install Go 1\.26 or newer .*\.\n$/,
  );

  for (const good of ["go1.26.0", "go1.26", "go1.30.1", "go2.0"])
    assert.equal(goProblem(good), undefined);
  for (const none of ["none", ""])
    assert.match(goProblem(none) ?? "", /^[^.]* and there is none: .*PATH\.$/);
});
