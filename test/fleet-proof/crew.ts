// The processes of the proof: each has some replicas, and says when an order is in force on one of them.

import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Order, WorkerOptions, Word } from "./worker.ts";

const READY_MS_MAX = 60_000;

type Listener = (word: Word) => void;

export interface Member {
  readonly options: WorkerOptions;
  readonly pid: number;
  tell(order: Order): void;
  kill(signal: NodeJS.Signals): void;
  end(): Promise<void>;
}

export class Crew {
  readonly members: Member[] = [];
  readonly #listeners = new Set<Listener>();
  #asked = 0;
  #isEnding = false;

  /** All words of all members from now on. The answer ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get replicas(): string[] {
    return this.members.flatMap(({ options }) => [...options.replicas]);
  }

  memberOf(replica: string): Member | undefined {
    return this.members.find(({ options }) => options.replicas.includes(replica));
  }

  async add(options: WorkerOptions): Promise<Member> {
    const child = fork(join(import.meta.dirname, "worker.ts"), [JSON.stringify(options)], {
      execPath: process.execPath,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
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

  /** What `member` answers to a question. */
  ask<Say extends "state" | "cost">(
    member: Member,
    say: Say,
    rounds = 0,
  ): Promise<Extract<Word, { say: Say }>> {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((done) => {
      const stop = this.listen((word) => {
        if (word.say !== say || !("id" in word) || word.id !== id) return;
        stop();
        done(word as Extract<Word, { say: Say }>);
      });
      member.tell(say === "cost" ? { do: "cost", id, rounds } : { do: "state", id });
    });
  }

  /** Of all replicas: what each refuses. */
  async tripped(): Promise<ReadonlyMap<string, readonly string[]>> {
    const states = await Promise.all(this.members.map((member) => this.ask(member, "state")));
    return new Map(states.flatMap(({ tripped }) => Object.entries(tripped)));
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.members.map((member) => member.end()));
  }
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
      if (child.connected) child.send({ do: "end" } satisfies Order);
      const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
      await ended;
      clearTimeout(timer);
    },
  };
}
