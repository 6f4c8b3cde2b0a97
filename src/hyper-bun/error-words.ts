// What the words of an error tell of whose fault it was. Hyper-Bun's services catch every error and
// keep its message alone, so that words are all there is: those of runtimes and HTTP clients, of
// bookmakers that refuse, and of a host that never called because a key or an address is missing.

import { classifyThrown } from "../index.ts";

/**
 * `timeout` and `transport`: the bookmaker was not reached, or answered with 5xx or with no JSON.
 * `own`: this host made no call. `business`: the bookmaker answered, and said no. `other`: unknown words.
 */
export type Told = "timeout" | "transport" | "own" | "business" | "other";

/** Errors' texts come from outside: what is decisive stands at their beginning. */
const READ_MAX = 500;

const SERVER_ERROR =
  /\b(?:HTTP(?:\/[\d.]+)?|status(?: code)?)[ :=]*5\d\d\b|^5\d\d(?:$|[ :-]+(?:internal|not implemented|bad|service|gateway|http|server|origin)\b)|\b(?:internal server error|bad gateway|service unavailable|gateway time-?out)\b/i;

/** Of descriptors, ports and memory, and of requests that could not be made, as in the library. */
const OWN_CODES =
  /\b(?:EMFILE|ENFILE|EADDRNOTAVAIL|ENOBUFS|ENOMEM|EAI_AGAIN|EAI_MEMORY|ERR_INVALID_(?:URL|ARG_TYPE|ARG_VALUE|CHAR|HTTP_TOKEN))\b|\b(?:invalid URL|URL is invalid|failed to parse URL|invalid header (?:name|value))\b|^Header '.*' has invalid value/i;

const TIMEOUT_CODES =
  /\b(?:ETIMEDOUT|ESOCKETTIMEDOUT|UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT|(?:connect|headers|body) timeout error|(?:operation|request|connection) (?:was aborted due to timeout|timed out))\b/i;

const TRANSPORT =
  /\b(?:E(?:CONN(?:REFUSED|RESET|ABORTED)|PIPE|HOSTUNREACH|NETUNREACH|HOSTDOWN|NETDOWN|NOTFOUND|PROTO|AI_\w+)|UND_ERR_\w+|ERR_(?:TLS|SSL|HTTP2|STREAM)\w*|CERT_\w+|ConnectionRefused|ConnectionClosed|fetch failed|failed to fetch|load failed|socket hang up|other side closed|premature close|getaddrinfo|dns|unable to (?:connect|verify|get local issuer)|self[- ]signed|failed to open socket|typo in the url|upstream connect error|no healthy upstream|stream (?:was )?(?:closed|reset)|InvalidHTTPResponse|\w*(?:Zlib|Brotli|Decompress)\w*|TooManyRedirects|redirect count exceeded|redirected too many|goaway|network error|network (?:is |was )?(?:unreachable|changed|down)|(?:connection|socket)(?: connection)?(?: was| is)?(?: unexpectedly)? (?:refused|reset|closed|aborted|terminated|lost|error)|certificate|TLS|SSL|handshake)\b|^terminated$/i;

/** An error page where the answer should be, or one that lacks what the host's code reads of it. */
const NO_ANSWER =
  /\b(?:is not valid JSON|JSON parse error|failed to parse JSON|unexpected (?:token|end of)|unterminated string in JSON|expected .{1,60} in JSON|cannot (?:read|destructure) propert(?:y|ies)|is not (?:an object|iterable|a function))\b/i;

const SECRET = String.raw`(?:api[ _-]?(?:key|token|secret)|access[ _-]?(?:key|token)|auth(?:entication|orization)?[ _-]?(?:token|header|key)|bearer token|client[ _-]?(?:id|secret)|credential|secret|password|username|passphrase|environment variable|env var)s?`;
const ABSENT = String.raw`(?:missing|required|undefined|unset|empty|absent|not (?:set|configured|found|provided|defined|given|available|loaded|present|known))`;

/** `DRAFTKINGS_API_KEY is not set`, `no credentials for draftkings`, `undefined (reading 'apiKey')`. */
const OWN_SECRET = new RegExp(
  String.raw`${SECRET}\b.{0,60}?\b${ABSENT}\b|\b(?:missing|no|without)[ :]+(?:[\w'-]+ )?\w{0,40}?${SECRET}\b|\b(?:undefined|null)\b.{0,60}?${SECRET}\b`,
  "i",
);

const OWN_SETTING =
  /\bnot configured\b|\bno (?:base )?(?:address|url|endpoint|host)s? (?:is |was |are )?(?:known|configured|set|given|found)\b|\b(?:unknown|unsupported) bookmaker\b/i;

const BUSINESS =
  /\b(?:suspended|halted|closed|locked|settled|expired|stake|wager|liquidity|limits?|odds|selection|restricted|ineligible|insufficient|rejected|declined|not (?:offered|accepted|allowed|open|available)|too (?:low|high|small|large|late))\b/i;

/** From the surest words to the vaguest: a market may be suspended during a timeout on the field. */
export function toldBy(words: string): Told {
  const text = words.slice(0, READ_MAX);
  if (SERVER_ERROR.test(text)) return "transport";
  if (OWN_CODES.test(text)) return "own";
  if (TIMEOUT_CODES.test(text)) return "timeout";
  if (TRANSPORT.test(text)) return "transport";
  // Before the words of code that reads what is not there: it may have been a key.
  if (OWN_SECRET.test(text) || OWN_SETTING.test(text)) return "own";
  if (NO_ANSWER.test(text)) return "transport";
  if (BUSINESS.test(text)) return "business";
  return classifyThrown(text) === "timeout" ? "timeout" : "other";
}

/**
 * How a thrown error counts where the host's options say nothing: as in the library, and what this host
 * lacked to make the call counts nothing. A field that is missing in code of the host's stays a failure:
 * reading an answer that is not as it should be throws the same.
 */
export function classifyCallError(error: unknown): ReturnType<typeof classifyThrown> {
  const verdict = classifyThrown(error);
  if (verdict !== "failed" || typeof error !== "object" || error === null) return verdict;
  const { name, message, status, statusCode } = error as Readonly<Record<string, unknown>>;
  if (Number(status ?? statusCode) >= 500) return "failed";
  // A name that this host's own code does not define.
  if (name === "ReferenceError") return "ignored";
  return typeof message === "string" && toldBy(message) === "own" ? "ignored" : "failed";
}
