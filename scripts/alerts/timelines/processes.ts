// Processes, their stores, their logs, and what is not there at all.

import { secondsOf, type Values } from "../values.ts";
import { strangers, warning } from "./breakers.ts";
import { links, NAMESPACE, ONE, pipelineLinks, series, TWO } from "./subject.ts";
import {
  counter,
  gauge,
  inputs,
  isFiring,
  questions,
  tells,
  times,
  type Firing,
  type Labels,
  type TestCase,
  type TimelineFile,
} from "./timeline.ts";

const STEP = 15;
const HERE = { namespace: NAMESPACE };

export function down(values: Values): TimelineFile {
  const alert = "SwitchgearDown";
  const job = values.jobs[0] ?? "";
  const labels = { severity: "critical", job, ...HERE };
  const up = (more: Labels = {}): string => series(values, "up", more);
  const firing = {
    labels,
    annotations: {
      summary: "Switchgear is down in bets",
      description: `No replica of ${job} has answered a scrape for 2 minutes.`,
      ...links(values, alert),
    },
  };
  return {
    name: alert,
    about: "No replica answers, or none is left.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 120,
        keepSeconds: 120,
        lines: [gauge(up(), 0, 1), gauge(up({ instance: TWO }), 0, 1)],
        firing,
        disagreeing: {
          says: "one that answers is enough",
          lines: [gauge(up(), 0), gauge(up({ instance: TWO }), 1)],
          firing: [],
        },
        absent: {
          says: "what never was is not missed, and SwitchgearMetricsAbsent pages",
        },
      }),
      {
        name: "production's only pod is pending while staging is well",
        input_series: [
          { series: up(), values: "1x20 stale" },
          { series: up({ namespace: "staging" }), values: "1x400" },
          // Another program of the same namespace, which is well, stands for nobody.
          { series: up({ job: "other", instance: TWO }), values: "1x400" },
        ],
        alert_rule_test: [tells(alert, 21 * STEP + 119), tells(alert, 21 * STEP + 120, [firing])],
        promql_expr_test: [isFiring(alert, 6000, [labels])],
      },
      // Where the values name one job only, no other is ours.
      ...values.jobs.slice(1, 2).map((other): TestCase => ({
        name: "one of two jobs of a namespace is gone or down while the other is well",
        input_series: [
          { series: up(), values: "1x20 stale" },
          { series: up({ job: other, instance: TWO }), values: "1x400" },
          { series: up({ cluster: "east" }), values: "1x400" },
          { series: up({ cluster: "east", job: other, instance: TWO }), values: "1x20 0x380" },
        ],
        alert_rule_test: [tells(alert, 21 * STEP + 119)],
        promql_expr_test: [
          isFiring(alert, 21 * STEP + 120, [labels, { ...labels, cluster: "east", job: other }]),
        ],
      })),
      strangers(alert, [120, 600], inputs([gauge(up({ job: "other" }), 0)], times("on", 60))),
    ],
  };
}

/** As long as the values say, which is days: with a sample a minute. */
export function downForDays(values: Values): TimelineFile {
  const alert = "SwitchgearDown";
  const labels = { severity: "critical", job: values.jobs[0] ?? "", ...HERE };
  const missed = secondsOf(values.missedFor);
  return {
    name: `${alert}-days`,
    about: "A namespace that was given up.",
    stepSeconds: 60,
    rules: ["process.yml"],
    tests: [
      {
        name: "a namespace that was given up is missed for as long as the values say",
        input_series: [{ series: series(values, "up"), values: "1x20 stale" }],
        promql_expr_test: [
          isFiring(alert, 1500, [labels]),
          isFiring(alert, missed + 1140, [labels]),
        ],
        alert_rule_test: [tells(alert, missed + 1380)],
      },
    ],
  };
}

