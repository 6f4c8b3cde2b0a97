// Names of keys and channels. All that is kept of one upstream has one hash tag, so that a Cluster keeps it on one
// node and a script may touch it. An upstream's name may be anything: what a key may not hold is escaped, and what
// is long is told apart by its hash; the name itself stands in the row.
//
// When it ends: each key of an upstream expires `retentionDays` after a replica that guards it last wrote or
// touched it, and replicas touch what they guard hourly. An upstream that nobody guards any more is so forgotten,
// its audits with it, and nobody ever walks over all keys. What is seen of replicas ends after a day.

import { createHash } from "node:crypto";

const PLAIN = /^[A-Za-z0-9._-]+$/;

/** Longer ones make keys that nobody can read, and cost memory three times. */
const LENGTH_MAX = 100;

export interface UpstreamKeys {
  /** Hash: the newest orders, and the end of the audits' chain. */
  readonly row: string;
  /** Stream. */
  readonly audit: string;
  /** Sorted set of the changes that were taken, with their answers. */
  readonly seen: string;
  /** Sorted set: replicas whose breaker has tripped by itself, where a quorum is asked for. */
  readonly reports: string;
  /** When the last replica that asked lets its probes in. */
  readonly turn: string;
}

export class Keys {
  readonly #prefix: string;
  /** Hash: what replicas show of themselves. */
  readonly replicas: string;
  /** How many changes were pushed so far. */
  readonly count: string;
  /** Channel of the pushes. */
  readonly changes: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.replicas = `${prefix}:replicas`;
    this.count = `${prefix}:count`;
    this.changes = `${prefix}:changes`;
  }

  of(upstream: string): UpstreamKeys {
    const tagged = `${this.#prefix}:{${encodedName(upstream)}}`;
    const of = (what: keyof UpstreamKeys): string => `${tagged}:${what}`;
    return {
      row: of("row"),
      audit: of("audit"),
      seen: of("seen"),
      reports: of("reports"),
      turn: of("turn"),
    };
  }

  /** Channel on which a replica hears who has taken over what it ordered. */
  receiptsOf(replica: string): string {
    return `${this.#prefix}:receipts:${replica}`;
  }
}

/** Never empty, and never the same for two names. */
export function encodedName(name: string): string {
  if (name.length <= LENGTH_MAX && PLAIN.test(name)) return name;
  if (name.length <= LENGTH_MAX && name !== "") {
    const escaped = name.replace(
      /[^A-Za-z0-9._-]/g,
      (unit) => `~${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    if (escaped.length <= LENGTH_MAX) return escaped;
  }
  // Of the code units: lone surrogates are all the same in UTF-8.
  return `=${createHash("sha256").update(Buffer.from(name, "utf16le")).digest("hex")}`;
}
