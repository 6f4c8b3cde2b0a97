// What is published: the tarball, installed in an empty project, runs the README's first program on
// both runtimes, type-checks there, and loads no package for it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { publint } from "publint";
import { ROOT, temporaryFolder } from "../support/programs.ts";

const skip = "Bun" in globalThis ? "it runs both runtimes itself; once is enough" : false;
const run = promisify(execFile);
const bin = join(ROOT, "node_modules/.bin");

function firstProgram(): string {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const [, program] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(program, "the README has a first program");
  return program;
}

test("the tarball works in an empty project", { skip, timeout: 180_000 }, async (t) => {
  const folder = temporaryFolder(t);
  // A copy without `dist` and dependencies: the build that is packed is this test's own.
  const source = join(folder, "source");
  mkdirSync(source);
  for (const name of [
    "src",
    "alerts",
    "runbooks",
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "README.md",
    "CHANGELOG.md",
  ]) {
    cpSync(join(ROOT, name), join(source, name), { recursive: true });
  }
  cpSync(join(ROOT, "node_modules"), join(source, "node_modules"), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.includes(join("node_modules", "node")) || path.endsWith("node_modules"),
  });
  await run(join(bin, "tsc"), ["-p", "tsconfig.build.json"], { cwd: source });
  const { stdout } = await run(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", folder],
    {
      cwd: source,
    },
  );
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  assert.ok(packed);
  const paths = packed.files.map(({ path }) => path);
  assert.ok(paths.includes("dist/index.js") && paths.includes("dist/index.js.map"));
  assert.ok(paths.includes("dist/index.d.ts") && paths.includes("dist/cli/main.js"));
  // The README's command for a user's own CI names these.
  assert.ok(paths.includes("alerts/switchgear.yml") && paths.includes("runbooks/README.md"));
  assert.deepEqual(
    paths.filter((path) => /^(test|scripts|loadtest|data)\//.test(path)),
    [],
  );

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
  writeFileSync(join(project, "package.json"), '{ "type": "module", "private": true }');
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
      join(project, "node_modules/switchgear/dist/cli/main.js"),
      "--version",
    ]);
    assert.match(answer.stdout, /^\d+\.\d+\.\d+\n$/);
  });

  await t.test("its types hold in a strict project", async () => {
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: "nodenext",
          target: "es2024",
          lib: ["es2024", "esnext.disposable", "dom"],
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
