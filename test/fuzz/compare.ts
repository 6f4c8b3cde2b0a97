// What differs between the two gateways' views of one exchange, as single facts.
//
// Not compared, since it is chance or nobody's business: how a body is cut into packets and chunks, how far a
// body got that broke off, what a `Date` of our own says, and the upstream's port in `Host`.

import type { Observation, Pair } from "./rig.ts";
import type { Field, Message } from "./wire.ts";

export interface Difference {
  /** Whether it is about an answer that the client got, a request that the upstream got, or the call. */
  readonly about: "answer" | "request" | "call";
  /** Of the answer or request; 0 for the call. */
  readonly index: number;
  readonly aspect: Aspect;
  /** Of a field, in lower case. */
  readonly name?: string;
  readonly node: string;
  readonly bun: string;
}

export type Aspect =
  | "count"
  | "line"
  | "field"
  /** Of the names that both have. */
  | "order"
  | "case"
  | "body"
  | "whole"
  | "trailers"
  | "connection"
  | "interims"
  | "fate"
  | "rest"
  | "reuse"
  | "verdicts"
  | "access"
  | "faults"
  | "under way";

export function compare({ node, bun }: Pair): Difference[] {
  const found: Difference[] = [];
  const add = (
    about: Difference["about"],
    index: number,
    aspect: Aspect,
    [onNode, onBun]: readonly [string, string],
    name?: string,
  ): void => {
    if (onNode === onBun) return;
    const sides = { node: onNode, bun: onBun };
    found.push({ about, index, aspect, ...(name === undefined ? {} : { name }), ...sides });
  };
  const both = (of: (side: Observation) => string): readonly [string, string] => [
    of(node),
    of(bun),
  ];

  add(
    "answer",
    0,
    "count",
    both(({ client }) => String(client.answers.length)),
  );
  add(
    "answer",
    0,
    "interims",
    both(({ client }) => client.interims.join(", ")),
  );
  add(
    "request",
    0,
    "count",
    both(({ seen }) => String(seen.length)),
  );
  add(
    "call",
    0,
    "fate",
    both(({ client }) => client.fate),
  );
  add(
    "call",
    0,
    "rest",
    both(({ client }) => client.rest),
  );
  add(
    "call",
    0,
    "reuse",
    both(({ isReused }) => String(isReused)),
  );
  add(
    "call",
    0,
    "verdicts",
    both(({ report }) => report.verdicts.join(", ")),
  );
  add(
    "call",
    0,
    "access",
    both(({ report }) => report.access.join(", ")),
  );
  add(
    "call",
    0,
    "under way",
    both(({ report }) => String(report.underWay)),
  );
  // Wrong even where both have one.
  const faults = [...node.report.faults, ...bun.report.faults];
  if (faults.length > 0) {
    add("call", 0, "faults", [node.report.faults.join(), bun.report.faults.join() || "none"]);
  }
  const messages = (
    about: "answer" | "request",
    ofNode: readonly Message[],
    ofBun: readonly Message[],
  ): void => {
    for (let index = 0; index < Math.min(ofNode.length, ofBun.length); index += 1) {
      const [a, b] = [ofNode[index], ofBun[index]];
      if (a === undefined || b === undefined) return;
      for (const { aspect, sides, name } of messageDifferences(a, b)) {
        add(about, index, aspect, sides, name);
      }
    }
  };
  messages("answer", node.client.answers, bun.client.answers);
  messages(
    "request",
    node.seen.map(({ message }) => message),
    bun.seen.map(({ message }) => message),
  );
  for (const [index, { connection }] of node.seen.entries()) {
    const other = bun.seen[index];
    if (other === undefined) break;
    add("request", index, "connection", [String(connection), String(other.connection)]);
  }
  return found;
}

interface MessageDifference {
  readonly aspect: Aspect;
  readonly sides: readonly [string, string];
  readonly name?: string;
}

function* messageDifferences(node: Message, bun: Message): Generator<MessageDifference> {
  yield { aspect: "line", sides: [node.startLine, bun.startLine] };
  // Of two that say something else already, the rest follows.
  if (codeOf(node) !== codeOf(bun)) return;
  yield { aspect: "whole", sides: [String(node.isWhole), String(bun.isWhole)] };
  yield { aspect: "trailers", sides: [shown(node.trailers), shown(bun.trailers)] };
  if (!isBodyAlike(node, bun)) yield { aspect: "body", sides: [node.body, bun.body] };
  const fields = { node: byName(node.fields), bun: byName(bun.fields) };
  for (const name of new Set([...fields.node.keys(), ...fields.bun.keys()])) {
    const sides = [valuesIn(fields.node, name), valuesIn(fields.bun, name)] as const;
    yield { aspect: "field", sides, name };
  }
  const isShared = ([name]: Field): boolean =>
    fields.node.has(name.toLowerCase()) && fields.bun.has(name.toLowerCase());
  const names = (message: Message): string[] =>
    message.fields.filter(isShared).map(([name]) => name);
  const [onNode, onBun] = [names(node), names(bun)];
  const lower = (some: readonly string[]): string => some.join(" ").toLowerCase();
  yield { aspect: "order", sides: [lower(onNode), lower(onBun)] };
  yield {
    aspect: "case",
    sides: [onNode.toSorted(byLower).join(" "), onBun.toSorted(byLower).join(" ")],
  };
}

/** An answer's status, a request's target. */
function codeOf({ startLine }: Message): string | undefined {
  return startLine.split(" ")[1];
}

function byLower(a: string, b: string): number {
  const [left, right] = [a.toLowerCase(), b.toLowerCase()];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Of a body that broke off it is chance how much has come. */
function isBodyAlike(node: Message, bun: Message): boolean {
  if (node.isWhole && bun.isWhole) return node.body === bun.body;
  return node.body.startsWith(bun.body) || bun.body.startsWith(node.body);
}

function byName(fields: readonly Field[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    found.set(lower, [...(found.get(lower) ?? []), normal(lower, value)]);
  }
  return found;
}

/** Dates of the last minute are our own. */
const OWN_DATE_MS = 60_000;

function normal(name: string, value: string): string {
  if (name === "host") return value.replace(/^127\.0\.0\.1:\d+$/, "(upstream)");
  if (name === "date" && Math.abs(Date.parse(value) - Date.now()) < OWN_DATE_MS) return "(now)";
  return value;
}

/** One line a value; nothing at all for a field that is not there. */
function valuesIn(fields: ReadonlyMap<string, readonly string[]>, name: string): string {
  return (fields.get(name) ?? []).map((value) => JSON.stringify(value)).join("\n");
}

function shown(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}`).join("\n");
}
