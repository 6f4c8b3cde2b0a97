// Listed differences in how messages are written, in exchanges that go well on both.

import type { Difference } from "./compare.ts";
import { exchange, head } from "./exchange.ts";
import type { KnownDifference } from "./known.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/** Values, as the comparison writes them. */
function valuesOf(text: string): string[] {
  return text === "" ? [] : text.split("\n").map((value) => JSON.parse(value) as string);
}

/** What `Headers` makes of several lines. */
function joined({ node, name }: Difference): string {
  return valuesOf(node)
    .join(name === "cookie" ? "; " : ", ")
    .replaceAll(/^[ \t]+|[ \t]+$/g, "");
}

function isField(
  { aspect, about, name }: Difference,
  wanted: Difference["about"],
  ...names: readonly string[]
): boolean {
  return aspect === "field" && about === wanted && names.includes(name ?? "");
}

function isFraming(difference: Difference, about: Difference["about"]): boolean {
  if (!isField(difference, about, "content-length", "transfer-encoding")) return false;
  const [onNode, onBun] = [difference.node, difference.bun].map((text) =>
    Number(valuesOf(text)[0]),
  );
  if (onNode === onBun) return true;
  // One side says it, and the other says the other or, of an empty body, nothing.
  return difference.node === "" || difference.bun === "";
}

export const FIELD_DIFFERENCES: readonly KnownDifference[] = [
  {
    name: "Case of field names",
    onNode: "kept",
    onBun: "of known names, Bun's own",
    why: "`Headers` of Bun has names in lower case",
    explains: ({ aspect }) => aspect === "case",
    example: exchange(head("GET", undefined, "x-a: 1", "ACCEPT: a/b")),
  },
  {
    name: "Order of fields",
    onNode: "kept, `Content-Length` last",
    onBun: "Bun's own",
    why: "`Headers` of Bun sorts",
    explains: ({ aspect }) => aspect === "order",
    example: exchange(head("GET", undefined, "x-b: 1", "X-A: 1", "From: a@b")),
  },
  {
    name: "Several lines of one field",
    onNode: "stay several",
    onBun: "joined by `, `, but for `Set-Cookie`",
    why: "`Headers` of Bun joins them; to RFC 9110 §5.2 both are the same",
    explains: (difference) =>
      difference.aspect === "field" &&
      difference.node.includes("\n") &&
      valuesOf(difference.bun)[0] === joined(difference),
    example: exchange(head("GET", undefined, "X-A: 1", "X-A: 2")),
  },
  {
    name: "`Connection` and `Keep-Alive` of answers",
    onNode: "said",
    onBun: "not said",
    why: "the servers' own; what they do is the same, and follows from the request",
    explains: (difference) =>
      isField(difference, "answer", "connection", "keep-alive") && difference.bun === "",
    example: exchange(head("GET"), OK),
  },
  {
    name: "`Accept` of requests that have none",
    onNode: "none",
    onBun: "`*/*`",
    why: "Bun's `fetch` adds it; it means the same (RFC 9110 §12.5.1)",
    explains: (difference) =>
      isField(difference, "request", "accept") &&
      difference.node === "" &&
      difference.bun === '"*/*"',
    example: exchange(head("GET"), OK),
  },
  {
    name: "How the length of an answer's body is said",
    onNode: "as the upstream did",
    onBun: "by `Content-Length` when it is short, else in chunks",
    why: "Bun's server frames bodies by itself; the bytes are the same",
    explains: (difference) => isFraming(difference, "answer"),
    example: exchange(
      head("GET"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
  },
  {
    name: "How the length of a request's body is said",
    onNode: "in chunks when it is not known; nothing when there is none",
    onBun: "in chunks when it is streamed; `Content-Length: 0` when there is none",
    why: "Bun's `fetch` and undici frame bodies by themselves; the bytes are the same",
    explains: (difference) => isFraming(difference, "request"),
    example: exchange(head("DELETE"), OK),
  },
  {
    name: "Reason phrases of unusual statuses",
    onNode: "`unknown`",
    onBun: "`HM`",
    why: "the servers' own; nobody reads them (RFC 9112 §4)",
    explains: ({ about, aspect, node, bun }) =>
      about === "answer" &&
      aspect === "line" &&
      node.split(" ", 2).join(" ") === bun.split(" ", 2).join(" "),
    example: exchange(head("GET"), "HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n"),
  },
];
