// Putting a broken database aside. Nothing is ever deleted or overwritten: whoever wants to mend
// it finds it next to the new one, with its log under the name that SQLite looks for.

import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";

const SIDECARS = ["-wal", "-shm"] as const;

/** Gives the path that the file was moved to. All connections of ours to it must be closed. */
export function moveAside(path: string, wallMs: number): string {
  const base = `${path}.corrupt-${wallMs}`;
  let target = base;
  for (let copy = 1; existsSync(target); copy += 1) target = `${base}-${copy}`;
  // The sidecars first: SQLite deletes a log that it finds beside a database that is missing.
  for (const suffix of SIDECARS) {
    if (existsSync(path + suffix)) renameSync(path + suffix, target + suffix);
  }
  renameSync(path, target);
  return target;
}

/** `mkdir -p`. Node's own never ends where a parent can be looked at and not be written to, as in /proc (24.21). */
export function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Somebody else was faster.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
