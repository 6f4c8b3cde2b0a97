// How a simulated bookmaker misbehaves, and the validation of an order to do so.

/** What is set; an absent key means healthy in that respect. */
export interface Control {
  /** Answer with this status; together with `errorRate`, only that share of the answers. */
  readonly status?: number;
  /** Share of answers, 0 to 1, that are errors (500 unless `status` says otherwise). */
  readonly errorRate?: number;
  /** Added to every service time, in milliseconds. */
  readonly latencyMs?: number;
  /** Factor on every service time. */
  readonly slowdown?: number;
  /** Accept and never answer, until this is lifted. */
  readonly hang?: boolean;
  /** Reset the connection (RST) instead of answering. */
  readonly reset?: boolean;
  /** Send the headers at once and let the body dribble. */
  readonly slowBody?: boolean;
}

/** An order: absent keys keep what they have, `null` takes a key away. */
export type ControlPatch = { readonly [K in keyof Control]?: Control[K] | null };

export interface ControlFault {
  readonly key: string;
  readonly message: string;
}

interface Rule {
  readonly expects: string;
  accepts(value: unknown): boolean;
}

function numberRule(min: number, max: number, isWhole: boolean): Rule {
  return {
    expects: `a ${isWhole ? "whole number" : "number"} from ${min} to ${max}`,
    accepts: (value) =>
      typeof value === "number" &&
      value >= min &&
      value <= max &&
      (!isWhole || Number.isInteger(value)),
  };
}

const flag: Rule = { expects: "true or false", accepts: (value) => typeof value === "boolean" };

const RULES: Readonly<Record<keyof Control, Rule>> = {
  // Below 200 is no final answer.
  status: numberRule(200, 599, true),
  errorRate: numberRule(0, 1, false),
  // Ten minutes outlast every deadline worth testing.
  latencyMs: numberRule(0, 600_000, false),
  slowdown: numberRule(0, 1000, false),
  hang: flag,
  reset: flag,
  slowBody: flag,
};

function isControlKey(key: string): key is keyof Control {
  return Object.hasOwn(RULES, key);
}

/** The new control, or every fault of the order; nothing is half applied. */
export function applyPatch(
  control: Control,
  patch: unknown,
): { control: Control } | { faults: readonly ControlFault[] } {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch))
    return { faults: [{ key: "", message: "the body must be a JSON object" }] };
  const faults: ControlFault[] = [];
  const next: Record<string, unknown> = { ...control };
  for (const [key, value] of Object.entries(patch) as [string, unknown][]) {
    if (!isControlKey(key)) {
      faults.push({ key, message: `unknown key; known are ${Object.keys(RULES).join(", ")}` });
    } else if (value === null) {
      delete next[key];
    } else if (RULES[key].accepts(value)) {
      next[key] = value;
    } else {
      faults.push({
        key,
        message: `expected ${RULES[key].expects}, found ${JSON.stringify(value)}`,
      });
    }
  }
  return faults.length > 0 ? { faults } : { control: next };
}
