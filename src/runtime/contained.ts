// A clock and a source of chance that a host handed in. Both are read while calls are settled, where an error of
// theirs would take the place of the call's result: it is told once, and the system's own goes on instead.

import type { Random } from "../core/random.ts";
import { whenRejected } from "../core/foreign.ts";
import { show } from "../core/options.ts";
import type { LoadSampler, Scheduler, Timer } from "../pipeline/ports.ts";
import { systemClock } from "./system-clock.ts";
import { warnOfMisuse } from "./warnings.ts";

/** What a host may hand in beside a store. */
export interface HostPorts {
  readonly clock?: Scheduler | undefined;
  readonly random?: Random | undefined;
  readonly sampler?: LoadSampler | undefined;
}

const METHODS: Readonly<Record<keyof HostPorts, readonly string[]>> = {
  clock: ["now", "monotonic", "setTimer"],
  random: ["next"],
  sampler: ["systemLoad"],
};

const WORDS: Readonly<Record<keyof HostPorts, string>> = {
  clock: "a clock, such as new VirtualClock(),",
  random: "a source of chance, such as { next: Math.random },",
  sampler: "a load sampler",
};

/** What of it is none, in sentences. */
export function portFaults(ports: HostPorts): string[] {
  const faults: string[] = [];
  for (const [name, methods] of Object.entries(METHODS)) {
    const port = name as keyof HostPorts;
    const given = ports[port];
    // Null, as undefined, is none.
    if (given === undefined || given === null || methods.every((one) => has(given, one))) continue;
    faults.push(`${name} must be ${WORDS[port]} with ${listed(methods)}, not ${show(given)}`);
  }
  return faults;
}

function listed(methods: readonly string[]): string {
  return `${methods.length === 1 ? "the method" : "the methods"} ${methods.join(", ")}`;
}

function has(given: object, method: string): boolean {
  try {
    return typeof (given as Record<string, unknown>)[method] === "function";
  } catch {
    return false;
  }
}

/** Says it the first time. */
function once(): (sentence: string) => void {
  let isSaid = false;
  return (sentence) => {
    if (isSaid) return;
    isSaid = true;
    try {
      warnOfMisuse(sentence);
    } catch {
      // A host that forbids warnings must not lose its calls for them.
    }
  };
}

/** What `read` answers if that is a number; undefined, and a complaint, if not. */
function numberOf(read: () => unknown, complain: (what: string) => void): number | undefined {
  try {
    const value = read();
    if (typeof value === "number" && Number.isFinite(value)) return value;
    whenRejected(value);
    complain(`answered ${show(value)}`);
  } catch {
    complain("threw");
  }
  return undefined;
}

/** The clock, or the system's where it fails; elapsed time then stands still. */
export function containedClock(clock: Scheduler): Scheduler {
  const say = once();
  const complain = (method: string) => (what: string) =>
    say(`clock.${method}() ${what}; deadlines and times cannot be relied on`);
  const ofNow = complain("now");
  const ofMonotonic = complain("monotonic");
  const ofTimers = complain("setTimer");
  let lastMs = 0;
  return {
    now: () => numberOf(() => clock.now(), ofNow) ?? Date.now(),
    monotonic: () => (lastMs = numberOf(() => clock.monotonic(), ofMonotonic) ?? lastMs),
    setTimer(callback, delayMs) {
      try {
        const timer: unknown = clock.setTimer(callback, delayMs);
        if (isTimer(timer)) return new ContainedTimer(timer, ofTimers);
        whenRejected(timer);
        ofTimers(`answered ${show(timer)} and no timer`);
      } catch {
        ofTimers("threw");
      }
      return systemClock.setTimer(callback, delayMs);
    },
  };
}

function isTimer(timer: unknown): timer is Timer {
  return (
    typeof timer === "object" && timer !== null && has(timer, "cancel") && has(timer, "keepAlive")
  );
}

class ContainedTimer implements Timer {
  readonly #timer: Timer;
  readonly #complain: (what: string) => void;

  constructor(timer: Timer, complain: (what: string) => void) {
    this.#timer = timer;
    this.#complain = complain;
  }

  cancel(): void {
    try {
      this.#timer.cancel();
    } catch {
      this.#complain("answered a timer whose cancel() threw");
    }
  }

  keepAlive(yes: boolean): void {
    try {
      this.#timer.keepAlive(yes);
    } catch {
      this.#complain("answered a timer whose keepAlive() threw");
    }
  }
}

/** The chance that was handed in, or the runtime's where that fails. */
export function containedRandom(random: Random): Random {
  const say = once();
  const complain = (what: string): void =>
    say(`random.next() ${what}; the runtime's own chance is taken instead`);
  return { next: () => numberOf(() => random.next(), complain) ?? Math.random() };
}
