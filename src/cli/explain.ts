// explain: what a breaker does at the moment, why, what would change it, and what to do about it.

import type { AdminClient } from "./admin-client.ts";
import {
  API,
  historySchema,
  ofName,
  pathOf,
  read,
  statusSchema,
  type OutputOptions,
  type Status,
} from "./breaker-commands.ts";
import { duration, percent, printJson, say, when } from "./print.ts";

/** What `explain` says, a sentence for each question. Also the keys of `--json`. */
export interface Explanation {
  readonly bookmaker: string;
  /** What it is. */
  readonly state: string;
  /** Which rule brought it there, with its numbers; null where none did. */
  readonly why: string | null;
  /** What callers get. */
  readonly calls: string;
  /** What would change that. */
  readonly changes: string;
  /** What a person does next; null where there is nothing to do. */
  readonly next: string | null;
  /** Name of the runbook. */
  readonly runbook: string | null;
}

export async function explainCommand(
  client: AdminClient,
  name: string,
  options: OutputOptions,
): Promise<void> {
  const path = `${API}/${pathOf(name)}`;
  const status = read(statusSchema, await ofName(client, name, client.get(path)));
  const explanation = explain(status, Date.now());
  if (options.json === true) {
    printJson(explanation);
    return;
  }
  const { history } = read(historySchema, await client.get(`${path}/history?limit=3`));
  const { bookmaker, state, why, calls, changes, next, runbook } = explanation;
  say(`${bookmaker}: ${state}`);
  const lines: readonly (readonly [string, string | null])[] = [
    ["why", why],
    ["calls", calls],
    ["changes", changes],
    ["next", next],
    ["runbook", runbook === null ? null : `runbooks/${runbook}.md`],
  ];
  for (const [what, text] of lines) if (text !== null) say(`  ${what.padEnd(8)} ${text}`);
  for (const [index, { timestamp, action, user, reason }] of history.entries()) {
    const what = index === 0 ? "orders" : "";
    say(`  ${what.padEnd(8)} ${when(timestamp)} ${action} by ${user}: ${reason}`);
  }
}

/** Pure: of a status, as of a time in epoch milliseconds. */
export function explain(status: Status, nowMs: number): Explanation {
  const { bookmaker } = status;
  const own = status.mode === "normal" ? ofState(status, nowMs) : ofMode(status);
  return { bookmaker, ...own };
}

type Told = Omit<Explanation, "bookmaker">;

const quoted = (name: string): string =>
  /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", String.raw`'\''`)}'`;

const resetOf = ({ bookmaker }: Status): string =>
  `switchgear reset ${quoted(bookmaker)} --reason '…'`;

function ofMode({ bookmaker, mode, state }: Status): Told {
  const isShadow = mode === "shadow";
  return {
    state: `in the mode ${mode}, by an operator's order; its breaker is ${state}`,
    why: null,
    calls: isShadow
      ? "all are let in; what would have been refused is counted"
      : "all are let in, and none of them counts",
    changes: "a person's order alone",
    next: `when what it was set for is over: switchgear mode ${quoted(bookmaker)} normal --reason '…'`,
    runbook: "SwitchgearModeForgotten",
  };
}

function ofState(status: Status, nowMs: number): Told {
  if (status.tripped) return status.manual ? byHand(status, nowMs) : tripped(status, nowMs);
  if (isStranded(status)) return stranded(status);
  return closed(status);
}

function since({ trippedAt }: Status, nowMs: number): string {
  return trippedAt === null ? "" : ` for ${duration(nowMs - trippedAt)}`;
}

const REFUSED = "every call is refused at once, without being sent";

function byHand(status: Status, nowMs: number): Told {
  return {
    state: `TRIPPED by hand${since(status, nowMs)}`,
    why:
      status.lastResetBy === null ? "a person's order" : "a person's order; who and why is below",
    calls: REFUSED,
    changes: `a reset by a person alone${cooldown(status)}`,
    next: `ask whoever tripped it; then ${resetOf(status)}`,
    runbook: "CircuitBreakerTripped",
  };
}

