// Reads HTTP/1.1 messages of either direction from bytes as they come, and keeps them as they were written:
// names in their case, lines in their order. It forgives nothing: what it cannot read ends its reading.

export type Field = readonly [name: string, value: string];

export type Framing = { readonly length: number } | "chunked" | "close";

export interface Message {
  readonly startLine: string;
  readonly fields: readonly Field[];
  body: string;
  trailers: readonly Field[];
  isWhole: boolean;
}

export interface ReaderEvents {
  readonly framingOf: (head: Message) => Framing;
  readonly onHead?: (message: Message) => void;
  readonly onWhole?: (message: Message) => void;
}

export class Reader {
  readonly messages: Message[] = [];
  /** Interim answers, by their status lines. */
  readonly interims: string[] = [];
  isBroken = false;
  readonly #events: ReaderEvents;
  #text = "";
  #current: { readonly message: Message; readonly framing: Framing; left: number } | undefined;

  constructor(events: ReaderEvents) {
    this.#events = events;
  }

  /** What has come and belongs to no message yet. */
  get rest(): string {
    return this.#text;
  }

  push(text: string): void {
    this.#text += text;
    while (!this.isBroken && (this.#current === undefined ? this.#head() : this.#body()));
  }

  /** The other side has ended its sending in good order. */
  ended(): void {
    if (this.#current?.framing === "close") this.#whole();
  }

  #head(): boolean {
    const end = this.#text.indexOf("\r\n\r\n");
    if (end === -1) return false;
    const [startLine = "", ...lines] = this.#text.slice(0, end).split("\r\n");
    this.#text = this.#text.slice(end + 4);
    if (/^HTTP\/1\.[01] 1\d\d/.test(startLine)) {
      this.interims.push(startLine);
      return true;
    }
    const fields = lines.map(fieldOf);
    const message = { startLine, fields, body: "", trailers: [], isWhole: false };
    const framing = this.#events.framingOf(message);
    const left = typeof framing === "object" ? framing.length : 0;
    this.#current = { message, framing, left };
    this.messages.push(message);
    this.#events.onHead?.(message);
    if (typeof framing === "object" && left === 0) this.#whole();
    return true;
  }

  #body(): boolean {
    const current = this.#current;
    if (current === undefined || this.#text === "") return false;
    const { framing, message } = current;
    if (framing === "chunked" && current.left === 0) return this.#chunkHead(message);
    const taken = framing === "close" ? this.#text : this.#text.slice(0, current.left);
    message.body += taken;
    this.#text = this.#text.slice(taken.length);
    if (framing === "close") return false;
    current.left -= taken.length;
    if (current.left > 0) return false;
    if (framing !== "chunked") this.#whole();
    return true;
  }

  #chunkHead(message: Message): boolean {
    // Behind the line end of the chunk before.
    const begin = message.body === "" ? 0 : 2;
    if (this.#text.length < begin) return false;
    const lineEnd = this.#text.indexOf("\r\n", begin);
    if (lineEnd === -1) return false;
    const size = /^([0-9a-f]+)(?:[ \t]*;.*)?$/i.exec(this.#text.slice(begin, lineEnd))?.[1];
    if (size === undefined) {
      this.isBroken = true;
      return false;
    }
    const length = Number.parseInt(size, 16);
    if (length > 0) {
      this.#text = this.#text.slice(lineEnd + 2);
      if (this.#current !== undefined) this.#current.left = length;
      return true;
    }
    const trailersEnd = this.#text.indexOf("\r\n\r\n", lineEnd);
    if (trailersEnd === -1) return false;
    const lines = this.#text.slice(lineEnd + 2, trailersEnd + 2).split("\r\n");
    message.trailers = lines.filter((line) => line !== "").map(fieldOf);
    this.#text = this.#text.slice(trailersEnd + 4);
    this.#whole();
    return true;
  }

  #whole(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    current.message.isWhole = true;
    this.#events.onWhole?.(current.message);
  }
}

function fieldOf(line: string): Field {
  const colon = line.indexOf(":");
  if (colon === -1) return [line, ""];
  // Not `trim`, which takes bytes beyond ASCII, too.
  return [line.slice(0, colon), line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, "")];
}

export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
}

export function requestFraming({ fields }: Message): Framing {
  if (valuesOf(fields, "transfer-encoding").length > 0) return "chunked";
  return { length: Number(valuesOf(fields, "content-length")[0] ?? 0) };
}

export function answerFraming({ fields, startLine }: Message, method: string): Framing {
  const status = startLine.split(" ")[1];
  if (method === "HEAD" || status === "204" || status === "304") return { length: 0 };
  if (valuesOf(fields, "transfer-encoding").length > 0) return "chunked";
  const length = valuesOf(fields, "content-length")[0];
  return length === undefined ? "close" : { length: Number(length) };
}
