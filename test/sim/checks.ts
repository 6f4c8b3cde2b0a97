// What must hold after every step, whatever the faults. Reading is all that happens here.

import { checkPromised, hasUnseenLoss } from "./losses.ts";
import { checkOthers } from "./refusals.ts";
import type { Instant } from "../../src/core/breaker/machine.ts";
import type { Upstream } from "../../src/index.ts";
import type { Call, Ledger, Verdict } from "./ledger.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

/** A stall gives its lane one more turn of a millisecond, and due times are rounded up to one. */
const DEADLINE_SLACK_MS = 2;

export function checkProcess(setting: Setting, process: Process): void {
  const { journal } = setting;
  for (const call of process.calls) {
    checkCall(setting, process, call);
    if (call.ending !== undefined) process.calls.delete(call);
  }
  if (!setting.reads) return;
  process.peek(() => {
    for (const ledger of process.ledgers.values()) {
      const upstream = process.held(ledger.name);
      if (upstream === undefined) continue;
      process.takeMode(ledger, upstream.mode);
      checkCounts(setting, ledger, upstream);
      ledger.limits?.check(ledger, !process.isStalled && process.awakeMs > DEADLINE_SLACK_MS);
      checkStored(setting, process, ledger, upstream);
      process.endpoints.get(ledger.name)?.check(process.clock.monotonic());
    }
    checkOthers(journal, setting, process);
  });
  checkPromised(setting, process);
  const { expected } = process.listenerErrors;
  const found = process.gear.counters().listenerErrors;
  if (found !== expected) {
    journal.break("listeners harm nobody", `${found} listener errors, expected ${expected}`);
  }
  const isWritten = process.gear.storeHealth().ok && !process.isClosed && !process.isDying;
  if (isWritten && process.pendingAudits > 0) {
    journal.break("no audit is lost", `${process.pendingAudits} audits missing`);
  }
}

function checkCall({ journal }: Setting, process: Process, call: Call): void {
  const { ending, ledger, deadlineMs, startMs } = call;
  const nowMs = process.clock.monotonic();
  if (ending === undefined) {
    if (deadlineMs === undefined || process.isStalled) return;
    const dueMs = startMs + deadlineMs;
    if (nowMs > dueMs + DEADLINE_SLACK_MS && process.awakeMs > DEADLINE_SLACK_MS) {
      journal.break("deadlines are kept", `call ${call.id} is ${nowMs - dueMs} ms over its own`);
    }
    return;
  }
  for (const verdict of [call, call.atEndpoint]) {
    const tells = verdict.ticket === undefined ? 0 : 1;
    if (verdict.told !== tells) {
      journal.break("one verdict per ticket", `call ${call.id} was told ${verdict.told} times`);
      return;
    }
    if (tells === 1) checkVerdict(journal, ledger, call, verdict);
  }
}

function checkVerdict(
  journal: Setting["journal"],
  ledger: Ledger,
  call: Call,
  verdict: Verdict,
): void {
  const { ending, weight } = call;
  const { toldAs, toldFailure } = verdict;
  const expected = ending === "timeout" ? "failed" : ending;
  // Whoever gave up only after a slow call's time has seen a slow call.
  const sawSlow =
    verdict === call && ending === "ignored" && toldAs === "ok" && isSlowAbort(ledger, call);
  if (toldAs !== expected && !sawSlow) {
    journal.break("only the upstream is evidence", `call ${call.id}: ${ending}, told ${toldAs}`);
  }
  // An adapter may say how long it took; whoever says nothing is measured.
  const latencyMs = call.latencyMs ?? call.endedMs - call.startMs;
  if (toldAs !== "ignored" && !Object.is(verdict.toldLatencyMs, latencyMs)) {
    journal.break(
      "a call took the time it took",
      `call ${call.id}: ${verdict.toldLatencyMs} ms, expected ${latencyMs} ms`,
    );
  }
  if (toldFailure === undefined) return;
  const { policy } = ledger.plan;
  const usual =
    ending === "timeout" ? policy.timeoutWeightThousandths : policy.failureWeightThousandths;
  const expectedWeight = weight === undefined ? usual : Math.round(weight * 1000);
  if (toldFailure.weightThousandths === expectedWeight) return;
  journal.break(
    "a failure weighs what it should",
    `call ${call.id}: ${toldFailure.weightThousandths}, expected ${expectedWeight}`,
  );
}

