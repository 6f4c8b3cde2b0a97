// Some processes at one server, what was wrong meanwhile, and what calls took.

import { Crew, type Given, type Member } from "./crew.ts";
import { callsOf, quantileNs, type Load } from "./load.ts";
import { sleep, type Report } from "./report.ts";
import type { WorkerOptions } from "./worker.ts";

const BASELINE_MS = 5000;

export const UPSTREAMS = ["draftkings", "fanduel", "betmgm", "caesars"] as const;
export const STORM = Array.from({ length: 20 }, (_, index) => `storm-${index}`);

export class Stage {
  readonly crew = new Crew();
  readonly report: Report;
  readonly #name: string;
  readonly #each: number;

  /** `name`: of its keys and replicas; `each`: replicas of one process. */
  constructor(report: Report, name: string, each: number) {
    this.report = report;
    this.#name = name;
    this.#each = each;
  }

  add(
    index: number,
    server: WorkerOptions["server"],
    within: readonly string[] = [],
  ): Promise<Member> {
    const nth = Array.from({ length: this.#each }, (_, at) => at);
    const replicas = nth.map((at) => `${this.#name}${index}-r${at}`);
    const upstreams = [...UPSTREAMS, ...STORM];
    return this.crew.add({ server, prefix: this.#name, replicas, upstreams }, within);
  }

  /** What calls take when nothing is wrong. */
  async measureWell(): Promise<void> {
    await this.crew.load(true);
    await sleep(BASELINE_MS);
    const load = await this.crew.load(false);
    this.report.note(`calls when all is well: ${text(load)}`);
    this.report.claim(load.waited === 0, "all is well: no call waits");
  }

  /** Calls go on while `act` does its worst, and are measured on those that can answer. */
  async calling(
    what: string,
    act: () => Promise<void>,
    members: readonly Member[] = this.crew.members,
  ): Promise<void> {
    await this.crew.load(true, members);
    await act();
    const load = await this.crew.load(false, members);
    this.report.note(`calls meanwhile: ${text(load)}`);
    const { waited } = load;
    this.report.claim(waited === 0 && callsOf(load) > 0, `${what}: no call waits`);
  }

  /** Whether an order is in force everywhere, and how long after `sinceMs`. */
  async claimInForce({ inForce, lastAtMs }: Given, sinceMs: number, text: string): Promise<void> {
    try {
      await inForce;
      const ms = Math.max(0, lastAtMs() - sinceMs);
      this.report.claim(true, `${text} (${ms.toFixed(0)} ms after)`);
    } catch (error) {
      this.report.claim(false, `${text}: ${String(error)}`);
    }
  }

  async claimSettled(upstream: string, isTripped: boolean, msMax: number, text: string) {
    const ms = await this.crew.settled(upstream, isTripped, msMax);
    const when = Number.isNaN(ms) ? "never" : `${ms.toFixed(0)} ms after`;
    this.report.claim(!Number.isNaN(ms), `${text} (${when})`);
  }

  async claimStillTripped(upstream: string, text: string): Promise<void> {
    const all = await this.crew.tripped();
    this.report.claim(
      [...all.values()].every((names) => names.includes(upstream)),
      text,
    );
  }

  async end(): Promise<void> {
    await this.crew.end();
  }
}

function text(load: Load): string {
  const us = (share: number): string => `${(quantileNs(load, share) / 1000).toFixed(1)} µs`;
  const longest = (load.maxNs / 1e6).toFixed(1);
  return `${callsOf(load)}, p50 ${us(0.5)}, p99 ${us(0.99)}, longest ${longest} ms, ${load.waited} waited`;
}
