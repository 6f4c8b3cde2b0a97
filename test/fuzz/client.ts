// The client of one exchange: one raw connection to a gateway, and what came back over it.

import { connect, type Socket } from "node:net";
import type { Exchange } from "./exchange.ts";
import { play } from "./play.ts";
import { RIG_OPERATION, rewrittenName } from "./protocol.ts";
import { PROBE_TARGET, WARM_TARGET } from "./upstream.ts";
import { answerFraming, Reader, type Message } from "./wire.ts";

/** Longer than the gateway's deadline and the time of a call that waits on after its caller left. */
const PATIENCE_MS = 2_500;

/**
 * What became of the client's connection; `kept` is one that has carried another call since, and `spoilt` one
 * whose next call was answered with something else.
 */
export type Fate = "kept" | "spoilt" | "closed" | "reset" | "hung" | "left";

export interface ClientView {
  readonly answers: readonly Message[];
  readonly interims: readonly string[];
  readonly fate: Fate;
  /** Bytes that belong to no answer. */
  readonly rest: string;
}

class Connection {
  readonly reader: Reader;
  readonly methods: string[] = [];
  socket: Socket;
  end: "closed" | "reset" | undefined;
  #wake: (() => void) | undefined;

  constructor(port: number) {
    this.reader = new Reader({
      framingOf: (message) => {
        const at = this.reader.messages.length;
        return answerFraming(message, this.methods[at] ?? "GET");
      },
    });
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.reader.push(text);
      this.#wake?.();
    });
    this.socket.on("end", () => {
      this.reader.ended();
      this.#over("closed");
    });
    this.socket.on("error", () => this.#over("reset"));
  }

  #over(how: "closed" | "reset"): void {
    this.end ??= how;
    this.#wake?.();
  }

  get wholeAnswers(): number {
    return this.reader.messages.filter(({ isWhole }) => isWhole).length;
  }

  /** Until so many answers are whole, the connection has ended, or patience is over. */
  async answered(count: number, patienceMs = PATIENCE_MS): Promise<void> {
    const untilMs = performance.now() + patienceMs;
    while (this.wholeAnswers < count && this.end === undefined && !this.reader.isBroken) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0 || this.socket.destroyed) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, leftMs);
      await promise;
      clearTimeout(timer);
    }
  }

  async send(exchange: Exchange, lane: string): Promise<void> {
    const { requests, isPipelined } = exchange;
    for (const [index, { method, steps }] of requests.entries()) {
      this.methods.push(method);
      await play(this.socket, steps, exchange.isRewritten ? rewrittenName(lane) : lane);
      if (!isPipelined) await this.answered(index + 1);
    }
    await this.answered(requests.length);
  }
}

function rigRequest(lane: string, target: string): string {
  return `GET /${lane}${target} HTTP/1.1\r\nHost: rig\r\nx-switchgear-operation: ${RIG_OPERATION}\r\n\r\n`;
}

/** Whether a call of the rig's own is answered over this connection. */
async function asks(connection: Connection, lane: string, target: string): Promise<boolean> {
  const count = connection.wholeAnswers + 1;
  connection.methods.length = connection.reader.messages.length;
  connection.methods.push("GET");
  connection.socket.write(rigRequest(lane, target));
  await connection.answered(count);
  const last = connection.reader.messages.at(count - 1);
  return connection.wholeAnswers === count && target.startsWith(`/${last?.body}~`);
}

async function alone(port: number, lane: string, target: string): Promise<boolean> {
  const connection = new Connection(port);
  try {
    return await asks(connection, lane, target);
  } finally {
    connection.socket.destroy();
  }
}

export const warm = (port: number, lane: string): Promise<boolean> =>
  alone(port, lane, WARM_TARGET);

/** Asks the upstream once more, over the same connection when it is kept. */
export async function converse(
  port: number,
  lane: string,
  exchange: Exchange,
): Promise<ClientView> {
  const connection = new Connection(port);
  const { reader, socket } = connection;
  try {
    await connection.send(exchange, lane);
    const answers = [...reader.messages];
    const isWhole = answers.length > 0 && connection.wholeAnswers === answers.length;
    const view = { answers, interims: [...reader.interims], rest: reader.rest };
    // Of a connection that is gone later than its last answer it is chance whether its end is heard in time.
    let fate: Fate = connection.end ?? "hung";
    const hasLeft = exchange.requests.some(({ steps }) => steps.some((step) => "reset" in step));
    if (hasLeft) fate = "left";
    else if (isWhole && !reader.isBroken && !socket.writableEnded) {
      const isKept = connection.end === undefined && (await asks(connection, lane, PROBE_TARGET));
      if (isKept) return { ...view, fate: "kept" };
      if (connection.wholeAnswers > answers.length) fate = "spoilt";
      else fate = connection.end === undefined ? "hung" : "closed";
    }
    socket.destroy();
    await alone(port, lane, PROBE_TARGET);
    return { ...view, fate };
  } finally {
    socket.destroy();
  }
}