export function instanceDown(values: Values): TimelineFile {
  const alert = "SwitchgearInstanceDown";
  const own = { job: values.jobs[0] ?? "", instance: ONE };
  const { labels, firing } = warning(
    values,
    alert,
    [`Replica ${ONE} does not answer`, `${ONE} has not answered a scrape for 10 minutes.`],
    { ...HERE, ...own },
  );
  const up = (more: Labels = {}): string => series(values, "up", more);
  return {
    name: alert,
    about: "One replica does not answer.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 600,
        keepSeconds: 120,
        lines: [gauge(up(), 0, 1)],
        firing,
        startsAnew: true,
        disagreeing: {
          says: "the one that does not answer",
          lines: [gauge(up(), 0), gauge(up({ instance: TWO }), 1)],
          firing: [labels],
        },
      }),
      strangers(alert, [600, 900], inputs([gauge(up({ job: "other" }), 0)], times("on", 90))),
    ],
  };
}

export function metricsAbsent(values: Values): TimelineFile {
  const alert = "SwitchgearMetricsAbsent";
  const job = values.jobs[0] ?? "";
  const texts = (namespace: string, of: string) => ({
    summary: `No circuit breaker reports its state in ${namespace}`,
    description: `Nothing has been scraped of ${of} for 5 minutes. Trips go unseen.`,
    ...pipelineLinks(values, alert),
  });
  const labels = { severity: "critical", job, ...HERE };
  const nowhere: Labels & { job?: string } = {
    severity: "critical",
    namespace: values.namespace,
    // `absent` knows the job where there is one.
    ...(values.jobs.length === 1 ? { job } : {}),
  };
  const up = (more: Labels = {}): string => series(values, "up", more);
  const info = (more: Labels = {}): string =>
    series(values, "switchgear_build_info", { version: "1.0.0", runtime: "node", ...more });
  const empty = [gauge(up(), 1, 1), gauge(info(), "absent", 1)];
  const missed = secondsOf(values.missedFor);
  return {
    name: alert,
    about: "A scrape that answers and holds nothing, and jobs that find no target at all.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        isOfPipeline: true,
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 120,
        lines: empty,
        firing: { labels, annotations: texts(NAMESPACE, job) },
        startsAnew: true,
        disagreeing: {
          says: "one that reports is enough",
          lines: [...empty, gauge(up({ instance: TWO }), 1), gauge(info({ instance: TWO }), 1)],
          firing: [],
        },
        absent: { says: "jobs that find no target are the alert", firing: [nowhere] },
      }),
      {
        name: "nothing is scraped at all, with its text",
        input_series: [],
        alert_rule_test: [
          tells(alert, 299),
          tells(alert, 300, [
            {
              labels: nowhere,
              annotations: texts(values.namespace, nowhere.job ?? "Switchgear"),
            },
          ]),
        ],
      },
      {
        name: "a target that was there is SwitchgearDown's to miss, and after that nobody else's",
        input_series: [{ series: up(), values: "1x9 stale" }],
        alert_rule_test: [tells(alert, 600), tells(alert, 0.9 * missed), tells(alert, missed)],
        promql_expr_test: [isFiring(alert, missed + 1200, [nowhere])],
      },
      {
        name: "a gateway without upstreams reports, and one that does not answer is SwitchgearDown's",
        input_series: inputs(
          [gauge(up(), 1), gauge(info(), 1), gauge(up({ namespace: "staging" }), 0)],
          times("on", 60),
        ),
        alert_rule_test: [tells(alert, 300), tells(alert, 600)],
      },
      ...values.jobs.slice(1, 2).map((other): TestCase => ({
        name: "one of two jobs of a namespace holds nothing while the other reports",
        input_series: inputs(
          [gauge(up(), 1), gauge(up({ job: other, instance: TWO }), 1)].concat(
            gauge(info({ job: other, instance: TWO }), 1),
          ),
          times("on", 60),
        ),
        promql_expr_test: [isFiring(alert, 300, [labels])],
      })),
      {
        name: "each namespace and cluster has its own, and another program's information is none",
        input_series: inputs(
          [
            gauge(up({ cluster: "east" }), 1),
            gauge(info({ cluster: "west" }), 1),
            gauge(info({ cluster: "east", namespace: "staging" }), 1),
            gauge(info({ cluster: "east", job: "other" }), 1),
            gauge(up({ cluster: "north" }), 1),
            gauge(info({ cluster: "north" }), 1),
            gauge(up({ namespace: "payments", job: "other" }), 1),
          ],
          times("on", 60),
        ),
        promql_expr_test: [isFiring(alert, 300, [{ ...labels, cluster: "east" }])],
      },
    ],
  };
}

