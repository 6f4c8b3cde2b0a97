// What a scrape of 1,000 breakers costs, and how long it keeps calls waiting.
//
// Compared are the page of `/metrics`, the same series through a prom-client registry, and the same
// through OpenTelemetry's exporter, which writes every line anew. All breakers are called before each
// scrape, so that no value is the one of the last page; "idle" ones were never called.

import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { Registry } from "prom-client";
import { createSwitchgear, latching, type Switchgear } from "../../../src/index.ts";
import { prometheusMetrics, switchgearMetricProducer } from "../../../src/telemetry/otel/index.ts";
import { registerSwitchgear } from "../../../src/telemetry/prom-client.ts";
import type { SeededRandom } from "../../../src/testing/index.ts";
import { measure, median, type Case, type Effort } from "./measure.ts";

export const SCRAPE_IDS = ["idle", "used", "used.prom-client", "used.exporter"] as const;
export type ScrapeId = (typeof SCRAPE_IDS)[number];

export interface ScrapeCost {
  readonly msMin: number;
  readonly msMedian: number;
  /** The longest time without a turn of the event loop while it was collected; median of scrapes. */
  readonly stallMs: number;
  readonly lines: number;
}

export interface ScrapeEffort extends Effort {
  readonly breakers: number;
  readonly stalls: number;
}

/** Kept, so that no compiler finds the work useless. */
let page = "";

export async function measureScrapes(
  { breakers, stalls, ...effort }: ScrapeEffort,
  random: SeededRandom,
): Promise<Record<ScrapeId, ScrapeCost>> {
  const cases = new Map<ScrapeId, Case>();
  for (const id of SCRAPE_IDS) cases.set(id, scrape(id, breakers));
  const samples = await measure({ cases: [...cases.values()] }, effort, random);
  const costs: Partial<Record<ScrapeId, ScrapeCost>> = {};
  for (const [id, subject] of cases) {
    const ms = (samples[id] ?? []).map((ns) => ns / 1e6);
    costs[id] = {
      msMin: Math.min(...ms),
      msMedian: median(ms),
      stallMs: median(await stallsOf(subject, stalls)),
      lines: page.split("\n").length - 1,
    };
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every one was measured
  return costs as Record<ScrapeId, ScrapeCost>;
}

function scrape(id: ScrapeId, count: number): Case {
  const names = Array.from({ length: count }, (_, n) => `bookmaker-${n}`);
  const breaker = latching();
  const gear = createSwitchgear({
    upstreams: Object.fromEntries(names.map((name) => [name, { breaker }])),
  });
  const collect = collector(id, gear);
  return {
    id,
    prepare() {
      collectGarbage();
      if (id === "idle") return;
      for (const name of names) {
        const admission = gear.upstream(name).tryAcquire({ operation: "odds" });
        if (!admission.admitted) throw new Error("refused while closed");
        admission.settle({ outcome: "ok", latencyMs: 12 });
      }
    },
    async run(scrapes) {
      for (let n = 0; n < scrapes; n += 1) page = await collect();
    },
  };
}

/** A page leaves megabytes behind: no case pays for another's. */
function collectGarbage(): void {
  if ("Bun" in globalThis) Bun.gc(true);
  else globalThis.gc?.();
}

function collector(id: ScrapeId, gear: Switchgear): () => Promise<string> {
  if (id === "used.prom-client") {
    const registry = new Registry();
    registerSwitchgear(registry, gear);
    return () => registry.metrics();
  }
  if (id === "used.exporter") {
    const exporter = new PrometheusExporter({
      preventServerStart: true,
      metricProducers: [switchgearMetricProducer(gear)],
    });
    // oxlint-disable-next-line no-new -- a reader collects once a provider has it
    new MeterProvider({ readers: [exporter] });
    const serializer = new PrometheusSerializer("", false, undefined, true, true);
    return async () => serializer.serialize((await exporter.collect()).resourceMetrics);
  }
  const endpoint = prometheusMetrics(gear);
  return async () => (await endpoint.collect()).body;
}

async function stallsOf(subject: Case, count: number): Promise<number[]> {
  const stalls: number[] = [];
  for (let n = 0; n < count; n += 1) {
    subject.prepare?.();
    let lastMs = performance.now();
    let longestMs = 0;
    let isDone = false;
    const look = (): void => {
      const nowMs = performance.now();
      longestMs = Math.max(longestMs, nowMs - lastMs);
      lastMs = nowMs;
    };
    const turn = (): void => {
      look();
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    await subject.run(1);
    look();
    isDone = true;
    stalls.push(longestMs);
  }
  return stalls;
}
