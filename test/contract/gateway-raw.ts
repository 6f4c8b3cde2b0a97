// An upstream of raw TCP whose answers are written by hand, and requests by hand to a gateway before it.

import { createServer, type Socket } from "node:net";
import { listen } from "./gateway-harness.ts";

/** Answers a request. `count` is its number on the connection, from 1. */
export type Script = (socket: Socket, head: string, count: number) => void;

export interface RawUpstream {
  readonly port: number;
  /** Heads of the requests so far. */
  readonly heads: string[];
  /** Connections so far. */
  connections(): number;
  answerBy(script: Script): void;
  /** Answers everything with these bytes. */
  answerWith(text: string): void;
  /** Forgets what was, and lets go of all connections. */
  reset(): void;
  close(): void;
}

export async function startRawUpstream(): Promise<RawUpstream> {
  const sockets = new Set<Socket>();
  const heads: string[] = [];
  let connections = 0;
  let script: Script = () => {};
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    let text = "";
    let count = 0;
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (end === -1 || text.length < end + 4 + length) return;
      const head = text.slice(0, end);
      text = "";
      heads.push(head);
      count += 1;
      script(socket, head, count);
    });
  });
  const port = await listen(server);
  const letGo = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    heads,
    connections: () => connections,
    answerBy: (next) => void (script = next),
    answerWith: (text) => void (script = (socket) => socket.write(text, "latin1")),
    reset() {
      letGo();
      heads.length = 0;
      connections = 0;
    },
    close() {
      letGo();
      server.close();
    },
  };
}

/** To `draftkings`, without a body. */
export function request(method: string, path = "/draftkings/x", ...lines: string[]): string {
  return `${[`${method} ${path} HTTP/1.1`, "Host: a", ...lines].join("\r\n")}\r\n\r\n`;
}
