// The transition tables of the three machines, found by doing: each state is reached, each input is
// given to the real machine, and the table says what it then was. Nothing is written by hand but the
// ways there.

import { adaptive } from "../src/core/breaker/adaptive/machine.ts";
import { latching } from "../src/core/breaker/latching/machine.ts";
import {
  REFUSED,
  type BreakerMachine,
  type BreakerPolicy,
  type Ticket,
} from "../src/core/breaker/machine.ts";
import { slidingWindow } from "../src/core/breaker/sliding-window/machine.ts";

const ORDER = { reason: "a person's order", actor: "ann" };
const FAILURE = { weightThousandths: 1000, message: "HTTP 500" };
const LATENCY_MS = 20;
const SLOW_MS = 5000;
/** Longer than any wait that the policies below make. */
const LONG_MS = 200_000;

/** One machine on its way: time passes only when it is told to. */
export class Walk {
  readonly machine: BreakerMachine;
  nowMs = 0;
  /** Of the call that was let in last. */
  ticket: Ticket = REFUSED;
  /** A call is under way, and what comes next is what came of it. */
  isHeld = false;
  /** Of a call that was let in before everything changed. */
  readonly #oldTicket: Ticket;

  constructor(policy: BreakerPolicy) {
    this.machine = policy.createMachine();
    this.#oldTicket = this.machine.admit(0);
    this.reset(true);
  }

