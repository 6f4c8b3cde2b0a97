// What a caller is sent by itself, and what is done with a caller that goes on sending or does not read.

import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { REASON_HEADER } from "../headers.ts";
import { PROBLEM_CONTENT_TYPE, type Problem } from "../problem.ts";
import { hasBody } from "./upload.ts";

/**
 * What is still read of a body after its request was answered, so that the caller gets to read the
 * answer: closing at once would reset the connection, and the answer with it. Beyond that it is
 * cut off.
 */
const DRAIN_BYTES_MAX = 16 * 1024 * 1024;
const DRAIN_MS_MAX = 10_000;

/** A caller has this long to read the last of its answer. */
const READ_MS_MAX = 60_000;

export function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  problem: Problem,
): void {
  if (response.headersSent || response.destroyed) return;
  drain(request);
  response.writeHead(problem.status, fieldsOf(problem));
  finish(response, request.method === "HEAD" ? undefined : problem.body);
}

/** To a CONNECT, which comes as a bare connection. */
export function sendBare(socket: Duplex, problem: Problem): void {
  const now = new Date().toUTCString();
  const fields = [...fieldsOf(problem), "date", now, "connection", "close"];
  let text = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}\r\n`;
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`;
  socket.on("error", () => {});
  socket.end(`${text}\r\n${problem.body}`, () => socket.destroy());
}

function fieldsOf(problem: Problem): string[] {
  const fields = [
    "content-type",
    PROBLEM_CONTENT_TYPE,
    REASON_HEADER,
    problem.reason,
    "content-length",
    String(Buffer.byteLength(problem.body)),
  ];
  if (problem.retryAfter !== undefined) fields.push("retry-after", problem.retryAfter);
  if (problem.allow !== undefined) fields.push("allow", problem.allow);
  return fields;
}

/** Reads on for a while, and throws away, what a caller sends after its answer. */
export function drain(request: IncomingMessage): void {
  if (!hasBody(request) || request.complete) return;
  let left = DRAIN_BYTES_MAX;
  const timer = setTimeout(() => request.destroy(), DRAIN_MS_MAX);
  timer.unref();
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.once("close", () => clearTimeout(timer));
  request.resume();
}

/**
 * Ends an answer whose rest will not come. A caller of HTTP/1.0 knows neither chunks nor, often, the length:
 * it would take a closed connection for the body's end.
 */
export function breakOff({ httpVersion }: IncomingMessage, response: ServerResponse): void {
  if (httpVersion === "1.0") response.socket?.resetAndDestroy();
  else response.destroy();
}

/** Ends the answer; a caller that does not read it is not waited for without end. */
export function finish(response: ServerResponse, body?: Buffer | string): void {
  response.end(body);
  if (response.writableLength === 0) return;
  const timer = setTimeout(() => response.destroy(), READ_MS_MAX);
  timer.unref();
  response.once("close", () => clearTimeout(timer));
}
