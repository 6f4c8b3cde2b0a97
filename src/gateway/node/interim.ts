// Interim answers, taken out of what undici reads: careless servers send a `100 Continue` that nobody asked
// for, also behind other interim ones, every client has to take it (RFC 9110 §15.2), and undici ends the
// connection over it (8.12). All others but 101 go with it, since none of them is passed on.
//
// Nothing is looked at but the beginning of what comes while an answer's head is awaited: a body may say
// what it likes.

import type { Socket } from "node:net";

/** As far as a status line is looked at, of either minor version. */
const INTERIM = /^HTTP\/1\.[01] 1(?!01)\d\d[ \r\n]/;
const INTERIM_LENGTH = 13;
/** The beginnings of such a line. */
const INTERIM_BEGUN = /^HTTP\/1\.[01] 1(?!01)\d{0,2}$/;
const HEAD_END = "\r\n\r\n";

/** Longer interim heads are left to undici to refuse. */
const INTERIM_BYTES_MAX = 4096;

/** Where an answer stands, as far as it is known here. */
export interface Listening {
  /** Whether the next bytes belong to the head of an answer. */
  readonly awaitsHead: boolean;
  /** Set once anything has come. */
  hasHeard: boolean;
}

export function skipInterim(socket: Socket, listening: Listening): void {
  const read = socket.read.bind(socket);
  let held: Buffer | null = null;
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size) as Buffer | null;
      if (chunk === null) return null;
      listening.hasHeard = true;
      const bytes: Buffer = held === null ? chunk : Buffer.concat([held, chunk]);
      held = null;
      if (!listening.awaitsHead) return bytes;
      const rest = withoutInterim(bytes);
      if (rest === undefined) held = bytes;
      else if (rest.length > 0) return rest;
    }
  };
}

/** Undefined while it cannot be told yet. */
function withoutInterim(bytes: Buffer): Buffer | undefined {
  let rest = bytes;
  while (rest.length > 0 && mayBeInterim(rest)) {
    const end = rest.indexOf(HEAD_END, 0, "latin1");
    if (end === -1) return rest.length > INTERIM_BYTES_MAX ? rest : undefined;
    rest = rest.subarray(end + HEAD_END.length);
  }
  return rest;
}

function mayBeInterim(bytes: Buffer): boolean {
  // The first letter alone rules out nearly nothing, the tenth nearly everything.
  if (bytes.length > 9 && bytes[9] !== 0x31) return false;
  const line = bytes.toString("latin1", 0, INTERIM_LENGTH);
  if (line.length === INTERIM_LENGTH) return INTERIM.test(line);
  return line.length < 10
    ? "HTTP/1.1 ".startsWith(line) || "HTTP/1.0 ".startsWith(line)
    : INTERIM_BEGUN.test(line);
}
