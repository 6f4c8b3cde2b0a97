// Answers as strangers give them.

import type { Answer, Step } from "./exchange.ts";
import { chunked, content, framed, sliced } from "./grammar-bodies.ts";
import { anyFields, BROKEN_LINES, CONNECTION_VALUES, line } from "./grammar-fields.ts";
import type { Pick } from "./pick.ts";

const STATUSES = [
  [60, "200 OK"],
  [3, "201 Created"],
  [2, "202 "],
  [3, "204 No Content"],
  [1, "205 Reset Content"],
  [2, "206 Partial Content"],
  [1, "226 IM Used"],
  [1, "299 Odd"],
  [2, "301 Moved Permanently"],
  [2, "302 Found"],
  [3, "304 Not Modified"],
  [1, "307 Temporary Redirect"],
  [2, "400 Bad Request"],
  [1, "401 Unauthorized"],
  [3, "404 Not Found"],
  [1, "407 Proxy Authentication Required"],
  [1, "408 Request Timeout"],
  [1, "418 "],
  [1, "421 Misdirected Request"],
  [1, "425 Too Early"],
  [1, "426 Upgrade Required"],
  [3, "429 Too Many Requests"],
  [1, "451 caf\xe9"],
  [1, "499 Odd"],
  [4, "500 Internal Server Error"],
  [1, "501 Not Implemented"],
  [5, "503 Service Unavailable"],
  [1, "508 Loop Detected"],
  [1, "599 Odd"],
  [0.4, "600 Odd"],
  [0.4, "999 Odd"],
  [0.4, "99 Odd"],
  [0.4, "000 Odd"],
  [0.4, "101 Switching Protocols"],
  [0.4, "2000 Odd"],
  [0.4, "abc Odd"],
  [0.4, "200"],
] as const;

const MEANT: readonly (readonly [string, readonly string[]])[] = [
  ["Accept-Ranges", ["bytes"]],
  ["Age", ["5"]],
  ["Allow", ["GET, HEAD"]],
  ["Alt-Svc", ['h3=":443"']],
  ["Cache-Control", ["no-store", "max-age=5"]],
  ["Connection", CONNECTION_VALUES],
  ["Content-Disposition", ['attachment; filename="a.pdf"', 'attachment; filename="\xe9.pdf"']],
  ["Content-Encoding", ["gzip", "br", "identity", "deflate"]],
  ["Content-Language", ["de"]],
  ["Content-Range", ["bytes 0-1/5"]],
  ["Content-Type", ["text/plain", "application/json", "text/event-stream", "", "caf\xe9"]],
  ["Date", ["Sun, 06 Nov 1994 08:49:37 GMT", "never"]],
  ["ETag", ['"a"', 'W/"b"']],
  ["Expires", ["0"]],
  ["Keep-Alive", ["timeout=5, max=9"]],
  ["Last-Modified", ["Sun, 06 Nov 1994 08:49:37 GMT"]],
  ["Link", ["</a>; rel=next", "</b>; rel=prev"]],
  ["Location", ["/there", "/base/a?b#c", "//other/base", "http://other/base", "", "\xe9"]],
  ["Proxy-Authenticate", ["Basic"]],
  ["Proxy-Connection", ["close"]],
  ["Retry-After", ["5", "0", "-1", "soon", "5.5", "Sun, 06 Nov 1994 08:49:37 GMT"]],
  ["Server", ["book/1", ""]],
  [
    "Set-Cookie",
    [
      "a=1",
      "d=4; path=/base/x; Domain=a",
      "e=5;Path=/;HttpOnly",
      "b=2; Path=/; Expires=Sun, 06 Nov 2094 08:49:37 GMT",
      "c=\xe9",
      "",
    ],
  ],
  ["Strict-Transport-Security", ["max-age=5"]],
  ["Trailer", ["X-T"]],
  ["TE", ["trailers"]],
  ["Upgrade", ["h2c", "websocket"]],
  ["Vary", ["*", "Accept"]],
  ["Via", ["1.1 a"]],
  ["WWW-Authenticate", ['Basic realm="a"', "Bearer, Digest"]],
  ["Warning", ['199 - "a"']],
  ["X-Powered-By", ["php"]],
  ["x-switchgear-reason", ["tripped", "load_shed", "odd"]],
  ["x-switchgear-hops", ["3"]],
];