  get #at() {
    return { nowMs: this.nowMs, wallMs: 1_700_000_000_000 + this.nowMs };
  }

  wait(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  admit(): this {
    if (!this.isHeld) this.ticket = this.machine.admit(this.nowMs);
    this.isHeld = false;
    return this;
  }

  hold(): this {
    this.admit().isHeld = true;
    return this;
  }

  ok(latencyMs = LATENCY_MS): this {
    this.admit();
    this.machine.settleOk(this.ticket, latencyMs, this.nowMs, this.#at.wallMs);
    return this;
  }

  fail(times = 1): this {
    for (let n = 0; n < times; n += 1) {
      this.admit();
      this.machine.settleFailed(this.ticket, FAILURE, LATENCY_MS, this.#at);
    }
    return this;
  }

  ignore(): this {
    this.admit();
    this.machine.settleIgnored(this.ticket, this.nowMs);
    return this;
  }

  trip(): this {
    this.machine.trip(ORDER, this.#at);
    return this;
  }

  reset(force: boolean): this {
    this.machine.reset({ ...ORDER, force }, this.#at);
    return this;
  }

  late(): this {
    this.machine.settleFailed(this.#oldTicket, FAILURE, LATENCY_MS, this.#at);
    return this;
  }

  times(count: number, act: (walk: this) => unknown): this {
    for (let n = 0; n < count; n += 1) act(this);
    return this;
  }
}

export interface MachineTable {
  readonly title: string;
  readonly about: string;
  /** How each state is reached, by the words that the table has for it. */
  readonly states: Readonly<Record<string, () => Walk>>;
}

const WINDOW = { minimumCalls: 4, halfOpenMaxProbes: 2, halfOpenSuccesses: 2, slowCallMs: 1000 };
const LATCHING = { failureThreshold: 3, resetTimeoutMs: 30_000 };

const byHand = latching(LATCHING);
const byProbe = latching({ ...LATCHING, recovery: "single-probe" });
const window = slidingWindow({ ...WINDOW, ramping: true, rampSuccesses: 1 });
const endpoint = adaptive({ failureThreshold: 2, adaptive: false, canaryCount: 2 });

export const TABLES: readonly MachineTable[] = [
  {
    title: "Latching",
    about: '`latching({ failureThreshold: 3 })`, and once more with `recovery: "single-probe"`.',
    states: {
      closed: () => new Walk(byHand),
      "closed, two of three failures": () => new Walk(byHand).fail(2),
      "open, recovery by hand": () => new Walk(byHand).fail(3),
      "open, recovery by a probe": () => new Walk(byProbe).fail(3),
      "open, tripped by hand": () => new Walk(byProbe).trip(),
      "half-open, its probe under way": () => new Walk(byProbe).fail(3).wait(LONG_MS).hold(),
    },
  },
  {
    title: "Sliding window",
    about:
      "`slidingWindow({ minimumCalls: 4, halfOpenMaxProbes: 2, halfOpenSuccesses: 2, slowCallMs: 1000, ramping: true, rampSuccesses: 1 })`. Without `ramping`, half-open leads to closed.",
    states: {
      closed: () => new Walk(window),
      "closed, one call short of a trip": () => new Walk(window).ok().fail(2),
      open: () => new Walk(window).fail(4),
      "open, tripped by hand": () => new Walk(window).trip(),
      "half-open, a probe under way": () => new Walk(window).fail(4).wait(LONG_MS).hold(),
      "half-open, one success short": () => new Walk(window).fail(4).wait(LONG_MS).ok(),
      ramping: () => new Walk(window).fail(4).wait(LONG_MS).ok().ok(),
    },
  },
  {
    title: "Adaptive",
    about:
      "`adaptive({ failureThreshold: 2, adaptive: false, canaryCount: 2 })`; adapting only lowers the threshold.",
    states: {
      healthy: () => new Walk(endpoint).ok(),
      "healthy, one failure short": () => new Walk(endpoint).ok().fail(1),
      degraded: () => new Walk(endpoint).fail(2).ok(),
      "degraded, one failure short": () => new Walk(endpoint).fail(3),
      "degraded, one success short": () => new Walk(endpoint).fail(2).times(4, (walk) => walk.ok()),
      "cooling down": () => new Walk(endpoint).fail(4),
      "cooling down, tripped by hand": () => new Walk(endpoint).trip(),
      "half-open, a canary under way": () => new Walk(endpoint).fail(4).wait(LONG_MS).hold(),
      "half-open, one success short": () => new Walk(endpoint).fail(4).wait(LONG_MS).ok(),
    },
  },
];

export const INPUTS: Readonly<Record<string, (walk: Walk) => unknown>> = {
  "a call asks": (walk) => another(walk),
  "a call asks, long after": (walk) => another(walk.wait(LONG_MS)),
  success: (walk) => walk.ok(),
  "slow success": (walk) => walk.ok(SLOW_MS),
  failure: (walk) => walk.fail(),
  "caller aborts": (walk) => walk.ignore(),
  "late failure": (walk) => walk.late(),
  "`trip()`": (walk) => walk.trip(),
  "`reset()`": (walk) => walk.reset(false),
  "`reset()`, long after": (walk) => walk.wait(LONG_MS).reset(false),
  "`reset({ force })`": (walk) => walk.reset(true),
};

/** Beside the one that may be under way. */
function another(walk: Walk): void {
  walk.isHeld = false;
  walk.admit();
}

/** What a machine makes of one input: the state it is in then, and whether it let a call in. */
export function outcomeOf(reach: () => Walk, input: string): string {
  const walk = reach();
  const { machine } = walk;
  machine.events.splice(0);
  const from = machine.state;
  if (!walk.isHeld) walk.ticket = REFUSED;
  INPUTS[input]?.(walk);
  const asked = /asks|success|failure$|aborts/.test(input) && input !== "late failure";
  const causes = machine.events.flatMap((event) =>
    event.type === "transition" ? [`${event.to} (${event.cause})`] : [],
  );
  const refused = asked && walk.ticket === REFUSED;
  const denied = machine.events.some(({ type }) => type === "reset-denied");
  if (causes.length > 0) return `**${causes.join(" → ")}**`;
  if (machine.state !== from) throw new Error(`${input}: ${from} became ${machine.state} silently`);
  return denied ? "denied" : refused ? "refused" : "·";
}

export function transitionsPage(): string {
  const parts = TABLES.map(({ title, about, states }) => {
    const names = Object.keys(INPUTS);
    const rows = Object.entries(states).map(([state, reach]) => {
      const cells = names.map((input) => outcomeOf(reach, input));
      return `| ${state} | ${cells.join(" | ")} |`;
    });
    return `## ${title}\n\n${about}\n\n| From | ${names.join(" | ")} |\n| --- |${names.map(() => " --- |").join("")}\n${rows.join("\n")}`;
  });
  return `<!-- Generated by \`npm run generate\`: each cell is what the machine did (scripts/transitions.ts). -->

# Transition tables

One row for each state, one column for each thing that can happen in it. **Bold** is a transition with
its cause; \`·\` changes nothing; *refused* is a call that was turned away, *denied* a reset that needs
\`force\`. A late failure is one of a call that was let in before the last transition. No state changes by
the passing of time alone.

${parts.join("\n\n")}
`;
}