function tripped(status: Status, nowMs: number): Told {
  const { kind, state, trippedUntil, lastError, needsPerson } = status;
  const isHalfOpen = state === "half-open";
  const last = lastError === null ? "" : `; the last error: ${lastError}`;
  const probes = isHalfOpen
    ? "probes are under way: when they are answered well it closes by itself"
    : `in ${duration(Math.max(0, (trippedUntil ?? nowMs) - nowMs))} probes look whether the bookmaker is back`;
  return {
    state: `${isHalfOpen ? "HALF-OPEN" : "TRIPPED"}${since(status, nowMs)}`,
    why: `${rule(status)}${last}`,
    calls: isHalfOpen ? "probes are let in, all others are refused at once" : REFUSED,
    changes: needsPerson
      ? `a reset by a person alone${cooldown(status)}`
      : `${probes}; or a reset by a person${cooldown(status)}`,
    next: needsPerson
      ? `see whether the bookmaker answers, and then: ${resetOf(status)}`
      : `nothing, unless you know better than its probes: ${resetOf(status)}`,
    runbook: kind === "sliding-window" ? "CircuitBreakerWindowOpen" : "CircuitBreakerTripped",
  };
}

/** Its numbers, where the breaker tells them. */
function rule({ trippedBy, failures, failureThreshold }: Status): string {
  if (trippedBy === null) return `${failures} failures, and it trips at ${failureThreshold}`;
  const { rule: name, threshold, ratio, value } = trippedBy;
  return ratio === undefined
    ? `its rule ${name}: ${value ?? "?"}, and it trips at ${threshold}`
    : `its rule ${name}: ${percent(ratio)}, and it trips at ${percent(threshold)}`;
}

function cooldown({ cooldownRemainingMs }: Status): string {
  return cooldownRemainingMs > 0
    ? `, which needs --force for ${duration(cooldownRemainingMs)} more`
    : "";
}

const isOut = ({ state }: Status["endpoints"][number]): boolean =>
  state === "cooling-down" || state === "half-open";

function isStranded({ endpoints }: Status): boolean {
  return endpoints.length > 0 && endpoints.every(isOut);
}

function stranded(status: Status): Told {
  return {
    state: "NO ENDPOINT: each of them cools down",
    why: endpointsOf(status),
    calls: REFUSED,
    changes: "probes, when the cooldown of an endpoint is over",
    next: `see whether any of them answers; to try them at once: ${resetOf(status)}`,
    runbook: "CircuitBreakerNoEndpoint",
  };
}

function endpointsOf({ endpoints }: Status): string {
  return endpoints
    .map(({ name, state, healthScore }) => `${name} ${state}, health ${healthScore.toFixed(2)}`)
    .join("; ");
}

function closed(status: Status): Told {
  const { state, window, limit, endpoints } = status;
  const ramp = window?.rampPercent ?? null;
  if (ramp !== null) {
    return {
      state: "coming back",
      why: "its probes were answered well",
      calls: `${ramp} % are let in`,
      changes: "more are let in step by step; failures trip it again",
      next: null,
      runbook: null,
    };
  }
  const held = limit === null || limit.isFrozen ? undefined : limit;
  const isSpaced = (held?.spaceMs ?? 0) > 0;
  const isHeld = held?.isHung === true || isSpaced;
  const why =
    held?.isHung === true
      ? "calls are out, and none has come back for half a deadline or longer"
      : isSpaced
        ? "its last answers came too late"
        : null;
  return {
    state: state === "closed" || state === "healthy" ? "closed" : state,
    why: why ?? (endpoints.length > 0 ? endpointsOf(status) : null),
    calls: isHeld
      ? `as many as its limiter lets in: ${held?.limit ?? 0} at once${isSpaced ? `, one each ${duration(held?.spaceMs ?? 0)}` : ""}`
      : `let in${held === undefined ? "" : `, ${held.limit} at once at most; ${held.inFlight} are in flight`}`,
    changes: margin(status),
    next: isHeld ? "see whether the bookmaker is slow" : null,
    runbook: isHeld ? "CircuitBreakerLimitAtFloor" : null,
  };
}

/** How far it is from tripping. */
function margin({ failures, failureThreshold, window, health }: Status): string {
  if (window !== null) {
    return `its window holds ${window.calls} calls, of which ${failures} failed and ${window.slow} were slow`;
  }
  const threshold = health?.adaptiveThreshold ?? failureThreshold;
  return `${failures} of the ${threshold} failures in a row at which it trips`;
}
