// What the gateway leads to: upstreams, their endpoints and operations. See schema.ts for the whole.

import { z } from "zod";

import { OPERATOR_MODES } from "../core/events.ts";
import { CRITICALITIES, CRITICALITY_DEFAULT } from "../core/overload/criticality.ts";
import { RATE_RANGES } from "../core/overload/token-bucket.ts";
import { breaker, endpointBreaker } from "./breaker-schema.ts";
import { limit } from "./limit-schema.ts";
import {
  always,
  choice,
  describeOption,
  duration,
  flag,
  isControl,
  number,
  numberOf,
  oneOf,
  optionalDuration,
  optionalNumber,
  sentence,
} from "./schema-parts.ts";

const NAME_CHARACTERS_MAX = 128;
const RESERVED_NAMES: ReadonlySet<string> = new Set([
  "status",
  "history",
  "__proto__",
  "constructor",
  "prototype",
]);

/** What is wrong with a name of an upstream or operation, or `undefined`. */
function nameProblem(name: string): string | undefined {
  if (name === "") return "a name must not be empty";
  if (Array.from(name).length > NAME_CHARACTERS_MAX)
    return `a name has at most ${NAME_CHARACTERS_MAX} characters`;
  if (isControl(name)) return "a name must not hold control characters";
  if (name === "__proto__" || name === "constructor" || name === "prototype")
    return "this name is reserved";
  return undefined;
}

