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

/** What a busy machine adds, at any pace. */
const SLACK_MS = 30_000;

/** The reset that the page tells first: without force, since five minutes are longer than a cooldown. */
export function resetBlock(): Block {
  const block = readPage(ALERT).blocks.find(
    ({ section, commands }) =>
      section === "Mitigation" &&
      commands.startsWith("switchgear reset") &&
      !commands.includes("--force"),
  );
  if (block === undefined) throw new Error(`runbooks/${ALERT}.md tells no reset`);
  return block;
}

export async function provePage(
  stack: Stack,
  factor: number,
  tell: (line: string) => void = () => {},
): Promise<Proof> {
  const { pager, draftkings } = stack;
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
  const statuses = await stack.call(`/${BOOKMAKER}/odds`, 11);
  if (statuses.join() !== [...Array<number>(10).fill(500), 503].join()) {
    throw new Error(`ten calls should fail and one be refused: ${statuses.join()}`);
  }
  const trippedMs = Date.now();
  note("ten calls have failed, the breaker trips, the eleventh call is refused with 503");

  const paged = await untilIncident(
    pager,
    { alert: ALERT, bookmaker: BOOKMAKER, isOpen: true },
    msMax,
  );
  const [trigger] = paged.triggers;
  if (trigger === undefined) throw new Error("an incident without a trigger");
  note("PagerDuty receives the trigger: somebody is woken", paged.openedAtMs, trigger);

  draftkings.restore();
  note(`${BOOKMAKER} answers again`);
  const shown = await runBlock(resetBlock(), stack.env);
  if (shown.code !== 0) throw new Error(`the reset was refused: ${shown.output}`);
  const resetMs = Date.now();
  note(`the runbook's command resets the breaker: ${shown.output.trim()}`);
  const [status] = await stack.call(`/${BOOKMAKER}/odds`, 1);
  if (status !== 200) throw new Error(`a call after the reset is answered ${status}`);
  note("a call goes through, answered 200");

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
