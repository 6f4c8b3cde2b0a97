// Names, links and commands of the runbooks, as far as they can be judged without running anything.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import {
  ROOT,
  missingLine,
  outline,
  pageNames,
  parsePage,
  readPage,
  variablesOf,
  type Block,
  type Page,
} from "./page.ts";
import { OUTLINES } from "./outlines.ts";

interface Rule {
  readonly alert?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

const SECTIONS = [
  "Meaning",
  "Impact",
  "Diagnosis",
  "Mitigation",
  "Verify",
  "When not to act",
  "Escalate",
];

const RULE_FILES = readdirSync(join(ROOT, "alerts")).filter((file) => file.endsWith(".yml"));

const alerts = RULE_FILES.flatMap((file) => {
  const text = readFileSync(join(ROOT, "alerts", file), "utf8");
  const { groups } = parse(text) as { groups: readonly { readonly rules: readonly Rule[] }[] };
  return groups.flatMap(({ rules }) => rules.filter(({ alert }) => alert !== undefined));
});
const pages = pageNames().map(readPage);
const alertPages = pages.filter(({ name }) => name !== "README");

test("every alert has a page, and every page an alert", () => {
  const names = new Set(alerts.map(({ alert = "" }) => alert));
  assert.ok(names.size >= 20);
  assert.deepEqual(
    alertPages.map(({ name }) => name),
    [...names].toSorted(),
  );
});

test("every alert links the page of its own name, all below one base", () => {
  const bases = new Set<string>();
  for (const { alert, annotations } of alerts) {
    const url = annotations?.["runbook_url"] ?? "";
    assert.ok(url.endsWith(`/${alert}.md`), `${alert}: ${url}`);
    bases.add(dirname(url));
  }
  assert.equal(bases.size, 1, [...bases].join());
  assert.match([...bases].join(), /\/runbooks$/);
});

test("every page has the same sections in the same order, and each says something", () => {
  for (const { name, text, sections } of alertPages) {
    assert.ok(text.startsWith(`# ${name}\n`), name);
    assert.deepEqual(sections, SECTIONS, name);
    for (const part of text.split(/^## /m).slice(1)) {
      assert.ok(part.trim().split("\n").slice(1).join("").length > 5, `${name}: ${part}`);
    }
    assert.match(text, /[Tt]raders/, `${name} does not say what traders see`);
  }
});

test("every page has commands to look with and to see that it helped", () => {
  for (const { name, blocks } of alertPages) {
    for (const section of ["Diagnosis", "Verify"]) {
      const shown = blocks.filter((block) => block.section === section && block.tag === "");
      assert.ok(shown.length > 0, `${name}: no command under ${section}`);
      for (const { shows, commands } of shown) {
        assert.ok(shows.has(""), `${name}: ${commands} shows what?`);
      }
    }
  }
});

const VERBS = { Diagnosis: "diagnose", Mitigation: "mitigate", Verify: "verify" } as const;

test("every alert fires and ends while the commands of its page are run", () => {
  const folder = join(ROOT, "test/runbooks");
  const stories = [
    ...readdirSync(folder)
      .filter((file) => file.endsWith(".test.ts") && file !== "pages.test.ts")
      .map((file) => join(folder, file)),
    join(ROOT, "test/e2e/page-proof.test.ts"),
  ].map((file) => readFileSync(file, "utf8"));
  for (const { name, blocks } of alertPages) {
    // It always fires: its end is that nobody hears of it.
    const ends = name === "SwitchgearWatchdog" ? "isSilent" : `ends("${name}"`;
    const calls = [`fires("${name}"`, ends];
    for (const [section, verb] of Object.entries(VERBS)) {
      if (!blocks.some((block) => block.section === section && block.tag === "")) continue;
      calls.push(`${verb}("${name}"`);
    }
    assert.ok(
      stories.some((text) => calls.every((call) => text.includes(call))),
      `no test of ${name} has all of ${calls.join(", ")}`,
    );
  }
});

test("no command and no line that one shows has gone", () => {
  for (const { name, sections, blocks } of pages) {
    const found = Object.fromEntries(
      sections
        .map((section) => blocks.filter((block) => block.section === section))
        .filter((own) => own.length > 0)
        .map((own) => [own[0]?.section, own.map(outline).join(", ")]),
    );
    assert.deepEqual(found, OUTLINES[name], name);
  }
  assert.deepEqual(
    Object.keys(OUTLINES),
    pages.map(({ name }) => name),
  );
});

test("every command parses", () => {
  for (const [page, block] of allBlocks()) {
    const { status, stderr } = spawnSync("bash", ["-n"], { input: block.commands });
    assert.equal(status, 0, `${page.name}: ${block.commands}${stderr.toString()}`);
  }
});

test("every variable of a command is named on its page, and explained in the index", () => {
  const index = readPage("README");
  const explained = new Set([...index.text.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name));
  for (const [{ name, text }, block] of allBlocks()) {
    for (const variable of variablesOf(block)) {
      if (LOCAL.has(variable)) continue;
      assert.ok(text.includes(`\`${variable}\``), `${name} does not name ${variable}`);
      assert.ok(explained.has(variable), `the index does not explain ${variable} of ${name}`);
    }
  }
});

test("every page links the one place that says how to reach what it asks", () => {
  for (const { name, text } of alertPages) {
    assert.ok(text.includes("](README.md#ways-in)"), name);
    assert.doesNotMatch(text, /port-forward|get secret switchgear-admin/, name);
  }
});

test("a block with any of its variables unset or empty ends at once, and names it", () => {
  let seen = 0;
  for (const [{ name }, block] of allBlocks()) {
    const variables = variablesOf(block);
    for (const unset of variables.filter((one) => !LOCAL.has(one))) {
      for (const value of [undefined, ""]) {
        const env: Record<string, string> = { PATH: "/nowhere", USER: "ann" };
        for (const one of variables) env[one] = "anything";
        if (value === undefined) Reflect.deleteProperty(env, unset);
        else env[unset] = value;
        const ran = spawnSync("/bin/bash", ["-c", block.commands], {
          env,
          encoding: "utf8",
          // With a socket there, bash would read the user's own settings.
          stdio: ["ignore", "pipe", "pipe"],
        });
        const what = `${name}, ${unset}:\n${block.commands}${ran.stdout}${ran.stderr}`;
        assert.notEqual(ran.status, 0, what);
        assert.equal(ran.stdout, "", what);
        assert.match(ran.stderr, new RegExp(`\\b${unset}: `), what);
        assert.equal(ran.stderr.trim().split("\n").length, 1, what);
        // Pasted into a person's shell, which goes on with the next command after an error.
        const pasted = spawnSync("/bin/bash", ["--norc", "-i"], {
          env: { ...env, PS1: "" },
          encoding: "utf8",
          input: block.commands,
        });
        assert.equal(pasted.stdout, "", `${what}${pasted.stderr}`);
        assert.match(pasted.stderr, new RegExp(`\\b${unset}: `), what);
        assert.doesNotMatch(pasted.stderr, /not found|No such file/, what);
        seen += 1;
      }
    }
  }
  assert.ok(seen > 200);
});

/** Known to every shell. */
const LOCAL = new Set(["USER"]);

test("a page names no variable that none of its commands reads", () => {
  for (const { name, text, blocks } of alertPages) {
    const [needs = ""] = /\bNeeds\s[^;]*;/.exec(text) ?? [];
    assert.notEqual(needs, "", name);
    const read = new Set(blocks.flatMap(variablesOf));
    // The command line reads these two itself.
    const asked = blocks.flatMap(({ commands }) =>
      commands
        .split("\n")
        .filter((line) => /\bswitchgear (?:status|history|trip|reset)\b/.test(line)),
    );
    if (asked.some((line) => !line.includes("--url"))) read.add("SWITCHGEAR_URL");
    if (blocks.some(({ commands }) => /\bswitchgear (?:trip|reset)/.test(commands))) {
      read.add("SWITCHGEAR_ADMIN_TOKEN");
    }
    const named = [...needs.matchAll(/`(\w+)`/g)].map(([, variable = ""]) => variable);
    assert.deepEqual(named.toSorted(), [...read].filter((one) => !LOCAL.has(one)).toSorted(), name);
  }
});

/** As GitHub makes them of headings. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = ""]) =>
    anchor(heading),
  );
}

test("every relative link leads to a file, and to a heading of it", () => {
  let seen = 0;
  for (const { name, text } of pages) {
    const here = join(ROOT, "runbooks", `${name}.md`);
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = "", heading] = target.split("#");
      const file = path === "" ? here : join(dirname(here), path);
      assert.ok(existsSync(file), `${name}: ${target}`);
      if (heading !== undefined) assert.ok(anchorsOf(file).includes(heading), `${name}: ${target}`);
      seen += 1;
    }
  }
  assert.ok(seen > 40);
});

test("the reader of pages sees what a person sees", () => {
  const text =
    '# A\n\n## Diagnosis\n\n```sh\nfor n in 1; do echo $n ${B} "$C"; done\nX=1 echo $X\n```\n\n```text\na … c\n```\n\n```text other\nb\nd\n```\n\n```sh kubectl\nx\n```\n\n## Verify\n\n```text\nnobody\'s\n```\n';
  const { blocks, sections } = parsePage("A", text);
  assert.deepEqual(sections, ["Diagnosis", "Verify"]);
  assert.deepEqual(
    blocks.map(({ tag, shows }) => [tag, ...shows]),
    [["", ["", ["a … c"]], ["other", ["b", "d"]]], ["kubectl"]],
  );
  assert.deepEqual(variablesOf(blocks[0] as Block), ["B", "C"]);
  assert.equal(missingLine(["a … c", "d"], "x a  b   c\nd"), undefined);
  assert.equal(missingLine(["a … c"], "a c"), undefined);
  assert.equal(missingLine(["d", "a"], "a\nd"), "a");
  assert.equal(missingLine(["a.c"], "abc"), "a.c");
  assert.equal(missingLine(["NAME STATE"], "NAMESTATE"), "NAME STATE");
});

function* allBlocks(): Generator<readonly [Page, Block]> {
  for (const page of pages) for (const block of page.blocks) yield [page, block];
}
