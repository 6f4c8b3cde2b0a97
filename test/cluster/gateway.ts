// One release of the chart, as callers and operators meet it: through its Service.

import assert from "node:assert/strict";
import { until } from "../pager/processes.ts";
import { WAIT_MS, type Answer, type World } from "./world.ts";

export interface Status {
  readonly name: string;
  readonly tripped: boolean;
}

export class Gateway {
  readonly namespace: string;
  readonly #world: World;
  readonly #service: string;

  constructor(world: World, namespace: string, service = "switchgear") {
    this.#world = world;
    this.namespace = namespace;
    this.#service = service;
  }

  call(path: string, ...options: readonly string[]): Promise<Answer> {
    return this.#world.ask(`${this.namespace}/${this.#service}:8080`, path, ...options);
  }

  admin(path: string, ...options: readonly string[]): Promise<Answer> {
    return this.#world.ask(`${this.namespace}/${this.#service}:9464`, path, ...options);
  }

  /** A command of the gateway's own, in one of its pods: it finds the server and the token there. */
  command(pod: string, ...args: readonly string[]): Promise<string> {
    return this.#world.kubectl("-n", this.namespace, "exec", pod, "--", "switchgear", ...args);
  }

  /** Waits until a call is answered so. */
  answers(path: string, status: number, reason = ""): Promise<Answer> {
    let last: Answer | undefined;
    return until(
      `a call of ${path} is answered ${status} ${reason}`,
      async () => {
        const answer = await this.call(path).catch(() => undefined);
        last = answer ?? last;
        return answer?.status === status && answer.reason === reason ? answer : undefined;
      },
      WAIT_MS,
      () => JSON.stringify(last),
    );
  }

  /** Ten calls that the bookmaker fails; the eleventh is refused here, and the bookmaker hears nothing of it. */
  async trip(bookmaker: string, at = `${this.namespace}/${bookmaker}`): Promise<void> {
    await this.#world.tell(at, { status: 500 });
    for (let n = 0; n < 10; n += 1) {
      const { status, reason } = await this.call(`/${bookmaker}/odds`);
      assert.deepEqual([status, reason], [500, ""], `call ${n + 1}`);
    }
    await this.#world.tell(at);
    const heard = await this.#world.served(at);
    await this.isTripped(bookmaker);
    assert.equal(await this.#world.served(at), heard);
  }

  async isTripped(bookmaker: string): Promise<void> {
    const { status, reason } = await this.call(`/${bookmaker}/odds`);
    assert.deepEqual([status, reason], [503, "tripped"]);
  }

  async isClosed(bookmaker: string): Promise<void> {
    const { status, reason, body } = await this.call(`/${bookmaker}/odds`);
    assert.deepEqual([status, reason], [200, ""]);
    assert.match(body, new RegExp(bookmaker));
  }
}
