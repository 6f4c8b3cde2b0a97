// The page that `/metrics` answers: Prometheus' text, as OpenTelemetry's exporter writes it, or OpenMetrics,
// which is made of the same lines and has, beside each counter, since when it counts, and exemplars.
// https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
//
// The exporter's serializer writes each series once. From one scrape to the next only its value changes,
// and only that is written anew: to clean every name and escape every label again takes a page of 1,000
// upstreams more than a tenth of a second. What is kept for it is as large as the page.

import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import type { CollectionResult } from "@opentelemetry/sdk-metrics";
import type { HistogramSample, Labels, MetricFamily } from "../series/families.ts";
import type { Exemplar, Exemplars } from "../series/exemplars.ts";
import { metricData } from "./data.ts";
import type { PageFormat } from "./format.ts";

/** One family as of the last page. */
interface Known {
  readonly header: string;
  readonly labels: readonly Labels[];
  /** What stands before each value: as many of each sample as it has lines. */
  readonly starts: readonly string[];
}

/** Lines that are written without a pause: about a millisecond. Those of new series take longer. */
const LINES_PER_PART = 5000;
const NEW_LINES_PER_PART = 500;

export interface PageOptions {
  /** Default `text`. */
  readonly format?: PageFormat;
  /** Since when counters count, in epoch milliseconds. For OpenMetrics. */
  readonly createdAt?: number;
  readonly exemplars?: Exemplars | undefined;
}

export class Page {
  readonly #isOpen: boolean;
  readonly #created: string;
  readonly #exemplars: Exemplars | undefined;
  readonly #serializer = new PrometheusSerializer("", false, undefined, true, true);
  #known = new Map<string, Known>();

  constructor({ format = "text", createdAt = 0, exemplars }: PageOptions = {}) {
    this.#isOpen = format === "openmetrics";
    this.#created = `${createdAt / 1000}\n`;
    this.#exemplars = this.#isOpen ? exemplars : undefined;
  }

  /** One at a time. Calls go on between the parts of a large page. */
  async write(families: readonly MetricFamily[]): Promise<string> {
    const known = new Map<string, Known>();
    let body = "";
    let lines = 0;
    for (const family of families) {
      const { name } = family.metric;
      const own = await this.#learn(family, this.#known.get(name));
      known.set(name, own);
      body += own.header;
      const { starts } = own;
      if (family.type === "histogram") {
        for (const [index, sample] of family.samples.entries()) {
          body += this.#histogram(starts, index * this.#linesOf(family), sample);
        }
      } else if (this.#isOpen && family.type === "counter") {
        for (const [index, sample] of family.samples.entries()) {
          body += `${starts[2 * index]}${valueText(sample.value)}\n${starts[2 * index + 1]}${this.#created}`;
        }
      } else {
        for (const [index, sample] of family.samples.entries()) {
          body += `${starts[index]}${valueText(sample.value)}\n`;
        }
      }
      lines += starts.length;
      if (lines < LINES_PER_PART) continue;
      lines = 0;
      await immediate();
    }
    // What is gone is no longer known.
    this.#known = known;
    return this.#isOpen ? `${body}# EOF\n` : body;
  }

