// An outage from beginning to end on the real stack, with callers who go on calling: one bookmaker fails, trips, pages,
// is mended and reset. What a dashboard shows of it is asked of the Prometheus that watched.

import { get } from "../pager/alerts.ts";
import { until } from "../pager/processes.ts";
import { startStack, type Stack } from "../pager/stack.ts";

/** Scrapes come each half second here, and on a busy machine when they can. */
export const RATE_INTERVAL = "4s";
export const STEP_SECONDS = 0.5;
const STACK_MS_MAX = 240_000;
const WAIT_MS_MAX = 60_000;

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly (readonly [number, string])[];
  readonly value?: readonly [number, string];
}

export interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly data: { readonly result: readonly Series[] };
}

export interface Story {
  readonly prometheusUrl: string;
  /** In Unix seconds: when what began. */
  readonly at: {
    readonly begin: number;
    readonly tripped: number;
    readonly reset: number;
    readonly end: number;
  };
  range(query: string): Promise<Answer>;
  instant(query: string, time?: number): Promise<Answer>;
  stop(): Promise<void>;
}

const seconds = (): number => Date.now() / 1000;
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** `calmMs`: how long all is well before and after. */
export async function playOutage({ calmMs }: { readonly calmMs: number }): Promise<Story> {
  const stack = await startStack({
    msMax: STACK_MS_MAX,
    config: (demo) =>
      demo.replaceAll("deadlineMs: 2000", "deadlineMs: 2000\n    limit: { kind: adaptive }"),
  });
  const at = { begin: seconds(), tripped: 0, reset: 0, end: 0 };
  const ask = (path: string, query: Record<string, string | number>): Promise<Answer> => {
    const parts = Object.entries(query).map(([name, value]) => [name, String(value)]);
    return get<Answer>(
      `${stack.prometheusUrl}/api/v1/${path}?${new URLSearchParams(parts).toString()}`,
    );
  };
  const instant = (query: string, time = at.end): Promise<Answer> => ask("query", { query, time });
  const seen = (query: string): Promise<true> =>
    until(
      query,
      async () => {
        const { data } = await instant(query, seconds());
        return data.result.length > 0 ? true : undefined;
      },
      WAIT_MS_MAX,
    );
  const callers = startCallers(stack);
  try {
    await seen('circuit_breaker_tripped{bookmaker="draftkings"} == 0');
    await pause(calmMs);
    stack.draftkings.control({ status: 500 });
    await stack.call("/draftkings/odds", 10);
    at.tripped = seconds();
    await seen('circuit_breaker_tripped{bookmaker="draftkings"} == 1');
    await seen('ALERTS{alertname="CircuitBreakerTripped", alertstate="firing"}');
    stack.draftkings.restore();
    await reset(stack);
    at.reset = seconds();
    await seen('circuit_breaker_tripped{bookmaker="draftkings"} == 0');
    await pause(calmMs);
  } catch (error) {
    await callers.stop();
    await stack.stop();
    throw error;
  }
  await callers.stop();
  at.end = seconds();
  return {
    prometheusUrl: stack.prometheusUrl,
    at,
    instant,
    range: (query) =>
      ask("query_range", { query, start: at.begin, end: at.end, step: STEP_SECONDS }),
    stop: () => stack.stop(),
  };
}

function startCallers(stack: Stack): { stop(): Promise<void> } {
  const end = new AbortController();
  const calling = ["/draftkings/odds", "/fanduel/odds", "/feeds/odds"].map(async (path) => {
    while (!end.signal.aborted) {
      await stack.call(path, 1);
      await pause(40);
    }
  });
  return {
    stop: async () => {
      end.abort();
      await Promise.all(calling);
    },
  };
}

async function reset({ gateway, env }: Stack): Promise<void> {
  const answer = await fetch(`${gateway.adminUrl}/api/circuit-breakers/draftkings/reset`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${env["SWITCHGEAR_ADMIN_TOKEN"] ?? ""}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ reason: "mended", force: true }),
  });
  if (!answer.ok) throw new Error(`not reset: ${await answer.text()}`);
}
