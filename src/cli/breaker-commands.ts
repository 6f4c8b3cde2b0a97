// status and history: what a person sees of a running Switchgear.

import { z } from "zod";
import type { AdminClient } from "./admin-client.ts";
import { UnknownUpstreamError } from "../core/errors.ts";
import { CommandError, EXIT } from "./exit-codes.ts";
import { printFleet } from "./fleet.ts";
import { orDash, percent, printJson, printTable, say, when } from "./print.ts";

export const API = "/api/circuit-breakers";

const limitSchema = z
  .object({
    limit: z.number(),
    inFlight: z.number(),
    isHung: z.boolean(),
    // Of a server that does not tell.
    spaceMs: z.number().default(0),
    isFrozen: z.boolean().default(false),
  })
  .nullable()
  // Of a server that knows none yet.
  .default(null);

export const statusSchema = z.object({
  bookmaker: z.string(),
  tripped: z.boolean(),
  state: z.string(),
  mode: z.string(),
  kind: z.string(),
  manual: z.boolean(),
  failures: z.number(),
  failureThreshold: z.number(),
  tripCount: z.number(),
  lastError: z.string().nullable(),
  avgLatency: z.number().nullable(),
  trippedAt: z.number().nullable(),
  cooldownRemainingMs: z.number(),
  lastResetAt: z.number().nullable(),
  lastResetBy: z.string().nullable(),
  lastResetReason: z.string().nullable(),
  persisted: z.boolean(),
  inFlight: z.number(),
  limit: limitSchema,
  trippedUntil: z.number().nullable(),
  // Of a server that does not tell.
  needsPerson: z.boolean().default(false),
  trippedBy: z
    .looseObject({ rule: z.string(), threshold: z.number() })
    .and(z.object({ ratio: z.number().optional(), value: z.number().optional() }))
    .nullable(),
  window: z
    .object({ calls: z.number(), slow: z.number(), rampPercent: z.number().nullable() })
    .nullable(),
  health: z.object({ healthScore: z.number(), adaptiveThreshold: z.number() }).nullable(),
  rates: z
    .array(
      z.object({
        operation: z.string().nullable(),
        perSecond: z.number(),
        burst: z.number(),
        left: z.number(),
        waitMs: z.number(),
      }),
    )
    // Of a server that knows none yet.
    .default([]),
  endpoints: z.array(
    z.object({
      name: z.string(),
      state: z.string(),
      inFlight: z.number(),
      consecutiveFailures: z.number(),
      adaptiveThreshold: z.number(),
      healthScore: z.number(),
      avgLatencyMs: z.number().nullable(),
      lastOpenedAt: z.number().nullable(),
      limit: limitSchema,
    }),
  ),
});

export type Status = z.infer<typeof statusSchema>;

type LimitView = NonNullable<Status["limit"]>;

const statusListSchema = z.object({ bookmakers: z.array(statusSchema) });

const readinessSchema = z.object({ reasons: z.array(z.string()) });

export const historySchema = z.object({
  history: z.array(
    z.object({
      bookmaker: z.string(),
      action: z.string(),
      reason: z.string(),
      user: z.string(),
      timestamp: z.number(),
      forced: z.boolean(),
      replica: z.string().optional(),
      version: z.number().optional(),
    }),
  ),
});

export interface OutputOptions {
  readonly json?: boolean | undefined;
}

export async function statusCommand(
  client: AdminClient,
  name: string | undefined,
  options: OutputOptions,
): Promise<void> {
  const answer = await (name === undefined
    ? client.get(`${API}/status`)
    : ofName(client, name, client.get(`${API}/${pathOf(name)}`)));
  if (options.json === true) {
    printJson(answer);
    return;
  }
  const statuses =
    name === undefined ? read(statusListSchema, answer).bookmakers : [read(statusSchema, answer)];
  if (statuses.length === 0) say("no upstream is configured");
  else {
    printTable(
      [
        "NAME",
        "KIND",
        "STATE",
        "FAILURES",
        "TRIPS",
        "LATENCY",
        "IN FLIGHT",
        "TRIPPED AT",
        "LAST ERROR",
      ],
      statuses.map(statusRow),
    );
    printEndpoints(statuses);
    printRates(statuses);
  }
  await printFleet(client);
  for (const status of statuses) for (const line of notes(status)) say(line);
  for (const line of await storeNotes(client)) say(line);
}

