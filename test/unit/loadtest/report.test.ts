// The report of load tests: what runs prove together, and a page that shows it.

import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import {
  latencyOf,
  overloads,
  ratesOf,
  seriesOf,
  zeroMs,
} from "../../../loadtest/report/timeline.ts";
import { readRun } from "../../../loadtest/report/runs.ts";
import { proofOf } from "../../../loadtest/report/verdict.ts";
import { writeReport } from "../../../loadtest/report/write.ts";
import type { Row, RunRecord, Sample } from "../../../loadtest/run/data.ts";

const START_MS = 1_795_832_215_000;

const VERDICT = {
  name: "goodput_of_capacity",
  threshold: "count>=0.95",
  held: true,
  value: 0.98,
  says: "good answers as share of capacity",
  judged: 600,
  least: 500,
  isAboutTheRun: false,
} as const;

function record(more: Partial<RunRecord> = {}): RunRecord {
  return {
    subject: "gateway",
    scenario: "spike",
    scale: 1,
    isShort: true,
    runtime: "node",
    deadlineMs: 2000,
    target: "draftkings",
    healthy: "fanduel",
    baseline: { deadlineMs: 2000, healthyP99Ms: 90, medianMs: 80, capacity: 200 },
    steps: [
      { phase: "calm", startMs: START_MS, seconds: 2, perSecond: 20 },
      { phase: "overload", startMs: START_MS + 2000, seconds: 2, perSecond: 1000 },
    ],
    verdicts: [VERDICT],
    outcome: "held",
    wakeMs: 0.1,
    exitCode: 0,
    startMs: START_MS,
    endMs: START_MS + 4000,
    ...more,
  };
}

const breached: Partial<RunRecord> = {
  outcome: "breached",
  verdicts: [{ ...VERDICT, held: false, value: 0.4 }],
};

describe("what runs prove together", () => {
  const control = record({ subject: "none", runtime: null, ...breached });

  test("it is held when what is protected held and what is not breached", () => {
    assert.deepEqual(proofOf([record(), control]), { outcome: "held", faults: [] });
  });

  test("a control that held says that the load was none", () => {
    const proof = proofOf([record(), record({ subject: "opossum", runtime: null })]);
    assert.equal(proof.outcome, "breached");
    assert.match(proof.faults.join(), /opossum.*held without protection/);
  });

  test("a breached claim is named", () => {
    const proof = proofOf([record(breached), control]);
    assert.equal(proof.outcome, "breached");
    assert.deepEqual(proof.faults, ["spike, Switchgear on node: breached goodput_of_capacity"]);
  });

  test("without a verdict of one, or without any run, nothing is proven", () => {
    assert.equal(proofOf([record(), { ...control, outcome: "void" }]).outcome, "void");
    assert.equal(proofOf([record({ outcome: "void", verdicts: [] }), control]).outcome, "void");
    assert.equal(proofOf([]).outcome, "void");
  });
});

