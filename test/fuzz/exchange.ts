// An exchange: what a client sends over one connection and what the upstream answers, byte for byte. Texts
// are Latin-1, a character a byte. It is plain data, so that it can be printed, shrunk and sent again.

export type Step =
  | { readonly write: string }
  | { readonly waitMs: number }
  /** Sends FIN, and goes on reading. */
  | { readonly end: true }
  | { readonly reset: true };

export interface SentRequest {
  /** As the answer's reader has to know it: `HEAD` has no body. */
  readonly method: string;
  readonly steps: readonly Step[];
}

export interface Answer {
  /** What of the request the upstream waits for. */
  readonly after: "head" | "whole";
  readonly steps: readonly Step[];
}

export interface Exchange {
  /** Whether the gateway holds an idle connection to the upstream when it begins. */
  readonly isWarm: boolean;
  /** Whether it goes by the upstream whose redirects and cookies are written anew. */
  readonly isRewritten: boolean;
  /** Sent at once instead of each after the answer before it. */
  readonly isPipelined: boolean;
  readonly requests: readonly SentRequest[];
  /** The nth is given to the nth request that the upstream sees, on whichever connection. */
  readonly answers: readonly Answer[];
}

/** Stands in targets for the upstream's name, and is as long. */
export const LANE = "LANE";

/** All that is written, as one text. */
export function textOf(steps: readonly Step[]): string {
  return steps.map((step) => ("write" in step ? step.write : "")).join("");
}

export function requestText({ requests }: Exchange): string {
  return requests.map(({ steps }) => textOf(steps)).join("");
}

export function answerText({ answers }: Exchange): string {
  return answers.map(({ steps }) => textOf(steps)).join("");
}

export function headOf(text: string): string {
  const end = text.indexOf("\r\n\r\n");
  return end === -1 ? text : text.slice(0, end + 2);
}

export const OK_ANSWER: Answer = {
  after: "whole",
  steps: [{ write: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok" }],
};

/** For examples: one request, one answer. */
export function exchange(
  request: string | readonly Step[],
  answer: string | readonly Step[] = OK_ANSWER.steps,
  more: Partial<Exchange> & { readonly after?: Answer["after"] } = {},
): Exchange {
  const steps = typeof request === "string" ? [{ write: request }] : request;
  const { after = "whole", ...rest } = more;
  return {
    isWarm: false,
    isRewritten: false,
    isPipelined: false,
    requests: [{ method: textOf(steps).split(" ")[0] ?? "", steps }],
    answers: [{ after, steps: typeof answer === "string" ? [{ write: answer }] : answer }],
    ...rest,
  };
}

/** A request's head without a body. */
export function head(method: string, target = `/${LANE}/x`, ...lines: readonly string[]): string {
  return `${[`${method} ${target} HTTP/1.1`, "Host: a", ...lines].join("\r\n")}\r\n\r\n`;
}
