// history --verify: whether the audits still say what was written.

import { z } from "zod";
import type { AdminClient } from "./admin-client.ts";
import {
  API,
  historySchema,
  listStatuses,
  pathOf,
  read,
  type OutputOptions,
} from "./breaker-commands.ts";
import { CommandError, EXIT } from "./exit-codes.ts";
import { printJson, say } from "./print.ts";

const chainSchema = z.object({
  bookmaker: z.string(),
  rows: z.number(),
  outside: z.number(),
  shortened: z.boolean(),
  brokenAt: z.object({ row: z.number(), why: z.string() }).nullable(),
  chained: z.boolean(),
});

type Chain = z.infer<typeof chainSchema>;

/** Names that are no longer configured are found in so many of the newest audits. */
const LOOK_BACK = 1000;

export async function verifyHistoryCommand(
  client: AdminClient,
  name: string | undefined,
  options: OutputOptions,
): Promise<void> {
  const names = name === undefined ? await allNames(client) : [name];
  const answers: unknown[] = [];
  let broken = 0;
  for (const one of names) {
    const answer = await client.get(`${API}/${pathOf(one)}/history/verify`);
    const chain = read(chainSchema, answer);
    if (chain.brokenAt !== null) broken += 1;
    answers.push(answer);
    if (options.json !== true) say(`${chain.bookmaker}: ${verdict(chain)}`);
  }
  if (options.json === true) printJson(name === undefined ? { chains: answers } : answers[0]);
  else if (names.length === 0) say("nobody has tripped or reset anything yet");
  if (broken === 0) return;
  const what = names.length === 1 ? "the history is broken" : `${broken} of ${names.length} broken`;
  throw new CommandError(
    EXIT.failed,
    `${what}: something else than this version of Switchgear wrote to the store; see docs/breakers.md`,
  );
}

async function allNames(client: AdminClient): Promise<readonly string[]> {
  const configured = (await listStatuses(client)).map(({ bookmaker }) => bookmaker);
  const { history } = read(historySchema, await client.get(`${API}/history?limit=${LOOK_BACK}`));
  return [...new Set([...configured, ...history.map(({ bookmaker }) => bookmaker)])].toSorted();
}

function verdict({ rows, outside, shortened, brokenAt, chained }: Chain): string {
  if (!chained) return "the store keeps no chain; nothing can be said";
  const others =
    outside === 0 ? "" : `; ${counted(outside)} without a hash, of which nothing can be said`;
  if (brokenAt !== null) {
    const before = brokenAt.row - 1;
    const sound = before === 0 ? "" : `; ${counted(before)} before it as written`;
    return `BROKEN at row ${brokenAt.row} of ${rows}: ${brokenAt.why}${sound}${others}`;
  }
  const start = shortened ? "; older ones were deleted, as retention does" : "";
  return `${counted(rows)} as written${start}${others}`;
}

function counted(rows: number): string {
  return rows === 1 ? "1 row" : `${rows} rows`;
}