export function seriesMissing(values: Values): TimelineFile {
  const alert = "SwitchgearSeriesMissing";
  const { labels, firing } = warning(
    values,
    alert,
    [
      "2 bookmakers of bets no longer report their state",
      "2 breakers were there within the last hour and are not there now.",
    ],
    HERE,
  );
  const tripped = (bookmaker: string, more: Labels = {}): string =>
    series(values, "circuit_breaker_tripped", { bookmaker, ...more });
  const gap = secondsOf(values.gap);
  // There for 20 minutes; from a gap after its last sample on it is missing.
  const gone = "0x80 stale";
  const lines = [
    { series: tripped("draftkings"), values: gone },
    { series: tripped("fanduel"), values: gone },
    { series: tripped("pinnacle"), values: "0x500" },
  ];
  const missing = 80 * STEP + gap;
  const one = (cluster: string, count: number): Firing =>
    warning(
      values,
      alert,
      [
        `${count} bookmakers of bets no longer report their state`,
        `${count} breakers were there within the last hour and are not there now.`,
      ],
      { ...HERE, cluster },
    ).firing;
  const fires = missing + 600;
  return {
    name: alert,
    about: "Breakers that were there and are not; one ticket for each namespace.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      { name: "fires", input_series: lines, alert_rule_test: [tells(alert, fires, [firing])] },
      {
        name: "does not fire one step before",
        input_series: lines,
        alert_rule_test: [tells(alert, fires - STEP), tells(alert, fires - 1)],
      },
      {
        name: "resolves: an hour after it looked for them",
        input_series: lines,
        promql_expr_test: [isFiring(alert, 80 * STEP + 4200 - STEP, [labels])],
        alert_rule_test: [tells(alert, 80 * STEP + 4200)],
      },
      {
        name: "survives a missed scrape: within the gap nobody is missing",
        input_series: [{ series: tripped("draftkings"), values: `0x80 _x${gap / STEP - 1} 0x80` }],
        alert_rule_test: [tells(alert, missing), tells(alert, fires), tells(alert, fires + 600)],
      },
      {
        name: "stale marker: a failed scrape changes nothing, and neither does each third",
        input_series: inputs(
          [gauge(tripped("draftkings"), 0)],
          Array.from({ length: 300 }, (_, n) => (n % 3 === 2 ? "stale" : "on")),
        ),
        alert_rule_test: [tells(alert, 1200), tells(alert, 1800), tells(alert, 4000)],
      },
      {
        name: "two replicas that disagree: one that reports it is enough",
        input_series: [
          ...lines.slice(0, 2),
          { series: tripped("draftkings", { instance: TWO }), values: "0x500" },
          { series: tripped("fanduel", { instance: TWO }), values: "0x500" },
        ],
        alert_rule_test: [tells(alert, fires), tells(alert, fires + 600)],
      },
      {
        name: "absent series: what never was is not missed",
        input_series: [],
        alert_rule_test: [tells(alert, 0), tells(alert, 3600)],
      },
      strangers(
        alert,
        [fires, fires + 600],
        [{ series: tripped("draftkings", { job: "other" }), values: gone }],
      ),
      {
        name: "of each namespace its own",
        input_series: [
          ...lines,
          { series: tripped("draftkings", { namespace: "staging" }), values: "0x500" },
          { series: tripped("fanduel", { cluster: "west" }), values: "0x500" },
        ],
        promql_expr_test: [isFiring(alert, fires, [labels])],
      },
      {
        name: "each cluster tells of its own, once for all replicas; another program knows none of them",
        input_series: [
          { series: tripped("draftkings", { cluster: "east" }), values: gone },
          { series: tripped("draftkings", { cluster: "east", instance: TWO }), values: gone },
          { series: tripped("draftkings", { cluster: "east", job: "other" }), values: "0x500" },
          { series: tripped("fanduel", { cluster: "east" }), values: "0x500" },
          { series: tripped("draftkings", { cluster: "west" }), values: gone },
          { series: tripped("fanduel", { cluster: "west" }), values: gone },
        ],
        alert_rule_test: [tells(alert, fires, [one("east", 1), one("west", 2)])],
      },
    ],
  };
}