// An upstream is the first segment of the gateway's path, so its name must survive URL parsing unchanged.
function upstreamNameProblem(name: string): string | undefined {
  if (name === "." || name === "..") return "a name must not be a dot segment of a path";
  if (RESERVED_NAMES.has(name)) return "this name is reserved";
  if (/[/\\?#%\s]/.test(name))
    return "a name is one segment of a path and must not hold /, \\, ?, #, % or white space";
  return nameProblem(name);
}

function checkNames(
  problemOf: (name: string) => string | undefined,
): (value: object, context: z.core.$RefinementCtx) => void {
  return (value, context) => {
    for (const name of Object.keys(value)) {
      const problem = problemOf(name);
      if (problem !== undefined) context.addIssue(sentence([name], problem));
    }
  };
}

/** Without a prototype: `upstreams["constructor"]` is undefined, and not a function of the language. */
function withoutPrototype<T>(record: Record<string, T>): Record<string, T> {
  const bare: Record<string, T> = { ...record };
  Object.setPrototypeOf(bare, null);
  return bare;
}

const OPERATION_PATH_EXPECTS =
  "a path that starts with / and has no query, fragment, dot segment or white space";

function isOperationPath(path: string): boolean {
  return /^\/[^?#\s\\]*$/.test(path) && !isControl(path) && !/\/\.{1,2}(?:\/|$)/.test(path);
}

function rate(meaning: string) {
  const { perSecond, burst } = RATE_RANGES;
  const calls = numberOf({
    meaning: "",
    unit: "calls",
    min: perSecond.least,
    max: perSecond.most,
  });
  return z
    .exactOptional(
      z.strictObject({
        perSecond: calls.schema.describe(
          describeOption({
            meaning: "Calls a second on average; may be a fraction, such as 0.5.",
            expects: calls.expects,
          }),
        ),
        burst: optionalNumber({
          meaning:
            "Calls that may go at once after a pause, and after the start. Left out: those of a second, rounded up.",
          unit: "calls",
          min: burst.least,
          max: burst.most,
          isWhole: true,
        }),
      }),
    )
    .describe(meaning);
}

const operation = z.strictObject({
  path: z
    .exactOptional(
      z
        .string({ error: OPERATION_PATH_EXPECTS })
        .max(2048, { error: OPERATION_PATH_EXPECTS })
        .refine(isOperationPath, { error: OPERATION_PATH_EXPECTS })
        .meta({ pattern: String.raw`^/[^?#\s\\]*$|\$\{` }),
    )
    .describe(
      describeOption({
        meaning: "Requests with this path (after the upstream's name) belong to the operation.",
        expects: OPERATION_PATH_EXPECTS,
      }),
    ),
  method: z
    .exactOptional(oneOf(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).schema)
    .describe(
      describeOption({
        meaning:
          "Only requests with this method belong to the operation; without it, all methods do.",
        expects: "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
      }),
    ),
  load: number({
    meaning: "What one call costs this process; costly calls are shed first.",
    unit: "load units",
    min: 0,
    max: 1000,
    byDefault: 0,
  }),
  criticality: choice({
    meaning: "Which calls are refused last under overload, from the most important down.",
    values: CRITICALITIES,
    byDefault: CRITICALITY_DEFAULT,
  }),
  deadlineMs: optionalDuration({
    meaning: "As the upstream's, for this operation alone; longer or shorter.",
    min: 1,
  }),
  idleMs: optionalDuration({ meaning: "As the upstream's, for this operation alone.", min: 1 }),
  rate: rate(
    "How often this operation may be called, beside the upstream's rate. Default: no limit of its own.",
  ),
});

const URL_EXPECTS = "an http:// or https:// URL without credentials, query or fragment";

function isUpstreamUrl(text: string): boolean {
  // `new URL` trims and drops what these catch, so that it would accept a URL other than the one written.
  if (
    /[\s\\?#@]|\/(?:\.|%2e){1,2}(?:\/|$)/i.test(text) ||
    isControl(text) ||
    !/^https?:\/\/[^/]/i.test(text)
  )
    return false;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && url.hostname !== "" && url.port !== "0";
}

const url = z
  .string({ error: URL_EXPECTS })
  .max(2048, { error: URL_EXPECTS })
  .refine(isUpstreamUrl, { error: URL_EXPECTS })
  // For those that have the JSON Schema alone: before anything of the environment is filled in.
  .meta({ pattern: String.raw`^[Hh][Tt][Tt][Pp][Ss]?://[^/\s?#@\\][^\s?#@\\]*$|\$\{` })
  .describe(
    describeOption({
      meaning: "Base URL of the upstream; the rest of the request's path is appended.",
      expects: URL_EXPECTS,
    }),
  );

function checkTarget(value: object, context: z.core.$RefinementCtx): void {
  const hasUrl = "url" in value;
  if (hasUrl && "endpoints" in value)
    context.addIssue(sentence(["endpoints"], "set url or endpoints, not both"));
  if (!hasUrl && !("endpoints" in value))
    context.addIssue(sentence([], `url is missing; expected ${URL_EXPECTS}`));
  if ("endpointBreaker" in value && !("endpoints" in value))
    context.addIssue(
      sentence(["endpointBreaker"], "it needs endpoints; url alone has one breaker"),
    );
}

const ENDPOINTS_MAX = 100;
const ENDPOINTS_EXPECTS = `a list of 1 to ${ENDPOINTS_MAX} endpoints`;
function checkEndpointCount({ length }: readonly unknown[], context: z.core.$RefinementCtx): void {
  if (length < 1 || length > ENDPOINTS_MAX)
    context.addIssue(sentence([], `expected ${ENDPOINTS_EXPECTS}, found ${length}`));
}

const ENDPOINT_NAME_EXPECTS = "a name of 1 to 128 characters";

const endpoint = z.strictObject({
  name: z
    .exactOptional(
      z
        .string({ error: ENDPOINT_NAME_EXPECTS })
        .refine((name) => nameProblem(name) === undefined, { error: ENDPOINT_NAME_EXPECTS }),
    )
    .describe(
      "What metrics, logs and orders call it; unlike any other endpoint's of any upstream. Default: its url.",
    ),
  url,
});

const FILE_EXPECTS = "the path of a PEM file";
const SERVER_NAME_EXPECTS = "a host name";

function pemFile(meaning: string) {
  return z
    .exactOptional(
      z
        .string({ error: FILE_EXPECTS })
        .min(1, { error: FILE_EXPECTS })
        .max(4096, { error: FILE_EXPECTS })
        .refine((path) => !isControl(path), { error: FILE_EXPECTS }),
    )
    .describe(describeOption({ meaning, expects: FILE_EXPECTS }));
}

const SHARE_EXPECTS = "one of orders, trips, or { quorum: k } with k from 2 to 1000";

const share = z
  .union(
    [
      z.literal(["orders", "trips"]),
      z.strictObject({
        quorum: z.int({ error: "a whole number from 2 to 1000" }).min(2).max(1000),
      }),
    ],
    { error: SHARE_EXPECTS },
  )
  .default("orders")
  .describe(
    describeOption({
      meaning:
        "What replicas that share a store tell each other of a breaker that recovers by itself: people's orders alone, the trips of each, or trips that so many have seen. A latching one is always told of.",
      expects: SHARE_EXPECTS,
      byDefault: "orders",
    }),
  );

const tls = z
  .strictObject({
    caFile: pemFile("Certificates that are trusted instead of the system's."),
    certFile: pemFile("Certificate that is shown to an upstream that asks for one; with keyFile."),
    keyFile: pemFile("Private key of certFile."),
    serverName: z
      .exactOptional(
        z
          .string({ error: SERVER_NAME_EXPECTS })
          .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})$/, { error: SERVER_NAME_EXPECTS }),
      )
      .describe(
        describeOption({
          meaning: "Name that the upstream's certificate must have; without it, the URL's host.",
          expects: SERVER_NAME_EXPECTS,
        }),
      ),
  })
  .superRefine((value, context) => {
    const missing = "certFile" in value ? "keyFile" : "certFile";
    if ("certFile" in value !== "keyFile" in value)
      context.addIssue(sentence([missing], "certFile and keyFile are set together"));
  }, always)
  .prefault({})
  .describe("How https upstreams are met: certificates, and the name to ask for. Default: {}.");

const upstream = z
  .strictObject({
    url: z.exactOptional(url),
    endpoints: z
      .exactOptional(
        z
          .array(endpoint, { error: ENDPOINTS_EXPECTS })
          .superRefine(checkEndpointCount, always)
          .meta({ minItems: 1, maxItems: ENDPOINTS_MAX }),
      )
      .describe(
        "Instead of url: several base URLs of one upstream, each with an adaptive breaker of its own. Default: none.",
      ),
    endpointBreaker,
    deadlineMs: duration({
      meaning: "Longest time for a call, from admission to the end of the answer.",
      min: 1,
      byDefault: 30_000,
    }),
    idleMs: optionalDuration({
      meaning:
        "Makes answers streams: deadlineMs then ends with their headers, and a pause of more than this between two pieces ends them.",
      min: 1,
    }),
    tls,
    http2: flag({
      meaning: "Offers HTTP/2 to an https upstream; on Node only.",
      byDefault: false,
    }),
    connectionAgeMsMax: duration({
      meaning:
        "Age at which a connection takes no further call, so that a name that moves is followed.",
      min: 1,
      byDefault: 30_000,
    }),
    rewriteRedirects: flag({
      meaning: "Leads redirects to the upstream's own place back through the gateway.",
      byDefault: false,
    }),
    rewriteCookies: flag({
      meaning: "Binds the upstream's cookies to its path at the gateway.",
      byDefault: false,
    }),
    mode: choice({
      meaning:
        "normal: the breaker decides. shadow: it decides, and calls go through all the same. forced-closed: it is not asked.",
      values: OPERATOR_MODES,
      byDefault: "normal",
    }),
    share,
    breaker,
    limit,
    rate: rate(
      "How often the upstream may be called by this process, as the quota that it sells; what is over it is answered 429. Default: no limit.",
    ),
    operations: z
      .record(z.string(), operation)
      .superRefine(checkNames(nameProblem), always)
      .meta({ propertyNames: { type: "string", minLength: 1, maxLength: NAME_CHARACTERS_MAX } })
      .transform(withoutPrototype)
      .prefault({})
      .describe("Named kinds of call, by name. Default: {}."),
    status429: choice({
      meaning:
        "What an answer 429 says about the upstream: it is about our quota, so by default nothing.",
      values: ["neutral", "failure", "success"],
      byDefault: "neutral",
    }),
  })
  .superRefine(checkTarget, always)
  .meta({ oneOf: [{ required: ["url"] }, { required: ["endpoints"] }] })
  .transform(({ url: single, endpoints, endpointBreaker: own, ...rest }) => ({
    ...rest,
    // checkTarget saw to it that one of the two is there.
    url: single ?? endpoints?.[0]?.url ?? "",
    endpoints: endpoints?.map((one) => ({ name: one.name ?? one.url, url: one.url })),
    endpointBreaker: own ?? {},
  }));

export const upstreams = z
  .record(z.string(), upstream)
  .superRefine(checkNames(upstreamNameProblem), always)
  .meta({
    propertyNames: {
      type: "string",
      minLength: 1,
      maxLength: NAME_CHARACTERS_MAX,
      pattern: String.raw`^[^/\\?#%\s]+$`,
      not: { enum: [...RESERVED_NAMES, ".", ".."] },
    },
  })
  .transform(withoutPrototype)
  .prefault({})
  .describe(
    "What the gateway leads to, by name: the first segment of a request's path. Default: {}.",
  );
