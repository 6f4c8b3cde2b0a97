// The promises of a fleet: those that hold at every moment, and those that hold once all is well again.

import { compareOrders, versionOf, type FleetRow } from "../../../src/core/fleet/row.ts";
import { auditKey } from "./ledger.ts";
import { KINDS, SHARING } from "./plan.ts";
import type { Upstream } from "../../../src/pipeline/call/upstream.ts";
import type { Replica } from "./replica.ts";
import type { World } from "./world.ts";

/** Questions that one replica may have under way: changes, a read, what is written back, three beats, turns. */
const WAITING_MAX = 42;

/** A probe of single-probe recovery is due after 3 s, and put off by less than that once more. */
const PROBE_MS_MAX = 6000;

export function checkReplica(world: World, replica: Replica): void {
  const { journal } = world.parts;
  for (const upstream of replica.gear.upstreams()) {
    const { name, isTripped } = upstream;
    if (replica.wasTripped.get(name) === true && !isTripped && !mayClose(world, replica, name)) {
      const told = JSON.stringify(replica.told.get(name)?.breaker);
      journal.break(
        "nobody closes a latched breaker but a person",
        `${replica.name} ${name} ${told}`,
      );
    }
    replica.wasTripped.set(name, isTripped);
    checkHeld(world, replica, upstream);
    checkProbe(world, replica, upstream);
  }
  replica.closers.clear();
  if (replica.link.waiting.size > WAITING_MAX) {
    journal.break("questions under way are bounded", `${replica.link.waiting.size}`);
  }
  for (const [name, version] of replica.fleet.versions()) {
    const before = replica.versions.get(name) ?? 0;
    replica.versions.set(name, version);
    if (version < before && !world.network.hasLost) {
      journal.break(
        "versions never go back",
        `${replica.name} ${name}: ${version} after ${before}`,
      );
    }
    const told = versionOf(replica.told.get(name));
    if (told !== version) {
      journal.break("what was told is known", `${replica.name} ${name}: ${version}, not ${told}`);
    }
  }
}

function mayClose(world: World, replica: Replica, name: string): boolean {
  const kind = KINDS[name]?.kind ?? "latching";
  if (kind !== "latching" || replica.closers.has(name)) return true;
  const order = replica.told.get(name)?.breaker?.order;
  if (order === undefined || order.isTrip) return false;
  return name === "probe" || world.ledger.taken.has(order.id);
}

/** Whatever others report: what a person holds is let go by a person. */
function checkHeld({ parts }: World, replica: Replica, upstream: Upstream): void {
  const { name, isTripped } = upstream;
  const isHeld = isTripped && upstream.snapshot().manual;
  const wasHeld = replica.wasHeld.get(name) === true;
  replica.wasHeld.set(name, isHeld);
  if (!wasHeld || isHeld || replica.closers.get(name) === "person") return;
  const person = replica.told.get(name)?.breaker?.person;
  if (person?.isTrip === false) return;
  const detail = `${replica.name} ${name} ${JSON.stringify(person)}`;
  parts.journal.break("nobody lets go what a person holds but a person", detail);
}

function checkProbe({ parts }: World, { name, clock }: Replica, upstream: Upstream): void {
  if (upstream.name !== "probe" || !upstream.isTripped) return;
  const { trippedUntil } = upstream.snapshot();
  const inMs = (trippedUntil ?? 0) - clock.now();
  // Wall clocks show whole milliseconds.
  if (inMs > PROBE_MS_MAX + 1)
    parts.journal.break("a probe is put off once", `${name}: ${inMs} ms`);
}

export function checkEnd(world: World): void {
  for (const name of world.parts.plan.upstreams) {
    const row = world.network.store.rows.get(name);
    for (const replica of world.replicas) checkAgreement(world, replica, name, row);
    if (row !== undefined) world.ledger.checkVersions(row);
    checkConfirmed(world, name, row);
  }
  checkAudits(world);
}

