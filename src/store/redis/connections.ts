// The two connections of a store, one for commands and one that is subscribed, and the sending of commands. A store
// is connected when both are.

import { StoreError } from "../../core/errors.ts";
import { ClusterLine } from "./cluster.ts";
import { Dialler } from "./dialler.ts";
import { redisError, toStoreError, type ErrorSubject } from "./errors.ts";
import { Link } from "./link.ts";
import type { Script } from "./scripts.ts";
import type { Settings } from "./settings.ts";
import type { Line, Wire } from "./wire.ts";

/** Commands sent without waiting for the first one's answer. */
export const BATCH = 100;

/** Of the half second that closing may take, what is under way has this. */
const CLOSE_MS = 400;

/** Another master is looked for at most this often because the one here takes no writes. */
const RENEW_MS = 10_000;

/** Sentinels are asked at each so manieth poll: a master cut off from them believes in itself. */
const POLLS_PER_QUESTION = 3;

export interface ConnectionPorts {
  readonly channels: string[];
  /** A message on one of the channels. */
  readonly heard: (message: string, channel: string) => void;
  /** Before messages come from a new connection. */
  readonly connecting: () => void;
  readonly connected: () => void;
  readonly failed: (error: StoreError) => void;
}

export class Connections {
  readonly subject: ErrorSubject;
  readonly isCluster: boolean;
  readonly #settings: Settings;
  readonly #ports: ConnectionPorts;
  readonly #dialler: Dialler;
  readonly #commands: Link<Line>;
  readonly #pushes: Link<Wire>;
  readonly #underWay = new Set<Promise<unknown>>();
  #poll: NodeJS.Timeout | undefined = undefined;
  #polls = 0;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #isClosing = false;

  constructor(settings: Settings, ports: ConnectionPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#dialler = new Dialler(settings);
    this.subject = this.#dialler.subject;
    this.isCluster = settings.route.kind === "cluster";
    const { subject } = this;
    const common = { subject, up: () => this.#up(), down: ports.failed };
    this.#commands = new Link<Line>({ ...common, dial: (lost) => this.#dialCommands(lost) });
    this.#pushes = new Link<Wire>({ ...common, dial: (lost) => this.#dialPushes(lost) });
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  open(): void {
    this.#commands.open();
    this.#pushes.open();
    this.#poll = setInterval(() => this.#check(), this.#settings.pollMs).unref();
  }

  /** `last` may send what is to be sent last. Nothing is heard any more. */
  async close(last: () => void): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#poll);
    this.#commands.line?.hold();
    last();
    await withinMs(this.#settled(), CLOSE_MS);
    this.#commands.close();
    this.#pushes.close();
  }

  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.send(keys[0], ["EVALSHA", script.sha, ...rest]);
    } catch (error) {
      if (!(error instanceof StoreError) || error.storeCode !== "REDIS_NOSCRIPT") throw error;
      return this.send(keys[0], ["EVAL", script.text, ...rest]);
    }
  }

  send(key: string | undefined, args: readonly string[]): Promise<unknown> {
    const { line } = this.#commands;
    if (line === undefined) return Promise.reject(this.#commands.error);
    const answer = line.send(key, args).catch((error: unknown) => {
      const failure = toStoreError(error, this.subject, args[0] ?? "");
      // Where a name or a Sentinel leads may have changed while the connection lived on.
      if (failure.storeCode === "REDIS_READONLY") this.#renew(failure);
      throw failure;
    });
    this.#underWay.add(answer);
    const forget = (): void => void this.#underWay.delete(answer);
    answer.then(forget, forget);
    return answer;
  }

  /** True when all that was sent to who is subscribed before now has come back; false when nobody can say. */
  async flushed(): Promise<boolean> {
    const wire = this.#pushes.line;
    if (wire === undefined) return false;
    await wire.send(undefined, ["PING"]);
    return this.#pushes.line === wire && !this.#isClosing;
  }

  /** What was under way may send more, as a script that the server did not know. */
  async #settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async #dialCommands(lost: (error: StoreError) => void): Promise<Line> {
    const { route } = this.#settings;
    if (route.kind === "cluster") return ClusterLine.open(this.#dialler, route.nodes, lost);
    return this.#dialler.open(lost);
  }

  async #dialPushes(lost: (error: StoreError) => void): Promise<Wire> {
    const wire = await this.#dialler.open(lost);
    const { channels, heard, connecting } = this.#ports;
    connecting();
    try {
      await wire.subscribe(channels, (message, channel) => {
        if (!this.#isClosing) heard(message, channel);
      });
      return wire;
    } catch (error) {
      wire.destroy();
      throw error;
    }
  }

  #up(): void {
    const areUp = this.#commands.line !== undefined && this.#pushes.line !== undefined;
    if (areUp) this.#ports.connected();
  }

  /** Half of a connection may be gone without either side knowing. */
  #check(): void {
    this.#polls += 1;
    const wire = this.#pushes.line;
    const isDue = wire !== undefined && performance.now() - wire.heardMs >= this.#settings.pollMs;
    if (isDue) wire.send(undefined, ["PING"]).catch(ignore);
    if (this.#polls % POLLS_PER_QUESTION === 0) void this.#checkMaster();
  }

  async #checkMaster(): Promise<void> {
    try {
      const master = await this.#dialler.master();
      const wire = this.#pushes.line;
      if (master === undefined || wire === undefined) return;
      const { host, port } = wire.address;
      if (master.host !== host || master.port !== port) {
        this.#renew(redisError("REDIS_NOT_MASTER", this.subject, "asking the Sentinels"));
      }
    } catch {
      // Sentinels that are away take nothing from a master that is there.
    }
  }

  #renew(error: StoreError): void {
    const nowMs = performance.now();
    if (nowMs - this.#renewedMs < RENEW_MS) return;
    this.#renewedMs = nowMs;
    this.#commands.renew(error);
    this.#pushes.renew(error);
  }
}

async function withinMs(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([work, new Promise((done) => (timer = setTimeout(done, ms)))]);
  clearTimeout(timer);
}

function ignore(): void {
  // What does not answer is lost, which is told by its link.
}