describe("a run's folder", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "switchgear-report-"));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function write(name: string, run: RunRecord): string {
    const place = join(folder, name);
    const row = (atMs: number, more: Partial<Row> = {}): Row => ({
      atMs: START_MS + atMs,
      bookmaker: "draftkings",
      offered: 0,
      ok: 0,
      refused: {},
      timeouts: 0,
      errors: 0,
      latency: {},
      ...more,
    });
    const rows = [
      row(0, { offered: 4, ok: 4, latency: { critical: { p50: 80, p99: 90 } } }),
      row(2000, { offered: 200, ok: 40, refused: { limit: 150, priority: 10 }, timeouts: 2 }),
      row(2200, {
        offered: 200,
        ok: 40,
        errors: 3,
        latency: { sheddable: { p50: 90, p99: 400 }, critical: { p50: 80, p99: 100 } },
      }),
      row(2000, {
        bookmaker: "fanduel",
        offered: 10,
        ok: 10,
        latency: { critical: { p50: 9, p99: 12 } },
      }),
    ];
    const sample: Sample = {
      atMs: START_MS + 2200,
      lagMs: 0,
      bookmakers: {},
      series: {
        'switchgear_limit_concurrency{bookmaker="draftkings"}': 24,
        'switchgear_limit_concurrency{bookmaker="fanduel"}': 20,
        'switchgear_limit_in_flight{bookmaker="draftkings",criticality="critical"}': 5,
        'switchgear_limit_in_flight{bookmaker="draftkings",criticality="sheddable"}': 7,
      },
    };
    mkdirSync(place);
    writeFileSync(join(place, "run.json"), JSON.stringify(run));
    writeFileSync(
      join(place, "rows.jsonl"),
      `${rows.map((one) => JSON.stringify(one)).join("\n")}\n`,
    );
    writeFileSync(join(place, "samples.jsonl"), `${JSON.stringify(sample)}\n`);
    return place;
  }

  test("becomes rates a second, counted from the step", () => {
    const run = readRun(write("a", record()));
    assert.equal(zeroMs(run), START_MS + 2000);
    assert.deepEqual(overloads(run.record, zeroMs(run)), [[0, 2]]);
    const { offered, ok, refused, timeouts, errors } = ratesOf(run);
    assert.deepEqual(offered, [
      [-2, 4],
      [-1, 0],
      [0, 400],
    ]);
    assert.deepEqual(
      [ok.at(-1), refused.at(-1)],
      [
        [0, 80],
        [0, 160],
      ],
    );
    assert.deepEqual(
      [timeouts.at(-1), errors.at(-1)],
      [
        [0, 2],
        [0, 3],
      ],
    );
    assert.deepEqual(latencyOf(run, "p99"), [
      [-2, 90],
      [-1, null],
      [0, 400],
    ]);
    assert.deepEqual(seriesOf(run, "switchgear_limit_in_flight"), [[0.2, 12]]);
    assert.deepEqual(seriesOf(run, "switchgear_limit_concurrency"), [[0.2, 24]]);
  });

  test("links to k6's own report where there is one", () => {
    const [with_, without] = [write('a "b"#', record()), write("c", record())];
    writeFileSync(join(with_, "k6-dashboard.html"), "k6's own");
    const out = join(folder, "out");

    writeReport(out, [with_, without]);

    const page = readFileSync(join(out, "report.html"), "utf8");
    const hrefs = [...page.matchAll(/<a href="([^"#]+)">k6's own report/g)].map(([, href]) => href);
    assert.deepEqual(hrefs, ["../a%20%22b%22%23/k6-dashboard.html"]);
    const linked = new URL(hrefs[0] ?? "", pathToFileURL(join(out, "report.html")));
    assert.equal(readFileSync(linked, "utf8"), "k6's own");
  });

  test("becomes a page that needs nothing else, a picture and a summary", () => {
    const hostile = "<script>alert(1)</script>";
    const says = `a claim ${hostile}`;
    const folders = [
      write("a", record({ verdicts: [{ ...VERDICT, says }] })),
      write("b", record({ subject: "none", runtime: null, ...breached })),
    ];
    const out = join(folder, "out");
    assert.equal(writeReport(out, folders).outcome, "held");
    const page = readFileSync(join(out, "report.html"), "utf8");
    assert.match(page, /Proven/);
    assert.ok(!page.includes(hostile));
    assert.doesNotMatch(page, /(?:src|href)="?(?:https?:)?\/\//);
    assert.equal(page.match(/<svg/g)?.length, 4);
    assert.match(page, /no protection: breached, as it should be/);
    const summary = JSON.parse(readFileSync(join(out, "summary.json"), "utf8")) as {
      readonly outcome: string;
      readonly runs: readonly { readonly verdicts: readonly { readonly value: number }[] }[];
    };
    assert.deepEqual([summary.outcome, summary.runs[1]?.verdicts[0]?.value], ["held", 0.4]);
    const png = readFileSync(join(out, "spike.png"));
    assert.deepEqual([...png.subarray(1, 4)], [...Buffer.from("PNG")]);
  });
});