export function storeDown(values: Values): TimelineFile {
  const alert = "SwitchgearStoreDown";
  const own = { job: values.jobs[0] ?? "", instance: ONE };
  const told = (pending: string) =>
    warning(
      values,
      alert,
      [
        `The store of ${ONE} fails`,
        `The store has failed for 5 minutes. Changes that wait for it: ${pending}.`,
      ],
      { ...HERE, ...own },
    );
  const { labels, firing } = told("3");
  const up = (more: Labels = {}): string => series(values, "switchgear_store_up", more);
  const pending = (more: Labels = {}): string => series(values, "switchgear_store_pending", more);
  return {
    name: alert,
    about: "A store that fails for minutes, and what waits for it.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 300,
        keepSeconds: 120,
        lines: [
          gauge(up(), 0, 1),
          gauge(pending({ job: "another" }), 7),
          gauge(pending(), 3, 0),
          gauge(pending({ instance: TWO }), 9),
          gauge(pending({ namespace: "staging" }), 8),
        ],
        firing,
        disagreeing: {
          says: "the one that fails",
          lines: [gauge(up(), 0), gauge(up({ instance: TWO }), 1)],
          firing: [labels],
        },
      }),
      {
        name: "without the series of what waits the text still comes",
        input_series: inputs([gauge(up(), 0)], times("on", 30)),
        alert_rule_test: [tells(alert, 300, [told("unknown").firing])],
      },
      strangers(alert, [300, 600], inputs([gauge(up({ job: "other" }), 0)], times("on", 60))),
    ],
  };
}

export function storeError(values: Values): TimelineFile {
  const alert = "SwitchgearStoreError";
  const { labels, firing } = warning(
    values,
    alert,
    [`The store of ${ONE} failed to commit`, `commit failed on ${ONE} within the last 15 minutes.`],
    { ...HERE, job: values.jobs[0] ?? "", instance: ONE, op: "commit" },
  );
  const errors = (more: Labels = {}): string =>
    series(values, "switchgear_store_errors_total", { op: "commit", ...more });
  return {
    name: alert,
    about: "Single failures. The counter is there from the start, at 0.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 0,
        keepSeconds: 300,
        delaySeconds: STEP,
        // The sample before the last failure must leave the window.
        lagSeconds: 900 - 2 * STEP,
        lines: [counter(errors(), 1)],
        firing,
        disagreeing: {
          says: "the one that fails",
          lines: [counter(errors(), 1), counter(errors({ instance: TWO }), 0)],
          firing: [labels],
        },
      }),
      {
        name: "a gap of Prometheus' own and a new address are no failures; a restart is none either",
        input_series: [
          { series: errors(), values: "7x20 _x40 7x60" },
          { series: errors({ instance: TWO }), values: "_x30 9x60" },
          { series: errors({ op: "load" }), values: "9x40 0x60" },
        ],
        alert_rule_test: [300, 465, 615, 900, 1200].map((seconds) => tells(alert, seconds)),
      },
      {
        name: "a failure right after a restart is one, though the process before had seen more",
        input_series: [{ series: errors(), values: "7x10 0x5 1x40" }],
        promql_expr_test: [isFiring(alert, 17 * STEP, [labels])],
        alert_rule_test: [tells(alert, 15 * STEP)],
      },
      {
        name: "each operation is told apart, and another program's is none",
        input_series: inputs(
          [counter(errors({ op: "load" }), 1), counter(errors({ job: "other", instance: TWO }), 1)],
          times("on", 30),
        ),
        promql_expr_test: [isFiring(alert, 300, [{ ...labels, op: "load" }])],
      },
    ],
  };
}

