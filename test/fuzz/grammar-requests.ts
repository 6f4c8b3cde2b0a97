// Requests as strangers send them.

import { LANE, type SentRequest, type Step } from "./exchange.ts";
import { content, framed, sliced } from "./grammar-bodies.ts";
import { anyFields, BROKEN_LINES, CONNECTION_VALUES, line } from "./grammar-fields.ts";
import type { Pick } from "./pick.ts";

const METHODS = [
  [44, "GET"],
  [18, "POST"],
  [8, "PUT"],
  [8, "HEAD"],
  [6, "DELETE"],
  [5, "PATCH"],
  [4, "OPTIONS"],
  [1, "PROPFIND"],
  [0.5, "TRACE"],
  [0.3, "FOO"],
  [0.3, "QUERY"],
  [0.3, "CONNECT"],
  [0.3, "get"],
  [0.2, "G(T"],
] as const;

const BODIED: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

const PATHS = [
  [50, "/x"],
  [6, "/odds/1"],
  [4, ""],
  [4, "/"],
  [3, "/a%20b"],
  [2, "/%2f%zz%"],
  [2, "/a//b"],
  [1, "//a"],
  [2, "/a;b=1/c"],
  [1, "/a/../b"],
  [1, "/./a"],
  [1, "/%2e%2E/a"],
  [1, "/a..b/..."],
  [1, "/a\\b"],
  [1, "/caf\xe9"],
  [1, "/caf%C3%A9"],
  [2, "/~!$&'()*+,=:@"],
  [1, '/"<>^`{|}'],
  [1, "/[a]"],
  [1, "/a%00"],
  [1, "/a#b"],
  [1, "/a\x7f"],
  [1, "/a b"],
  [1, `/${"p".repeat(3_000)}`],
] as const;

const QUERIES = [
  [70, ""],
  [10, "?a=b&c"],
  [2, "?"],
  [2, "??a"],
  [2, "?a=%ff%zz"],
  [1, "?a=\xe9"],
  [2, "?a=/../b"],
  [1, "?\"<>^`{|}'[]"],
  [1, "?a=b#c"],
  [1, "?a\\b"],
  [1, "?a=b c"],
] as const;

function target(pick: Pick): string {
  const origin = `/${LANE}${pick.weighted(PATHS)}${pick.weighted(QUERIES)}`;
  return pick.weighted([
    [96, origin],
    [1, `http://a${origin}`],
    [0.5, `HTTP://A${origin}`],
    [0.5, `http://other${origin}`],
    [0.3, `http://u:p@a${origin}`],
    [0.3, "*"],
    [0.3, "a:80"],
    [0.3, "/"],
    [0.3, "/nobody/x"],
    [0.3, origin.slice(1)],
  ]);
}

/** Fields that mean something to a gateway, and lines of them. */
const MEANT: readonly (readonly [string, readonly string[]])[] = [
  ["Accept", ["*/*", "text/html, */*;q=0.1"]],
  ["Accept-Encoding", ["gzip", "gzip, br", "identity", "*;q=0"]],
  ["Accept-Language", ["de"]],
  ["Authorization", ["Bearer a", "Basic YTpi", "Bearer a, b=c"]],
  ["Cache-Control", ["no-cache"]],
  ["Connection", CONNECTION_VALUES],
  ["Content-Encoding", ["gzip", "identity"]],
  ["Content-Type", ["application/json", "text/plain; charset=utf-8", ""]],
  ["Cookie", ["a=1", "a=1; b=2", 'c="\xe9"']],
  ["Date", ["Sun, 06 Nov 1994 08:49:37 GMT"]],
  ["Expect", ["100-continue", "100-Continue", "200-ok", ""]],
  ["Forwarded", ["for=1.2.3.4"]],
  ["From", ["a@b"]],
  ["HTTP2-Settings", ["AAMAAABkAAQAAP__"]],
  ["If-Modified-Since", ["Sun, 06 Nov 1994 08:49:37 GMT"]],
  ["If-None-Match", ['"a", W/"b"', "*"]],
  ["Keep-Alive", ["timeout=5"]],
  ["Max-Forwards", ["0", "1"]],
  ["Origin", ["http://a", "null"]],
  ["Pragma", ["no-cache"]],
  ["Proxy-Authorization", ["Basic YTpi"]],
  ["Proxy-Connection", ["keep-alive", "close"]],
  ["Range", ["bytes=0-1"]],
  ["Referer", ["http://a/\xe9"]],
  ["Sec-Fetch-Mode", ["cors"]],
  ["TE", ["trailers", "gzip"]],
  ["Trailer", ["X-T"]],
  ["Upgrade", ["h2c", "websocket", "H2C, x"]],
  ["User-Agent", ["curl/8", "", "caf\xe9"]],
  ["Via", ["1.1 a"]],
  ["X-Forwarded-For", ["1.2.3.4"]],
  ["X-Real-IP", ["1.2.3.4"]],
  ["x-switchgear-criticality", ["critical", "sheddable", "urgent"]],
  ["x-switchgear-hops", ["1", "8", "9", "-1", "many"]],
  ["x-switchgear-load", ["5", "x", "1, 2"]],
  ["x-switchgear-operation", ["odds", "", "caf\xe9"]],
  ["x-switchgear-timeout-ms", ["5000", "0", "30000", "1e3", "80"]],
  ["traceparent", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]],
];

