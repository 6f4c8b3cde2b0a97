// Honest callers, whose every answer is looked at, and others beside them: slow to send, slow to read,
// impatient, leaving, half-open and hostile. None of the others is owed more than that it ends.

import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import type { SeededRandom } from "../../src/testing/index.ts";
import { LONG_LENGTH } from "./upstream.ts";

export interface Target {
  readonly port: number;
  readonly random: SeededRandom;
  /** How long a caller of the other kinds holds on before it gives up by itself. */
  readonly heldMsMax: number;
}

/** What an honest caller found wrong; undefined when all was well. */
export type Finding = string | undefined;

/** No honest answer may take longer. */
const HONEST_MS_MAX = 12_000;

const kept = new Agent({ keepAlive: true, maxSockets: 64 });

export async function honest({ port, random }: Target): Promise<Finding> {
  const kind = random.integer(10);
  if (kind === 0) return exchange({ port, path: "/book/long", length: 0, isKept: true });
  const length =
    kind < 4 ? random.integer(2_000) : kind === 4 ? 200_000 + random.integer(100_000) : 0;
  const path = `/book/${["odds", "bets", "settle"][random.integer(3)] ?? "odds"}?n=${random.integer(1e6)}`;
  return exchange({ port, path, length, isKept: random.integer(4) > 0 });
}

function exchange(call: {
  readonly port: number;
  readonly path: string;
  readonly length: number;
  readonly isKept: boolean;
}): Promise<Finding> {
  const { port, path, length, isKept } = call;
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const outgoing = request({
    port,
    host: "127.0.0.1",
    path,
    method: length > 0 ? "POST" : "GET",
    agent: isKept ? kept : false,
    headers: length > 0 ? { "content-length": length } : {},
    timeout: HONEST_MS_MAX,
  });
  const what = `${length > 0 ? `POST of ${length}` : "GET"} ${path}`;
  outgoing.once("timeout", () => outgoing.destroy(new Error("no answer in time")));
  outgoing.once("error", (error) => {
    // A kept connection that the other side closed just now: the caller's own client would ask again.
    const isStale = outgoing.reusedSocket && (error as NodeJS.ErrnoException).code === "ECONNRESET";
    resolve(isStale ? undefined : `${what}: ${error.message}`);
  });
  outgoing.once("response", (answer) => {
    let received = 0;
    let text = "";
    answer.on("data", (piece: Buffer) => {
      received += piece.length;
      if (received < 10_000) text += piece.toString();
    });
    answer.once("error", (error) => resolve(`${what}: ${error.message} in its answer`));
    answer.once("end", () => {
      const expected = path.startsWith("/book/long")
        ? received === LONG_LENGTH
        : text === JSON.stringify({ path: path.slice("/book".length), length });
      resolve(
        answer.statusCode === 200 && expected
          ? undefined
          : `${what}: ${answer.statusCode}, ${received} bytes: ${text.slice(0, 200)}`,
      );
    });
  });
  outgoing.end(length > 0 ? Buffer.alloc(length, "x") : undefined);
  return promise;
}

const HEAD = "Host: a\r\n";

/** Each opens a connection, does its mischief, and is gone after a while at the latest. */
const OTHERS: Readonly<Record<string, (socket: Socket, random: SeededRandom) => void>> = {
  "sends its body slowly": (socket, random) => {
    const length = random.integer(2) === 0 ? 1_000 : 500_000;
    socket.write(`POST /book/bets HTTP/1.1\r\n${HEAD}Content-Length: ${length}\r\n\r\n`);
    every(socket, 300, () => socket.write("x"));
  },
  "sends its head slowly": (socket) => {
    socket.write("GET /book/odds HTTP/1.1\r\n");
    every(socket, 500, () => socket.write("X-A: b\r\n"));
  },
  "does not read": (socket) => {
    socket.write(`GET /book/long HTTP/1.1\r\n${HEAD}\r\n`);
    socket.pause();
  },
  "reads slowly": (socket) => {
    socket.write(`GET /book/long HTTP/1.1\r\n${HEAD}\r\n`);
    socket.pause();
    every(socket, 100, () => void socket.read(5_000));
  },
  leaves: (socket, random) => {
    socket.write(`GET /book/odds HTTP/1.1\r\n${HEAD}\r\n`);
    setTimeout(() => socket.destroy(), random.integer(12));
  },
  "leaves with a reset": (socket, random) => {
    socket.write(`POST /book/bets HTTP/1.1\r\n${HEAD}Content-Length: 90000\r\n\r\nsome`);
    setTimeout(() => socket.resetAndDestroy(), random.integer(12));
  },
  "is impatient": (socket) => {
    socket.write(`GET /book/odds HTTP/1.1\r\n${HEAD}x-switchgear-timeout-ms: 1\r\n\r\n`);
  },
  "listens to events, and leaves": (socket, random) => {
    socket.write(`GET /book/events HTTP/1.1\r\n${HEAD}\r\n`);
    setTimeout(() => socket.destroy(), 500 + random.integer(5_000));
  },
  "says nothing": () => {},
  "sends half a head": (socket) => {
    socket.write("GET /book/odds HTTP/1.1\r\nHo");
  },
  "half-closes": (socket) => {
    socket.end(`GET /book/odds HTTP/1.1\r\n${HEAD}\r\n`);
  },
  "names an operation that nobody knows": (socket, random) => {
    const name = `order-${random.integer(1e9)}`;
    socket.write(`GET /book/x HTTP/1.1\r\n${HEAD}x-switchgear-operation: ${name}\r\n\r\n`);
  },
  "is hostile": (socket, random) => {
    const text = HOSTILE[random.integer(HOSTILE.length)] ?? "";
    socket.write(text, "latin1");
  },
};

const HOSTILE: readonly string[] = [
  `GET /book/../admin HTTP/1.1\r\n${HEAD}\r\n`,
  `GET http://elsewhere/book HTTP/1.1\r\n${HEAD}\r\n`,
  `TRACE /book/x HTTP/1.1\r\n${HEAD}\r\n`,
  `CONNECT elsewhere:443 HTTP/1.1\r\n${HEAD}\r\n`,
  `POST /book/x HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x`,
  `POST /book/x HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef`,
  `POST /book/x HTTP/1.1\r\n${HEAD}Content-Length: -1\r\n\r\n`,
  `POST /book/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n`,
  `GET /book/x HTTP/1.1\r\n${HEAD}X-Big: ${"y".repeat(40_000)}\r\n\r\n`,
  `GET /nobody/x HTTP/1.1\r\n${HEAD}\r\n`,
  "\u0000\u0001\u0002\u0003",
  `GET /book/\u0000 HTTP/1.1\r\n${HEAD}\r\n`,
  `GET /book/x HTTP/1.1\r\n${HEAD}x-switchgear-hops: 99\r\n\r\n`,
];

export const OTHER_KINDS: readonly string[] = Object.keys(OTHERS);

/** One of the others; resolves when its connection is gone. */
export function other({ port, random, heldMsMax }: Target, kind: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(port, "127.0.0.1", () => OTHERS[kind]?.(socket, random));
  const timer = setTimeout(() => socket.destroy(), heldMsMax);
  socket.on("error", () => {});
  if (!kind.includes("read")) socket.resume();
  socket.once("close", () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}

function every(socket: Socket, ms: number, act: () => void): void {
  const timer = setInterval(act, ms);
  socket.once("close", () => clearInterval(timer));
}