export function storeRecovered(values: Values): TimelineFile {
  const alert = "SwitchgearStoreRecovered";
  const own = { job: values.jobs[0] ?? "", instance: ONE };
  const { labels, firing } = warning(
    values,
    alert,
    [
      `The database of ${ONE} was found broken`,
      "It was put aside and begun anew. Trips from before are lost to this process, and so is the history of who did what.",
    ],
    { ...HERE, ...own },
  );
  const recovered = (more: Labels = {}): string =>
    series(values, "circuit_breaker_store_recovered", more);
  return {
    name: alert,
    about: "Garbage in the database at the start.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 0,
        keepSeconds: 300,
        lines: [gauge(recovered(), 1)],
        firing,
        disagreeing: {
          says: "the one whose database it was",
          lines: [gauge(recovered(), 1), gauge(recovered({ instance: TWO }), 0)],
          firing: [labels],
        },
      }),
      strangers(alert, [0, 60], inputs([gauge(recovered({ job: "other" }), 1)], times("on", 30))),
    ],
  };
}

export function configRejected(values: Values): TimelineFile {
  const alert = "SwitchgearConfigRejected";
  const own = { job: values.jobs[0] ?? "", instance: ONE };
  const { labels, firing } = warning(
    values,
    alert,
    [
      `${ONE} refuses its new configuration`,
      "The configuration that was last read is refused, and the one before has gone on for 10 minutes. A restart would fail.",
    ],
    { ...HERE, ...own },
  );
  const good = (more: Labels = {}): string =>
    series(values, "switchgear_config_last_reload_successful", more);
  return {
    name: alert,
    about: "A configuration that is not taken.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        gapSeconds: secondsOf(values.gap),
        stepSeconds: STEP,
        forSeconds: 600,
        keepSeconds: 120,
        lines: [gauge(good(), 0, 1)],
        firing,
        disagreeing: {
          says: "the one that refuses",
          lines: [gauge(good(), 0), gauge(good({ instance: TWO }), 1)],
          firing: [labels],
        },
      }),
      strangers(alert, [600, 900], inputs([gauge(good({ job: "other" }), 0)], times("on", 90))),
    ],
  };
}

export function logLost(values: Values): TimelineFile {
  const alert = "SwitchgearLogLost";
  const { labels, firing } = warning(
    values,
    alert,
    [
      `${ONE} loses log lines`,
      "Log lines have been dropped within the last 15 minutes, or none can be written.",
    ],
    { ...HERE, job: values.jobs[0] ?? "", instance: ONE },
  );
  const dropped = (more: Labels = {}): string =>
    series(values, "switchgear_log_lines_dropped_total", more);
  const up = (more: Labels = {}): string => series(values, "switchgear_log_up", more);
  return {
    name: alert,
    about: "Lines that are dropped, and a log that cannot be written.",
    stepSeconds: STEP,
    rules: ["process.yml"],
    tests: [
      ...questions({
        alert,
        stepSeconds: STEP,
        forSeconds: 120,
        keepSeconds: 300,
        delaySeconds: STEP,
        // The sample before the last failure must leave the window.
        lagSeconds: 900 - 2 * STEP,
        lines: [counter(dropped(), 2), gauge(up(), 1, 1)],
        firing,
        disagreeing: {
          says: "the one that loses them",
          lines: [counter(dropped(), 2), counter(dropped({ instance: TWO }), 0)],
          firing: [labels],
        },
      }),
      {
        name: "one that cannot be written is told, though nothing is dropped yet, and ends with it",
        input_series: [
          { series: dropped(), values: "0x90" },
          { series: up(), values: "0x20 1x69" },
        ],
        promql_expr_test: [isFiring(alert, 120, [labels]), isFiring(alert, 600, [labels])],
        alert_rule_test: [tells(alert, 105), tells(alert, 630)],
      },
      {
        name: "a single line that is lost right after a restart is told, though the process before had lost more",
        input_series: [
          { series: dropped(), values: "7x10 0x5 1x40" },
          { series: dropped({ instance: TWO }), values: "0x5 1x50" },
        ],
        promql_expr_test: [isFiring(alert, 28 * STEP, [labels, { ...labels, instance: TWO }])],
      },
      {
        name: "a counter that begins anew lost nothing; another program's log is its own",
        input_series: [
          { series: dropped(), values: "9x20 0x60" },
          { series: dropped({ job: "other" }), values: "0+1x80" },
          { series: up({ job: "other" }), values: "0x80" },
        ],
        alert_rule_test: [135, 300, 450, 900].map((seconds) => tells(alert, seconds)),
      },
    ],
  };
}

