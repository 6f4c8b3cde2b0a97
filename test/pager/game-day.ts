// The whole story on one clock: fifty times the load, which is shed; a bookmaker that hangs, which trips its
// breaker; the page; what the runbook says to do, done; and the recovery. At any pace.

import { join } from "node:path";
import { mkdirSync } from "node:fs";
import type { RunRecord } from "../../loadtest/run/data.ts";
import { runK6 } from "../../loadtest/run/k6.ts";
import type { ScenarioName } from "../../loadtest/lib/shapes.ts";
import { readPage, runBlock, type Block } from "../runbooks/page.ts";
import { durationMs } from "./compress.ts";
import { untilIncident } from "./pages.ts";
import { until } from "./processes.ts";
import { resetBlock, type Event } from "./scenario.ts";
import type { Stack } from "./stack.ts";

const ALERT = "CircuitBreakerTripped";
const BOOKMAKER = "draftkings";

/** The rule's `for`, its longest gap, and the notice that Alertmanager takes: never later than this. */
const PAGE_MS_MAX = durationMs("8m");

/** What a busy machine adds, at any pace. */
const SLACK_MS = 30_000;

/** A probe by hand, and the first calls after the reset. */
const CALLS = 20;

export interface Step extends Event {
  /** What a person types, and sees. */
  readonly typed?: { readonly commands: string; readonly shown: string };
}

export interface GameDay {
  readonly steps: readonly Step[];
  readonly spike: RunRecord;
  readonly hang: RunRecord;
  /** From the bookmaker's last answer to its trip, and so on. */
  readonly hangToTripMs: number;
  readonly tripToPageMs: number;
  readonly resetToResolveMs: number;
}

export interface GameDayOptions {
  readonly factor: number;
  readonly k6: string;
  readonly runtime: "node" | "bun";
  /** Where k6's files go. */
  readonly folder: string;
  readonly tell?: (line: string) => void;
}

export async function playGameDay(stack: Stack, options: GameDayOptions): Promise<GameDay> {
  const { factor, tell = () => {} } = options;
  const { pager, draftkings } = stack;
  const msMax = PAGE_MS_MAX / factor + SLACK_MS;
  const steps: Step[] = [];
  const startedMs = Date.now();
  const note = (
    what: string,
    more: Partial<Step> & { readonly absoluteMs?: number } = {},
  ): void => {
    const { absoluteMs = Date.now(), ...rest } = more;
    const sinceMs = absoluteMs - startedMs;
    steps.push({ ...rest, atMs: sinceMs, what });
    tell(`${(sinceMs / 1000).toFixed(1).padStart(7)} s  ${what}`);
  };

  note("k6 begins with what is usual: 20 calls a second to draftkings, 50 to fanduel");
  const spike = await load(stack, options, "spike");
  for (const { atMs, what } of stepsOf(spike)) note(what, { absoluteMs: atMs });
  note(spikeSentence(spike));

  const hang = await load(stack, options, "hang");
  const hungMs = overloadOf(hang);
  note("draftkings stops answering, under the same load", { absoluteMs: hungMs });
  const trippedMs = await trippedAt(stack);
  note("its breaker trips, and stays tripped", { absoluteMs: trippedMs });
  note(hangSentence(hang));

  const paged = await untilIncident(
    pager,
    { alert: ALERT, bookmaker: BOOKMAKER, isOpen: true },
    msMax,
  );
  const [trigger] = paged.triggers;
  if (trigger === undefined) throw new Error("an incident without a trigger");
  note("PagerDuty receives the trigger: somebody is woken", {
    absoluteMs: paged.openedAtMs,
    wire: trigger,
  });
  const statuses = await stack.call(`/${BOOKMAKER}/odds`, CALLS);
  note(`callers meanwhile: ${CALLS} calls, answered ${[...new Set(statuses)].join(" and ")}`);

  const type = async (block: Block, what: string): Promise<void> => {
    const shown = await runBlock(block, stack.env);
    if (shown.code !== 0) throw new Error(`${what} ended with ${shown.code}: ${shown.output}`);
    note(what, { typed: { commands: block.commands, shown: shown.output } });
  };
  for (const block of blocksOf("Diagnosis")) await type(block, "the runbook's diagnosis");
  draftkings.restore();
  note("draftkings answers again");
  await type(resetBlock(), "the runbook's reset");
  const resetMs = Date.now();
  const after = await stack.call(`/${BOOKMAKER}/odds`, CALLS);
  if (after.some((status) => status !== 200)) {
    throw new Error(`calls after the reset are answered ${after.join()}`);
  }
  note(`${CALLS} calls go through, all answered 200`);
  for (const block of blocksOf("Verify")) await type(block, "the runbook's look afterwards");

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
  note("PagerDuty receives the resolve with the same key", {
    absoluteMs: resolve.atMs,
    wire: resolve.event,
  });
  // A spike that is refused for the most part burns the budget, and in a compressed hour it lasts ten minutes.
  for (const { key, triggers, openedAtMs } of pager.incidents()) {
    const [first] = triggers;
    if (key === paged.key || first === undefined) continue;
    note(
      `PagerDuty has received one more trigger: ${first.payload?.summary ?? "without a summary"}`,
      {
        absoluteMs: openedAtMs,
      },
    );
  }
  steps.sort((a, b) => a.atMs - b.atMs);
  return {
    steps,
    spike,
    hang,
    hangToTripMs: trippedMs - hungMs,
    tripToPageMs: paged.openedAtMs - trippedMs,
    resetToResolveMs: resolve.atMs - resetMs,
  };
}

