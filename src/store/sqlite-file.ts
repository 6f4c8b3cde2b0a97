// Putting a broken database aside. Nothing is ever deleted or overwritten: whoever wants to mend
// it finds it next to the new one, with its log under the name that SQLite looks for.

import { existsSync, renameSync } from "node:fs";

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
