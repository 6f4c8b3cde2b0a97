// Bodies and how their length is said, rightly and wrongly.

import type { Step } from "./exchange.ts";
import type { Pick } from "./pick.ts";

export interface Framed {
  readonly lines: readonly string[];
  readonly body: string;
}

/** What one-piece bodies, streams and limits are about, more seldom. */
const LENGTHS = [
  [8, 0],
  [14, 1],
  [60, 20],
  [8, 3_000],
  [4, 65_536],
  [4, 65_537],
  [2, 200_000],
] as const;

export function content(pick: Pick): string {
  const length = pick.weighted(LENGTHS);
  const alphabet = pick.of(["abc", "\0\xff\r\n", "0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]);
  return alphabet.repeat(Math.ceil(length / alphabet.length)).slice(0, length);
}

export function chunked(pick: Pick, text: string): string {
  let out = "";
  let at = 0;
  while (at < text.length) {
    const size = 1 + pick.integer(pick.of([1, 30, 20_000, 200_000]));
    const piece = text.slice(at, at + size);
    at += piece.length;
    out += `${chunkSize(pick, piece.length)}\r\n${piece}\r\n`;
    if (out.length > text.length * 4 + 4_000) {
      const rest = text.slice(at);
      at = text.length;
      if (rest !== "") out += `${rest.length.toString(16)}\r\n${rest}\r\n`;
    }
  }
  const trailers = pick.chance(10) ? pick.of(["X-T: 1\r\n", "x-t: a\r\nContent-MD5: b\r\n"]) : "";
  return `${out}${pick.chance(4) ? "000" : "0"}\r\n${trailers}\r\n`;
}

function chunkSize(pick: Pick, size: number): string {
  const hex = size.toString(16);
  return pick.weighted([
    [80, hex],
    [5, hex.toUpperCase()],
    [4, `00${hex}`],
    [4, `${hex};ext=1`],
    [3, `${hex};ext="a b"`],
    [2, `${hex};`],
    [2, `${hex} `],
  ]);
}

const BROKEN_CHUNKS = [
  "5\r\nhello\r\n",
  "5\r\nhel",
  "5\r\nhelloworld\r\n0\r\n\r\n",
  "-5\r\nhello\r\n0\r\n\r\n",
  "0x5\r\nhello\r\n0\r\n\r\n",
  "g\r\nhello\r\n0\r\n\r\n",
  "\r\nhello\r\n0\r\n\r\n",
  "5\nhello\n0\n\n",
  "5\r\nhello\n0\r\n\r\n",
  "5\r\nhello\r\n0\r\n",
  "5\r\nhello\r\n0\r\nX-T 1\r\n\r\n",
  "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
  "5 \r\nhello\r\n0\r\n\r\n",
  "5;a=b\nc\r\nhello\r\n0\r\n\r\n",
  "5;\x01\r\nhello\r\n0\r\n\r\n",
] as const;

/** Lengths that are none, contradict each other, or are said twice. */
const ODD_LENGTHS = [
  ["Content-Length: 5", "Content-Length: 5"],
  ["Content-Length: 5", "Content-Length: 6"],
  ["Content-Length: 5, 5"],
  ["Content-Length: 5,6"],
  ["Content-Length: +5"],
  ["Content-Length: -5"],
  ["Content-Length: 05"],
  ["Content-Length: 5 "],
  ["Content-Length: 0x5"],
  ["Content-Length: 5.0"],
  ["Content-Length: 5e0"],
  ["Content-Length: five"],
  ["Content-Length: "],
  ["Content-Length: 18446744073709551621"],
  ["Content-Length : 5"],
] as const;

const ODD_CODINGS = [
  ["Transfer-Encoding: Chunked"],
  ["transfer-encoding:chunked"],
  ["Transfer-Encoding: chunked "],
  ["Transfer-Encoding: \tchunked"],
  ["Transfer-Encoding: gzip, chunked"],
  ["Transfer-Encoding: chunked, gzip"],
  ["Transfer-Encoding: chunked, chunked"],
  ["Transfer-Encoding: identity"],
  ["Transfer-Encoding: gzip"],
  ["Transfer-Encoding: chunked;a=b"],
  ["Transfer-Encoding: "],
  ["Transfer-Encoding: xchunked"],
  ["Transfer-Encoding: \x0bchunked"],
  ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
  ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
  ["Transfer-Encoding : chunked"],
  ["Content-Length: 5", "Transfer-Encoding: chunked"],
  ["Transfer-Encoding: chunked", "Content-Length: 5"],
  ["Transfer-Encoding: chunked", "Content-Length: 0"],
] as const;

export function framed(pick: Pick): Framed {
  const text = content(pick);
  return pick.weighted<() => Framed>([
    [60, () => ({ lines: [`Content-Length: ${text.length}`], body: text })],
    [28, () => ({ lines: ["Transfer-Encoding: chunked"], body: chunked(pick, text) })],
    [2, () => ({ lines: ["Transfer-Encoding: chunked"], body: pick.of(BROKEN_CHUNKS) })],
    [2, () => ({ lines: pick.of(ODD_LENGTHS), body: "hello" })],
    [2, () => ({ lines: pick.of(ODD_CODINGS), body: "5\r\nhello\r\n0\r\n\r\n" })],
  ])();
}

/** The text in pieces, with pauses between some of them. */
export function sliced(pick: Pick, text: string): Step[] {
  if (text === "") return [];
  if (pick.chance(75)) return [{ write: text }];
  const steps: Step[] = [];
  let at = 0;
  for (const cut of pick
    .times(1 + pick.integer(3), () => pick.integer(text.length))
    .toSorted((a, b) => a - b)) {
    if (cut > at) steps.push({ write: text.slice(at, cut) }, { waitMs: 1 + pick.integer(6) });
    at = Math.max(at, cut);
  }
  steps.push({ write: text.slice(at) });
  return steps;
}
