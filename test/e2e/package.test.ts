// What is published: the tarball, installed in an empty project, runs the README's first program on
// both runtimes, type-checks there, and loads no package for it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join, posix } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { publint } from "publint";
import { ROOT, temporaryFolder } from "../support/programs.ts";

const skip = "Bun" in globalThis ? "it runs both runtimes itself; once is enough" : false;
const run = promisify(execFile);
const bin = join(ROOT, "node_modules/.bin");

/** One that this machine has anyway, such as the one that started npm. */
async function oldNode(): Promise<string | undefined> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  for (const folder of folders.filter((one) => !one.includes("node_modules"))) {
    const path = join(folder, "node");
    const answer = await run(path, ["--version"]).catch(() => undefined);
    if (answer !== undefined && Number.parseInt(answer.stdout.slice(1), 10) < 24) return path;
  }
  return undefined;
}

function firstProgram(): string {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const [, program] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(program, "the README has a first program");
  return program;
}

/** Links of the pages in the package that lead to nothing in it. */
function deadLinks(paths: readonly string[]): string[] {
  const isThere = (path: string): boolean =>
    paths.some((one) => one === path || one.startsWith(`${path.replace(/\/$/, "")}/`));
  return paths
    .filter((path) => path.endsWith(".md"))
    .flatMap((page) => {
      const text = readFileSync(join(ROOT, page), "utf8").replaceAll(/```[\s\S]*?```/g, "");
      return [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .map(([, link = ""]) => posix.join(posix.dirname(page), link))
        .filter((link) => !isThere(link))
        .map((link) => `${page} → ${link}`);
    });
}

test("the tarball works in an empty project", { skip, timeout: 180_000 }, async (t) => {
  const folder = temporaryFolder(t);
  // A copy without `dist` and dependencies: the build that is packed is this test's own.
  const source = join(folder, "source");
  mkdirSync(source);
  for (const name of [
    "src",
    "alerts",
    "docs",
    "examples",
    "runbooks",
    "test/bench/results",
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
  ]) {
    cpSync(join(ROOT, name), join(source, name), { recursive: true });
  }
  cpSync(join(ROOT, "node_modules"), join(source, "node_modules"), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.includes(join("node_modules", "node")) || path.endsWith("node_modules"),
  });
  // As whoever publishes does: what is built is npm's own affair.
  const pack = ["pack", "--json", "--silent", "--foreground-scripts=false"];
  const { stdout } = await run("npm", [...pack, "--pack-destination", folder], { cwd: source });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  assert.ok(packed);
  const paths = packed.files.map(({ path }) => path);
  assert.ok(paths.includes("dist/index.js") && paths.includes("dist/index.js.map"));
  assert.ok(paths.includes("dist/index.d.ts") && paths.includes("dist/cli/bin.js"));
  // The README's command for a user's own CI names these.
  assert.ok(paths.includes("alerts/switchgear.yml") && paths.includes("runbooks/README.md"));
  assert.deepEqual(
    paths.filter((path) => /^(test\/(?!bench\/results\/)|scripts|loadtest|data)/.test(path)),
    [],
  );
  assert.deepEqual(deadLinks(paths), []);

  const { messages } = await publint({ pkgDir: source, strict: true, pack: false });
  assert.deepEqual(messages, []);

  await t.test("without any dependency all load but the adapters of packages", async () => {
    const bare = join(folder, "bare");
    mkdirSync(join(bare, "node_modules"), { recursive: true });
    await run("tar", ["-xzf", join(folder, packed.filename), "-C", join(bare, "node_modules")]);
    await run("mv", ["package", "switchgear"], { cwd: join(bare, "node_modules") });
    writeFileSync(
      join(bare, "main.mjs"),
      `for (const name of ["", "/sqlite", "/hyper-bun", "/compat", "/prom-client", "/testing"])
          await import("switchgear" + name);
        console.log("loaded");`,
    );
    for (const runtime of ["node", "bun"]) {
      const answer = await run(join(bin, runtime), ["main.mjs"], { cwd: bare });
      assert.equal(answer.stdout, "loaded\n", runtime);
    }
  });

  const project = join(folder, "project");
  mkdirSync(project);
  const [, init] = /`npm (init [^`]+)`/.exec(readFileSync(join(ROOT, "README.md"), "utf8")) ?? [];
  assert.ok(init, "the README says how a project is made");
  await run("npm", init.split(" "), { cwd: project });
  await run(
    "npm",
    [
      "install",
      "--no-audit",
      "--no-fund",
      "--prefer-offline",
      "--ignore-scripts",
      join(folder, packed.filename),
    ],
    { cwd: project },
  );
  writeFileSync(join(project, "first.ts"), firstProgram());

  for (const runtime of ["node", "bun"]) {
    await t.test(`the README's first program runs on ${runtime}`, async () => {
      const answer = await run(join(bin, runtime), ["first.ts"], { cwd: project });
      assert.match(answer.stdout, /^200/);
      assert.match(answer.stdout, /SG_BREAKER_OPEN/);
      assert.equal(answer.stderr, "");
    });
    await t.test(`every subpath loads on ${runtime}`, async () => {
      const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
        exports: Record<string, unknown>;
      };
      const names = Object.keys(exports)
        .filter((path) => !path.endsWith(".json"))
        .map((path) => JSON.stringify(path.replace(".", "switchgear")));
      writeFileSync(
        join(project, "all.mjs"),
        `for (const name of [${names.join()}]) console.log(name, Object.keys(await import(name)).length);`,
      );
      const answer = await run(join(bin, runtime), ["all.mjs"], { cwd: project });
      for (const line of answer.stdout.trim().split("\n")) assert.match(line, / [1-9]\d*$/);
    });
  }

  await t.test("the installed command runs", async () => {
    const answer = await run(join(bin, "node"), [
      join(project, "node_modules/switchgear/dist/cli/bin.js"),
      "--version",
    ]);
    assert.match(answer.stdout, /^\d+\.\d+\.\d+\n$/);
  });

  const old = await oldNode();
  const skipOld = old === undefined && "no older Node is installed";
  await t.test("an older Node is told in a sentence what it takes", { skip: skipOld }, async () => {
    const command = join(project, "node_modules/switchgear/dist/cli/bin.js");
    const failure = await run(old ?? "node", [command, "--version"]).then(
      () => assert.fail("it ran"),
      (error: unknown) => error as { code: number; stderr: string },
    );
    assert.equal(failure.code, 2);
    assert.match(failure.stderr, /^switchgear needs Node 24 or later.*; this is Node \d+\S+\n$/);
  });

  await t.test("spans arrive beside an SDK of OpenTelemetry that is older than ours", async () => {
    const beside = join(folder, "beside");
    mkdirSync(beside);
    writeFileSync(join(beside, "package.json"), '{ "type": "module", "private": true }');
    const install = ["install", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"];
    const sdk = "@opentelemetry/sdk-trace-base@2.0.0";
    await run("npm", [...install, sdk, join(folder, packed.filename)], { cwd: beside });
    writeFileSync(
      join(beside, "spans.mjs"),
      `import { trace } from "@opentelemetry/api";
        import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
        import { createSwitchgear, latching } from "switchgear";
        import { traceCalls } from "switchgear/otel";
        const exporter = new InMemorySpanExporter();
        const spanProcessors = [new SimpleSpanProcessor(exporter)];
        trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }));
        const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
        traceCalls(gear);
        await gear.upstream("dk").execute(() => 1, { operation: "odds" });
        console.log(exporter.getFinishedSpans().map(({ name }) => name).join());`,
    );
    for (const runtime of ["node", "bun"]) {
      const answer = await run(join(bin, runtime), ["spans.mjs"], { cwd: beside });
      assert.equal(answer.stdout, "dk odds\n", runtime);
    }
    writeFileSync(
      join(beside, "types.ts"),
      `import { createSwitchgear } from "switchgear";
        import { switchgearMetricProducer, traceCalls } from "switchgear/otel";
        const gear = createSwitchgear({});
        traceCalls(gear);
        export const metricProducers = [switchgearMetricProducer(gear)];`,
    );
    const flags = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext"];
    await run(join(bin, "tsc"), [...flags, "--types", "", "types.ts"], { cwd: beside }).catch(
      (error: unknown) => assert.fail((error as { stdout: string }).stdout),
    );
  });

  await t.test("its types hold in a strict project", async () => {
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: "nodenext",
          target: "es2022",
          types: [],
          skipLibCheck: false,
        },
        files: ["first.ts"],
      }),
    );
    await run(join(bin, "tsc"), ["-p", project]).catch((error: unknown) => {
      assert.fail((error as { stdout: string }).stdout);
    });
  });
});
