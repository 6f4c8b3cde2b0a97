// Where state is kept: in the process, in one file of this host, or in a Redis that a fleet shares.

import { z } from "zod";
import {
  always,
  describeOption,
  duration,
  flag,
  isControl,
  number,
  optionalNumber,
  sentence,
} from "./schema-parts.ts";

const STORE_EXPECTS = "one of memory, sqlite, redis";
const PATH_EXPECTS = "the path of a file";
const URL_EXPECTS = "a redis:// or rediss:// URL without user and password";
const NODE_EXPECTS = "a host and port, as redis-0:6379";
const REPLICA_EXPECTS = "1 to 100 letters, digits and . _ -";
const NAME_EXPECTS = "a text of 1 to 200 characters";

const memoryStore = z.strictObject({
  kind: z
    .literal("memory", { error: STORE_EXPECTS })
    .describe(
      `Where breakers keep their state. memory: gone with the process. Expects ${STORE_EXPECTS}. Default: "sqlite".`,
    ),
});

function path(meaning: string) {
  return z
    .string({ error: PATH_EXPECTS })
    .min(1, { error: PATH_EXPECTS })
    .max(4096, { error: PATH_EXPECTS })
    .refine((text) => !isControl(text), { error: PATH_EXPECTS })
    .describe(describeOption({ meaning, expects: PATH_EXPECTS }));
}

const sqliteStore = z.strictObject({
  kind: z
    .literal("sqlite", { error: STORE_EXPECTS })
    .optional()
    .default("sqlite")
    .describe(
      `Where breakers keep their state. sqlite: in one file, through restarts. Expects ${STORE_EXPECTS}. Default: "sqlite".`,
    ),
  path: path("")
    .default("./data/circuit_breaker.db")
    .describe(
      describeOption({
        meaning: "The database file; its folder is made when it is missing.",
        expects: PATH_EXPECTS,
        byDefault: "./data/circuit_breaker.db",
      }),
    ),
  auditRetentionDays: optionalNumber({
    meaning:
      "Audits older than this are deleted, a few at a time; left out, they are kept for ever.",
    unit: "days",
    min: 1,
    max: 36_500,
  }),
});

// ---- redis ----

function name(meaning: string) {
  return z
    .string({ error: NAME_EXPECTS })
    .min(1, { error: NAME_EXPECTS })
    .max(200, { error: NAME_EXPECTS })
    .refine((text) => !isControl(text), { error: NAME_EXPECTS })
    .describe(describeOption({ meaning, expects: NAME_EXPECTS }));
}

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  const isPlain = username === "" && password === "";
  return (protocol === "redis:" || protocol === "rediss:") && hostname !== "" && isPlain;
}

const node = z
  .string({ error: NODE_EXPECTS })
  .regex(/^(?:\[[0-9a-fA-F:]+\]|[^\s:/@]+):\d{1,5}$/, { error: NODE_EXPECTS })
  .describe(describeOption({ meaning: "Where one of them listens.", expects: NODE_EXPECTS }));

const nodes = z
  .array(node, { error: `a list of them, each ${NODE_EXPECTS}` })
  .min(1, { error: "at least one" })
  .max(100, { error: "at most 100" })
  .describe(
    describeOption({
      meaning: "Those that are asked first.",
      expects: `a list, each ${NODE_EXPECTS}`,
    }),
  );

const password = z
  .string({ error: "a text" })
  .min(1, { error: "a text that is not empty" })
  .describe(
    describeOption({
      meaning:
        "The password; from the environment, as ${REDIS_PASSWORD}, and not in the file itself.",
      expects: "a text",
    }),
  );

const passwordFile = path("A file that holds the password; read anew for each connection.");

const tls = z
  .strictObject({
    caFile: z.exactOptional(path("Authorities to trust instead of the system's, PEM.")),
    certFile: z.exactOptional(path("Certificate of this process, PEM.")),
    keyFile: z.exactOptional(path("Its private key, PEM.")),
    serverName: z.exactOptional(
      name("Name that the server's certificate must hold, if another than the URL's."),
    ),
    rejectUnauthorized: flag({
      meaning: "Whether a server whose certificate cannot be trusted is refused.",
      byDefault: true,
    }),
  })
  .describe("TLS; a rediss:// URL needs no more than the system's authorities. Default: none.");