function meantFields(pick: Pick): string[] {
  return pick
    .times(
      pick.weighted([
        [40, 0],
        [35, 1],
        [20, 2],
        [5, 5],
      ]),
      () => pick.of(MEANT),
    )
    .flatMap(([name, values]) => {
      const written = pick.of([name, name, name.toLowerCase(), name.toUpperCase()]);
      return pick.times(pick.chance(8) ? 2 : 1, () => line(pick, written, pick.of(values)));
    });
}

const HOSTS: readonly (readonly [number, readonly string[]])[] = [
  [96, ["Host: a"]],
  [0.5, []],
  [0.5, ["Host: a", "Host: a"]],
  [0.5, ["Host: a", "Host: b"]],
  [0.5, ["Host:"]],
  [0.5, ["host: A:80"]],
  [0.5, ["Host: a b"]],
  [0.5, ["Host: a/b?c#d@e"]],
  [0.5, ["Host: \xe9"]],
];

const VERSIONS = [
  [95, "HTTP/1.1"],
  [3, "HTTP/1.0"],
  [0.3, "HTTP/1.2"],
  [0.3, "HTTP/2.0"],
  [0.3, "HTTP/0.9"],
  [0.3, "http/1.1"],
  [0.3, "HTTP/1.1 "],
  [0.3, "HTTP/1"],
  [0.3, "XTTP/1.1"],
] as const;

function shuffled(pick: Pick, lines: readonly string[]): string[] {
  return lines
    .map((each) => ({ each, key: pick.integer(1_000) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ each }) => each);
}

/** Heads near and over the limits, in bytes and in number. */
function crowd(pick: Pick): string[] {
  return pick.of([
    () => pick.times(pick.of([90, 190, 210, 400]), () => "X-Many: 1"),
    () => [`X-Big: ${"b".repeat(pick.of([7_000, 12_000, 15_500, 16_200, 17_000, 40_000]))}`],
  ])();
}

/** A whole request, or one that is none. */
export function request(pick: Pick): SentRequest {
  const method = pick.weighted(METHODS);
  const isBodied = BODIED.has(method) ? pick.chance(92) : pick.chance(4);
  const { lines, body } = isBodied ? framed(pick) : { lines: [], body: "" };
  const fields = shuffled(pick, [
    ...pick.weighted(HOSTS),
    ...meantFields(pick),
    ...anyFields(pick),
    ...lines,
    ...(pick.chance(1.5) ? [pick.of(BROKEN_LINES)] : []),
    ...(pick.chance(1.5) ? crowd(pick) : []),
  ]);
  const lineEnd = pick.chance(0.5) ? "\n" : "\r\n";
  const before = pick.chance(1) ? pick.of(["\r\n", "\r\n\r\n", "\n", " "]) : "";
  const startLine = `${method} ${target(pick)} ${pick.weighted(VERSIONS)}`;
  const head = `${before}${[startLine, ...fields].join(lineEnd)}${lineEnd}${lineEnd}`;
  return { method, steps: sent(pick, head, body) };
}

/** Whole, slowly, or broken off. */
function sent(pick: Pick, head: string, body: string): Step[] {
  const text = head + body;
  const cut = (at: number): Step[] => [{ write: text.slice(0, at) }, { waitMs: 100 }];
  const inHead = pick.integer(head.length);
  const inBody = head.length + pick.integer(body.length + 1);
  return pick.weighted<() => Step[]>([
    [90, () => sliced(pick, text)],
    [1, () => [...sliced(pick, head), { waitMs: 30 }, ...sliced(pick, body)]],
    [1, () => [...sliced(pick, text), { end: true }]],
    [0.5, () => [...cut(inHead), { end: true }]],
    [0.5, () => [...cut(inBody), { end: true }]],
    [0.5, () => [...cut(inHead), { reset: true }]],
    [0.5, () => [...cut(inBody), { reset: true }]],
    [0.5, () => [{ write: text }, { waitMs: 100 }, { reset: true }]],
    [0.3, () => cut(inBody)],
    [0.5, () => [{ write: text + content(pick) }]],
  ])();
}
