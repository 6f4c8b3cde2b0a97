// What runs prove together. A proof that cannot fail proves nothing: of the runs without protection each must
// breach, or the load was none.

import { isControl, type RunRecord } from "../run/data.ts";

export interface Proof {
  /** `void`: of some run nothing can be said, so that nothing is proven. */
  readonly outcome: "held" | "breached" | "void";
  /** Why it is not held; empty where it is. */
  readonly faults: readonly string[];
}

export function proofOf(records: readonly RunRecord[]): Proof {
  const faults: string[] = [];
  let isVoid = records.length === 0;
  if (isVoid) faults.push("nothing was run");
  for (const record of records) {
    const { outcome } = record;
    const name = nameOf(record);
    const broken = record.verdicts.filter(({ held }) => !held).map((verdict) => verdict.name);
    if (outcome === "void") {
      isVoid = true;
      const why =
        broken.length === 0
          ? `k6 ended with ${record.exitCode}`
          : `${broken.join(", ")}; ${machineOf(record)}`;
      faults.push(`${name}: no verdict (${why})`);
    } else if (isControl(record.subject)) {
      if (outcome === "held") faults.push(`${name}: held without protection, so the load was none`);
    } else if (outcome === "breached") faults.push(`${name}: breached ${broken.join(", ")}`);
  }
  const outcome = isVoid ? "void" : faults.length === 0 ? "held" : "breached";
  return { outcome, faults };
}

/** How busy the machine was, for whom a breach is held against it. */
export function machineOf({ wakeMs, verdicts }: RunRecord): string {
  const lagMs = verdicts.find(({ name }) => name === "generator_lag_ms")?.value ?? 0;
  const woke = wakeMs === null ? "" : `, and the machine woke threads ${wakeMs.toFixed(1)} ms late`;
  return `calls were started ${lagMs.toFixed(0)} ms late${woke} (p99)`;
}

export const SUBJECT_NAMES: Readonly<Record<RunRecord["subject"], string>> = {
  gateway: "Switchgear",
  none: "no protection",
  opossum: "a plain breaker (opossum)",
  against: "your gateway",
};

export function nameOf({ scenario, subject, runtime }: RunRecord): string {
  return `${scenario}, ${SUBJECT_NAMES[subject]}${runtime === null ? "" : ` on ${runtime}`}`;
}
