// How every world ends: the faults stop, the upstream is well, and then good things must happen in a
// stated time. What is only safe could also be dead.

import { HEALTHY } from "./answers.ts";
import type { Actor } from "./operators.ts";
import type { Process } from "./process.ts";
import { MASKED } from "./swarm.ts";
import type { World } from "./world.ts";

/** The longest pause between two tries of the store, and a second of coalescing. */
const STORE_PATIENCE_MS = 31_001;

/** Longer than any deadline of any caller, and any delay of any answer. */
const CALLS_PATIENCE_MS = 2500;

export async function endQuietly(world: World): Promise<void> {
  const { setting, processes } = world;
  const { journal, plan } = setting;
  journal.note("quiet end");
  calm(world);
  // Whatever stalls, wakes up; whatever was asked, is answered.
  await world.advance(CALLS_PATIENCE_MS + STORE_PATIENCE_MS);
  if (world.isOver) return;
  for (const process of processes) {
    checkStore(world, process);
    checkCalls(world, process);
  }
  if (plan.processes === 1) await serveAgain(world);
  if (!world.isOver) await idle(world);
}

function calm(world: World): void {
  const { setting, processes, callers } = world;
  world.isTroubled = false;
  setting.load = 0;
  Object.assign(callers.health, HEALTHY);
  callers.isPlain = true;
  for (const { store } of processes) {
    Object.assign(store.failing, { load: false, commit: false, poll: false, history: false });
    store.failOnce = 0;
    store.crashInCommit = undefined;
  }
}

function checkStore({ setting: { journal, disk, plan } }: World, process: Process): void {
  const { ok, pending } = process.gear.storeHealth();
  if (!ok || pending > 0 || process.pendingAudits > 0) {
    journal.break("a store that works again is caught up", `${pending} states pending`);
  }
  const isMasked = process.isLateLoader && MASKED.lateLoads;
  if (!plan.isDurable || plan.processes > 1 || isMasked) return;
  for (const { name } of process.ledgers.values()) {
    const status = process.upstream(name)?.status();
    const stored = disk.rows.get(name)?.stored;
    if (status === undefined || stored === undefined) continue;
    const { tripped, manual, tripCount, state } = status;
    const { snapshot } = stored;
    const isSame =
      snapshot.tripped === tripped &&
      snapshot.manual === manual &&
      snapshot.tripCount === tripCount &&
      stored.mode === status.mode &&
      // A restart in the middle of a ramp goes on with it; a degraded endpoint is judged anew.
      !(snapshot.kind === "sliding-window" && !tripped && snapshot.state !== state);
    if (isSame) continue;
    journal.break("the store holds the newest state", `${name}: ${JSON.stringify(snapshot)}`);
  }
}

function checkCalls({ setting: { journal } }: World, process: Process): void {
  for (const call of process.calls) {
    if (call.deadlineMs === undefined || call.ending !== undefined) continue;
    journal.break("no caller with a deadline hangs", `call ${call.id}`);
  }
}

/** Every breaker serves again: by itself where it may, after a person's reset where it may not. */
async function serveAgain(world: World): Promise<void> {
  const { setting, processes } = world;
  const { journal } = setting;
  for (const process of processes) {
    for (const name of process.ledgers.keys()) {
      const actor = world.actor(process, name);
      if (actor === undefined) continue;
      const { upstream, ledger } = actor;
      world.operators.order(actor, "normal");
      const needsPerson = ledger.plan.needsPerson || upstream.status().manual;
      const wasTripped = upstream.isTripped;
      await callUntilClosed(world, actor);
      if (world.isOver) return;
      const isClosed = ledger.plan.closedStates.includes(upstream.state());
      if (wasTripped && needsPerson && !upstream.isTripped) {
        journal.break("only a person ends this trip", name);
      } else if (!isClosed && !needsPerson) {
        journal.break(
          "a breaker of a healthy upstream closes",
          `${name} is ${upstream.state()} after ${ledger.plan.callsToClose} calls`,
        );
      }
      upstream.reset({ reason: "the end", actor: "bob", force: true });
      const call = world.callers.execute(process, upstream, ledger);
      await world.settle();
      if (call.ending !== "ok") journal.break("a reset breaker serves", `${name}: ${call.ending}`);
    }
  }
}

async function callUntilClosed(world: World, { process, upstream, ledger }: Actor): Promise<void> {
  const { rounds, patienceMs, callsToClose, closedStates } = ledger.plan;
  for (let round = 0; round < rounds; round += 1) {
    await world.advance(patienceMs);
    for (let n = 0; n < callsToClose && !world.isOver; n += 1) {
      world.callers.execute(process, upstream, ledger);
      await world.settle();
      if (closedStates.includes(upstream.state())) return;
    }
  }
}

/** Nothing to do is nothing done: no timer, and after closing no admission. */
async function idle(world: World): Promise<void> {
  const { setting, processes } = world;
  const { journal } = setting;
  await world.advance(CALLS_PATIENCE_MS + STORE_PATIENCE_MS);
  for (const process of processes) {
    if (process.clock.pendingTimers > 0) {
      journal.break("idle breakers hold no timer", `${process.clock.pendingTimers} timers`);
    }
    process.isClosed = true;
    void process.gear.close();
    const actor = world.actor(process, "dk");
    if (actor === undefined) continue;
    const call = world.callers.execute(process, actor.upstream, actor.ledger);
    await world.settle();
    if (call.admitted !== false) journal.break("a closed registry admits nothing", "dk");
    if (process.clock.pendingTimers > 0) {
      journal.break("a closed registry holds no timer", `${process.clock.pendingTimers} timers`);
    }
  }
}
