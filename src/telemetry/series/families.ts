// The samples of one scrape, grouped by metric in the order of the catalogue.

import { DURATION_BUCKETS_SECONDS } from "../../pipeline/call/stats.ts";
import { METRICS, type Metric, type MetricKey } from "./catalogue.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Labels;
  readonly count: number;
  readonly sum: number;
  /** Observations per bucket, not cumulative; one more than `bounds`. */
  readonly buckets: readonly number[];
}

/** One metric with all its samples. Families without samples are left out. */
export type MetricFamily =
  | {
      readonly type: "counter" | "gauge";
      readonly metric: Metric;
      readonly samples: readonly Sample[];
    }
  | {
      readonly type: "histogram";
      readonly metric: Metric;
      readonly bounds: readonly number[];
      readonly samples: readonly HistogramSample[];
    };

const ENTRIES: readonly (readonly [string, Metric])[] = Object.entries(METRICS);

/** Samples by metric, in the order of the catalogue. */
export class Families {
  readonly #scalars = new Map<string, Sample[]>();
  readonly #histogram: HistogramSample[] = [];

  add(key: MetricKey, labels: Labels, value: number): void {
    const samples = this.#scalars.get(key);
    if (samples === undefined) this.#scalars.set(key, [{ labels, value }]);
    else samples.push({ labels, value });
  }

  addHistogram(sample: HistogramSample): void {
    this.#histogram.push(sample);
  }

  all(): MetricFamily[] {
    const families: MetricFamily[] = [];
    for (const [key, metric] of ENTRIES) {
      const samples = this.#scalars.get(key) ?? [];
      if (metric.type !== "histogram") {
        if (samples.length > 0) families.push({ type: metric.type, metric, samples });
      } else if (this.#histogram.length > 0) {
        const bounds = DURATION_BUCKETS_SECONDS;
        families.push({ type: "histogram", metric, bounds, samples: this.#histogram });
      }
    }
    return families;
  }
}

/** Keeps sums from falling when one of their parts leaves. As many entries as series in overflow. */
export class Floors {
  readonly #entries = new Map<string, { last: number; offset: number }>();

  raise(key: string, labels: Labels, value: number): number {
    const id = `${key} ${Object.values(labels).join("\0")}`;
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      this.#entries.set(id, { last: value, offset: 0 });
      return value;
    }
    if (value < entry.last) entry.offset += entry.last - value;
    entry.last = value;
    return value + entry.offset;
  }
}
