// The first scenario, at any pace: a bookmaker dies, its breaker trips, somebody is paged; it comes
// back, the runbook's own command resets the breaker, and the page is resolved.

import { durationMs } from "./compress.ts";
import type { PagerEvent } from "./event.ts";
import { untilIncident } from "./pages.ts";
import { until } from "./processes.ts";
import type { Stack } from "./stack.ts";
import { readPage, runBlock, type Block } from "../runbooks/page.ts";

const ALERT = "CircuitBreakerTripped";
const BOOKMAKER = "draftkings";

export interface Event {
  /** Milliseconds since the bookmaker died. */
  readonly atMs: number;
  readonly what: string;
  readonly wire?: PagerEvent;
}

export interface Proof {
  readonly events: readonly Event[];
  readonly trigger: PagerEvent;
  readonly resolve: PagerEvent;
  readonly tripToPageMs: number;
  readonly resetToResolveMs: number;
}

/** The rule's `for`, its longest gap, and the notice that Alertmanager takes: never later than this. */
const PAGE_MS_MAX = durationMs("8m");

/** How long Prometheus is gone. */
const RESTART_MS = 20_000;

/** What a busy machine adds, at any pace. */
const SLACK_MS = 30_000;

/** The reset that the page tells first: without force, since five minutes are longer than a cooldown. */
export function resetBlock(): Block {
  const block = readPage(ALERT).blocks.find(
    ({ section, commands }) =>
      section === "Mitigation" &&
      commands.includes("switchgear reset ") &&
      !commands.includes("--force"),
  );
  if (block === undefined) throw new Error(`runbooks/${ALERT}.md tells no reset`);
  return block;
}

export interface ProofOptions {
  readonly tell?: (line: string) => void;
  /** Whether Prometheus begins anew while the page is open. Only at the real pace: it takes its seconds. */
  readonly restartsPrometheus?: boolean;
}

export async function provePage(
  stack: Stack,
  factor: number,
  { tell = () => {}, restartsPrometheus = false }: ProofOptions = {},
): Promise<Proof> {
  const { pager, draftkings } = stack;
  const second = await stack.startReplica();
  const replicas = [stack.gateway, second];
  const msMax = PAGE_MS_MAX / factor + SLACK_MS;
  const events: Event[] = [];
  const startedMs = Date.now();
  const note = (what: string, atMs = Date.now(), wire?: PagerEvent): void => {
    const sinceMs = atMs - startedMs;
    events.push({ atMs: sinceMs, what, ...(wire === undefined ? {} : { wire }) });
    tell(`${(sinceMs / 1000).toFixed(1).padStart(7)} s  ${what}`);
  };

  draftkings.control({ status: 500 });
  note(`${BOOKMAKER} answers every call with 500`);
  const trippedMs = Date.now();
  for (const replica of replicas) {
    const statuses = await stack.call(`/${BOOKMAKER}/odds`, 11, replica);
    if (statuses.join() !== [...Array<number>(10).fill(500), 503].join()) {
      throw new Error(`ten calls should fail and one be refused: ${statuses.join()}`);
    }
  }
  note(
    "on each of two replicas ten calls have failed, the breaker trips, the eleventh is refused with 503",
  );

  const paged = await untilIncident(
    pager,
    { alert: ALERT, bookmaker: BOOKMAKER, isOpen: true },
    msMax,
  );
  const [trigger] = paged.triggers;
  if (trigger === undefined) throw new Error("an incident without a trigger");
  note("PagerDuty receives the trigger: somebody is woken", paged.openedAtMs, trigger);

  if (restartsPrometheus) {
    await stack.prometheus.stop();
    note("Prometheus ends");
    await new Promise((done) => setTimeout(done, RESTART_MS));
    await stack.prometheus.start();
    note("Prometheus begins anew");
    // Longer than Alertmanager would keep an alert of which nobody tells it any more.
    await new Promise((done) => setTimeout(done, durationMs("6m")));
    const { triggers, resolvedAtMs } = await untilIncident(
      pager,
      { alert: ALERT, bookmaker: BOOKMAKER, isOpen: true },
      msMax,
    );
    if (triggers.length !== 1 || resolvedAtMs !== undefined) {
      throw new Error("the restart resolved the page, or paged again");
    }
    note("the page is open still, and nobody was woken again");
  }

  draftkings.restore();
  note(`${BOOKMAKER} answers again`);
  const env = {
    ...stack.env,
    SWITCHGEAR_URLS: replicas.map(({ adminUrl }) => adminUrl).join(" "),
  };
  const shown = await runBlock(resetBlock(), env);
  if (shown.code !== 0) throw new Error(`the reset was refused: ${shown.output}`);
  for (const [at, line] of shown.output.trim().split("\n").entries()) {
    note(`the runbook's command, replica ${at + 1}: ${line}`);
  }
  const resetMs = Date.now();
  for (const replica of replicas) {
    const [status] = await stack.call(`/${BOOKMAKER}/odds`, 1, replica);
    if (status !== 200) throw new Error(`a call after the reset is answered ${status}`);
  }
  note("a call goes through on each, answered 200");

  const resolve = await until(
    "PagerDuty receives the resolve",
    () =>
      pager
        .deliveries()
        .find(
          ({ status, event }) =>
            status === 202 && event?.event_action === "resolve" && event.dedup_key === paged.key,
        ),
    msMax,
  );
  await second.stop();
  await stack.scrape(stack.gateway.adminPort);
  if (resolve.event === undefined) throw new Error("a delivery without an event");
  note("PagerDuty receives the resolve with the same key", resolve.atMs, resolve.event);
  return {
    events,
    trigger,
    resolve: resolve.event,
    tripToPageMs: paged.openedAtMs - trippedMs,
    resetToResolveMs: resolve.atMs - resetMs,
  };
}
