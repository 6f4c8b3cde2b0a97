// The label sets of one upstream's series, each made once. A scrape of 1,000 upstreams shows 34,000 of
// them, and what makes that many objects anew makes the collector stop everything.

import type { OperatorMode, RefusalReason } from "../../core/events.ts";
import { CRITICALITIES, type Criticality } from "../../core/overload/criticality.ts";
import { LIMIT_REASONS, type LimitReason } from "../../pipeline/overload/limit-reasons.ts";
import type { Labels } from "./families.ts";

export class LabelSets {
  readonly bookmaker: Labels;
  readonly late: Readonly<Record<"success" | "failure", Labels>>;
  /** The scrape that used them last. */
  seen = 0;
  readonly #label: string;
  readonly #modes: Partial<Record<OperatorMode, Labels>> = {};
  readonly #windowCalls = new Map<string, Labels>();
  readonly #kinds = new Map<string, Labels>();
  readonly #operations = new Map<string, OperationLabelSets>();
  readonly #limits = new Map<string, LimitLabelSets>();

  constructor(label: string) {
    this.#label = label;
    this.bookmaker = { bookmaker: label };
    this.late = {
      success: { bookmaker: label, outcome: "success" },
      failure: { bookmaker: label, outcome: "failure" },
    };
  }

  mode(mode: OperatorMode): Labels {
    return (this.#modes[mode] ??= { bookmaker: this.#label, mode });
  }

  windowCalls(outcome: string): Labels {
    return made(this.#windowCalls, outcome, () => ({ bookmaker: this.#label, outcome }));
  }

  kind(kind: string): Labels {
    return made(this.#kinds, kind, () => ({ bookmaker: this.#label, kind }));
  }

  operation(operation: string): OperationLabelSets {
    const bookmaker = this.#label;
    return made(
      this.#operations,
      operation,
      () => new OperationLabelSets({ bookmaker, operation }),
    );
  }

  /** Of the limiter of one endpoint; "" for that of an upstream that is one place. */
  limit(endpoint: string): LimitLabelSets {
    const { bookmaker } = this;
    return made(
      this.#limits,
      endpoint,
      () => new LimitLabelSets(endpoint === "" ? bookmaker : { ...bookmaker, endpoint }),
    );
  }

  /** Endpoints come and go with configurations. */
  keepLimits(shown: ReadonlyMap<string, unknown>): void {
    for (const endpoint of this.#limits.keys()) {
      if (!shown.has(endpoint)) this.#limits.delete(endpoint);
    }
  }
}

export class LimitLabelSets {
  readonly all: Labels;
  /** By tier. */
  readonly tiers: readonly TierLabelSets[];

  constructor(all: Labels) {
    this.all = all;
    this.tiers = CRITICALITIES.map((criticality) => tierLabelSets(all, criticality));
  }
}

export interface TierLabelSets {
  readonly all: Labels;
  readonly reasons: Readonly<Record<LimitReason, Labels>>;
}

function tierLabelSets(limit: Labels, criticality: Criticality): TierLabelSets {
  const all = { ...limit, criticality };
  const reasons = LIMIT_REASONS.map((reason) => [reason, { ...all, reason }]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all reasons are there
  return { all, reasons: Object.fromEntries(reasons) as Record<LimitReason, Labels> };
}

export class OperationLabelSets {
  readonly all: Labels;
  readonly #outcomes = new Map<string, Labels>();
  readonly #reasons: Partial<Record<RefusalReason, Labels>> = {};

  constructor(all: Labels) {
    this.all = all;
  }

  outcome(outcome: string): Labels {
    return made(this.#outcomes, outcome, () => ({ ...this.all, outcome }));
  }

  reason(reason: RefusalReason): Labels {
    return (this.#reasons[reason] ??= { ...this.all, reason });
  }
}

function made<Value>(known: Map<string, Value>, key: string, make: () => Value): Value {
  let value = known.get(key);
  if (value === undefined) {
    value = make();
    known.set(key, value);
  }
  return value;
}
