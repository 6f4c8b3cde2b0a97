// Other people's values: what is rendered from them passes the tests that are rendered with it, and what is
// wrong in them is told.

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { DEFAULT_VALUES, renderAlerts } from "../../scripts/alerts/render.ts";
import { readValues, ValuesError } from "../../scripts/alerts/values.ts";
import { programsOf } from "../support/docs.ts";
import { start } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { eachOf, promtool, ROOT } from "./rule-files.ts";

// promtool does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : whyNoTools();

const OTHERS = join(ROOT, "test/fixtures/alerts-values.yaml");

/** These wait for days or hours: with other values they would cost minutes, and ask nothing else. */
const LONG = /SwitchgearModeForgotten|CircuitBreakerStuckOpen|SwitchgearDown-days/;

const folder = mkdtempSync(join(tmpdir(), "switchgear-values-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test(
  "with other values everywhere the rules pass their lints and the tests that come with them",
  { skip },
  async () => {
    const files = await renderAlerts(readValues(DEFAULT_VALUES, OTHERS));
    for (const { path, content } of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    const pathsOf = (pattern: RegExp): string[] =>
      files.filter(({ path }) => pattern.test(path)).map(({ path }) => join(folder, path));
    const rules = pathsOf(/^alerts\/[\w-]+\.yml$/);
    assert.equal(rules.length, 4);
    const { code, output } = await promtool(
      "check",
      "rules",
      "--lint=all",
      "--lint-fatal",
      ...rules,
    );
    assert.equal(code, 0, output);

    const failures: string[] = [];
    const tests = pathsOf(/^alerts\/tests\//).filter((path) => !LONG.test(path));
    assert.ok(tests.length >= 25);
    await eachOf(tests, availableParallelism(), async (path) => {
      const ended = await promtool("test", "rules", path);
      if (ended.code !== 0) failures.push(`${path}: ${ended.output}`);
    });
    assert.deepEqual(failures, []);

    const [routing = "", scraping = ""] = [/alertmanager\.yml$/, /prometheus\.yml$/].flatMap(
      pathsOf,
    );
    assert.equal((await start([toolPath("amtool"), "check-config", routing]).ended).code, 0);
    assert.equal((await promtool("check", "config", "--lint=all", scraping)).code, 0);
  },
);

for (const [ends, text] of [
  [
    "least",
    "{ missedFor: 1h, flapping: { within: 10m, trips: 3 }, mostlyOpen: { share: 0.2, within: 15m, trips: 2 }, manyTripped: { atLeast: 2, share: 0.2, anyway: 2 } }",
  ],
  [
    "most",
    "{ gap: 3m, shedShare: 0.5, flapping: { within: 1h, trips: 9 }, mostlyOpen: { share: 0.8, within: 1h } }",
  ],
  ["fewest missed", "{ gap: 1m, mostlyOpen: { trips: 4 } }"],
  ["most of half an hour", "{ mostlyOpen: { share: 0.8 } }"],
] as const) {
  test(`at the ends of what a value may be, the ${ends}, its tests pass`, { skip }, async () => {
    const into = join(folder, ends);
    mkdirSync(into, { recursive: true });
    const own = join(into, "values.yaml");
    writeFileSync(own, text);
    const usual = new Map(
      (await renderAlerts(readValues(DEFAULT_VALUES))).map(({ path, content }) => [path, content]),
    );
    const files = await renderAlerts(readValues(DEFAULT_VALUES, own));
    for (const { path, content } of files) {
      mkdirSync(dirname(join(into, path)), { recursive: true });
      writeFileSync(join(into, path), content);
    }
    // Only those that the values change.
    const tests = files.filter(
      ({ path, content }) =>
        path.startsWith("alerts/tests/") && usual.get(path) !== content && !LONG.test(path),
    );
    assert.ok(tests.length > 0);
    const failures: string[] = [];
    await eachOf(tests, availableParallelism(), async ({ path }) => {
      const { code, output } = await promtool("test", "rules", join(into, path));
      if (code !== 0) failures.push(`${path}: ${output}`);
    });
    assert.deepEqual(failures, []);
  });
}

test("nothing of the repository's own values is left where there are others", async () => {
  const files = await renderAlerts(readValues(DEFAULT_VALUES, OTHERS));
  for (const { path, content } of files) {
    assert.doesNotMatch(content, /switchgear\.example|grafana\.example/, path);
    assert.doesNotMatch(content, /job="switchgear"}/, path);
    if (path.startsWith("runbooks/")) assert.doesNotMatch(content, /job=\\"switchgear\\"/, path);
    assert.doesNotMatch(content, /<<|>>[^-]/, path);
    assert.doesNotMatch(content, /undefined|NaN\b(?! NaN|$)/m, path);
  }
});

test("the runbooks say what these values make of the alerts", async () => {
  const files = await renderAlerts(readValues(DEFAULT_VALUES, OTHERS));
  const pages = new Map(files.map(({ path, content }) => [path, content]));
  const says = (alert: string, ...texts: string[]): void => {
    const page = pages.get(`runbooks/${alert}.md`) ?? "";
    for (const text of texts) assert.ok(page.includes(text), `${alert}: ${text}\n${page}`);
  };
  says("CircuitBreakerSuccessRatioLow", "fewer than 90 succeeded");
  says("CircuitBreakerFlapping", "at least 3 times within 10 minutes", "[10m]");
  says("CircuitBreakerMostlyOpen", "40 % of the last 20 minutes", "at least 2 times", "[20m]");
  says("CircuitBreakerStuckOpen", "tripped for 2 hours, and", "odds for 2 hours.", "[2h]");
  says("CircuitBreakerManyTripped", "At least 2 bookmakers and 34 % of all, or 5,");
  says("SwitchgearModeForgotten", "been so for 6 hours.");
  says("SwitchgearDown", "missed for 12 hours", 'up{job=~\\"switchgear|hyper-bun\\", namespace');
  says(
    "SwitchgearErrorBudgetBurn",
    "Over 2h critical: it wakes somebody; over 1d a warning: it waits for the day.",
    "99.5 % of the calls",
    "90 % of the calls that succeed are to take no longer\nthan 2.5 s.",
    "at the pace of 2h in 3.8 days and of 1d in 15.",
    "that of 2h after 15 minutes and that of 1d after 65 minutes.",
  );
  // No limit, no alert about it, no page.
  assert.equal(pages.has("runbooks/SwitchgearScrapeNearLimit.md"), false);
});

for (const [what, text, fault] of [
  ["a name that is none", "shedShar: 0.1", /Unrecognized key: "shedShar"/],
  ["a share beyond 1", "shedShare: 5", /shedShare: .*<=0\.5/],
  ["a duration that is none", "gap: soon", /gap: a duration of one unit, such as "15m"/],
  ["a job that would end the quotes", `jobs: ['a"b']`, /jobs\.0: a name of letters/],
  [
    "an address with a template",
    "grafana: https://x/{{ .y }}",
    /grafana: an address without quotes/,
  ],
  [
    "no bucket",
    "slo: { latency: { seconds: 3 } }",
    /slo\.latency\.seconds: one of the buckets: 0\.005, /,
  ],
  [
    "too short a gap",
    "{ gap: 1m, scrape: { interval: 30s } }",
    /gap: three scrapes at least, which take 90s/,
  ],
  ["too long a gap", "gap: 4m", /gap: from 1m to 3m/],
  ["a gap that its tests cannot keep", "gap: 50s", /gap: a multiple of 15s/],
  ["an absurd duration", "missedFor: 999999999d", /missedFor: from 1h to 7d/],
  ["too short to miss", "missedFor: 59m", /missedFor: from 1h to 7d/],
  ["a fleet of one", "manyTripped: { atLeast: 1 }", /manyTripped\.atLeast: .*>=2/],
  ["too short to flap", "flapping: { within: 9m }", /flapping\.within: from 10m to 1h/],
  ["twice, which is not again and again", "flapping: { trips: 2 }", /flapping\.trips: .*>=3/],
  ["half of all shed", "shedShare: 0.51", /shedShare: .*<=0\.5/],
  ["a share of nearly none", "mostlyOpen: { share: 0.19 }", /mostlyOpen\.share: .*>=0\.2/],
  ["a share of nearly all", "mostlyOpen: { share: 0.81 }", /mostlyOpen\.share: .*<=0\.8/],
  ["most of a moment", "mostlyOpen: { within: 14m }", /mostlyOpen\.within: from 15m to 2h/],
  ["most of a day", "mostlyOpen: { within: 3h }", /mostlyOpen\.within: from 15m to 2h/],
  [
    "a share for which the window is too short",
    "mostlyOpen: { share: 0.8, trips: 4 }",
    /mostlyOpen\.within: 1875s at least, with this share/,
  ],
  ["too long between scrapes", "scrape: { interval: 2m }", /scrape\.interval: from 1s to 1m/],
  ["stuck for a moment", "stuckOpenAfter: 5m", /stuckOpenAfter: from 15m to 7d/],
  ["forgotten for a moment", "modeForgottenAfter: 5m", /modeForgottenAfter: from 15m to 30d/],
  [
    "a fleet of fewer",
    "manyTripped: { atLeast: 9, anyway: 3 }",
    /manyTripped\.anyway: no fewer than atLeast/,
  ],
  [
    "a pace that nobody reaches",
    "slo: { success: { objective: 0.9 } }",
    /slo\.windows\.0\.factor: 14\.4 times the budget of slo\.success is more than all calls/,
  ],
  [
    "windows in another order",
    "slo: { windows: [{ long: 6h, short: 30m, factor: 6, for: 15m, severity: critical }, { long: 1h, short: 5m, factor: 14.4, for: 2m, severity: critical }] }",
    /slo\.windows\.1: longer than the one before/,
  ],
  [
    "an absurd budget",
    "slo: { windows: [{ long: 31d, short: 8d, factor: 1, for: 2d, severity: warning }] }",
    /long: from 5m to 30d\n.*short: from 1m to 7d\n.*for: from 1m to 1d/,
  ],
  ["no YAML", "a: [", /flow/i],
] as const) {
  test(`${what} is told, with its place`, () => {
    const file = join(folder, "values.yaml");
    writeFileSync(file, text);
    assert.throws(
      () => readValues(DEFAULT_VALUES, file),
      (error) =>
        error instanceof ValuesError && fault.test(error.message) && error.message.includes(file),
    );
  });
}

test("the command of docs/alerts.md renders everything, its page among it", async () => {
  const [command = ""] = programsOf("docs/alerts.md", "sh");
  const [, args = ""] = /^npm run alerts -- (.*)$/m.exec(command) ?? [];
  const given = args
    .replace("my.yaml", OTHERS)
    .replace("rendered", join(folder, "rendered"))
    .split(" ");
  assert.equal(given.length, 4);
  const script = join(ROOT, "scripts/alerts.ts");
  const { code, stdout, stderr } = await start([process.execPath, script, ...given]).ended;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\d+ files written to /);
  const page = readFileSync(join(folder, "rendered/docs/alerts.md"), "utf8");
  assert.match(
    page,
    /\| \[`CircuitBreakerManyTripped`\].*\| pagerduty .*`CircuitBreakerTripped`, /,
  );
  assert.match(page, /\| \[`SwitchgearPagerDeliveryFailing`\].*\| second-channel /);
  // The page's links lead to something, and to no alert that is not there.
  for (const [, target = ""] of page.matchAll(/\]\(\.\.\/(runbooks\/\w+\.md)/g)) {
    assert.ok(existsSync(join(folder, "rendered", target)), target);
  }
  const rendered = readdirSync(join(folder, "rendered/runbooks"));
  assert.equal(rendered.length, readdirSync(join(ROOT, "runbooks")).length - 1);
  assert.ok(rendered.includes("README.md"));
});

test("npm run alerts says what is wrong, and writes nothing", async () => {
  const file = join(folder, "wrong.yaml");
  writeFileSync(file, "shedShare: 5");
  const out = join(folder, "out");
  const script = join(ROOT, "scripts/alerts.ts");
  const { code, stderr } = await start([process.execPath, script, "--values", file, "--out", out])
    .ended;
  assert.equal(code, 1);
  assert.match(stderr, /^alerts: .*wrong\.yaml\n {2}shedShare: /);
  assert.throws(() => rmSync(out), /ENOENT/);
});
