// What a server, a socket or TLS says, under one name each. Metrics carry the name as a label, so the set is closed;
// the message says what would be right. Passwords never get into one: a server that does not know AUTH repeats what
// it was told.

import { StoreError, type StoreConcern } from "../../core/errors.ts";
import { property } from "../../core/foreign.ts";
import { oneLine } from "../../core/one-line.ts";

/** What errors need to know of the settings. */
export interface ErrorSubject {
  readonly location: string;
  readonly username: string | undefined;
  /** What must not be shown. */
  readonly secrets: () => readonly string[];
}

/** First words of the server's errors, and what would be right. */
const ANSWERS: Readonly<Record<string, string>> = {
  READONLY: "it is a replica that takes no writes: name the master, or its Sentinels",
  LOADING: "it is reading its data and answers soon",
  OOM: "its memory is full: raise maxmemory, or give it keys that may be evicted",
  NOPERM:
    "its user lacks a right; `redisStore` lists the commands, keys and channels that are needed",
  WRONGPASS: "user or password is wrong",
  NOAUTH: "it wants a password and none is set: give `password`, or a url with one",
  MOVED: "it is a node of a Cluster: give `cluster` with its nodes",
  ASK: "a slot of the Cluster is being moved",
  CROSSSLOT: "it is a node of a Cluster: give `cluster` with its nodes",
  CLUSTERDOWN: "the Cluster does not serve all of its slots",
  TRYAGAIN: "a slot of the Cluster is being moved",
  MASTERDOWN: "it is a replica that has lost its master",
  NOREPLICAS: "it has fewer replicas than it wants for writes (min-replicas-to-write)",
  MISCONF: "it cannot save its data to disk, and takes no writes before it can",
  NOSCRIPT: "it does not keep scripts",
  BUSY: "it is busy with somebody's script",
  WRONGTYPE: "a key of this prefix is somebody else's: choose another `prefix`",
  DENIED: "it is in protected mode: bind it or set a password",
  NOPROTO: "it speaks another protocol",
};

const WORDS = new RegExp(`(?:^|[ -])(${Object.keys(ANSWERS).join("|")}) `);

/** NOPERM, as Redis 7 says it of a script. */
const IN_SCRIPT = /user executing the script can't/;

/** Said of errors that are not the server's own first word. */
const HINTS = {
  REDIS_UNREACHABLE: "it cannot be reached: check that it runs, its address and the network",
  REDIS_TIMEOUT: "it did not answer in time",
  REDIS_TLS: "TLS could not be set up: check `tls` (ca, cert, key, serverName) and the server's",
  REDIS_UNKNOWN_COMMAND:
    "a command that is needed was renamed or does not exist; it must be Redis 6.2 or newer, or Valkey",
  REDIS_MAX_CLIENTS: "it has as many clients as it takes: raise maxclients",
  REDIS_NOT_MASTER: "what the Sentinels name is no master yet",
  REDIS_NO_MASTER: "no Sentinel names a master: check `sentinel.master` and `sentinel.nodes`",
  REDIS_PASSWORD: "the password, a certificate or a key could not be read",
  REDIS_BUSY_HERE: "as many commands are under way as are kept: it is too slow",
  REDIS_CLOSED: "this store was closed",
  REDIS_CHANGE: "what it was asked to keep is not as it must be",
  REDIS_ERROR: "it refused",
} as const;

export type OwnCode = keyof typeof HINTS;

/** All of them, for documents and tests. */
export const REDIS_CODES: readonly string[] = [
  ...Object.keys(HINTS),
  ...Object.keys(ANSWERS).map((word) => `REDIS_${word}`),
];

const SYSTEM_CODES =
  /^(?:ECONN|EHOST|ENET|ENOTFOUND|EAI_|ETIMEDOUT|EPIPE|EADDR|ENOENT|EACCES|EMFILE)/;