async function load(
  stack: Stack,
  { k6, runtime, folder }: GameDayOptions,
  scenario: ScenarioName,
): Promise<RunRecord> {
  const place = join(folder, scenario);
  mkdirSync(place, { recursive: true });
  // Behind a limit a hung bookmaker is sent two calls in a deadline: its breaker, which needs twenty, trips after ten seconds.
  const lasts =
    scenario === "hang" ? { isShort: false, calmSeconds: 4, measureSeconds: 2 } : { isShort: true };
  return runK6({
    k6,
    address: stack.gateway.url,
    subject: "gateway",
    runtime,
    scenario,
    scale: 1,
    ...lasts,
    control: stack.draftkings.url,
    folder: place,
  });
}

function overloadOf({ steps, startMs }: RunRecord): number {
  return steps.find(({ phase }) => phase === "overload")?.startMs ?? startMs;
}

function stepsOf(record: RunRecord): { readonly atMs: number; readonly what: string }[] {
  return record.steps.flatMap(({ phase, startMs, perSecond, seconds }) =>
    phase === "overload" && startMs !== undefined
      ? [
          {
            atMs: startMs,
            what: `from one moment to the next ${perSecond} a second, for ${seconds} s`,
          },
        ]
      : [],
  );
}

function claim(record: RunRecord, name: string): number | null {
  return record.verdicts.find((verdict) => verdict.name.startsWith(name))?.value ?? null;
}

function spikeSentence(record: RunRecord): string {
  const share = claim(record, "goodput_of_capacity");
  const first = claim(record, "first_shed_ms");
  const late = claim(record, "upstream_timeouts");
  const goodput = share === null ? "unknown" : `${Math.round(share * 100)} %`;
  return `the spike is over: first refusal after ${first ?? "–"} ms, ${late ?? "–"} admitted calls timed out, good answers ${goodput} of the capacity; k6's thresholds: ${record.outcome}`;
}

function hangSentence(record: RunRecord): string {
  return `k6's thresholds for the hang: ${record.outcome}`;
}

async function trippedAt(stack: Stack): Promise<number> {
  return until(
    `${BOOKMAKER}'s breaker trips`,
    async () => {
      const answer = await fetch(`${stack.gateway.adminUrl}/api/circuit-breakers/${BOOKMAKER}`, {
        headers: { authorization: `Bearer ${stack.env["SWITCHGEAR_ADMIN_TOKEN"]}` },
      });
      const { trippedAt: at } = (await answer.json()) as { readonly trippedAt?: string | number };
      if (at === undefined || at === null) return undefined;
      return typeof at === "number" ? at : Date.parse(at);
    },
    SLACK_MS,
  );
}

function blocksOf(section: string): Block[] {
  const blocks = readPage(ALERT).blocks.filter(
    (block) => block.section === section && block.tag === "",
  );
  if (blocks.length === 0) throw new Error(`runbooks/${ALERT}.md has no commands under ${section}`);
  return blocks;
}
