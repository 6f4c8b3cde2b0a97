// What the disk refuses by content, for all processes alike: some upstream's row, some action's audit. All
// else must be durable in the very call, and what is refused must be told.

import { StoreError } from "../../src/core/errors.ts";
import type { AuditAction, StoreChange } from "../../src/pipeline/ports.ts";
import type { Journal } from "./journal.ts";
import { pick } from "./kinds.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

const ACTIONS: readonly [AuditAction, ...AuditAction[]] = [
  "RESET_DENIED",
  "TRIP",
  "RESET",
  "NORMAL",
  "SHADOW",
  "FORCE_CLOSED",
];

export class Refusals {
  readonly upstreams = new Set<string>();
  readonly actions = new Set<string>();

  /** Throws, as a constraint does, when any part of the change is refused. */
  look({ breakers, audits }: StoreChange): void {
    const isRefused =
      breakers.some(({ upstream }) => this.upstreams.has(upstream)) ||
      audits.some(({ action }) => this.actions.has(action));
    if (isRefused) throw new StoreError("SIM_REFUSED", "not this", { concerns: "change" });
  }

  end(): void {
    this.upstreams.clear();
    this.actions.clear();
  }
}

/** Somebody gives a table a constraint, or takes it away. */
export function toggleRefusal({ random, disk, plan, journal }: Setting): void {
  const { upstreams, actions } = disk.refusals;
  const isRow = random.integer(2) === 0;
  const what = isRow ? pick(random, ["dk", "fd"]) : pick(random, ACTIONS);
  const refused: Set<string> = isRow ? upstreams : actions;
  if (isRow && !plan.isDurable) return;
  if (!refused.delete(what)) refused.add(what);
  journal.note("refusal", what, refused.has(what));
}

/** One change that cannot be stored holds back no other. */
export function checkOthers(journal: Journal, { disk, plan }: Setting, process: Process): void {
  const { store, gear } = process;
  const isQuiet = !plan.has("refusals") || process.isDying || process.isClosed || process.isStalled;
  if (isQuiet || store.isHindered || !plan.isDurable) return;
  const { refused } = gear.storeHealth();
  for (const { name } of process.ledgers.values()) {
    const upstream = process.held(name);
    if (upstream === undefined || disk.refusals.upstreams.has(name) || refused.includes(name)) {
      continue;
    }
    if (upstream.status().persisted) continue;
    journal.break("one change that is refused holds back no other", `${name} is not stored`);
  }
}
