// What a listed difference is.

import type { Difference } from "./compare.ts";
import { answerText, headOf, requestText, textOf, type Exchange, type Step } from "./exchange.ts";
import type { Pair } from "./rig.ts";
import type { Message } from "./wire.ts";

export interface KnownDifference {
  /** As the documentation heads its row. */
  readonly name: string;
  readonly onNode: string;
  readonly onBun: string;
  /** Whose doing it is, and why it stays. */
  readonly why: string;
  /** Whether this is it. */
  readonly explains: (difference: Difference, context: Context) => boolean;
  /** A small exchange that shows it. */
  readonly example: Exchange;
}

/** The exchange in which a difference was seen. */
export interface Context {
  readonly exchange: Exchange;
  readonly pair: Pair;
  /** All that the client and the upstream were to write. */
  readonly sent: string;
  readonly answered: string;
  /** Heads of the requests, as the client was to write them, one text each. */
  readonly heads: readonly string[];
  /** Targets of the same. */
  readonly targets: readonly string[];
}

export function contextOf(exchange: Exchange, pair: Pair): Context {
  const sent = requestText(exchange);
  const heads = exchange.requests.map((request) =>
    headOf(requestText({ ...exchange, requests: [request] })),
  );
  return {
    exchange,
    pair,
    sent,
    answered: answerText(exchange),
    heads,
    targets: heads.map(
      (head) => /^\S+ (.*?)(?: [^ \r\n]*)?\r?\n/.exec(head.trimStart())?.[1] ?? "",
    ),
  };
}

/** The status of the first answer that the client got; 0 for none. */
export function statusOf(pair: Pair, side: keyof Pair): number {
  return Number(pair[side].client.answers[0]?.startLine.split(" ")[1] ?? 0);
}

/** Refusals by a server itself: they carry nothing but what frames them. */
const SERVERS_OWN: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "transfer-encoding",
]);

export function isServersOwn(answer: Message | undefined): boolean {
  if (answer === undefined || !/^HTTP\/1\.1 (?:400|413|431|505) /.test(answer.startLine))
    return false;
  return answer.fields.every(([name]) => SERVERS_OWN.has(name.toLowerCase()));
}

/** Whether a gateway's server refused one of the requests, or closed without a word. */
export function refuses(pair: Pair, side: keyof Pair): boolean {
  const { answers, fate } = pair[side].client;
  return answers.some(isServersOwn) || (answers.length === 0 && fate !== "hung" && fate !== "left");
}

/** Control characters that no field may have, NUL and line ends aside: those both refuse. */
export function hasControls(head: string): boolean {
  return [...head].some((character) => {
    const code = character.charCodeAt(0);
    return (code > 0 && code < 0x20 && !"\t\r\n".includes(character)) || code === 0x7f;
  });
}

/** Whether a gateway broke off one of the answers, or gave none. */
export function breaksOff(pair: Pair, side: keyof Pair): boolean {
  const { answers, rest } = pair[side].client;
  // Of some answers Bun's server writes all but the end of the head.
  if (answers.length === 0 || rest.startsWith("HTTP/1.")) return true;
  return answers.some(({ isWhole }) => !isWhole);
}

/** Whether a gateway could not pass on one of the answers. */
export function failsOn(pair: Pair, side: keyof Pair): boolean {
  const { client, report } = pair[side];
  if (!report.verdicts.some((verdict) => verdict.startsWith("failed"))) return false;
  return breaksOff(pair, side) || client.answers.some(({ startLine }) => / 502 /.test(startLine));
}

/**
 * What stands behind a body in chunks that are sizes in hexadecimal, plain extensions, and no trailers;
 * undefined for other chunks. Without chunks that is everything.
 */
export function behindChunks(text: string): string | undefined {
  const start = /\r\ntransfer-encoding:[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\n/i.exec(text);
  if (start === null) return text;
  let rest = text.slice(start.index + start[0].length);
  for (;;) {
    const line = /^([0-9a-f]{1,8})(?:;[\w-]+(?:=[\w-]+)?)?\r\n/i.exec(rest);
    if (line === null) return undefined;
    const size = Number.parseInt(line[1] ?? "", 16);
    rest = rest.slice(line[0].length + size);
    if (!rest.startsWith("\r\n")) return undefined;
    rest = rest.slice(2);
    if (size === 0) return rest;
  }
}

export function hasChunks(text: string): boolean {
  return /\r\ntransfer-encoding:/i.test(text);
}

/** Whether one of the messages has chunks that are not plain. */
export function hasOddChunks(sides: readonly { readonly steps: readonly Step[] }[]): boolean {
  return sides.some(({ steps }) => behindChunks(textOf(steps)) === undefined);
}
