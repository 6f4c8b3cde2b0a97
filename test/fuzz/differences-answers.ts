// Listed differences in which answers of upstreams are taken, and what becomes of those that are not.

import { exchange, head, headOf, textOf, type Answer } from "./exchange.ts";
import {
  behindChunks,
  breaksOff,
  failsOn,
  hasChunks,
  hasControls,
  hasOddChunks,
  statusOf,
  type Context,
  type KnownDifference,
} from "./known.ts";

/** In front of the answer proper. */
const INTERIMS = /^(?:HTTP\/1\.\d 1\d\d.*\r\n(?:.+\r\n)*\r\n(?:\r\n)*)+/;

/** The head of the answer proper, with the end of its last line. */
function finalHead({ steps }: Answer): string {
  const text = textOf(steps).replace(INTERIMS, "");
  const end = text.search(/\r?\n\r?\n/);
  return end === -1 ? text : text.slice(0, end + 1);
}

function oneFails({ pair }: Context): boolean {
  return failsOn(pair, "node") || failsOn(pair, "bun");
}

export const ANSWER_DIFFERENCES: readonly KnownDifference[] = [
  {
    name: "Answers of versions other than HTTP/1.0 and HTTP/1.1",
    onNode: "HTTP/2.0 and HTTP/0.9 pass, others are a 502 and a failure",
    onBun: "HTTP/1.2 passes, others are a 502 and a failure",
    why: "each parser's own; no server writes them",
    explains: (_, context) =>
      oneFails(context) && /(?:^|\n|\S)HTTP\/(?:1\.2|2\.0|0\.9) /.test(context.answered),
    example: exchange(head("GET"), "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
  },
  {
    name: "Answers with bare line feeds, control characters, or a `Content-Length` twice or with blanks behind",
    onNode: "502, a failure",
    onBun: "read",
    why: "undici is strict; what Bun's `fetch` passes on is framed anew (RFC 9112 §2.2, RFC 9110 §8.6)",
    explains: (_, context) =>
      oneFails(context) &&
      context.exchange.answers.some((answer) => {
        const lines = finalHead(answer);
        const lengths = lines.match(/\ncontent-length:.*/gi) ?? [];
        return (
          /[^\r]\n/.test(lines) ||
          hasControls(lines) ||
          (lengths.length > 1 && new Set(lengths).size === 1) ||
          lengths.some((line) => /[ \t]\r?$/.test(line))
        );
      }),
    example: exchange(head("GET"), "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
  },
  {
    name: "Chunks of answers with odd sizes, extensions or line ends",
    onNode: "a failure",
    onBun: "read where they can be",
    why: "undici is strict; what Bun's `fetch` passes on is framed anew",
    explains: (_, context) => oneFails(context) && hasOddChunks(context.exchange.answers),
    example: exchange(
      head("GET"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\r\nok\r\n0\r\n\r\n",
    ),
  },
  {
    name: "Answers that break off inside their head, on a kept connection",
    onNode: "502: something was heard",
    onBun: "idempotent calls are made once more",
    why: "Bun's `fetch` does so by itself",
    explains: (_, { pair }) => {
      // By their methods: targets may be written anew.
      const asked = pair.node.seen.map(({ message }) => methodOf(message.startLine));
      const extra = pair.bun.seen.map(({ message }) => methodOf(message.startLine));
      for (const line of asked) if (extra.includes(line)) extra.splice(extra.indexOf(line), 1);
      return (
        extra.length > 0 &&
        failsOn(pair, "node") &&
        extra.every((method) => method !== "POST" && method !== "PATCH")
      );
    },
    example: exchange(head("GET"), [{ write: "HTTP/1.1 200 OK\r\nX-A" }, { end: true }], {
      isWarm: true,
    }),
  },
  {
    name: "Answers that end with their connection, and are reset",
    onNode: "a failure",
    onBun: "whole",
    why: "Bun's `fetch` takes the reset for the end",
    explains: (_, { exchange: { answers }, pair }) =>
      failsOn(pair, "node") &&
      answers.some(
        ({ steps }) =>
          steps.some((step) => "reset" in step) &&
          !/\ncontent-length:|\ntransfer-encoding:/i.test(textOf(steps)),
      ),
    example: exchange(head("GET"), [
      { write: "HTTP/1.1 200 OK\r\n\r\nhalf" },
      { waitMs: 20 },
      { reset: true },
    ]),
  },
  {
    name: "Answers that contradict themselves in a head that does not end",
    onNode: "502 at once, a failure",
    onBun: "504 at the deadline, a timeout",
    why: "Bun's `fetch` reads whole heads",
    explains: ({ about, aspect }, { answered, pair }) =>
      (about === "answer" || ["verdicts", "access"].includes(aspect)) &&
      !/\r?\n\r?\n/.test(answered) &&
      statusOf(pair, "node") === 502 &&
      statusOf(pair, "bun") === 504,
    example: exchange(head("GET"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n"),
  },
  {
    name: "Requests that are answered before they are whole",
    onNode: "the rest is sent while the caller sends it",
    onBun: "the rest is sent, or the body ended",
    why: "undici's and Bun's own; the answer is passed on either way",
    explains: ({ about, aspect }, { exchange: { answers } }) =>
      ((about === "request" && ["body", "whole"].includes(aspect)) ||
        ["reuse", "connection"].includes(aspect)) &&
      answers.some(({ after }) => after === "head"),
    example: exchange(
      `${head("POST", undefined, "Content-Length: 65537")}${"x".repeat(65_537)}`,
      "HTTP/1.1 304 Not Modified\r\n\r\n",
      { after: "head" },
    ),
  },
  {
    name: "How answers end that break off",
    onNode: "the head, what came of the body, closed",
    onBun: "what came of both, reset",
    why: "the servers' own; that it is not whole can be seen either way",
    explains: ({ about, aspect, index }, { pair }) =>
      (aspect === "fate" || aspect === "rest" || (about === "answer" && aspect === "count")) &&
      breaksOff(pair, "node") &&
      breaksOff(pair, "bun") &&
      index === 0,
    example: exchange(head("GET"), [
      { write: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel" },
      { waitMs: 20 },
      { reset: true },
    ]),
  },
  {
    name: "Heads of answers over 64 KiB, or of more than some 250 fields",
    onNode: "the first are a 502 and a failure",
    onBun: "the second are",
    why: "a bound of ours, which Bun's `fetch` does not know, and one of its own",
    explains: (_, context) =>
      oneFails(context) &&
      context.exchange.answers.some((answer) => {
        const text = finalHead(answer);
        return text.length > 64_000 || text.split("\r\n").length > 250;
      }),
    example: exchange(
      head("GET"),
      `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Big: ${"b".repeat(70_000)}\r\n\r\nok`,
    ),
  },
  {
    name: "Bytes behind an answer",
    onNode: "end the upstream's connection",
    onBun: "are thrown away, when they come with it",
    why: "undici's and Bun's own; no other call reads them",
    explains: ({ aspect }, context) =>
      ["reuse", "connection"].includes(aspect) && context.exchange.answers.some(hasBytesBehind),
    example: exchange(
      head("GET"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore",
    ),
  },
  {
    name: "Answers of 205 whose body breaks off or does not end",
    onNode: "a failure or a timeout",
    onBun: "205, a success",
    why: "Bun's `fetch` reads no body of a 205; callers are sent none on either",
    explains: (_, { answered, pair }) =>
      / 205 /.test(answered) && [502, 504].includes(statusOf(pair, "node")),
    example: exchange(head("GET"), "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhel"),
  },
  {
    name: "Several `Location` lines, where redirects are written anew",
    onNode: "each is",
    onBun: "joined they lead nowhere, and stay",
    why: "`Headers` of Bun joins them; an answer has one",
    explains: ({ aspect, name, node }, { exchange: { isRewritten } }) =>
      isRewritten && aspect === "field" && name === "location" && node.includes("\n"),
    example: exchange(
      head("GET"),
      "HTTP/1.1 302 Found\r\nLocation: /base/a\r\nLocation: /base/b\r\nContent-Length: 0\r\n\r\n",
      { isRewritten: true },
    ),
  },
  {
    name: "`Connection: close` of answers with a tab behind it, or with `keep-alive` in another line",
    onNode: "not understood: the next call finds the connection closed",
    onBun: "understood",
    why: "undici's parser; an idempotent call is then made once more",
    explains: ({ aspect }, { answered }) =>
      ["reuse", "connection"].includes(aspect) &&
      (/\nconnection:.*close[ \t]*\t/i.test(answered) ||
        (/\nconnection:.*close/i.test(answered) && /\nconnection:.*keep-alive/i.test(answered))),
    example: exchange(
      head("GET"),
      "HTTP/1.1 200 OK\r\nConnection: close\t\r\nContent-Length: 2\r\n\r\nok",
    ),
  },
  {
    name: "Bodies where none may be, behind a 204, 205 or 304, that come late",
    onNode: "end the upstream's connection",
    onBun: "the next call on that connection may fail",
    why: "Bun's `fetch` has given the connection to it; undici keeps none after a 304 with a length",
    explains: ({ index, about }, { exchange: { answers }, pair }) =>
      (about !== "answer" || index > 0) &&
      (breaksOff(pair, "bun") || failsOn(pair, "bun") || pair.bun.client.fate === "spoilt") &&
      answers.some(({ steps }) => {
        const text = textOf(steps);
        return (
          / (?:204|205|304) /.test(text) &&
          steps.length > 1 &&
          text.length > headOf(text).length + 2
        );
      }),
    example: exchange(head("GET"), [
      { write: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n" },
      { waitMs: 1 },
      { write: "ok" },
    ]),
  },
  {
    name: "The upstream's connection after an answer that was refused, that had a body where none may be, or of 407",
    onNode: "closed",
    onBun: "kept, once the answer was whole",
    why: "undici destroys what it lets go of; Bun's `fetch` has read it",
    explains: ({ aspect }, { pair, answered }) =>
      ["reuse", "connection"].includes(aspect) &&
      (failsOn(pair, "node") || / (?:204|205|304|407)\b/.test(answered)),
    example: exchange(
      head("GET"),
      "HTTP/1.1 999 Odd\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nok",
    ),
  },
];

function hasBytesBehind({ steps }: Answer): boolean {
  const text = textOf(steps);
  if (hasChunks(text)) return behindChunks(text) !== "";
  const length = /\r\ncontent-length:[ \t]*(\d+)\s*\r\n/i.exec(text)?.[1];
  return length !== undefined && text.length > headOf(text).length + 2 + Number(length);
}

function methodOf(startLine: string): string {
  return startLine.split(" ")[0] ?? "";
}
