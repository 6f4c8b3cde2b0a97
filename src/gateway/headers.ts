// Which header fields cross the gateway, in each direction. Pure.
//
// Not forwarded: what belongs to one connection only (RFC 9110 §7.6.1), the names that `Connection`
// adds to those, what is addressed to us (`x-switchgear-*`, `proxy-*`), and what tells a third
// party about our inside: callers' `Forwarded` and `X-Forwarded-*` name pods and internal hosts.
// Reverse proxies add those fields for servers they trust; this is the other direction, towards
// bookmakers, where Envoy and Squid are commonly told to delete them. So they are dropped and not
// added. Callers' own credentials for the bookmaker (`Authorization`, `Cookie`) pass untouched.

/** What callers may tell us, and the only answer header that is ours. */
export const OPERATION_HEADER = "x-switchgear-operation";
export const LOAD_HEADER = "x-switchgear-load";
export const CRITICALITY_HEADER = "x-switchgear-criticality";
export const TIMEOUT_HEADER = "x-switchgear-timeout-ms";
export const REASON_HEADER = "x-switchgear-reason";
/** How many Switchgear gateways a request has passed: sent to upstreams, since one may lead back here. */
export const HOPS_HEADER = "x-switchgear-hops";

const OWN_PREFIX = "x-switchgear-";

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const REQUEST_ONLY: ReadonlySet<string> = new Set([
  "expect", // answered by our own server before the body is read
  "forwarded",
  "host", // the upstream's own is sent instead
  "x-real-ip",
]);

/** Whether a request's field stays here. Names are lower case. */
export function dropsRequestHeader(name: string): boolean {
  return (
    HOP_BY_HOP.has(name) ||
    REQUEST_ONLY.has(name) ||
    isAddressedToUs(name) ||
    name.startsWith("x-forwarded-")
  );
}

/** Whether an answer's field stays here: ours cannot be forged by an upstream that sends them. */
export function dropsResponseHeader(name: string): boolean {
  return HOP_BY_HOP.has(name) || isAddressedToUs(name);
}

function isAddressedToUs(name: string): boolean {
  return name.startsWith(OWN_PREFIX) || name.startsWith("proxy-");
}

const NONE: readonly string[] = [];

/** The names that a `Connection` value adds to the hop-by-hop ones, in lower case. */
export function nominatedBy(connection: string | null | undefined): readonly string[] {
  if (connection === null || connection === undefined) return NONE;
  if (connection === "keep-alive" || connection === "close") return NONE;
  return connection
    .toLowerCase()
    .split(",")
    .map(withoutBlanks)
    .filter((name) => name !== "");
}

/** What the upstream's request is made of beside the caller's fields. */
export interface RequestHeaderRules {
  readonly host: string;
  readonly userAgent: string;
  readonly holdsAdminToken: ((value: string, name: string) => boolean) | undefined;
}

/** What is sent with one request beside the caller's fields, in place of those of the same names. */
export interface AddedFields {
  readonly hops: number;
  /** Names in lower case. */
  readonly trace?: Readonly<Record<string, string>> | undefined;
}

/** Fields for the upstream from flat name-value pairs; order, case and repetition are kept. */
export function requestPairs(
  raw: readonly string[],
  rules: RequestHeaderRules,
  { hops, trace }: AddedFields,
): string[] {
  const nominated = nominatedBy(joined(raw, "connection"));
  const kept = ["host", rules.host, HOPS_HEADER, String(hops)];
  let hasUserAgent = false;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = "", value = ""] = [raw[at], raw[at + 1]];
    const lower = name.toLowerCase();
    if (dropsRequestHeader(lower) || nominated.includes(lower)) continue;
    if (rules.holdsAdminToken?.(value, lower) === true) continue;
    if (lower === "user-agent") hasUserAgent = true;
    if (trace !== undefined && Object.hasOwn(trace, lower)) continue;
    kept.push(name, value);
  }
  if (!hasUserAgent) kept.push("user-agent", rules.userAgent);
  if (trace !== undefined)
    for (const [name, value] of Object.entries(trace)) kept.push(name, value);
  return kept;
}

/** An answer's head: what its caller is sent of it, and the fields that decide. */
export interface AnswerHead {
  readonly pairs: string[];
  /** By name, in lower case, for the names below; several lines joined, as `Headers` has them. */
  readonly fields: Readonly<Partial<Record<DecisiveField, string>>>;
}

export type DecisiveField =
  | "connection"
  | "content-length"
  | "content-type"
  | "retry-after"
  | "transfer-encoding"
  | "x-switchgear-reason";

const DECISIVE_OF_ANSWER: ReadonlySet<string> = new Set<DecisiveField>([
  "connection",
  "content-length",
  "content-type",
  "retry-after",
  "transfer-encoding",
  "x-switchgear-reason",
]);

/**
 * Reads flat name-value pairs in one pass; two `Set-Cookie` lines stay two. The length comes last: Node's
 * server spoils a `Content-Disposition` beyond ASCII that it finds after one (24.21).
 */