/** What the server answers of a name; where it knows none such, with the ones it knows and the nearest of them. */
export async function ofName<Answer>(
  client: AdminClient,
  name: string,
  asked: Promise<Answer>,
): Promise<Answer> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof CommandError) || error.message !== UNKNOWN) throw error;
    const known = await listStatuses(client).catch(() => undefined);
    if (known === undefined) throw error;
    const names = known.map(({ bookmaker }) => bookmaker);
    throw new CommandError(error.exitCode, new UnknownUpstreamError(name, names).message);
  }
}

/** Hyper-Bun's words, which the API keeps. */
const UNKNOWN = "Bookmaker not found";

export async function listStatuses(client: AdminClient): Promise<readonly Status[]> {
  return read(statusListSchema, await client.get(`${API}/status`)).bookmakers;
}

/** A server that is about to end, or of another version, has none to tell. */
async function storeNotes(client: AdminClient): Promise<string[]> {
  const answer = readinessSchema.safeParse(await client.get("/readyz").catch(() => undefined));
  return answer.data?.reasons ?? [];
}

function statusRow(status: Status): string[] {
  const state = status.mode === "normal" ? status.state : `${status.state} (${status.mode})`;
  return [
    status.bookmaker,
    status.kind,
    status.tripped ? `${state.toUpperCase()}${status.manual ? " by hand" : ""}` : state,
    failuresOf(status),
    String(status.tripCount),
    status.avgLatency === null ? "-" : `${status.avgLatency.toFixed(1)} ms`,
    inFlightOf(status),
    when(status.trippedAt),
    orDash(status.lastError),
  ];
}

/** A count against its threshold; of a window, the failed among all its calls. */
export function failuresOf({ failures, failureThreshold, window, health }: Status): string {
  if (window === null) return `${failures}/${health?.adaptiveThreshold ?? failureThreshold}`;
  return `${failures} of ${window.calls} calls`;
}

/** Against the limit, where there is one: those, too, that nobody waits for any more. */
export function inFlightOf({ inFlight, limit }: Pick<Status, "inFlight" | "limit">): string {
  return limit === null ? String(inFlight) : `${limit.inFlight}/${limit.limit}`;
}

function whyTripped(status: Status): string[] {
  const { bookmaker, tripped, trippedBy, trippedUntil } = status;
  if (!tripped || trippedBy === null) return [];
  const { rule, threshold, ratio, value } = trippedBy;
  const found =
    ratio === undefined
      ? `${value ?? "?"} against ${threshold}`
      : `${percent(ratio)} against ${percent(threshold)}`;
  const next = trippedUntil === null ? "" : `; probes from ${when(trippedUntil)} on`;
  return [`${bookmaker}: tripped by ${rule}, ${found}${next}`];
}

function printEndpoints(statuses: readonly Status[]): void {
  const rows = statuses.flatMap(({ bookmaker, endpoints }) =>
    endpoints.map((one) => [
      bookmaker,
      one.name,
      one.state === "cooling-down" || one.state === "half-open"
        ? one.state.toUpperCase()
        : one.state,
      `${one.consecutiveFailures}/${one.adaptiveThreshold}`,
      one.healthScore.toFixed(2),
      one.avgLatencyMs === null ? "-" : `${one.avgLatencyMs.toFixed(1)} ms`,
      inFlightOf(one),
      when(one.lastOpenedAt),
    ]),
  );
  if (rows.length === 0) return;
  say("");
  printTable(
    ["NAME", "ENDPOINT", "STATE", "IN A ROW", "HEALTH", "LATENCY", "IN FLIGHT", "COOLED DOWN"],
    rows,
  );
}