function meantFields(pick: Pick): string[] {
  const count = pick.weighted([
    [35, 0],
    [35, 1],
    [20, 2],
    [10, 4],
  ]);
  return pick
    .times(count, () => pick.of(MEANT))
    .flatMap(([name, values]) => {
      const written = pick.of([name, name, name.toLowerCase()]);
      const times = pick.chance(12) ? 2 : 1;
      return pick.times(times, () => line(pick, written, pick.of(values)));
    });
}

const INTERIMS = [
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 100 Continue\r\nX-I: 1\r\n\r\n",
  "HTTP/1.1 102 Processing\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
  "HTTP/1.1 199 \r\n\r\n",
  "HTTP/1.0 100 Continue\r\n\r\n",
] as const;

function startLine(pick: Pick): string {
  const version = pick.weighted([
    [95, "HTTP/1.1"],
    [4, "HTTP/1.0"],
    [0.3, "HTTP/1.2"],
    [0.3, "HTTP/2.0"],
    [0.3, "HTTP/0.9"],
    [0.3, "http/1.1"],
    [0.3, "ICY"],
  ]);
  return `${version} ${pick.weighted(STATUSES)}`;
}

function crowd(pick: Pick): string[] {
  return pick.of([
    () => pick.times(pick.of([90, 110, 190, 270, 500]), () => "X-Many: 1"),
    () => pick.times(pick.of([20, 60, 100]), (): string => `Set-Cookie: c=${"c".repeat(400)}`),
    () => [`X-Big: ${"b".repeat(pick.of([10_000, 17_000, 40_000, 64_000, 66_000, 90_000]))}`],
  ])();
}

export function answer(pick: Pick): Answer {
  const isUntilClose = pick.chance(5);
  const { lines, body } = isUntilClose
    ? { lines: [], body: content(pick) }
    : pick.chance(93)
      ? framed(pick)
      : { lines: [], body: "" };
  const fields = [
    ...meantFields(pick),
    ...anyFields(pick),
    ...(pick.chance(1) ? [pick.of(BROKEN_LINES)] : []),
    ...(pick.chance(1.5) ? crowd(pick) : []),
  ];
  const at = pick.integer(fields.length + 1);
  const all = [...fields.slice(0, at), ...lines, ...fields.slice(at)];
  const lineEnd = pick.chance(0.5) ? "\n" : "\r\n";
  const interims = pick.chance(4)
    ? pick.times(1 + pick.integer(3), () => pick.of(INTERIMS)).join("")
    : "";
  const head = `${interims}${[startLine(pick), ...all].join(lineEnd)}${lineEnd}${lineEnd}`;
  const needsEnd = isUntilClose || lines.length === 0;
  return { after: pick.chance(5) ? "head" : "whole", steps: given(pick, head, body, needsEnd) };
}

/** Whole, slowly, or broken off in whichever phase. */
function given(pick: Pick, head: string, body: string, needsEnd: boolean): Step[] {
  const text = head + body;
  const end: Step[] = needsEnd ? [{ end: true }] : [];
  const inHead = pick.integer(head.length);
  // Never all of it: behind a whole answer, it would be chance whether the connection's end is seen in time.
  const inBody = Math.min(head.length + pick.integer(body.length + 1), text.length - 1);
  const cut = (at: number): Step[] =>
    at === 0 ? [] : [{ write: text.slice(0, at) }, { waitMs: pick.of([0, 10]) }];
  return pick.weighted<() => Step[]>([
    [88, () => [...sliced(pick, text), ...end]],
    [2, () => [{ write: head }, { waitMs: 10 }, ...sliced(pick, body), ...end]],
    [1, () => [{ waitMs: pick.of([30, 250]) }, { write: text }, ...end]],
    [0.7, () => [...cut(inHead), { end: true }]],
    [0.7, () => [...cut(inHead), { reset: true }]],
    [0.7, () => [...cut(inBody), { end: true }]],
    [0.7, () => [...cut(inBody), { waitMs: 20 }, { reset: true }]],
    [0.3, () => [{ end: true }]],
    [0.3, () => [{ reset: true }]],
    [0.3, () => cut(inBody)],
    [1, () => [...sliced(pick, text), { waitMs: 30 }, { end: true }]],
    [0.5, () => [{ write: text + chunked(pick, content(pick)) }]],
    [0.3, () => [{ write: `${text}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother` }]],
  ])();
}
