// Timelines for promtool, from what happens at each step: the series, and what each question about an alert
// must be answered. The seven questions are the same of every alert; what is particular stands in its file.

/** What a step brings: the condition of the alert holds or not, a scrape is missing, or it failed. */
export type Step = "on" | "off" | "gap" | "stale";

export interface Line {
  /** As PromQL writes it. */
  readonly series: string;
  /** A gauge's value, or what a counter grows by, in a step in which the condition holds, and in others. */
  readonly on: number | "absent";
  readonly off: number | "absent";
  readonly type: "gauge" | "counter";
}

export interface Labels {
  readonly [label: string]: string;
}

export interface Firing {
  readonly labels: Labels;
  /** All of them, where the texts are asked, too. */
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface TestCase {
  readonly name: string;
  readonly input_series: readonly { readonly series: string; readonly values: string }[];
  readonly alert_rule_test?: readonly object[];
  readonly promql_expr_test?: readonly object[];
}

export interface TimelineFile {
  /** `Alert`, or `Alert-more`. */
  readonly name: string;
  /** A sentence or two above the cases. */
  readonly about: string;
  readonly stepSeconds: number;
  /** Default: switchgear.yml alone. */
  readonly rules?: readonly (
    "circuit-breaker.yml" | "switchgear.yml" | "process.yml" | "slo.yml"
  )[];
  readonly tests: readonly TestCase[];
}

export function gauge(series: string, on: Line["on"], off: Line["off"] = 0): Line {
  return { series, on, off, type: "gauge" };
}

/** Grows by `on` in each step in which the condition holds. */
export function counter(series: string, on: Line["on"], off: Line["off"] = 0): Line {
  return { series, on, off, type: "counter" };
}

/** `times("on", 3, "gap", 1)` is three steps and one. */
export function times(...parts: readonly (Step | number)[]): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < parts.length; at += 2) {
    const [step, count] = [parts[at] as Step, parts[at + 1] as number];
    for (let n = 0; n < count; n += 1) steps.push(step);
  }
  return steps;
}

/** The values of a line, in promtool's notation. */
export function valuesOf(line: Line, steps: readonly Step[]): string {
  let total = 0;
  const values = steps.map((step, at) => {
    const by = line[step === "off" ? "off" : "on"];
    if (line.type === "counter" && at > 0 && by !== "absent") total += by;
    if (step === "gap" || by === "absent") return "_";
    if (step === "stale") return "stale";
    return String(line.type === "counter" ? round(total) : by);
  });
  return runs(values).join(" ");
}

function round(value: number): number {
  return Number(value.toPrecision(12));
}

/** Equal neighbours as `1x4`, which is five of them; those of a counter as `0+3x4`. */
function runs(values: readonly string[]): string[] {
  const found: string[] = [];
  for (let at = 0; at < values.length;) {
    const first = values[at] ?? "";
    const step = stepAt(values, at);
    let end = at + 1;
    while (end < values.length && follows(values, end, first, step)) end += 1;
    const more = end - at - 1;
    // promtool repeats numbers and gaps only.
    const isWord = first === "NaN" || first === "stale";
    if (more === 0 || isWord || (step !== 0 && more < 2)) {
      found.push(first);
      at += 1;
    } else {
      const sign = step > 0 ? "+" : "";
      found.push(
        first === "_" ? `_x${more + 1}` : `${first}${step === 0 ? "" : `${sign}${step}`}x${more}`,
      );
      at = end;
    }
  }
  return found;
}

function stepAt(values: readonly string[], at: number): number {
  const step = Number(values[at + 1]) - Number(values[at]);
  return Number.isInteger(step) ? step : 0;
}

function follows(values: readonly string[], at: number, first: string, step: number): boolean {
  return step === 0 ? values[at] === first : Number(values[at]) - Number(values[at - 1]) === step;
}

export function at(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor((seconds % 86_400) / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "m"],
    [seconds % 60, "s"],
  ] as const;
  return parts.map(([count, unit]) => (count === 0 ? "" : `${count}${unit}`)).join("") || "0s";
}

export function inputs(lines: readonly Line[], steps: readonly Step[]): TestCase["input_series"] {
  return lines.map((line) => ({ series: line.series, values: valuesOf(line, steps) }));
}

/** The same once more, from the beginning: counters begin anew. */
export function twice(lines: TestCase["input_series"]): TestCase["input_series"] {
  return lines.map(({ series, values }) => ({ series, values: `${values} ${values}` }));
}

/** The alert, whole: no other labels, these texts. Nothing given: it does not fire. */
export function tells(alert: string, seconds: number, firing: readonly Firing[] = []): object {
  const told = { eval_time: at(seconds), alertname: alert };
  if (firing.length === 0) return told;
  return {
    ...told,
    exp_alerts: firing.map(({ labels, annotations }) => ({
      exp_labels: labels,
      ...(annotations === undefined ? {} : { exp_annotations: annotations }),
    })),
  };
}

