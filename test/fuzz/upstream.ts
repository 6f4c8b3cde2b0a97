// The scripted upstream of one lane of one gateway: raw TCP. It reads requests as they come, keeps them, and
// answers the nth with the exchange's nth script.

import { createServer, type Server, type Socket } from "node:net";
import { listen } from "../contract/gateway-harness.ts";
import { OK_ANSWER, type Answer } from "./exchange.ts";
import { play } from "./play.ts";
import { Reader, requestFraming, type Message } from "./wire.ts";

export interface SeenRequest {
  readonly message: Message;
  /** On which connection, numbered as they were opened. */
  readonly connection: number;
}

export const WARM_TARGET = "/warm~";
export const PROBE_TARGET = "/probe~";
const WARM_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm";
/** Nothing is kept for the next exchange. */
const PROBE_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nprobe";

/** For the gateway to see that a connection has ended. */
const LET_GO_MS_MAX = 500;

export class ScriptedUpstream {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly seen: SeenRequest[] = [];
  port = 0;
  /** The connection that the last probe came on. */
  probedOn: number | undefined;
  #answers: readonly Answer[] = [];
  #connections = 0;

  constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  async start(): Promise<void> {
    this.port = await listen(this.#server);
  }

  begin(answers: readonly Answer[]): void {
    this.#answers = answers;
    this.seen.length = 0;
    this.probedOn = undefined;
    this.#connections = 0;
  }

  /** Ends all connections, and waits until the gateway has seen it. */
  async letGo(): Promise<void> {
    const closing = [...this.#sockets].map((socket) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(() => socket.destroy(), LET_GO_MS_MAX);
      socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.resume();
      socket.end();
      return promise;
    });
    await Promise.all(closing);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    const connection = this.#connections;
    this.#connections += 1;
    this.#sockets.add(socket);
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
    socket.once("end", () => socket.end());
    let answer: Answer | undefined;
    const reader = new Reader({
      framingOf: requestFraming,
      onHead: (message) => {
        const own = ownAnswer(message);
        if (own !== undefined) return;
        answer = this.#answers[this.seen.length] ?? OK_ANSWER;
        this.seen.push({ message, connection });
        if (answer.after === "head") void play(socket, answer.steps);
      },
      onWhole: (message) => {
        const own = ownAnswer(message);
        if (own === undefined) {
          if (answer?.after === "whole") void play(socket, answer.steps);
          return;
        }
        if (own === PROBE_ANSWER) this.probedOn = connection;
        socket.write(own);
        if (own === PROBE_ANSWER) socket.end();
      },
    });
    socket.on("data", (text: string) => reader.push(text));
  }
}

function ownAnswer({ startLine }: Message): string | undefined {
  const target = startLine.split(" ")[1];
  if (target === PROBE_TARGET) return PROBE_ANSWER;
  return target === WARM_TARGET ? WARM_ANSWER : undefined;
}
