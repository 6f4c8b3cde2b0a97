// What alerts/values.yaml may say, and what is derived from it for the templates.

import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { DURATION_BUCKETS_SECONDS } from "../../src/pipeline/call/stats.ts";

const NAME = /^[a-zA-Z0-9]([\w.:-]*[a-zA-Z0-9])?$/;

/** As Prometheus writes durations, of one unit: rules and names of series then show what was meant. */
const duration = z.string().regex(/^[1-9]\d*[smhd]$/, 'a duration of one unit, such as "15m"');
/** One within these ends, both among them. */
const between = (least: string, most: string) =>
  duration
    .refine(
      (text) => secondsOf(text) >= secondsOf(least) && secondsOf(text) <= secondsOf(most),
      `from ${least} to ${most}`,
    )
    .meta({ least, most });
const name = z.string().regex(NAME, "a name of letters, digits, dots, dashes and underscores");
const share = z.number().gt(0).lt(1);
const count = z.int().min(1);
const base = z
  .url({ protocol: /^https?$/, error: "an http or https address" })
  .regex(
    /^https?:\/\/[^"'<>\s{}]*[^"'<>\s{}/]$/,
    "an address without quotes, braces or a slash at its end",
  );

const window = z.strictObject({
  long: between("5m", "30d"),
  short: between("1m", "7d"),
  factor: z.number().gt(0),
  for: between("1m", "1d"),
  severity: z.enum(["critical", "warning"]),
});

/** The chart's values have it, too, below `monitoring.values`. */
export const schema = z.strictObject({
  jobs: z.array(name).min(1),
  namespace: name,
  runbooks: base,
  grafana: base,
  scrape: z.strictObject({ interval: between("1s", "1m"), sampleLimit: z.int().min(0) }),
  gap: between("1m", "3m").refine(
    (text) => secondsOf(text) % 15 === 0,
    "a multiple of 15s, in which its tests go",
  ),
  slo: z.strictObject({
    success: z.strictObject({ objective: share }),
    latency: z.strictObject({
      objective: share,
      seconds: z
        .number()
        .refine(
          (value) => DURATION_BUCKETS_SECONDS.includes(value),
          `one of the buckets: ${DURATION_BUCKETS_SECONDS.join(", ")}`,
        )
        .meta({ enum: DURATION_BUCKETS_SECONDS }),
    }),
    callsMin: count,
    windows: z.array(window).min(1),
  }),
  manyTripped: z.strictObject({ atLeast: z.int().min(2), share, anyway: count }),
  flapping: z.strictObject({ trips: z.int().min(3), within: between("10m", "1h") }),
  mostlyOpen: z.strictObject({
    share: z.number().min(0.2).max(0.8),
    within: between("15m", "2h"),
    trips: z.int().min(2),
  }),
  stuckOpenAfter: between("15m", "7d"),
  modeForgottenAfter: between("15m", "30d"),
  shedShare: z.number().gt(0).max(0.5),
  criticalRefused: z.strictObject({ share, calls: count }),
  endpointSuccessRatio: share,
  missedFor: between("1h", "7d"),
});

export type Values = z.infer<typeof schema>;

/** Faults of a values file, each with the place, what was wrong and what would be right. */
export class ValuesError extends Error {
  override readonly name = "ValuesError";
}

/** The values of a file, in place of those of the repository's own where it has any. Throws `ValuesError`. */
export function readValues(defaults: string, own?: string): Values {
  const given = own === undefined ? {} : parsed(own);
  const merged = schema.safeParse(merge(parsed(defaults), given));
  if (!merged.success) {
    const faults = merged.error.issues.map(
      ({ path, message }) => `${path.join(".") || "the file"}: ${message}`,
    );
    throw new ValuesError(`${own ?? defaults}\n  ${faults.join("\n  ")}`);
  }
  const faults = crossFaults(merged.data);
  if (faults.length > 0) throw new ValuesError(`${own ?? defaults}\n  ${faults.join("\n  ")}`);
  return merged.data;
}

function parsed(file: string): unknown {
  try {
    return parse(readFileSync(file, "utf8")) ?? {};
  } catch (error) {
    throw new ValuesError(`${file}\n  ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Lists are taken whole. */
function merge(under: unknown, over: unknown): unknown {
  if (!isObject(under) || !isObject(over)) return over === undefined ? under : over;
  const keys = new Set([...Object.keys(under), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, merge(under[key], over[key])]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function crossFaults(values: Values): string[] {
  const faults: string[] = [];
  const { gap, scrape, manyTripped, slo } = values;
  if (secondsOf(gap) < 3 * secondsOf(scrape.interval)) {
    faults.push(`gap: three scrapes at least, which take ${3 * secondsOf(scrape.interval)}s`);
  }
  if (manyTripped.anyway < manyTripped.atLeast) {
    faults.push("manyTripped.anyway: no fewer than atLeast");
  }
  const { share, within, trips } = values.mostlyOpen;
  // What is open for more than the share stays so for the 5m that the page waits, and closes once for each trip.
  const leastSeconds = Math.ceil((300 + (trips + 1) * 15) / budget(share));
  if (secondsOf(within) < leastSeconds) {
    faults.push(`mostlyOpen.within: ${leastSeconds}s at least, with this share and so many trips`);
  }
  for (const [at, { long, short, factor }] of slo.windows.entries()) {
    const path = `slo.windows.${at}`;
    if (secondsOf(short) >= secondsOf(long)) faults.push(`${path}.short: shorter than long`);
    for (const kind of ["success", "latency"] as const) {
      if (factor * budget(slo[kind].objective) >= 1) {
        faults.push(
          `${path}.factor: ${factor} times the budget of slo.${kind} is more than all calls`,
        );
      }
    }
  }
  for (const [at, window] of slo.windows.entries()) {
    const before = slo.windows[at - 1];
    if (before === undefined) continue;
    const isOrdered =
      secondsOf(window.long) > secondsOf(before.long) &&
      window.factor < before.factor &&
      secondsOf(window.for) >= secondsOf(before.for);
    if (!isOrdered)
      faults.push(`slo.windows.${at}: longer than the one before, slower, and no sooner`);
  }
  return faults;
}

export function secondsOf(text: string): number {
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
  return Number.parseInt(text, 10) * (units[text.at(-1) ?? ""] ?? Number.NaN);
}

/** Without the noise of binary fractions: 0.01, and not 0.010000000000000009. */
export function budget(objective: number): number {
  return Number((1 - objective).toPrecision(6));
}
