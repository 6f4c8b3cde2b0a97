// Header fields as strangers write them, for requests and for answers.

import type { Pick } from "./pick.ts";

const LATIN1 = "caf\xe9 \xfcber";
/** The last byte of which is a blank to `trim`. */
const UTF8 = Buffer.from("見積書 à", "utf8").toString("latin1");

const VALUES = [
  "1",
  "a, b",
  "a,b , c",
  "",
  "two words",
  'quoted "a,b"; q=0.5',
  "x=1; y=2",
  LATIN1,
  UTF8,
  "tab\tinside",
  "\x80\xff",
  "(comment)",
  "=?utf-8?q?=C3=A9?=",
] as const;

export function value(pick: Pick): string {
  return pick.chance(6) ? "v".repeat(pick.of([100, 1_000, 3_000])) : pick.of(VALUES);
}

/** Blanks around a value say nothing. */
export function line(pick: Pick, name: string, text = value(pick)): string {
  return `${name}:${pick.weighted([
    [90, " "],
    [4, ""],
    [3, "  "],
    [3, "\t"],
  ])}${text}${pick.weighted([
    [94, ""],
    [3, "  "],
    [3, "\t"],
  ])}`;
}

const NAMES = [
  "X-A",
  "x-b",
  "X-DUP",
  "x-dup",
  "X-Long-Name",
  "a",
  "X_under",
  "X.dot",
  "~x!#$%&'*+",
];

/** Fields that mean nothing to anybody. */
export function anyFields(pick: Pick): string[] {
  const lines = pick.times(pick.integer(4), () => line(pick, pick.of(NAMES)));
  if (pick.chance(6)) lines.push(line(pick, "X-Dup", "1"), line(pick, "X-Dup", "2"));
  return lines;
}

/** What `Connection` lists, or should not. */
export const CONNECTION_VALUES = [
  "keep-alive",
  "close",
  "Close",
  "Keep-Alive",
  "X-A",
  "x-a, close",
  "keep-alive, x-b",
  "te, x-dup",
  "content-length",
  "content-type",
  "transfer-encoding",
  ", ,",
  "x\xe9",
  "",
] as const;

/** What is no field: a line that a reader has to refuse, or to repair as others do. */
export const BROKEN_LINES = [
  "X-Fold: a\r\n b",
  "X-Fold: a\r\n\t b",
  "X-Nul: a\0b",
  "X-Ctl: a\x01b",
  "X-Del: a\x7fb",
  "X-Cr: a\rb",
  "X-Lf: a\nX-Smuggled: 1",
  "X Space: 1",
  "X-Blank : 1",
  ": no name",
  "no colon",
  "\xe9: 1",
  " X-Leading: 1",
] as const;
