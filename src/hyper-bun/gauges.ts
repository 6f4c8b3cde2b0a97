// The global map from which Hyper-Bun's exporter prints: whole series as keys, numbers as values. Of
// its keys the exporter takes those that begin with `circuit_breaker_rejected` and with
// `load_shed_rejected_total`, and prints them as they are, so that they must be escaped here.

import type { MetricsClient } from "./metrics-feed.ts";

interface Holder {
  __circuitBreakerGauges?: unknown;
}

/** A metrics client that keeps `globalThis.__circuitBreakerGauges`, which all copies share. */
export function gaugesClient(): MetricsClient {
  gauges();
  return {
    counter(name, value, labels) {
      const map = gauges();
      const key = series(name, labels);
      map.set(key, (map.get(key) ?? 0) + value);
    },
    gauge(name, value, labels) {
      gauges().set(series(name, labels), value);
    },
  };
}

/** Looked up each time: tests and hot reloads put a new one in its place. */
function gauges(): Map<string, number> {
  const holder = globalThis as Holder;
  const found = holder.__circuitBreakerGauges;
  if (found instanceof Map) return found as Map<string, number>;
  const made = new Map<string, number>();
  holder.__circuitBreakerGauges = made;
  return made;
}

function series(name: string, labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

/** As the text format of Prometheus has it. */
export function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