function checkAgreement(
  world: World,
  { name: replica, gear, recoveredFrom }: Replica,
  name: string,
  row: FleetRow | undefined,
): void {
  const { journal } = world.parts;
  const break_ = (what: string, here: unknown, there: unknown): void =>
    journal.break(
      "all agree once the network is well",
      `${replica} ${name}: ${what} ${String(here)}, stored ${String(there)}`,
    );
  const upstream = gear.upstream(name);
  const version = gear.fleet?.versions().get(name) ?? 0;
  if (version !== versionOf(row)) break_("version", version, versionOf(row));
  if (upstream.mode !== (row?.mode?.mode ?? "normal"))
    break_("mode", upstream.mode, row?.mode?.mode);
  const { order, person } = row?.breaker ?? {};
  const { manual } = upstream.snapshot();
  const isHeld = order?.isTrip === true && order.id === person?.id;
  if (upstream.isTripped && manual !== isHeld) break_("by hand", manual, isHeld);
  if (isHeld && !upstream.isTripped) break_("tripped", false, true);
  const kind = KINDS[name]?.kind ?? "latching";
  const isTrip = order?.isTrip ?? false;
  if (kind === "latching" && upstream.isTripped !== isTrip) {
    break_("tripped", upstream.isTripped, isTrip);
  }
  // One that has recovered since may stay closed where it is not told of; all others are open with those that report it.
  const isShared = SHARING.has(name) && world.parts.plan.share !== "orders";
  const hasRecovered = isTrip && recoveredFrom.get(name) === order?.id;
  if (isShared && isTrip && !upstream.isTripped && !hasRecovered) break_("opened", false, true);
  const health = gear.storeHealth();
  if (!health.ok || health.pending > 0) break_("health", JSON.stringify(health), "well");
  if (gear.fleet?.isSynced !== true) break_("synced", false, true);
}

/** What somebody was told is in force stays so, until a person's order replaces it. */
function checkConfirmed(world: World, name: string, row: FleetRow | undefined): void {
  const { ledger, dead, network, parts } = world;
  for (const { id, upstream, person, by } of ledger.confirmations) {
    if (upstream !== name) continue;
    // Where the store lost it, and whoever knew it is dead, nobody has it any more.
    if (network.hasLost && dead.has(by)) continue;
    const stored = row?.breaker?.person;
    if (compareOrders(stored, person) >= 0) continue;
    const detail = `${id} ${JSON.stringify(person)}, stored ${JSON.stringify(stored)}`;
    parts.journal.break("what was confirmed is in force", detail);
  }
}

function checkAudits(world: World): void {
  const { ledger, dead, network, parts } = world;
  const { journal } = parts;
  const found = new Map<string, number>();
  const count = (key: string): void => void found.set(key, (found.get(key) ?? 0) + 1);
  for (const audits of network.store.audits.values()) {
    const newest = new Map<Replica | undefined, number>();
    for (const audit of audits) {
      const { action, actor, reason, replica } = audit;
      if (action === "RESET_DENIED") continue;
      const giver = ledger.given.get(reason)?.replica;
      const place = Number(reason.slice(1));
      // What is late may come to a store that has lost that it had it.
      if (!network.hasLost && giver !== undefined && place < (newest.get(giver) ?? 0)) {
        journal.break("audits of one replica stand in their order", reason);
      }
      newest.set(giver, place);
      count(actor === "system" ? `${replica} ${auditKey(audit)}` : reason);
    }
  }
  for (const [key, times] of found) {
    const most = ledger.given.has(key) ? 1 : (ledger.happenings.get(key) ?? 0);
    if (times > most) journal.break("no order stands twice in the audit", `${key}: ${times}`);
  }
  if (network.hasLost) return;
  for (const [reason, { replica }] of ledger.given) {
    if (!found.has(reason) && !dead.has(replica)) {
      journal.break("every order stands in the audit", reason);
    }
  }
  if (dead.size > 0) return;
  for (const [key, times] of ledger.happenings) {
    if (found.get(key) !== times) journal.break("every trip stands in the audit", key);
  }
}
