// An unasked `100 Continue`, taken out of what undici reads: careless servers send one, every client has to
// take it (RFC 9110 §15.2), and undici ends the connection over it (8.12).
//
// Nothing is looked at but the beginning of what comes while an answer's head is awaited: a body may say
// what it likes.

import type { Socket } from "node:net";

/** As far as a status line is looked at, of either minor version. */
const INTERIM = /^HTTP\/1\.[01] 100[ \r\n]/;
const INTERIM_LENGTH = 13;
const HEAD_END = "\r\n\r\n";

/** Longer interim heads are left to undici to refuse. */
const INTERIM_BYTES_MAX = 4096;

export function skipContinue(socket: Socket, awaitsHead: () => boolean): void {
  const read = socket.read.bind(socket);
  let held: Buffer | null = null;
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size) as Buffer | null;
      if (chunk === null) return null;
      const bytes: Buffer = held === null ? chunk : Buffer.concat([held, chunk]);
      held = null;
      if (!awaitsHead()) return bytes;
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
  return "HTTP/1.1 100 ".startsWith(line) || "HTTP/1.0 100 ".startsWith(line);
}