/** That it fires with these labels, whatever it says. */
export function isFiring(
  alert: string,
  seconds: number,
  all: readonly Labels[],
  only: Labels = {},
): object {
  const wanted = Object.entries({ alertname: alert, alertstate: "firing", ...only });
  return {
    expr: `ALERTS{${wanted.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(", ")}}`,
    eval_time: at(seconds),
    exp_samples: all.map((labels) => {
      const whole = { alertname: alert, alertstate: "firing", ...labels };
      const text = Object.entries(whole).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      return { labels: `ALERTS{${text.join(",")}}`, value: 1 };
    }),
  };
}

/** An alert, as its questions need to know it. */
export interface Subject {
  readonly alert: string;
  /** Of one that comes in several: its window, or its severity. */
  readonly variant?: string;
  readonly stepSeconds: number;
  readonly forSeconds: number;
  readonly keepSeconds: number;
  readonly lines: readonly Line[];
  readonly firing: Firing;
  /** What fires with it, from the same series. */
  readonly also?: readonly Firing[];
  /** Of one that comes in several: the labels of this one, where others may fire. */
  readonly only?: Labels;
  /** One scrape of so many is not lost where scrapes are. Default 3. */
  readonly lossOf?: number;
  /** Seconds from the first "on" until the expression holds: a rate needs two samples. */
  readonly delaySeconds?: number;
  /** Seconds from the first "off" for which the expression still holds: a window must empty. */
  readonly lagSeconds?: number;
  /** Whether a failed scrape begins the wait anew. Most look over it. */
  readonly startsAnew?: boolean;
  /** Two replicas of which one is well: what they report, and what is told of it, if anything. */
  readonly disagreeing: {
    readonly says: string;
    readonly lines: readonly Line[];
    readonly firing: readonly Labels[];
  };
  /** What an empty Prometheus is asked; nothing is told unless this says so. */
  readonly absent?: {
    readonly says: string;
    readonly lines?: readonly Line[];
    readonly firing?: readonly Labels[];
  };
  /** How long a state is looked for where scrapes fail; what is alerted on is then asked at its edges. */
  readonly gapSeconds?: number;
  /** Not about anything that is scraped as a job of Switchgear's. */
  readonly isOfPipeline?: boolean;
  /** Whether it ever resolves. */
  readonly isEternal?: boolean;
}

/** The series in other places: more labels, or others in the place of its own. */
export function elsewhere(lines: readonly Line[], labels: Labels): Line[] {
  return lines.map((line) => {
    const own = [...line.series.matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g)].map(
      ([, key = "", value = ""]) => [key, value] as const,
    );
    const all = new Map(own);
    for (const [key, value] of Object.entries(labels)) all.set(key, JSON.stringify(value));
    const name = line.series.slice(0, line.series.indexOf("{"));
    const text = [...all].map(([key, value]) => `${key}=${value}`).join(",");
    return { ...line, series: `${name}{${text}}` };
  });
}

/** As when nothing is wrong, whatever happens. */
export function calm(lines: readonly Line[]): Line[] {
  return lines.map((line) => ({ ...line, on: line.off }));
}

/** That no other place's trouble counts, and that a failed scrape is looked over just as long as it should. */
function placesAndGaps(subject: Subject, fires: number, labels: readonly Labels[]): TestCase[] {
  const { alert, lines, stepSeconds, keepSeconds, delaySeconds = 0, gapSeconds, only } = subject;
  const named = (name: string): string =>
    subject.variant === undefined ? name : `${name}, ${subject.variant}`;
  const steady = times("on", Math.ceil(fires / stepSeconds) + 4);
  const cases: TestCase[] = [];
  if (subject.isOfPipeline !== true && subject.isEternal !== true) {
    cases.push(
      {
        name: named("each cluster and namespace for itself"),
        input_series: inputs(
          [
            ...elsewhere(lines, { cluster: "east" }),
            ...calm(elsewhere(lines, { cluster: "west" })),
            ...calm(elsewhere(lines, { cluster: "east", namespace: "staging" })),
          ],
          steady,
        ),
        promql_expr_test: [
          isFiring(
            alert,
            fires,
            labels.map((own) => ({ ...own, cluster: "east" })),
            only,
          ),
        ],
      },
      {
        name: named("another program's series are none of ours"),
        input_series: inputs(
          [...elsewhere(lines, { job: "other", instance: "10.9.9.9:1" }), ...calm(lines)],
          steady,
        ),
        promql_expr_test: [
          isFiring(alert, fires, [], only),
          isFiring(alert, fires + stepSeconds, [], only),
        ],
      },
    );
  }
  if (gapSeconds !== undefined) {
    const before = Math.ceil(delaySeconds / stepSeconds) + 2;
    const lost = gapSeconds / stepSeconds;
    const after = Math.ceil(fires / stepSeconds) + 8;
    const gone = (after - 1) * stepSeconds + gapSeconds + keepSeconds;
    cases.push(
      {
        name: named("scrapes that fail for nearly as long as the gap change nothing"),
        input_series: inputs(lines, times("on", before, "stale", lost - 1, "on", after)),
        promql_expr_test: [isFiring(alert, fires, labels, only)],
      },
      {
        name: named("what is gone for as long as the gap is over"),
        input_series: inputs(
          lines,
          times("on", after, "stale", Math.ceil((gapSeconds + keepSeconds) / stepSeconds) + 3),
        ),
        promql_expr_test: [
          isFiring(alert, gone - stepSeconds, labels, only),
          isFiring(alert, gone, [], only),
        ],
      },
    );
  }
  return cases;
}

