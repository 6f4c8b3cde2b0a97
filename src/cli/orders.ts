// trip and reset: what a person orders. One name, several, or all that are out; of several, each is tried,
// and what became of each is told.

import { z } from "zod";
import type { AdminClient } from "./admin-client.ts";
import {
  API,
  listStatuses,
  ofName,
  pathOf,
  read,
  type OutputOptions,
  type Status,
} from "./breaker-commands.ts";
import { CommandError, EXIT } from "./exit-codes.ts";
import { printJson, printTable, say } from "./print.ts";

const answerSchema = z.object({
  message: z.string(),
  persisted: z.boolean().default(true),
  changed: z.boolean().default(true),
  manual: z.boolean().default(true),
});

type Answer = z.infer<typeof answerSchema>;

const NOT_ON_DISK =
  "It is in force, and not on disk: the store fails or refuses it, and a restart would forget it.";

export async function tripCommand(
  client: AdminClient,
  name: string,
  options: OutputOptions & { readonly reason: string; readonly hold?: boolean | undefined },
): Promise<void> {
  const hold = options.hold === true;
  const body = { reason: options.reason, ...(hold ? { hold } : {}) };
  const given = await ofName(client, name, client.post(`${API}/${pathOf(name)}/trip`, body));
  const answer = read(answerSchema, given);
  // What tripped by itself may close by itself, and whoever trips it wants that it stays.
  if (!answer.changed && !answer.manual) {
    throw new CommandError(EXIT.refused, `${answer.message}: hold it with --hold`);
  }
  if (options.json === true) printJson(given);
  else tell(answer);
}

/** Modes that an operator can set, as the API names them. */
export async function modeCommand(
  client: AdminClient,
  name: string,
  mode: string,
  options: OutputOptions & { readonly reason: string },
): Promise<void> {
  const body = { mode, reason: options.reason };
  const given = await ofName(client, name, client.post(`${API}/${pathOf(name)}/mode`, body));
  if (options.json === true) printJson(given);
  else tell(read(answerSchema, given));
}

export interface ResetOptions extends OutputOptions {
  readonly reason: string;
  readonly force?: boolean | undefined;
  readonly allTripped?: boolean | undefined;
  readonly except?: readonly string[] | undefined;
}

export async function resetCommand(
  client: AdminClient,
  names: readonly string[],
  options: ResetOptions,
): Promise<void> {
  const { allTripped = false, except = [] } = options;
  if (allTripped === names.length > 0) {
    throw new CommandError(
      EXIT.wrongUse,
      "name what to reset, or all that is out with --all-tripped",
    );
  }
  if (except.length > 0 && !allTripped) {
    throw new CommandError(EXIT.wrongUse, "--except goes with --all-tripped only");
  }
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) {
    const given = await resetOne(client, only, options);
    if (options.json === true) printJson(given);
    else tell(read(answerSchema, given));
    return;
  }
  await resetAll(client, allTripped ? undefined : [...new Set(names)], options);
}

function resetOne(client: AdminClient, name: string, options: ResetOptions): Promise<unknown> {
  const body = { reason: options.reason, force: options.force === true };
  return ofName(client, name, client.post(`${API}/${pathOf(name)}/reset`, body));
}

function tell({ message, persisted }: Answer): void {
  say(message);
  if (!persisted) say(NOT_ON_DISK);
}

interface Result {
  readonly bookmaker: string;
  readonly result: "reset" | "left" | "refused" | "failed";
  readonly message: string;
}

/** Without names: all that is out. One after the other, so that an end in between leaves a list that is right. */
async function resetAll(
  client: AdminClient,
  names: readonly string[] | undefined,
  options: ResetOptions,
): Promise<void> {
  const results: Result[] = [];
  try {
    for (const found of names ?? (await allOut(client, options.except ?? []))) {
      results.push(typeof found === "string" ? await tried(client, found, options) : found);
    }
  } finally {
    if (results.length > 0 || options.json === true) show(results, options);
  }
  const count = (wanted: Result["result"]): number =>
    results.filter(({ result }) => result === wanted).length;
  if (count("failed") > 0) {
    throw new CommandError(EXIT.failed, `${count("failed")} of ${results.length} failed`);
  }
  if (count("refused") > 0) {
    throw new CommandError(EXIT.refused, `${count("refused")} of ${results.length} refused`);
  }
  if (results.length === 0 && options.json !== true) say("nothing is tripped");
}

/** Names to reset, and what is left alone with the reason. */
async function allOut(
  client: AdminClient,
  except: readonly string[],
): Promise<(string | Result)[]> {
  const statuses = await listStatuses(client);
  const unknown = except.filter((name) => statuses.every(({ bookmaker }) => bookmaker !== name));
  if (unknown.length > 0) {
    throw new CommandError(EXIT.wrongUse, `--except names what is unknown: ${unknown.join(", ")}`);
  }
  return statuses.filter(isOut).map(({ bookmaker, manual }) => {
    const left = (message: string): Result => ({ bookmaker, result: "left", message });
    if (except.includes(bookmaker)) return left("excepted");
    return manual ? left("held by hand; reset it by its name") : bookmaker;
  });
}

function isOut({ tripped, endpoints }: Status): boolean {
  const isAnyInUse = endpoints.some(({ state }) => state === "healthy" || state === "degraded");
  return tripped || (endpoints.length > 0 && !isAnyInUse);
}

async function tried(client: AdminClient, name: string, options: ResetOptions): Promise<Result> {
  try {
    const { message, persisted } = read(answerSchema, await resetOne(client, name, options));
    const what = persisted ? message : `${message}. ${NOT_ON_DISK}`;
    return { bookmaker: name, result: "reset", message: what };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const { exitCode, message } = error;
    // The next one would fare no better.
    if (exitCode !== EXIT.refused && exitCode !== EXIT.failed) throw error;
    const result = exitCode === EXIT.refused ? "refused" : "failed";
    return { bookmaker: name, result, message };
  }
}

function show(results: readonly Result[], options: OutputOptions): void {
  if (options.json === true) printJson({ results });
  else {
    printTable(
      ["NAME", "RESULT", ""],
      results.map(({ bookmaker, result, message }) => [bookmaker, result, message]),
    );
  }
}
