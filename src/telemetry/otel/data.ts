// Our families as OpenTelemetry's SDK knows metrics. No unit is set: receivers of OTLP would put it
// into the names.

import { ValueType } from "@opentelemetry/api";
import { AggregationTemporality, DataPointType, type MetricData } from "@opentelemetry/sdk-metrics";
import type { MetricFamily } from "../series/families.ts";

/** Counters count from the start of the process, not from the first scrape. */
const START_TIME = hrTime(performance.timeOrigin);

export function metricData(family: MetricFamily): MetricData {
  const { metric } = family;
  const times = {
    startTime: START_TIME,
    endTime: hrTime(performance.timeOrigin + performance.now()),
  };
  const base = {
    descriptor: {
      name: metric.name,
      description: metric.help,
      unit: "",
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  if (family.type === "histogram") {
    const boundaries = [...family.bounds];
    return {
      ...base,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: family.samples.map(({ labels, count, sum, buckets }) => ({
        ...times,
        attributes: labels,
        value: { buckets: { boundaries, counts: [...buckets] }, count, sum },
      })),
    };
  }
  const dataPoints = family.samples.map(({ labels, value }) => ({
    ...times,
    attributes: labels,
    value,
  }));
  return family.type === "counter"
    ? { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { ...base, dataPointType: DataPointType.GAUGE, dataPoints };
}

function hrTime(epochMs: number): [number, number] {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)];
}