const TLS_CODES =
  /^(?:ERR_SSL|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_OSSL|EPROTO|HOSTNAME_|CRL_)/;
const TLS_TEXT = /certificate|handshake|\bTLS\b|\bSSL\b|PEM/i;
const GONE_TEXT = /socket closed|connection|disconnect|client is (?:closed|offline)/i;

/** A server that is not ours to name anew. */
export function isMoved(error: unknown): boolean {
  const code = property(error, "storeCode");
  return code === "REDIS_MOVED" || code === "REDIS_ASK";
}

export function redisError(
  code: OwnCode,
  subject: ErrorSubject,
  operation: string,
  detail = "",
): StoreError {
  const concerns: StoreConcern = code === "REDIS_CHANGE" ? "change" : "store";
  return told(code, HINTS[code], detail, subject, operation, { concerns });
}

export function toStoreError(cause: unknown, subject: ErrorSubject, operation: string): StoreError {
  if (cause instanceof StoreError) return cause;
  const text = textOf(cause);
  const word = IN_SCRIPT.test(text) ? "NOPERM" : WORDS.exec(text)?.[1];
  if (word !== undefined) {
    const hint =
      word === "WRONGPASS" || word === "NOPERM" ? `${ANSWERS[word]}; ${userOf(subject)}` : "";
    return told(`REDIS_${word}`, hint || ANSWERS[word] || "", text, subject, operation, { cause });
  }
  const code = codeOf(cause, text);
  return told(code, HINTS[code], text, subject, operation, { cause });
}

function codeOf(cause: unknown, text: string): OwnCode {
  if (/unknown (?:redis )?command|unknown subcommand/i.test(text)) return "REDIS_UNKNOWN_COMMAND";
  if (/max number of clients/i.test(text)) return "REDIS_MAX_CLIENTS";
  const code = property(cause, "code");
  if (typeof code === "string") {
    if (TLS_CODES.test(code)) return "REDIS_TLS";
    if (SYSTEM_CODES.test(code)) return "REDIS_UNREACHABLE";
  }
  if (property(cause, "name") === "AggregateError") return "REDIS_UNREACHABLE";
  if (/timeout|timed out/i.test(text)) return "REDIS_TIMEOUT";
  if (TLS_TEXT.test(text)) return "REDIS_TLS";
  return GONE_TEXT.test(text) ? "REDIS_UNREACHABLE" : "REDIS_ERROR";
}

function userOf({ username }: ErrorSubject): string {
  return `it was the user ${JSON.stringify(username ?? "default")}, of \`username\` or the url, with the password of \`password\` or the url`;
}

function told(
  code: string,
  hint: string,
  detail: string,
  subject: ErrorSubject,
  operation: string,
  options: { readonly cause?: unknown; readonly concerns?: StoreConcern },
): StoreError {
  const secrets = subject.secrets();
  const shown = redacted(detail, secrets);
  const said = shown === "" ? "" : ` (${oneLine(shown).slice(0, 300)})`;
  const { cause, concerns } = options;
  // The cause would show what the message must not.
  const isClean = cause instanceof Error && shown === detail;
  return new StoreError(code, `${operation} at ${subject.location}: ${hint}${said}`, {
    ...(isClean ? { cause } : {}),
    ...(concerns === undefined ? {} : { concerns }),
  });
}

/** Without the arguments that a server repeats, and without what is secret. */
export function redacted(text: string, secrets: readonly string[]): string {
  let shown = text.replace(/,? with args beginning with:.*$/s, "");
  for (const secret of secrets) {
    if (secret !== "") shown = shown.replaceAll(secret, "…");
  }
  return shown;
}

function textOf(cause: unknown): string {
  const message = property(cause, "message");
  if (typeof message === "string" && message !== "") return message;
  const code = property(cause, "code");
  if (typeof code === "string") return code;
  const first = property(property(cause, "errors"), 0);
  const inner = property(first, "message");
  return typeof inner === "string" ? inner : "";
}
