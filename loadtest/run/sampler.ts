// Looks at the bookmakers every 200 ms while a run is on, and at the gateway every second, and writes down what they
// say. A scrape is work that calls wait for: five a second would show in the 99th percentile of refusals.

import { createWriteStream, type WriteStream } from "node:fs";
import { ROW_MS, type Sample } from "./data.ts";
import type { World } from "./world.ts";

/** What plots need: all series of a gateway would be fifty times as many. */
const SERIES =
  /^(?:circuit_breaker_(?:tripped|rejected_total)|switchgear_(?:limit_\w+|in_flight|abandoned_calls|event_loop_delay_seconds|system_load)|process_cpu_seconds_total|process_resident_memory_bytes)(?:\{|$)/;

/** Fifteen times as often as a Prometheus in service. */
const SCRAPE_MS = 1000;

export interface Sampler {
  /** With what the gateway last said. */
  latest(): Sample | undefined;
  stop(): Promise<void>;
}

export function startSampler(world: Pick<World, "metrics" | "bookmakers">, file: string): Sampler {
  const out = createWriteStream(file);
  let latest: Sample | undefined;
  let series: Sample["series"] = {};
  let scrapeDueMs = 0;
  const stopping = new AbortController();
  const loop = async (): Promise<void> => {
    let dueMs = Date.now();
    while (!stopping.signal.aborted) {
      const lagMs = Date.now() - dueMs;
      const isScrapeDue = dueMs >= scrapeDueMs;
      if (isScrapeDue) scrapeDueMs = dueMs + SCRAPE_MS;
      const sample = await take({ ...world, metrics: isScrapeDue ? world.metrics : [] }, lagMs);
      out.write(`${JSON.stringify(sample)}\n`);
      if (isScrapeDue) ({ series } = sample);
      latest = { ...sample, series };
      // One that took too long leaves some out, instead of making up for them.
      while (dueMs <= Date.now()) dueMs += ROW_MS;
      await new Promise((done) => setTimeout(done, dueMs - Date.now()));
    }
  };
  const ended = loop();
  return {
    latest: () => latest,
    stop: async () => {
      stopping.abort();
      await ended;
      await close(out);
    },
  };
}

function close(out: WriteStream): Promise<void> {
  return new Promise((done) => {
    out.end(done);
  });
}

async function take(
  { metrics, bookmakers }: Pick<World, "metrics" | "bookmakers">,
  lagMs: number,
): Promise<Sample> {
  const atMs = Date.now();
  const [pages, ...stats] = await Promise.all([
    Promise.all(metrics.map(textOf)),
    ...Object.entries(bookmakers).map(async ([name, url]) => {
      const text = await textOf(`${url}/__stats`);
      return [name, text === "" ? {} : (JSON.parse(text) as Record<string, number>)] as const;
    }),
  ]);
  return { atMs, lagMs, bookmakers: Object.fromEntries(stats), series: seriesOf(pages.join("\n")) };
}

/** Empty where nobody answers: a run goes on without. */
async function textOf(url: string): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
    return answer.ok ? await answer.text() : "";
  } catch {
    return "";
  }
}

export function seriesOf(page: string): Record<string, number> {
  const series: Record<string, number> = {};
  for (const line of page.split("\n")) {
    const space = line.lastIndexOf(" ");
    const name = line.slice(0, space);
    // Of replicas what they have together.
    if (SERIES.test(name)) series[name] = (series[name] ?? 0) + Number(line.slice(space + 1));
  }
  return series;
}