function printRates(statuses: readonly Status[]): void {
  const rows = statuses.flatMap(({ bookmaker, rates }) =>
    rates.map(({ operation, perSecond, burst, left, waitMs }) => [
      bookmaker,
      operation ?? "all",
      `${perSecond}/s`,
      `${left} of ${burst}`,
      waitMs === 0 ? "-" : `${Math.ceil(waitMs)} ms`,
    ]),
  );
  if (rows.length === 0) return;
  say("");
  printTable(["NAME", "OPERATION", "RATE", "LEFT", "NEXT IN"], rows);
}

/** Limits that let in next to nothing; while the breaker is open they say nothing. */
function whoIsHeldBack({ bookmaker, limit, endpoints }: Status): string[] {
  return [{ name: undefined, limit }, ...endpoints].flatMap(({ name, limit: own }) => {
    if (own === null || own.isFrozen) return [];
    const who = name === undefined ? bookmaker : `${name} of ${bookmaker}`;
    if (own.isHung) return [`${who}: ${hangs(own)}`];
    if (own.spaceMs === 0) return [];
    const seconds = Math.max(1, Math.round(own.spaceMs / 100)) / 10;
    return [`${who}: one call each ${seconds} s: its last answers came too late`];
  });
}

/** Of a hang nothing new is known while nothing is out. */
function hangs({ inFlight, limit }: LimitView): string {
  return inFlight === 0
    ? `nothing came back when it was last called; ${limit} calls may be in flight until something does`
    : `hangs; nothing has come back for half a deadline or longer, and ${limit} calls may be in flight until something does`;
}

function notes(status: Status): string[] {
  const { bookmaker, tripped, cooldownRemainingMs, persisted, window } = status;
  return [
    ...whyTripped(status),
    ...(window?.rampPercent === null || window === null
      ? []
      : [`${bookmaker}: coming back, ${window.rampPercent} % of calls are let in`]),
    ...whoIsHeldBack(status),
    ...(tripped && cooldownRemainingMs > 0
      ? [`${bookmaker}: a reset needs --force for ${Math.ceil(cooldownRemainingMs / 1000)} s more`]
      : []),
    ...(persisted
      ? []
      : [`${bookmaker}: the last change is not on disk yet; the store fails or refuses it`]),
  ];
}

export async function historyCommand(
  client: AdminClient,
  name: string | undefined,
  options: OutputOptions & { readonly limit: number },
): Promise<void> {
  const scope = name === undefined ? API : `${API}/${pathOf(name)}`;
  const asked = client.get(`${scope}/history?limit=${options.limit}`);
  const answer = await (name === undefined ? asked : ofName(client, name, asked));
  if (options.json === true) {
    printJson(answer);
    return;
  }
  const { history } = read(historySchema, answer);
  if (history.length === 0) {
    say("nobody has tripped or reset anything yet");
    return;
  }
  const isFleet = history.some(({ replica }) => replica !== undefined);
  const rows = history.map((entry) => {
    const row = [
      when(entry.timestamp),
      entry.bookmaker,
      entry.forced ? `${entry.action} (forced)` : entry.action,
      entry.user,
    ];
    if (isFleet) row.push(orDash(entry.replica ?? null), String(entry.version ?? "-"));
    row.push(entry.reason);
    return row;
  });
  const whose = isFleet ? ["ON", "VERSION"] : [];
  printTable(["WHEN", "NAME", "ACTION", "BY", ...whose, "REASON"], rows);
}

export function pathOf(name: string): string {
  return encodeURIComponent(name);
}

export function read<Output>(schema: z.ZodType<Output>, answer: unknown): Output {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new CommandError(
    EXIT.failed,
    `the server's answer is not understood (${z.prettifyError(parsed.error).split("\n")[0] ?? ""}); is it another version?`,
  );
}
