// The families of several registries of upstreams as one page: no series may come twice, and what is bad in
// one of them must show.

import type { HistogramSample, Labels, MetricFamily, Sample } from "./families.ts";

/** In the order in which families first come. What has the same labels is put together as its metric says. */
export function mergeFamilies(pages: readonly (readonly MetricFamily[])[]): MetricFamily[] {
  const merged = new Map<string, MetricFamily>();
  for (const family of pages.flat()) {
    const { name } = family.metric;
    const before = merged.get(name);
    merged.set(name, before === undefined ? family : together(before, family));
  }
  return [...merged.values()];
}

function together(one: MetricFamily, other: MetricFamily): MetricFamily {
  if (one.type === "histogram" && other.type === "histogram") {
    return { ...one, samples: unite(one.samples, other.samples, addHistograms) };
  }
  // Of one name and two types no page can be made.
  if (one.type === "histogram" || other.type === "histogram") return one;
  const { overflow } = one.metric;
  const put = { sum: (a: number, b: number) => a + b, max: Math.max, min: Math.min }[overflow];
  const add = (a: Sample, b: Sample): Sample => ({ ...a, value: put(a.value, b.value) });
  return { ...one, samples: unite(one.samples, other.samples, add) };
}

function unite<Each extends { readonly labels: Labels }>(
  ones: readonly Each[],
  others: readonly Each[],
  add: (one: Each, other: Each) => Each,
): Each[] {
  const united = new Map(ones.map((sample) => [keyOf(sample), sample]));
  for (const sample of others) {
    const key = keyOf(sample);
    const before = united.get(key);
    united.set(key, before === undefined ? sample : add(before, sample));
  }
  return [...united.values()];
}

function keyOf({ labels }: { readonly labels: Labels }): string {
  return JSON.stringify(labels);
}

function addHistograms(one: HistogramSample, other: HistogramSample): HistogramSample {
  return {
    labels: one.labels,
    count: one.count + other.count,
    sum: one.sum + other.sum,
    buckets: one.buckets.map((inside, index) => inside + (other.buckets[index] ?? 0)),
  };
}
