// How a row of docs/peers.md reads. A peer that ended where Switchgear did is marked as the same, so
// that no wording can make more of a difference than there is.

import { isDeepStrictEqual } from "node:util";
import type { Pitfall } from "./stage.ts";

export function cellsOf({ pitfall, promise, seen, words }: Pitfall): string[] {
  const cell = (peer: "opossum" | "cockatiel"): string =>
    isDeepStrictEqual(seen[peer], seen.switchgear) ? `same: ${words[peer]}` : words[peer];
  return [pitfall, words.switchgear, cell("opossum"), cell("cockatiel"), promise];
}

/** The cells of every row of a page's only table, its head left out. */
export function rowsOf(page: string): string[][] {
  const [, , ...rows] = page.split("\n").filter((line) => line.startsWith("|"));
  return rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