export function answerHead(
  raw: readonly string[],
  status: number,
  rewrite?: AnswerRewrite,
): AnswerHead {
  const fields: Partial<Record<DecisiveField, string>> = {};
  let pairs: string[] = [];
  let length: string | undefined;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = "", value = ""] = [raw[at], raw[at + 1]];
    const lower = name.toLowerCase();
    if (DECISIVE_OF_ANSWER.has(lower)) {
      const field = lower as DecisiveField;
      const known = fields[field];
      fields[field] = known === undefined ? value : `${known}, ${value}`;
    }
    if (lower === "content-length") length = name;
    else if (!dropsResponseHeader(lower)) pairs.push(name, rewrite?.(lower, value) ?? value);
  }
  const nominated = nominatedBy(fields.connection);
  if (nominated.length > 0) pairs = without(pairs, nominated);
  // A 204 has none (RFC 9110 §8.6): a caller that believes it would wait for a body. A 205 is empty (§15.3.6).
  if (status === EMPTY_STATUS) pairs.push("Content-Length", "0");
  else if (length !== undefined && status !== 204 && !nominated.includes("content-length")) {
    pairs.push(length, fields["content-length"] ?? "");
  }
  return { pairs, fields };
}

/** Of an answer whose content, if its upstream sent any, stays here. */
export const EMPTY_STATUS = 205;

/** What a field's value becomes for the caller; undefined for one that stays as it is. */
export type AnswerRewrite = (name: string, value: string) => string | undefined;

function without(pairs: readonly string[], names: readonly string[]): string[] {
  const isKept = (at: number): boolean =>
    !names.includes(pairs[at - (at % 2)]?.toLowerCase() ?? "");
  return pairs.filter((_, at) => isKept(at));
}

/** Whether a body comes in a coding that was not asked for, and that nobody here takes off. */
export function isForeignCoding(transferEncoding: string | null | undefined): boolean {
  if (transferEncoding === null || transferEncoding === undefined) return false;
  return withoutBlanks(transferEncoding).toLowerCase() !== "chunked";
}

/**
 * A value as it counts: the blanks around it are none of it (RFC 9110 §5.5). `trim` takes more, such as the last
 * byte of an `à` in UTF-8.
 */
export function withoutBlanks(value: string): string {
  return /^[ \t]|[ \t]$/.test(value) ? value.replaceAll(/^[ \t]+|[ \t]+$/g, "") : value;
}

function joined(raw: readonly string[], wanted: string): string | undefined {
  let value: string | undefined;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (raw[at]?.toLowerCase() === wanted)
      value = value === undefined ? raw[at + 1] : `${value},${raw[at + 1]}`;
  }
  return value;
}

/** The fields of a request that decide what becomes of it, beside `x-switchgear-*`. */
const DECISIVE: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "upgrade",
  "user-agent",
]);

/**
 * What matters of a request's `Headers`, read in the pass that finds what stays here anyway, rather
 * than asked for by name on top: six questions cost 0.3 µs.
 */
export class HeaderSurvey {
  /** Present fields that stay here, less `host`. */
  readonly dropped: string[] = [];
  #fields: Map<string, string> | undefined;

  constructor(headers: Headers) {
    headers.forEach((value, name) => {
      // Set for the upstream, which is cheaper than deleting it first.
      if (name === "host") return;
      if (dropsRequestHeader(name)) this.dropped.push(name);
      if (DECISIVE.has(name) || name.startsWith(OWN_PREFIX)) {
        (this.#fields ??= new Map()).set(name, value);
      }
    });
  }

  /** Only for the fields that decide; undefined for others. */
  get(name: string): string | undefined {
    return this.#fields?.get(name);
  }
}

/** Takes the fields that stay here out of a `Headers`, in place. */
export function stripRequestHeaders(
  headers: Headers,
  rules: RequestHeaderRules,
  { hops, trace }: AddedFields,
  survey = new HeaderSurvey(headers),
): void {
  // Collected first: deleting while iterating skips neighbours.
  for (const name of survey.dropped) headers.delete(name);
  const nominated = nominatedBy(survey.get("connection"));
  drop(headers, nominated);
  if (rules.holdsAdminToken !== undefined) drop(headers, holding(headers, rules.holdsAdminToken));
  headers.set(HOPS_HEADER, String(hops));
  if (trace !== undefined)
    for (const [name, value] of Object.entries(trace)) headers.set(name, value);
  if (survey.get("user-agent") === undefined || nominated.includes("user-agent")) {
    headers.set("user-agent", rules.userAgent);
  }
  headers.set("host", rules.host);
}

/** Takes the fields that stay here out of an answer's `Headers`, in place, and answers its coding. */
export function stripResponseHeaders(
  headers: Headers,
  rewrite?: AnswerRewrite,
): string | undefined {
  const dropped: string[] = [];
  let connection: string | undefined;
  let coding: string | undefined;
  headers.forEach((value, name) => {
    if (name === "connection") connection = value;
    else if (name === "transfer-encoding") coding = value;
    if (dropsResponseHeader(name)) dropped.push(name);
  });
  for (const name of dropped) headers.delete(name);
  drop(headers, nominatedBy(connection));
  if (rewrite !== undefined) rewriteAnswer(headers, rewrite);
  return coding;
}

function rewriteAnswer(headers: Headers, rewrite: AnswerRewrite): void {
  const location = headers.get("location");
  const rewritten = location === null ? undefined : rewrite("location", location);
  if (rewritten !== undefined) headers.set("location", rewritten);
  const cookies = headers.getSetCookie();
  if (cookies.length === 0) return;
  headers.delete("set-cookie");
  for (const cookie of cookies)
    headers.append("set-cookie", rewrite("set-cookie", cookie) ?? cookie);
}

function holding(headers: Headers, holds: (value: string, name: string) => boolean): string[] {
  const names: string[] = [];
  headers.forEach((value, name) => {
    if (holds(value, name)) names.push(name);
  });
  return names;
}

function drop(headers: Headers, names: readonly string[]): void {
  for (const name of names) if (isToken(name)) headers.delete(name);
}

/** `Headers` throws on a name that is no token, and `Connection` is a stranger's text. */
function isToken(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name);
}
