// Programs that end with this process, also when somebody ends it before it is done.

import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";

const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** Should this process end first, the child is killed. */
export function endsWithUs(child: ChildProcess): void {
  alive.add(child);
  for (const event of ["close", "error"] as const) child.once(event, () => alive.delete(child));
}

/** A signal alone would end this process without a word to its children. */
export function endOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
}
