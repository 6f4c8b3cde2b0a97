// What alerts/values.yaml may say, and what is derived from it for the templates.

import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { DURATION_BUCKETS_SECONDS } from "../../src/pipeline/call/stats.ts";

const NAME = /^[a-zA-Z0-9]([\w.:-]*[a-zA-Z0-9])?$/;

/** As Prometheus writes durations, of one unit: rules and names of series then show what was meant. */
const duration = z.string().regex(/^[1-9]\d*[smhd]$/, 'a duration of one unit, such as "15m"');
const name = z.string().regex(NAME, "a name of letters, digits, dots, dashes and underscores");
const share = z.number().gt(0).lt(1);
const count = z.int().min(1);
const base = z
  .url({ protocol: /^https?$/, error: "an http or https address" })
  .refine(
    (url) => !/["'<>\s{}]|\/$/.test(url),
    "an address without quotes, braces or a slash at its end",
  );

const window = z.strictObject({
  long: duration,
  short: duration,
  factor: z.number().gt(0),
  for: duration,
  severity: z.enum(["critical", "warning"]),
});

const schema = z.strictObject({
  jobs: z.array(name).min(1),
  namespace: name,
  runbooks: base,
  grafana: base,
  scrape: z.strictObject({ interval: duration, sampleLimit: z.int().min(0) }),
  gap: duration,
  slo: z.strictObject({
    success: z.strictObject({ objective: share }),
    latency: z.strictObject({
      objective: share,
      seconds: z
        .number()
        .refine(
          (value) => DURATION_BUCKETS_SECONDS.includes(value),
          `one of the buckets: ${DURATION_BUCKETS_SECONDS.join(", ")}`,
        ),
    }),
    callsMin: count,
    windows: z.array(window).min(1),
  }),
  manyTripped: z.strictObject({ atLeast: count, share, anyway: count }),
  flapping: z.strictObject({ trips: z.int().min(2), within: duration }),
  mostlyOpen: z.strictObject({ share, within: duration, trips: z.int().min(2) }),
  stuckOpenAfter: duration,
  modeForgottenAfter: duration,
  shedShare: share,
  criticalRefused: z.strictObject({ share, calls: count }),
  endpointSuccessRatio: share,
  missedFor: duration,
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
  if (secondsOf(gap) >= 300) faults.push("gap: less than the 5m after which a trip pages");
  if (manyTripped.anyway < manyTripped.atLeast) {
    faults.push("manyTripped.anyway: no fewer than atLeast");
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