function isSlowAbort({ machine }: Ledger, call: Call): boolean {
  return call.controller?.signal.aborted === true && call.toldLatencyMs >= machine.slowCallMs;
}

/** Of an upstream that was forgotten to make room: it must not have been worth remembering. */
export function checkForgotten(
  { journal }: Setting,
  { name, tally, mode, orders, oracle }: Ledger,
  at: Instant,
): void {
  const facts = oracle?.facts(at) ?? {};
  const { tripped = false, failureCount = 0, tripCount = 0 } = facts;
  const { totalAttempts, successfulAttempts } = facts;
  const isWorthIt =
    tripped !== false ||
    failureCount !== 0 ||
    tripCount !== 0 ||
    totalAttempts !== successfulAttempts ||
    orders.newest.kind !== "none" ||
    mode !== "normal" ||
    tally.inFlight > 0 ||
    tally.abandoned > 0;
  if (!isWorthIt) return;
  journal.break(
    "only what holds nothing is forgotten",
    `${name}: ${JSON.stringify({ ...facts, ...tally, mode, order: orders.newest.kind })}`,
  );
}

function checkCounts({ journal }: Setting, ledger: Ledger, upstream: Upstream): void {
  const { tally, name } = ledger;
  const found = { ok: 0, failed: 0, timeout: 0, ignored: 0 };
  const refused = new Map<string, number>();
  for (const operation of upstream.operations) {
    found.ok += operation.ok;
    found.failed += operation.failed;
    found.timeout += operation.timeout;
    found.ignored += operation.ignored;
    for (const [reason, count] of Object.entries(operation.refused ?? {})) {
      refused.set(reason, (refused.get(reason) ?? 0) + count);
    }
  }
  const same = (what: string, count: number, expected: number): void => {
    if (count === expected) return;
    journal.break("every call is counted once", `${name}: ${what} ${count}, expected ${expected}`);
  };
  same("ok", found.ok, tally.ok);
  same("failed", found.failed, tally.failed);
  if (ledger.isUncertain) {
    same("timeout and ignored", found.timeout + found.ignored, tally.timeout + tally.ignored);
  } else {
    same("timeout", found.timeout, tally.timeout);
    same("ignored", found.ignored, tally.ignored);
  }
  same("in flight", upstream.inFlight, tally.inFlight);
  same("abandoned", upstream.abandoned, tally.abandoned);
  same("late successes", upstream.counters.lateOk, tally.lateOk);
  same("late failures", upstream.counters.lateFailed, tally.lateFailed);
  for (const [reason, count] of refused) {
    same(`refused as ${reason}`, count, tally.refused.get(reason) ?? 0);
  }
  for (const [reason, count] of tally.refused) {
    same(`refused as ${reason}`, refused.get(reason) ?? 0, count);
  }
}

/** What says that it is stored is on disk, unless somebody wrote over it since. */
function checkStored(
  { journal, disk, plan }: Setting,
  process: Process,
  { name, plan: { policy } }: Ledger,
  upstream: Upstream,
): void {
  const row = disk.rows.get(name);
  const isOurs = row === undefined ? plan.processes === 1 : row.by === process.store;
  if (!plan.isDurable || !isOurs || process.isDying || hasUnseenLoss(disk, process)) return;
  const { mode } = upstream;
  const { tripped, manual, tripCount, failureCount } = upstream.snapshot();
  const stored = row?.stored;
  const differs =
    tripped !== (stored?.snapshot.tripped ?? false) ||
    manual !== (stored?.snapshot.manual ?? false) ||
    mode !== (stored?.mode ?? "normal") ||
    tripCount !== (stored?.snapshot.tripCount ?? 0) ||
    (policy.kind === "latching" && failureCount !== (stored?.snapshot.failureCount ?? 0));
  // Asked last, since the answer tells everything there is to tell.
  if (!differs || !upstream.status().persisted) return;
  journal.break(
    "what is said to be stored is stored",
    `${name}: tripped ${tripped}, manual ${manual}, ${mode}, trips ${tripCount}, failures ${failureCount}; on disk ${JSON.stringify(stored)}`,
  );
}