export function scrapeNearLimit(values: Values): readonly TimelineFile[] {
  const limit = values.scrape.sampleLimit;
  if (limit === 0) return [];
  const alert = "SwitchgearScrapeNearLimit";
  const own = { job: values.jobs[0] ?? "", instance: ONE };
  const most = Math.floor(0.8 * limit);
  const labels = { severity: "warning", ...HERE, ...own };
  const samples = (more: Labels = {}): string =>
    series(values, "scrape_samples_post_metric_relabeling", more);
  const text = limit.toLocaleString("en-US");
  const tests: TestCase[] = [
    ...questions({
      alert,
      stepSeconds: STEP,
      forSeconds: 900,
      keepSeconds: 300,
      lines: [gauge(samples(), most + 1, 10)],
      firing: {
        labels,
        annotations: {
          summary: `Scrapes of ${ONE} are near their limit`,
          description: `${most + 1} samples of the ${text} allowed.`,
          ...pipelineLinks(values, alert),
        },
      },
      startsAnew: true,
      disagreeing: {
        says: "the one that is near it",
        lines: [gauge(samples(), most + 1), gauge(samples({ instance: TWO }), 10)],
        firing: [labels],
      },
    }),
    strangers(
      alert,
      [900, 1200],
      inputs(
        [gauge(samples({ job: "other" }), limit), gauge(samples({ instance: TWO }), most)],
        times("on", 90),
      ),
    ),
  ];
  return [
    {
      name: alert,
      about: "Before the limit, and not at it.",
      stepSeconds: STEP,
      rules: ["process.yml"],
      tests,
    },
  ];
}

/** Of several replicas; the others of its cases are among those of single breakers. */
export function modeForgottenEverywhere(values: Values): TimelineFile {
  const alert = "SwitchgearModeForgotten";
  const forSeconds = secondsOf(values.modeForgottenAfter);
  // The longest that is within the gap: the wait is long.
  const step = secondsOf(values.gap) / 2;
  const mode = (more: Labels): string =>
    series(values, "switchgear_breaker_mode", { bookmaker: "draftkings", mode: "shadow", ...more });
  const labels = { severity: "warning", ...HERE, bookmaker: "draftkings", mode: "shadow" };
  return {
    name: `${alert}-replicas`,
    about: "Set by hand on every replica.",
    stepSeconds: step,
    rules: ["process.yml"],
    tests: [
      {
        name: "an order that reached all replicas is told once",
        input_series: inputs(
          [gauge(mode({}), 1), gauge(mode({ instance: TWO }), 1)],
          times("on", Math.ceil(forSeconds / step) + 4),
        ),
        promql_expr_test: [isFiring(alert, forSeconds, [labels])],
      },
    ],
  };
}
