// How every world ends: the faults stop, the upstream is well, and then good things must happen in a
// stated time. What is only safe could also be dead.

import { HEALTHY } from "./answers.ts";
import { UNHEARD_MS_MAX } from "./limits.ts";
import type { Actor } from "./operators.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

/** The longest pause between two tries of the store, and a second of coalescing. */
const STORE_PATIENCE_MS = 31_001;

/** After so long whoever calls looks for what other processes wrote. */
const LOOK_MS = 1001;

/** Longer than any deadline of any caller, and any delay of any answer. */
const CALLS_PATIENCE_MS = 2500;

export async function endQuietly(world: World): Promise<void> {
  const { setting, processes } = world;
  const { journal, plan } = setting;
  journal.note("quiet end");
  calm(world);
  // Whatever stalls, wakes up; whatever was asked, is answered.
  await world.advance(CALLS_PATIENCE_MS + STORE_PATIENCE_MS);
  world.callers.finish();
  await world.settle();
  // What was cancelled just now may go on for a while: nobody knows.
  if (plan.has("limits")) await world.advance(UNHEARD_MS_MAX);
  if (plan.has("refusals")) {
    // Until here a disk may have refused for ever; that ends, too.
    setting.disk.refusals.end();
    await world.advance(STORE_PATIENCE_MS);
  }
  if (plan.isDurable && (plan.has("losses") || plan.processes > 1)) await lookAgain(world);
  if (world.isOver) return;
  for (const process of processes) {
    checkAgreement(world, process);
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
  callers.endpointHealth.clear();
  callers.isPlain = true;
  for (const { store } of processes) {
    Object.assign(store.failing, { load: false, commit: false, poll: false, history: false });
    store.failOnce = 0;
    store.crashInCommit = undefined;
    store.lossInCommit = 0;
    store.race = undefined;
  }
}

/** Whoever calls looks at the store: first all write back what they know was lost, then all read it. */
async function lookAgain(world: World): Promise<void> {
  for (const _round of ["written back", "read"]) {
    await world.advance(LOOK_MS);
    for (const process of world.processes) {
      const actor = world.actor(process, "dk");
      if (actor === undefined) continue;
      world.callers.execute(process, actor.upstream, actor.ledger);
      await world.settle();
    }
    world.callers.finish();
    await world.settle();
    if (world.isOver) return;
  }
}

/** What a person stopped is stopped in every process that lives, and nothing else is; the file tells all. */
function checkAgreement({ setting: { journal, disk, plan } }: World, process: Process): void {
  if (!plan.isDurable) return;
  for (const [name, { stored }] of disk.rows) {
    const status = process.held(name)?.status();
    if (status === undefined || disk.forked.has(name)) continue;
    if (status.manual === stored.snapshot.manual) continue;
    journal.break(
      "all processes heed the same person",
      `${name}: stopped by hand ${status.manual}, on disk ${stored.snapshot.manual}`,
    );
  }
}

function checkStore({ setting: { journal, disk, plan } }: World, process: Process): void {
  const { ok, pending } = process.gear.storeHealth();
  if (!ok || pending > 0 || process.pendingAudits > 0) {
    journal.break("a store that works again is caught up", `${pending} states pending`);
  }
  if (!plan.isDurable || plan.processes > 1) return;
  for (const { name } of process.ledgers.values()) {
    const status = process.held(name)?.status();
    const row = disk.rows.get(name);
    if (status === undefined || row === undefined) continue;
    const { stored, by } = row;
    const { tripped, manual, tripCount, state } = status;
    const { snapshot } = stored;
    // Another kind, or another's options, have no ramp to go on with.
    const isSameBreaker = by === process.store || !plan.has("kindChanges");
    const isSame =
      snapshot.tripped === tripped &&
      snapshot.manual === manual &&
      snapshot.tripCount === tripCount &&
      stored.mode === status.mode &&
      // A restart in the middle of a ramp goes on with it; a degraded endpoint is judged anew.
      !(
        snapshot.kind === "sliding-window" &&
        isSameBreaker &&
        !tripped &&
        snapshot.state !== state
      );
    if (isSame) continue;
    const found = JSON.stringify({ state, tripped, manual, tripCount, mode: status.mode });
    const onDisk = JSON.stringify({ ...snapshot, mode: stored.mode });
    journal.break("the store holds the newest state", `${name}: ${found}, on disk ${onDisk}`);
  }
}

function checkCalls({ setting: { journal } }: World, process: Process): void {
  for (const call of process.calls) {
    if (call.deadlineMs === undefined || call.ending !== undefined) continue;
    journal.break("no caller with a deadline hangs", `call ${call.id}`);
  }
  const endpoints = [...process.endpoints.values()].flatMap(({ ledgers }) => ledgers);
  // That these are the real counts, too, is looked at after every step.
  for (const { name, tally } of [...process.ledgers.values(), ...endpoints]) {
    if (tally.inFlight === 0 && tally.abandoned === 0) continue;
    journal.break("what has ended is no longer in flight", `${name}: ${tally.inFlight}`);
  }
}

/** Every breaker serves again: by itself where it may, after a person's reset where it may not. */
async function serveAgain(world: World): Promise<void> {
  const { setting, processes } = world;
  const { journal } = setting;
  for (const process of processes) {
    // Asking for one that was forgotten makes it anew.
    const names = Array.from(process.ledgers.keys());
    for (const name of names) {
      const actor = world.actor(process, name);
      if (actor === undefined) continue;
      const { upstream, ledger } = actor;
      const needsPerson = ledger.plan.needsPerson || upstream.status().manual;
      const wasTripped = upstream.isTripped;
      await healEndpoints(world, actor);
      if (world.isOver) return;
      world.operators.order(actor, "normal");
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
      await untilRoom(world, actor);
      const call = world.callers.execute(process, upstream, ledger);
      await world.settle();
      if (call.ending !== "ok") journal.break("a reset breaker serves", `${name}: ${call.ending}`);
    }
  }
}

/**
 * Successes, at the most, after which an endpoint is well: fifty old latencies and a hundred old
 * outcomes are then forgotten. Of its upstream's calls it gets one in eleven or more.
 */
const CALLS_TO_HEAL = 100 * 11;

/** Whatever the breaker of the upstream says, those of its endpoints find out that all is well. */
async function healEndpoints(world: World, actor: Actor): Promise<void> {
  const { process, upstream, ledger } = actor;
  const plan = process.endpoints.get(upstream.name)?.plan;
  const { journal } = world.setting;
  if (plan === undefined) return;
  world.operators.order(actor, "shadow");
  const endpoints = upstream.endpoints?.endpoints ?? [];
  const isManual = ({ machine }: (typeof endpoints)[number]): boolean =>
    machine.isTripped && machine.refusal({ nowMs: 0, wallMs: 0 }).manual;
  const stopped = endpoints.filter(isManual);
  const unwell = (): typeof endpoints =>
    endpoints.filter((one) => one.machine.state !== "healthy" && !stopped.includes(one));
  for (let n = 0; n < CALLS_TO_HEAL * endpoints.length && unwell().length > 0; n += 1) {
    const isCooling = unwell().some(({ machine }) => machine.state === "cooling-down");
    if (isCooling) await world.advance(plan.breaker.patienceMs);
    world.callers.execute(process, upstream, ledger);
    await world.settle();
    if (world.isOver) return;
  }
  for (const { name, machine } of unwell()) {
    journal.break("an endpoint of a healthy upstream heals", `${name} is ${machine.state}`);
  }
  for (const one of stopped) {
    if (!isManual(one)) journal.break("only a person ends this trip", one.name);
    upstream.endpoints?.reset(one.name, { reason: "the end", actor: "bob" });
  }
}

/** Calls of an upstream that was late for all of them are let in one by one. */
async function untilRoom(world: World, { ledger: { limits } }: Actor): Promise<void> {
  const spaceMs = limits?.guard.limiter.spaceMs ?? 0;
  // Less critical ones come last.
  if (spaceMs > 0) await world.advance(2 * spaceMs);
}

async function callUntilClosed(world: World, actor: Actor): Promise<void> {
  const { process, upstream, ledger } = actor;
  const { rounds, patienceMs, callsToClose, closedStates } = ledger.plan;
  for (let round = 0; round < rounds; round += 1) {
    await world.advance(patienceMs);
    for (let n = 0; n < callsToClose && !world.isOver; n += 1) {
      await untilRoom(world, actor);
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
    for (const { name, limits } of process.ledgers.values()) limits?.checkEmpty(name);
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
