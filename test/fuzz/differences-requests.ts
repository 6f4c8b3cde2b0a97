// Listed differences in which requests are taken, and how they are read.

import type { Difference } from "./compare.ts";
import { exchange, head, LANE, OK_ANSWER, textOf, type Step } from "./exchange.ts";
import {
  hasControls,
  hasOddChunks,
  isServersOwn,
  refuses,
  type Context,
  type KnownDifference,
} from "./known.ts";

/** Whether a target of the exchange is one that `URL` writes anew. */
function hasTarget({ targets }: Context, what: RegExp): boolean {
  return targets.some((target) => what.test(target));
}

const DOTS_OR_BACKSLASH = /\\|#|\/(?:\.|%2e){1,2}(?=[/?#]|$)/i;
const NO_PATH = /^[^/]/;
const WRITTEN_ANEW = /["<>^`{|}']|[^\x21-\x7e]/;

/** Whether the target reached the upstream as another one, or Node refused it. */
function isRefusedOrRenamed({ about, aspect }: Difference, { pair }: Context): boolean {
  if (about === "request" && aspect === "line") return true;
  return pair.node.client.answers.some(({ startLine }) => startLine.startsWith("HTTP/1.1 400 "));
}

/** What follows when one of them closes earlier: the next request on the connection finds it so. */
function isAboutFate({ aspect }: Difference, { heads }: Context): boolean {
  if (aspect === "fate") return true;
  return (
    heads.length > 1 &&
    ["count", "rest", "reuse", "connection", "verdicts", "access"].includes(aspect)
  );
}

/** Whether one of them takes what the other one's server refuses. */
function oneRefuses({ pair }: Context): boolean {
  return refuses(pair, "node") || refuses(pair, "bun");
}

export const REQUEST_DIFFERENCES: readonly KnownDifference[] = [
  {
    name: "Dot segments, `\\` and `#` in targets",
    onNode: "400",
    onBun: "resolved and cut off before anybody sees them; what is left decides",
    why: "`Request` of Bun has a URL, and the raw target is not to be had",
    explains: (difference, context) =>
      hasTarget(context, DOTS_OR_BACKSLASH) && isRefusedOrRenamed(difference, context),
    example: exchange(head("GET", `/${LANE}/a/../b`)),
  },
  {
    name: "Targets that are no path",
    onNode: "taken as a path with the authority of `Host`, else 400",
    onBun: "taken as their path, whatever the authority; else 400 and closed",
    why: "`Request` of Bun has a URL; no other host is asked either way",
    explains: (difference, context) =>
      hasTarget(context, NO_PATH) && isRefusedOrRenamed(difference, context),
    example: exchange(head("GET", `http://other/${LANE}/x`)),
  },
  {
    name: "Characters that no target may have",
    onNode: "passed on as they came; blanks and what is not ASCII 400 by the server",
    onBun: "passed on percent-encoded; what is not ASCII 400",
    why: "`URL` of Bun encodes them",
    explains: (difference, context) =>
      hasTarget(context, WRITTEN_ANEW) && isRefusedOrRenamed(difference, context),
    example: exchange(head("GET", `/${LANE}/"a"`)),
  },
  {
    name: "Methods that Bun does not know",
    onNode: "405, or passed on by `gateway.methods`",
    onBun: "the connection closes",
    why: "Bun's server does not read them",
    explains: (_, { heads, pair }) =>
      pair.bun.client.answers.length < heads.length &&
      heads.some((text) => /^\s*(?:FOO|get) /.test(text)),
    example: exchange(head("FOO")),
  },
  {
    name: "CONNECT",
    onNode: "405, closed",
    onBun: "405, kept",
    why: "to Node's server what follows is a tunnel",
    explains: (difference, context) =>
      (isAboutFate(difference, context) || isServersOwn(context.pair.bun.client.answers[0])) &&
      context.heads.some((text) => text.startsWith("CONNECT ")),
    example: exchange(head("CONNECT")),
  },
  {
    name: "Versions of HTTP other than 1.1, and chunks of HTTP/1.0",
    onNode: "505 and 400 with a reason",
    onBun: "the same by the server, without one",
    why: "Bun's server answers before there is a request",
    explains: ({ about, aspect, index }, { heads, pair }) =>
      (about === "answer" || aspect === "fate") &&
      /^HTTP\/1\.1 (?:400|405|505)/.test(pair.node.client.answers[index]?.startLine ?? "") &&
      !/ HTTP\/1\.1\r\n/.test(heads[index] ?? ""),
    example: exchange(`GET /${LANE}/x HTTP/2.0\r\nHost: a\r\n\r\n`),
  },
  {
    name: "`Connection: keep-alive` of HTTP/1.0",
    onNode: "kept, and said so",
    onBun: "closed",
    why: "Bun's server does not offer it",
    explains: (difference, context) =>
      isAboutFate(difference, context) &&
      context.heads.some((text) => / HTTP\/1\.0\r?\n/.test(text) && /\nconnection:/i.test(text)),
    example: exchange(`GET /${LANE}/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`),
  },
  {
    name: "Heads that are none",
    onNode: "400 by the server, closed",
    onBun: "400 or 505 by the server, closed",
    why: "each server says it in its own way; nobody is asked",
    explains: ({ about, index, aspect }, { pair }) =>
      aspect === "fate"
        ? pair.node.client.answers.some(isServersOwn) && pair.bun.client.answers.some(isServersOwn)
        : about === "answer" &&
          isServersOwn(pair.node.client.answers[index]) &&
          isServersOwn(pair.bun.client.answers[index]),
    example: exchange(`GET /${LANE}/x XTTP/1.1\r\nHost: a\r\n\r\n`),
  },
  {
    name: "What is no head to one of them only: blank lines before it, control characters in values, more than some 200 fields, more than some 16 kB",
    onNode: "takes the first and the third, and 16 KiB unless `gateway.maxHeaderBytes` says more",
    onBun: "takes the second, and has limits of its own; 431",
    why: "each server's own; what is taken is passed on in good order",
    explains: (_, context) =>
      oneRefuses(context) &&
      context.heads.some(
        (text) =>
          /^\s/.test(text) ||
          hasControls(text) ||
          text.length > 15_000 ||
          text.split("\r\n").length > 190,
      ),
    example: exchange(`\r\n${head("GET")}`),
  },
  {
    name: "Requests sent before the one before is answered",
    onNode: "answered in their order",
    onBun: "the connection closes",
    why: "Bun's server does not take them",
    explains: (_, { exchange: { isPipelined, requests } }) => isPipelined && requests.length > 1,
    example: {
      ...exchange(head("GET")),
      isPipelined: true,
      requests: [1, 2].map(() => ({ method: "GET", steps: [{ write: head("GET") }] })),
      answers: [OK_ANSWER, OK_ANSWER],
    },
  },
  {
    name: "Chunks with quoted or empty extensions, trailers, or odd line ends",
    onNode: "trailers and quoted extensions pass; else 400 by the server, at once",
    onBun:
      "trailers and quoted extensions 400 by the server, behind an earlier answer, too; others when they are met",
    why: "each server's own reading; what is passed on is framed anew",
    explains: (difference, context) =>
      hasOddChunks(context.exchange.requests) &&
      (oneRefuses(context) ||
        context.pair.node.client.answers.some(({ startLine }) => / 408 /.test(startLine)) ||
        context.pair.node.client.fate === "left" ||
        isAboutFate(difference, context)),
    example: exchange(
      `${head("POST", undefined, "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\nX-T: 1\r\n\r\n`,
    ),
  },
  {
    name: "Bodies of GET and HEAD requests",
    onNode: "waited for, and passed on",
    onBun: "not waited for, and not passed on",
    why: "`Request` of Bun has none",
    explains: ({ about, aspect, index }, { exchange: { requests }, pair, heads }) =>
      // What is not whole was answered, or asked for before its caller was gone.
      heads.some(
        (text, at) =>
          GET_WITH_BODY.test(text) &&
          (/ 408 /.test(pair.node.client.answers[at]?.startLine ?? "") ||
            isReset(requests[at]) ||
            isReset(requests.at(-1))),
      ) ||
      (["body", "reuse", "whole", "connection"].includes(aspect) &&
        pair.node.seen.some(
          ({ message }, at) =>
            (about === "call" || at <= index) && /^(?:GET|HEAD) /.test(message.startLine),
        ) &&
        pair.node.seen.some(({ message }) => message.body !== "")),
    example: exchange(`${head("GET", undefined, "Content-Length: 2")}ok`),
  },
  {
    name: "The upstream's connection after a request with a body, but for POST, PUT and PATCH",
    onNode: "closed",
    onBun: "kept",
    why: "undici does not trust servers to read bodies of other methods",
    explains: ({ aspect }, { pair }) =>
      ["reuse", "connection"].includes(aspect) &&
      pair.node.seen.some(
        ({ message: { startLine, body } }) =>
          body !== "" && !/^(?:POST|PUT|PATCH) /.test(startLine),
      ),
    example: exchange(`${head("DELETE", undefined, "Content-Length: 2")}ok`),
  },
  {
    name: "`Proxy-Connection: close`",
    onNode: "closes as `Connection: close` does",
    onBun: "says nothing",
    why: "Node's parser takes it for `Connection`, of callers and of upstreams",
    explains: ({ aspect }, { sent, answered }) =>
      ["fate", "rest", "reuse", "connection", "count", "verdicts", "access"].includes(aspect) &&
      /\r\nproxy-connection:[ \t]*(?:close|keep-alive)/i.test(sent + answered),
    example: exchange(head("GET", undefined, "Proxy-Connection: close")),
  },
  {
    name: "The same `Content-Length` twice",
    onNode: "400 by the server",
    onBun: "400 with a reason",
    why: "Bun's server leaves it to us",
    explains: ({ about, aspect, index }, { heads, pair }) =>
      (about === "answer" ||
        ["fate", "access", "count", "verdicts", "reuse", "connection"].includes(aspect)) &&
      heads.some((text) => (text.match(/\r\ncontent-length:/gi)?.length ?? 0) > 1) &&
      pair.node.client.answers.some(isServersOwn) &&
      (about !== "answer" || isServersOwn(pair.node.client.answers[index])),
    example: exchange(`${head("POST", undefined, "Content-Length: 2", "Content-Length: 2")}ok`),
  },
  {
    name: "Heads that are none, and do not end",
    onNode: "400 by the server at once, where a length contradicts another; else waited for",
    onBun: "505 by the server at once, where the version is none; else waited for, 12 s",
    why: "what each server reads first",
    explains: ({ about, aspect }, { sent, pair }) =>
      (about === "answer" || aspect === "fate") &&
      !/\r?\n\r?\n/.test(sent) &&
      isServersOwn(pair.node.client.answers[0]) !== isServersOwn(pair.bun.client.answers[0]),
    example: exchange(`POST /${LANE}/x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n`),
  },
  {
    name: "`Expect: 100-continue`",
    onNode: "`100 Continue` once the call is admitted; else it closes",
    onBun: "`100 Continue` at once, to HTTP/1.0 too, when it is written in lower case; it keeps",
    why: "Bun's server answers before we see the head",
    explains: (difference, context) =>
      (difference.aspect === "interims" || isAboutFate(difference, context)) &&
      context.heads.some((text) => /\r\nexpect:/i.test(text)),
    example: exchange(head("POST", `/${LANE}/%00`, "Expect: 100-continue", "Content-Length: 0")),
  },
  {
    name: "Callers that end their side before they are answered",
    onNode: "have left at once; 400 inside a request",
    onBun: "have left when that is looked for, after 10 ms; closed without a word",
    why: "neither server answers over a half-closed connection; asking earlier costs Bun too much",
    explains: (_, { exchange: { requests } }) =>
      requests.some(({ steps }) => steps.some((step) => "end" in step)),
    example: exchange([{ write: head("GET").slice(0, 20) }, { waitMs: 20 }, { end: true }]),
  },
  {
    name: "What follows a body that was not sent in time, or not whole",
    onNode: "408, and the rest is read for 10 s",
    onBun: "408, or the upstream's answer, and closed when more comes",
    why: "the servers' own; what is sent instead of the body's rest is no request on either",
    explains: (difference, context) =>
      (isAboutFate(difference, context) || difference.index > 0) &&
      context.exchange.requests.some(({ steps }) => "waitMs" in (steps.at(-1) ?? {})),
    example: exchange([
      { write: `${head("POST", undefined, "Content-Length: 2")}o` },
      { waitMs: 100 },
    ]),
  },
  {
    name: "Bytes behind a request that are none",
    onNode: "400, and the request before is left",
    onBun: "the request before is answered first",
    why: "Node's server reads ahead",
    explains: ({ aspect }, context) =>
      hasBytesBehind(context) &&
      (aspect === "fate" || oneRefuses(context) || context.exchange.requests.some(isReset)),
    example: exchange(`${head("POST", undefined, "Content-Length: 2")}ok\0\0`, [
      { waitMs: 20 },
      ...OK_ANSWER.steps,
    ]),
  },
];

const GET_WITH_BODY =
  /^(?:GET|HEAD) [\s\S]*\r\n(?:content-length:[ \t]*0*[1-9]|transfer-encoding:)/i;

/** Whether its caller resets the connection behind it. */
function isReset(request: { readonly steps: readonly Step[] } | undefined): boolean {
  return request?.steps.some((step) => "reset" in step) === true;
}

/** Whether more is sent than the last request's head says. */
function hasBytesBehind({ exchange: { requests }, heads }: Context): boolean {
  return requests.some(({ steps }, at) => {
    const text = textOf(steps);
    const length = Number(/\r\ncontent-length:[ \t]*(\d+)\s*\r\n/i.exec(heads[at] ?? "")?.[1] ?? 0);
    return text.length > (heads[at]?.length ?? 0) + 2 + length;
  });
}