const redisStore = z
  .strictObject({
    kind: z
      .literal("redis", { error: STORE_EXPECTS })
      .describe(
        `Where breakers keep their state. redis: shared by all replicas. Expects ${STORE_EXPECTS}. Default: "sqlite".`,
      ),
    url: z.exactOptional(
      z
        .string({ error: URL_EXPECTS })
        .refine(isRedisUrl, { error: URL_EXPECTS })
        .meta({ pattern: String.raw`^[Rr][Ee][Dd][Ii][Ss][Ss]?://[^/\s@]+(?:/.*)?$|\$\{` })
        .describe(
          describeOption({
            meaning: "The server, or a Cluster's or Sentinel's any one.",
            expects: URL_EXPECTS,
          }),
        ),
    ),
    sentinel: z.exactOptional(
      z
        .strictObject({ master: name("Name of the master that the Sentinels watch."), nodes })
        .describe(
          "Sentinels that tell which server is the master; instead of a URL. Default: none.",
        ),
    ),
    cluster: z.exactOptional(
      z
        .strictObject({ nodes })
        .describe("Nodes of a Redis Cluster; instead of a URL. Default: none."),
    ),
    username: z.exactOptional(name("User of the access list.")),
    password: z.exactOptional(password),
    passwordFile: z.exactOptional(passwordFile),
    tls: z.exactOptional(tls),
    prefix: z
      .string({ error: NAME_EXPECTS })
      .regex(/^[A-Za-z0-9_.:-]{1,64}$/, { error: "1 to 64 letters, digits and _ . : -" })
      .default("switchgear")
      .describe(
        describeOption({
          meaning:
            "What every key and channel begins with; fleets that share a server have one each.",
          expects: "1 to 64 letters, digits and _ . : -",
          byDefault: "switchgear",
        }),
      ),
    replica: z.exactOptional(
      z
        .string({ error: REPLICA_EXPECTS })
        .regex(/^[A-Za-z0-9._-]{1,100}$/, { error: REPLICA_EXPECTS })
        .describe(
          describeOption({
            meaning:
              "Name of this process for people, unique among the replicas; left out, its host's with six random characters.",
            expects: REPLICA_EXPECTS,
          }),
        ),
    ),
    auditMax: number({
      meaning: "Audits kept of each upstream; the oldest go first.",
      unit: "audits",
      min: 10,
      max: 100_000,
      isWhole: true,
      byDefault: 1000,
    }),
    retentionDays: number({
      meaning: "What is kept of an upstream goes so long after the last replica that guards it.",
      unit: "days",
      min: 1,
      max: 3650,
      isWhole: true,
      byDefault: 90,
    }),
    startTimeoutMs: duration({
      meaning:
        "Longest that a start waits to learn what is tripped; after it, it begins without knowing.",
      byDefault: 2000,
    }),
  })
  .superRefine((value, context) => {
    const { url, sentinel, cluster, password: own, passwordFile: file, tls: transport } = value;
    const places = [url, sentinel, cluster].filter((one) => one !== undefined);
    if (places.length !== 1) {
      context.addIssue(
        sentence(["url"], "give one of url, sentinel and cluster: where the server is"),
      );
    }
    if (own !== undefined && file !== undefined) {
      context.addIssue(sentence(["passwordFile"], "give password or passwordFile, not both"));
    }
    if ((transport?.certFile === undefined) !== (transport?.keyFile === undefined)) {
      context.addIssue(sentence(["tls"], "certFile and keyFile go together"));
    }
  }, always);

export const store = z
  .discriminatedUnion("kind", [memoryStore, sqliteStore, redisStore], {
    error: (issue) => (issue.code === "invalid_union" ? STORE_EXPECTS : undefined),
  })
  .prefault({})
  .describe("Where trips, resets and the audit are kept. Default: {}.");
