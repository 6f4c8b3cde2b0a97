// The processes of the proof: each has some replicas, and says when an order is in force on one of them.

import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { merged, type Load } from "./load.ts";
import { sleep } from "./report.ts";
import type { Order, WorkerOptions, Word } from "./worker.ts";

const READY_MS_MAX = 60_000;
/** An order that is not in force everywhere after this is one that was lost. */
const ORDER_MS_MAX = 30_000;
const END_MS_MAX = 3000;

type Listener = (word: Word) => void;
type Answered = "state" | "cost" | "load";

export interface Member {
  readonly options: WorkerOptions;
  readonly pid: number;
  tell(order: Order): void;
  kill(signal: NodeJS.Signals): void;
  end(): Promise<void>;
}

/** An order under way. */
export interface Given {
  /** Milliseconds from when it was given until it was in force on each. Rejects when it was lost. */
  readonly inForce: Promise<number[]>;
  /** When it was in force on the last of those, by the clock of `nowMs`. */
  readonly lastAtMs: () => number;
}

/** The clock that all processes of a machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class Crew {
  readonly members: Member[] = [];
  readonly #listeners = new Set<Listener>();
  #asked = 0;
  #isEnding = false;
  #random = 12345;

  /** All words of all members from now on. The answer ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get replicas(): string[] {
    return replicasOf(this.members);
  }

  memberOf(replica: string): Member | undefined {
    return this.members.find(({ options }) => options.replicas.includes(replica));
  }

  /** `within`: what its program is started by, such as `ip netns exec …`. */
  async add(options: WorkerOptions, within: readonly string[] = []): Promise<Member> {
    const own = [process.execPath, join(import.meta.dirname, "worker.ts"), JSON.stringify(options)];
    const [program = "", ...args] = [...within, ...own];
    const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const member = memberOf(child, options, () => {
      if (!this.members.includes(member) || this.#isEnding) return;
      this.#isEnding = true;
      for (const one of this.members) one.kill("SIGKILL");
      process.stderr.write(`${options.replicas.join(", ")}: ended by itself\n`);
      process.exit(1);
    });
    const ready = new Promise<void>((done, fail) => {
      const timer = setTimeout(() => fail(new Error("a process is not ready")), READY_MS_MAX);
      child.on("message", (word: Word) => {
        if (word.say === "ready") {
          clearTimeout(timer);
          done();
        }
        for (const listener of this.#listeners) listener(word);
      });
      child.once("error", fail);
    });
    this.members.push(member);
    await ready;
    return member;
  }

  remove(member: Member): void {
    this.members.splice(this.members.indexOf(member), 1);
  }

  pick(): string {
    this.#random = (this.#random * 1103515245 + 12345) % 2 ** 31;
    return this.replicas[this.#random % this.replicas.length] ?? "";
  }

  /** Gives an order. It is waited for on those named, all unless they are given. */
  give(
    upstream: string,
    action: "trip" | "reset",
    { from = this.pick(), on = this.replicas }: { from?: string; on?: readonly string[] } = {},
  ): Given {
    const missing = new Set(on);
    const wanted = action === "trip";
    let sentNs = 0n;
    const seen = new Map<string, bigint>();
    const inForce = new Promise<number[]>((done, fail) => {
      const end = (): void => {
        if (sentNs === 0n || missing.size > 0) return;
        clearTimeout(timer);
        stop();
        done([...seen.values()].map((ns) => Number(ns - sentNs) / 1e6));
      };
      const stop = this.listen((word) => {
        if (word.say === "ordered" && word.upstream === upstream) sentNs = BigInt(word.atNs);
        if (word.say === "in force" && word.upstream === upstream && word.isTripped === wanted) {
          if (missing.delete(word.replica)) seen.set(word.replica, BigInt(word.atNs));
        }
        end();
      });
      const timer = setTimeout(() => {
        stop();
        const some = [...missing].slice(0, 5).join(", ");
        fail(new Error(`${action} of ${upstream} by ${from} is not in force on ${some}`));
      }, ORDER_MS_MAX);
      this.memberOf(from)?.tell({ do: "order", replica: from, upstream, action });
    });
    // Whoever waits for it hears of it.
    inForce.catch(() => {});
    const lastAtMs = (): number => Math.max(...[...seen.values()].map(Number)) / 1e6;
    return { inForce, lastAtMs };
  }

  order(upstream: string, action: "trip" | "reset"): Promise<number[]> {
    return this.give(upstream, action).inForce;
  }

  /** What `member` answers to a question. */
  ask<Say extends Answered>(
    member: Member,
    question: (id: number) => Order,
    say: Say,
  ): Promise<Extract<Word, { say: Say }>> {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((done) => {
      const stop = this.listen((word) => {
        if (word.say !== say || !("id" in word) || word.id !== id) return;
        stop();
        done(word as Extract<Word, { say: Say }>);
      });
      member.tell(question(id));
    });
  }

  cost(member: Member, rounds: number): Promise<Extract<Word, { say: "cost" }>> {
    return this.ask(member, (id) => ({ do: "cost", id, rounds }), "cost");
  }

  /** Calls go on everywhere, or end. Answers what they took until now, on those that can answer. */
  async load(isOn: boolean, members: readonly Member[] = this.members): Promise<Load> {
    const told = await Promise.all(
      members.map((member) => this.ask(member, (id) => ({ do: "load", id, isOn }), "load")),
    );
    return merged(told.map(({ load }) => load));
  }

  /** Of all replicas: what each refuses. */
  async tripped(): Promise<ReadonlyMap<string, readonly string[]>> {
    const states = await Promise.all(
      this.members.map((member) => this.ask(member, (id) => ({ do: "state", id }), "state")),
    );
    return new Map(states.flatMap(({ tripped }) => Object.entries(tripped)));
  }

  /** Milliseconds until all agree; not a number where they do not. */
  async settled(upstream: string, isTripped: boolean, timeoutMs: number): Promise<number> {
    const start = performance.now();
    while (performance.now() - start < timeoutMs) {
      const all = await this.tripped();
      if ([...all.values()].every((names) => names.includes(upstream) === isTripped)) {
        return performance.now() - start;
      }
      await sleep(50);
    }
    return Number.NaN;
  }

  /** Closed everywhere, where most refuse it. */
  async close(upstream: string): Promise<void> {
    const all = [...(await this.tripped()).values()];
    const tripped = all.filter((names) => names.includes(upstream));
    if (tripped.length > all.length / 2) await this.order(upstream, "reset");
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.members.map((member) => member.end()));
  }
}

export function replicasOf(members: readonly Member[]): string[] {
  return members.flatMap(({ options }) => [...options.replicas]);
}

function memberOf(child: ChildProcess, options: WorkerOptions, onEnd: () => void): Member {
  const ended = new Promise<void>((done) => {
    child.once("exit", () => {
      done();
      onEnd();
    });
  });
  return {
    options,
    pid: child.pid ?? 0,
    tell: (order) => void (child.connected && child.send(order)),
    kill: (signal) => void child.kill(signal),
    end: async () => {
      // One that was stopped hears nothing.
      child.kill("SIGCONT");
      if (child.connected) child.send({ do: "end" } satisfies Order);
      const timer = setTimeout(() => child.kill("SIGKILL"), END_MS_MAX);
      await ended;
      clearTimeout(timer);
    },
  };
}
