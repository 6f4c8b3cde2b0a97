// A disk that loses what it took. A process notices at its next operation and writes back what it knows.
// Until then nobody can know: what is lost together with every process that knew it, before one of them
// has looked, is the one thing that is not promised.

import type { Disk } from "./disk.ts";
import { pick } from "./kinds.ts";
import type { Process } from "./process.ts";
import type { Setting } from "./setting.ts";

/** Commits that go at once. */
const COMMITS = [1, 1, 2, 5] as const;

/** The log is deleted, cut, or replaced by an older one: between two operations, or in the middle of one. */
export function lose({ random, disk, journal, plan }: Setting, { store, number }: Process): void {
  const commits = pick(random, COMMITS);
  const when = pick(random, ["now", "in commit", "before write"]);
  if (!plan.isDurable) return;
  journal.note("loss", number, when, commits);
  if (when === "now") disk.lose(commits);
  else if (when === "in commit") store.lossInCommit = commits;
  else store.race = () => disk.lose(commits);
}

export function hasUnseenLoss(disk: Disk, { store }: Process): boolean {
  return store.looked !== disk.file;
}

/** Nothing is lost that was promised by a process that lives and has looked again since. */
export function checkPromised({ disk, journal, plan }: Setting, process: Process): void {
  if (!plan.has("losses") || process.isDying || hasUnseenLoss(disk, process)) return;
  const { rows, audits } = process.store.promised;
  for (const [name, revision] of rows) {
    const found = disk.rows.get(name)?.revision ?? 0;
    if (found >= revision) continue;
    journal.break("what was promised is there", `${name}: ${found} on disk, promised ${revision}`);
  }
  for (const audit of audits) {
    if (disk.audits.includes(audit)) continue;
    const { action, upstream, actor } = audit;
    journal.break("what was promised is there", `${action} of ${upstream} by ${actor}`);
  }
}
