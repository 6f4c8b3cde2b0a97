// What a caller gets in the end, held against what became of the call.

import { isRefused } from "../../src/core/errors.ts";
import type { Call, Ending, Ledger } from "./ledger.ts";
import { LIMIT_REASONS } from "./limits.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

/** `isAnswer` says whether the upstream sent something; what it sent may be without a vote. */
export function end(
  process: Process,
  call: Call,
  ending: Ending,
  isAnswer = ending === "ok" || ending === "failed",
): void {
  const { tally } = call.ledger;
  if (isAnswer) call.ledger.answeredMs = process.clock.monotonic();
  call.ending = ending;
  call.endedMs = process.clock.monotonic();
  tally.inFlight -= 1;
  tally[ending] += 1;
  if (ending === "timeout") call.ledger.limits?.leftUnheard();
  if (call.endpoint !== undefined) call.endpoint.tally.inFlight -= 1;
}

/** The caller's promise settles. */
export function answered(
  setting: Setting,
  process: Process,
  call: Call,
  kind: "value" | "error",
  value: unknown,
): void {
  if (!process.isAlive) return;
  const { journal } = setting;
  const isOurs = kind === "error" && isRefused(value) && !("look" in value);
  const reason = isOurs ? value.reason : undefined;
  journal.note("answered", call.id, kind, reason);
  call.answers += 1;
  if (call.answers > 1) journal.break("a promise settles once", `call ${call.id}`);
  if (reason === "deadline") expired(setting, process, call);
  else if (reason !== undefined) refused(setting, process, call, reason);
  else if (call.expected?.kind !== kind || call.expected.value !== value) {
    journal.break(
      "a caller gets what the upstream said",
      `call ${call.id}: ${kind} ${String(value)}, expected ${call.expected?.kind ?? "nothing"}`,
    );
  }
}

export function refused(setting: Setting, process: Process, call: Call, reason: string): void {
  const { journal, load } = setting;
  journal.note("refused", process.number, call.ledger.name, call.id, reason);
  call.ledger.countRefusal(reason);
  if (call.admitted === true) journal.break("a refused call never runs", `call ${call.id}`);
  if (reason === "closing" ? !process.isClosed : reason === "load_shed" && load <= 0.85) {
    journal.break("nobody is refused for nothing", `call ${call.id}: ${reason}`);
  }
  const isLimit = LIMIT_REASONS.has(reason);
  if (isLimit && call.ledger.limits === undefined) {
    journal.break("nobody is refused for nothing", `call ${call.id}: ${reason}`);
  }
  const isOther = reason === "closing" || reason === "load_shed" || reason === "no_endpoint";
  const isBreaker = !isOther && !isLimit;
  if (isBreaker && call.ticket !== undefined) {
    journal.break("nobody is refused for nothing", `call ${call.id} held a ticket`);
  }
  // A probe that was lent before the shedding, or before the limiter was asked, goes back without a vote.
  if (call.ticket !== undefined && call.toldAs !== "ignored") {
    journal.break("our own refusals are no evidence", `call ${call.id}: ${call.toldAs ?? "kept"}`);
  }
}

/** A caller's limit below what answers take on average says nothing; the upstream's own always does. */
function isImpatient(setting: Setting, process: Process, call: Call): boolean {
  const { ledger, deadlineMs = 0 } = call;
  const ownMs = setting.plan.deadlinesMs[ledger.name];
  if (ownMs !== undefined && deadlineMs >= ownMs) return false;
  // As it was before this call was told of, which may have changed it. Where only its endpoint was told,
  // or nobody, whatever happened since may have.
  if (call.told === 0) ledger.isUncertain = true;
  if (call.told === 0 && call.atEndpoint.told > 0) return call.atEndpoint.toldAs === "ignored";
  const averageMs = call.told > 0 ? call.averageMs : averageOf(process, ledger);
  return averageMs !== null && deadlineMs < averageMs;
}

/** What a caller who gives up now has seen. */
export function endingOfLeaver(setting: Setting, process: Process, call: Call): Ending {
  const { ledger, startMs } = call;
  const nowMs = process.clock.monotonic();
  const waitedMs = nowMs - startMs;
  if (waitedMs >= ledger.machine.slowCallMs) return "ignored";
  const silentMs = Math.min(waitedMs, nowMs - ledger.answeredMs);
  const ownMs = setting.plan.deadlinesMs[ledger.name] ?? Infinity;
  const longMs = Math.min(ownMs, Math.max(1000, 20 * (averageOf(process, ledger) ?? 0)));
  return silentMs >= longMs ? "timeout" : "ignored";
}

function averageOf({ clock }: Process, { machine }: Ledger): number | null {
  return machine.snapshot({ nowMs: clock.monotonic(), wallMs: clock.now() }).avgLatencyMs;
}

function expired(setting: Setting, process: Process, call: Call): void {
  const { journal } = setting;
  const { deadlineMs, startMs, ending } = call;
  const nowMs = process.clock.monotonic();
  if (deadlineMs === undefined || ending !== undefined || nowMs < startMs + deadlineMs) {
    journal.break("deadlines are kept", `call ${call.id} expired at ${nowMs - startMs} ms`);
    return;
  }
  const isExcused = process.sleptThrough(startMs + deadlineMs, deadlineMs);
  if (isExcused && call.toldAs === "failed") {
    journal.break("a stall of ours is no evidence", `call ${call.id} counted as a timeout`);
  }
  // After a stall nobody knows whose fault the time was.
  const wasStalled = process.clock.stalledUntilMs >= setting.timeline.nowMs - 2 - deadlineMs;
  const toldAs = call.toldAs ?? call.atEndpoint.toldAs;
  const isIgnored = wasStalled && toldAs !== "failed";
  if (isIgnored && toldAs === undefined) {
    // Nothing was told that would tell the two apart.
    call.ledger.isUncertain = true;
  }
  end(process, call, isIgnored || isImpatient(setting, process, call) ? "ignored" : "timeout");
  if (call.isRunning) call.ledger.tally.abandoned += 1;
}
