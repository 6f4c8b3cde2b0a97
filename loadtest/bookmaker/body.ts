// What the bookmaker answers: a few odds, or a JSON body of exactly the length that was asked for.

import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export const BODY_BYTES_MAX = 64 * 1024 ** 2;
const CHUNK_BYTES = 64 * 1024;
const SLOW_CHUNKS = 20;

/** The length asked for with `?bytes=N`, `undefined` when none is, or a sentence about a bad one. */
export function requestedBytes(query: URLSearchParams): number | string | undefined {
  const values = query.getAll("bytes");
  const [text] = values;
  if (text === undefined) return undefined;
  const bytes = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (values.length === 1 && bytes <= BODY_BYTES_MAX) return bytes;
  return `bytes: expected one whole number from 0 to ${BODY_BYTES_MAX}`;
}

/** A body whose middle is filler: `head` + as many `x` as are missing to `length` + `tail`. */
export interface Body {
  readonly head: string;
  readonly tail: string;
  readonly length: number;
}

export function textBody(text: string): Body {
  return { head: text, tail: "", length: Buffer.byteLength(text) };
}

function exactBody(length: number): Body {
  if (length === 0) return textBody("");
  // A JSON text of one byte can only be a digit.
  if (length === 1) return textBody("0");
  return { head: '"', tail: '"', length };
}

export function oddsBody(answer: {
  bookmaker: string;
  path: string;
  bytes: number | undefined;
}): Body {
  const { bookmaker, path, bytes } = answer;
  const odds = [
    { selection: "home", price: 1.91 },
    { selection: "away", price: 1.95 },
  ];
  if (bytes === undefined) return textBody(JSON.stringify({ bookmaker, path, odds }));
  const head = `${JSON.stringify({ bookmaker, path, odds }).slice(0, -1)},"filler":"`;
  const tail = '"}';
  return Buffer.byteLength(head + tail) <= bytes ? { head, tail, length: bytes } : exactBody(bytes);
}

function* chunksOf(body: Body, chunkBytes: number): Generator<Buffer> {
  const head = Buffer.from(body.head);
  const tail = Buffer.from(body.tail);
  const fillerEnd = body.length - tail.length;
  for (let start = 0; start < body.length; start += chunkBytes) {
    const end = Math.min(start + chunkBytes, body.length);
    const chunk = Buffer.alloc(end - start, "x");
    if (start < head.length) head.copy(chunk, 0, start, Math.min(end, head.length));
    if (end > fillerEnd)
      tail.copy(
        chunk,
        Math.max(0, fillerEnd - start),
        Math.max(0, start - fillerEnd),
        end - fillerEnd,
      );
    yield chunk;
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

/** Writes as fast as the reader reads. */
export async function writeBody(response: ServerResponse, body: Body): Promise<void> {
  for (const chunk of chunksOf(body, CHUNK_BYTES)) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await drained(response);
  }
  response.end();
}

/** Spreads the body over `totalMs`, whether or not the reader stays: the worker is busy all the same. */
export async function dribbleBody(
  response: ServerResponse,
  body: Body,
  options: { totalMs: number; signal: AbortSignal },
): Promise<void> {
  for (const chunk of chunksOf(body, Math.max(1, Math.ceil(body.length / SLOW_CHUNKS)))) {
    try {
      await sleep(options.totalMs / SLOW_CHUNKS, undefined, { signal: options.signal });
    } catch {
      return;
    }
    if (!response.destroyed && !response.write(chunk)) await drained(response);
  }
  if (!response.destroyed) response.end();
}
