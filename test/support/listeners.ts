// On what addresses a process listens, as Linux tells it.

import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

export const canTellListeners = existsSync("/proc/net/tcp");

/** Processes with this in their command line. */
export function pidsWith(words: string): string[] {
  return readdirSync("/proc").filter(
    (name) =>
      /^\d+$/.test(name) &&
      readOr(() => readFileSync(`/proc/${name}/cmdline`, "utf8")).includes(words),
  );
}

/** In the notation of the kernel. */
export function listenersOf(pid: string): string[] {
  const sockets = new Set<string>();
  const folder = `/proc/${pid}/fd`;
  let descriptors: string[] = [];
  try {
    descriptors = readdirSync(folder);
  } catch {
    // It has ended meanwhile.
  }
  for (const descriptor of descriptors) {
    const inode = /^socket:\[(\d+)\]$/.exec(readOr(() => readlinkSync(`${folder}/${descriptor}`)));
    if (inode?.[1] !== undefined) sockets.add(inode[1]);
  }
  const lines = ["tcp", "tcp6"].flatMap((name) =>
    readOr(() => readFileSync(`/proc/net/${name}`, "utf8")).split("\n"),
  );
  return lines.flatMap((line) => {
    const [, address = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    return state === LISTEN && sockets.has(inode) ? [address] : [];
  });
}

const LISTEN = "0A";

/** What has ended meanwhile has nothing to say. */
function readOr(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