  /** How many lines a sample has. Of a histogram count, sum and the buckets, as the serializer orders them. */
  #linesOf(family: MetricFamily): number {
    const created = this.#isOpen && family.type !== "gauge" ? 1 : 0;
    return (family.type === "histogram" ? family.bounds.length + 3 : 1) + created;
  }

  #histogram(starts: readonly string[], at: number, sample: HistogramSample): string {
    const { count, sum, buckets } = sample;
    const { bookmaker = "", operation = "", outcome = "" } = sample.labels;
    const exemplars = this.#exemplars?.of(bookmaker, operation, outcome);
    let text = `${starts[at]}${count}\n${starts[at + 1]}${valueText(sum)}\n`;
    let below = 0;
    for (let index = 0; index < buckets.length; index += 1) {
      below += buckets[index] ?? 0;
      text += `${starts[at + 2 + index]}${below}${exemplarText(exemplars?.[index])}\n`;
    }
    return this.#isOpen ? `${text}${starts[at + 2 + buckets.length]}${this.#created}` : text;
  }

  /** What stands before the values, from the last page and for new series from the serializer. */
  async #learn(family: MetricFamily, before: Known | undefined): Promise<Known> {
    // Most often nothing came and nothing went.
    if (before !== undefined && isSameAll(before.labels, family.samples)) return before;
    const labels = family.samples.map((sample) => sample.labels);
    const width = this.#linesOf(family);
    const starts: string[] = [];
    const fresh: number[] = [];
    let places: ReadonlyMap<string, number> | undefined;
    for (const [index, own] of labels.entries()) {
      let place: number | undefined = index;
      // One that came or went moves all behind it.
      if (before === undefined) place = undefined;
      else if (!isSame(before.labels[index], own)) {
        places ??= new Map(before.labels.map((known, at) => [keyOf(known), at]));
        place = places.get(keyOf(own));
      }
      if (place === undefined) fresh.push(index);
      for (let line = 0; line < width; line += 1) {
        starts.push(place === undefined ? "" : (before?.starts[place * width + line] ?? ""));
      }
    }
    let header = before?.header;
    const step = Math.ceil(NEW_LINES_PER_PART / width);
    for (let from = 0; from < fresh.length; from += step) {
      const chosen = fresh.slice(from, from + step);
      const written = this.#serialize(family, chosen);
      header ??= written.header;
      for (const [nth, index] of chosen.entries()) {
        for (let line = 0; line < width; line += 1) {
          starts[index * width + line] = written.starts[nth * width + line] ?? "";
        }
      }
      if (fresh.length > step) await immediate();
    }
    return { header: header ?? "", labels, starts };
  }

  #serialize(family: MetricFamily, chosen: readonly number[]): Omit<Known, "labels"> {
    const metrics = [metricData(partOf(family, chosen))];
    const text = this.#serializer.serialize({
      resource: NO_RESOURCE,
      scopeMetrics: [{ scope: NO_SCOPE, metrics }],
    });
    const lines = text.trimEnd().split("\n");
    // HELP and TYPE. A sample never starts with `#`, and its value holds no blank.
    const first = lines.findIndex((line) => !line.startsWith("#"));
    const header = `${lines.slice(0, first).join("\n")}\n`;
    const starts = lines.slice(first).map((line) => line.slice(0, line.lastIndexOf(" ") + 1));
    return this.#isOpen ? opened(family, header, starts) : { header, starts };
  }
}

/** The same in OpenMetrics: a counter's family is named without `_total`, bounds are floats. */
function opened(
  { type, metric: { name } }: MetricFamily,
  header: string,
  starts: readonly string[],
): Omit<Known, "labels"> {
  const quoted = header.replaceAll('"', String.raw`\"`);
  if (type === "gauge") return { header: quoted, starts };
  if (type === "counter") {
    const family = name.replace(/_total$/, "");
    return {
      header: quoted.replaceAll(new RegExp(`^(# \\w+) ${name} `, "gm"), `$1 ${family} `),
      starts: starts.flatMap((start) => [start, `${family}_created${start.slice(name.length)}`]),
    };
  }
  return {
    header: quoted,
    starts: starts.flatMap((start) => {
      if (!start.startsWith(`${name}_bucket`)) return [start];
      const bucket = start.replace(/le="(\d+)"/, 'le="$1.0"');
      if (!bucket.includes('le="+Inf"')) return [bucket];
      const labels = start.slice(`${name}_bucket`.length).replace(/,?le="\+Inf"/, "");
      return [bucket, `${name}_created${labels}`];
    }),
  };
}

function exemplarText(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return "";
  const { traceId, spanId, value, at } = exemplar;
  return ` # {trace_id="${traceId}",span_id="${spanId}"} ${value} ${at / 1000}`;
}

function valueText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function partOf(family: MetricFamily, chosen: readonly number[]): MetricFamily {
  const among = <Item>(items: readonly Item[]): Item[] =>
    chosen.map((index) => items[index]).filter((item) => item !== undefined);
  return family.type === "histogram"
    ? { ...family, samples: among(family.samples) }
    : { ...family, samples: among(family.samples) };
}

function isSameAll(
  known: readonly Labels[],
  samples: readonly { readonly labels: Labels }[],
): boolean {
  if (known.length !== samples.length) return false;
  for (let index = 0; index < samples.length; index += 1) {
    const sample = samples[index];
    if (sample === undefined || !isSame(known[index], sample.labels)) return false;
  }
  return true;
}

/** Of one family, in which one label set may be a part of another. */
function isSame(known: Labels | undefined, own: Labels): boolean {
  if (known === own) return true;
  if (known === undefined) return false;
  for (const label in own) if (known[label] !== own[label]) return false;
  for (const label in known) if (own[label] === undefined) return false;
  return true;
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels));
}

function immediate(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

const NO_SCOPE = { name: "" };

type Resource = CollectionResult["resourceMetrics"]["resource"];

export const NO_RESOURCE: Resource = {
  attributes: {},
  merge: (other) => other ?? NO_RESOURCE,
  getRawAttributes: () => [],
};