/** The seven questions, and what goes with them. */
export function questions(subject: Subject): TestCase[] {
  const { alert, variant, stepSeconds, forSeconds, keepSeconds, lines, firing } = subject;
  const { delaySeconds = 0, lagSeconds = 0, lossOf = 3, disagreeing, absent, only } = subject;
  const all = [firing, ...(subject.also ?? [])];
  const labels = all.map((one) => one.labels);
  const isOn = (seconds: number): object => isFiring(alert, seconds, labels, only);
  const named = (name: string): string => (variant === undefined ? name : `${name}, ${variant}`);
  const fires = delaySeconds + forSeconds;
  const count = (seconds: number): number => Math.ceil(seconds / stepSeconds);
  const steady = inputs(lines, times("on", count(fires) + 2));
  const onSteps = count(fires) + 8;
  const offAt = onSteps * stepSeconds;
  const ends = offAt + lagSeconds + keepSeconds;
  // Many are lost, but neither the first two nor the one at the edge.
  const lost = Array.from({ length: count(fires) + 8 }, (_, n): Step =>
    n < 2 || n === count(fires) || n % lossOf === 0 ? "on" : "gap",
  );
  const failed = Array.from({ length: count(fires) + count(forSeconds) + 8 }, (_, n): Step =>
    n === Math.max(2, count(delaySeconds) + 1) ? "stale" : "on",
  );
  const isAnew = subject.startsAnew === true && forSeconds > 0;
  const anewAt = (Math.max(2, count(delaySeconds) + 1) + 1) * stepSeconds + forSeconds;
  return [
    {
      name: named("fires"),
      input_series: steady,
      alert_rule_test: [tells(alert, fires, all)],
    },
    {
      name: named("does not fire one step before"),
      input_series: steady,
      alert_rule_test:
        fires === 0
          ? [tells(alert, 0, all)]
          : [tells(alert, fires - stepSeconds), tells(alert, fires - 1)],
    },
    ...(subject.isEternal === true
      ? [
          {
            name: named("resolves: never"),
            input_series: steady,
            promql_expr_test: [isFiring(alert, 3600, labels)],
          },
        ]
      : [
          {
            name: `${named("resolves")} after keep_firing_for`,
            input_series: inputs(
              lines,
              times("on", onSteps, "off", count(lagSeconds + keepSeconds) + 4),
            ),
            promql_expr_test: [
              isOn(offAt - stepSeconds),
              isOn(ends - stepSeconds),
              isFiring(alert, ends, [], only),
            ],
          },
        ]),
    {
      name: `${named("survives a missed scrape")}: a gap is no zero`,
      input_series: inputs(lines, lost),
      promql_expr_test: [isOn(fires)],
    },
    {
      name: `${named("stale marker")}: ${isAnew ? "the wait begins anew" : "a failed scrape changes nothing"}`,
      input_series: inputs(lines, failed),
      ...(isAnew ? { alert_rule_test: [tells(alert, fires), tells(alert, anewAt - 1)] } : {}),
      promql_expr_test: [isOn(isAnew ? anewAt : fires)],
    },
    {
      name: `${named("two replicas that disagree")}: ${disagreeing.says}`,
      input_series: inputs(disagreeing.lines, times("on", count(fires) + 4)),
      ...(disagreeing.firing.length === 0
        ? { alert_rule_test: [tells(alert, fires), tells(alert, fires + 2 * stepSeconds)] }
        : { promql_expr_test: [isFiring(alert, fires, disagreeing.firing)] }),
    },
    {
      name: `${named("absent series")}: ${absent?.says ?? "nothing to tell"}`,
      input_series: inputs(absent?.lines ?? [], times("on", count(fires) + 4)),
      ...(absent?.firing === undefined
        ? { alert_rule_test: [tells(alert, 0), tells(alert, fires), tells(alert, fires + 600)] }
        : { promql_expr_test: [isFiring(alert, fires, absent.firing)] }),
    },
    ...placesAndGaps(subject, fires, labels),
  ];
}
