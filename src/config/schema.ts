// THE schema of switchgear.yaml: one description gives the type, the validator, the defaults and the JSON Schema.
//
// Each leaf is built by a helper of schema-parts.ts; upstreams and breakers have a file each. Cross-checks between
// options run even when other options are wrong (`always`), so that every fault is listed at once.

import { z } from "zod";

import { CRITICALITIES } from "../core/overload/criticality.ts";
import { LOAD_MODES, LOAD_SHEDDING_DEFAULTS } from "../core/overload/load-shedder.ts";
import {
  always,
  choice,
  describeOption,
  duration,
  number,
  numberOf,
  sentence,
} from "./schema-parts.ts";
import { store } from "./store-schema.ts";
import { upstreams } from "./upstream-schema.ts";

// ---- listeners ----

const HOST_EXPECTS = "an address or host name without port, path or spaces";

function host(meaning: string) {
  const byDefault = "0.0.0.0";
  return z
    .string({ error: HOST_EXPECTS })
    .max(253, { error: HOST_EXPECTS })
    .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*)|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/, {
      error: HOST_EXPECTS,
    })
    .default(byDefault)
    .describe(describeOption({ meaning, expects: HOST_EXPECTS, byDefault }));
}

function port(meaning: string, byDefault: number) {
  return number({
    meaning: `${meaning} 0 takes a free one.`,
    unit: "",
    min: 0,
    max: 65_535,
    isWhole: true,
    byDefault,
  });
}

/** The ports alone: the environment may set them, and then the same rule applies. */
export const portNumber = numberOf({ meaning: "", unit: "", min: 0, max: 65_535, isWhole: true });

const METHOD = /^(?!(?:CONNECT|TRACE)$)[A-Z]{1,32}$/;
const METHOD_EXPECTS = "a method in capitals, other than CONNECT and TRACE";
const METHODS_EXPECTS = `a list of at most 32 methods, each ${METHOD_EXPECTS}`;

const gateway = z
  .strictObject({
    host: host("Address that the gateway listens on."),
    port: port("Port that the gateway listens on; SWITCHGEAR_PORT overrides it.", 8080),
    maxBodyBytes: number({
      meaning: "Longest request body that is forwarded; a longer one is answered 413.",
      unit: "bytes",
      min: 0,
      max: 1024 ** 3,
      isWhole: true,
      byDefault: 10 * 1024 ** 2,
    }),
    maxHeaderBytes: number({
      meaning: "Longest request head that is read; a longer one is answered 431.",
      unit: "bytes",
      min: 1024,
      max: 1024 ** 2,
      isWhole: true,
      byDefault: 16 * 1024,
    }),
    maxCriticality: choice({
      meaning:
        "What callers may ask for at most with x-switchgear-criticality; more counts as this, or as what their operation is configured with where that is more.",
      values: CRITICALITIES,
      byDefault: "critical_plus",
    }),
    methods: z
      .array(z.string({ error: METHOD_EXPECTS }).regex(METHOD, { error: METHOD_EXPECTS }), {
        error: METHODS_EXPECTS,
      })
      .max(32, { error: METHODS_EXPECTS })
      .default([])
      .describe(
        describeOption({
          meaning:
            "Methods that are passed on beside GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, as far as the runtime's server knows them; CONNECT and TRACE never are.",
          expects: METHODS_EXPECTS,
          byDefault: [],
        }),
      ),
    drainDelayMs: duration({
      meaning:
        "How long new connections are still served after SIGTERM, while /readyz answers 503, so that load balancers have time to see it.",
      byDefault: 2000,
    }),
  })
  .prefault({})
  .describe("The HTTP gateway that callers use: /{upstream}/{rest}. Default: {}.");

const admin = z
  .strictObject({
    host: host("Address that the admin interface listens on."),
    port: port(
      "Port that the admin interface listens on; SWITCHGEAR_ADMIN_PORT overrides it.",
      9464,
    ),
  })
  .prefault({})
  .describe("Metrics, probes, status page and the API for people. Default: {}.");

// ---- process-wide ----

const logging = z
  .strictObject({
    level: choice({
      meaning: "Least important level that is written.",
      values: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
      byDefault: "info",
    }),
    format: choice({
      meaning:
        "Shape of a log line: json is our own, hyper-bun the one that Hyper-Bun's tools read.",
      values: ["json", "hyper-bun"],
      byDefault: "json",
    }),
    rejectionIntervalMs: duration({
      meaning:
        "Refused calls of one upstream, operation and reason are logged at most once in this time, with the number left out; 0 logs every one.",
      byDefault: 1000,
    }),
    failureIntervalMs: duration({
      meaning:
        "Failed calls of one upstream, operation and outcome are logged with their cause at most once in this time, with the number left out; 0 logs every one.",
      byDefault: 1000,
    }),
  })
  .prefault({})
  .describe("The log on standard output. Default: {}.");

const loadShedding = z
  .strictObject({
    threshold: number({
      meaning: "System load above which (not at which) costly calls are shed; 1 never sheds.",
      unit: "ratio",
      min: 0,
      max: 1,
      byDefault: LOAD_SHEDDING_DEFAULTS.threshold,
    }),
    operationLoad: number({
      meaning: "Declared load of an operation above which (not at which) it counts as costly.",
      unit: "load units",
      min: 0,
      max: 1000,
      byDefault: LOAD_SHEDDING_DEFAULTS.operationLoad,
    }),
    mode: choice({
      meaning:
        "How system load is made of its parts: weighted is 0.4 memory + 0.3 CPU + 0.3 pending requests, max is the highest of these and of the event loop's delay.",
      values: LOAD_MODES,
      byDefault: "weighted",
    }),
    maxPending: number({
      meaning: "Pending requests that count as full load.",
      unit: "requests",
      min: 1,
      max: 1_000_000,
      isWhole: true,
      byDefault: 1000,
    }),
  })
  .prefault({})
  .describe("Refusing costly calls while this process itself is loaded. Default: {}.");

const limits = z
  .strictObject({
    upstreams: number({
      meaning:
        "Most upstreams that are held and labelled; the bound of every map and of metric labels.",
      unit: "upstreams",
      min: 1,
      max: 100_000,
      isWhole: true,
      byDefault: 1000,
    }),
    operations: number({
      meaning:
        "Most operations per upstream that get a label of their own; the rest share __overflow__.",
      unit: "operations",
      min: 1,
      max: 100_000,
      isWhole: true,
      byDefault: 200,
    }),
  })
  .prefault({})
  .describe("Bounds on what is kept per name. Default: {}.");

// ---- the whole ----

interface Bounded {
  readonly limits?: { readonly upstreams?: unknown; readonly operations?: unknown };
  readonly upstreams?: Readonly<
    Record<string, { readonly operations?: object; readonly endpoints?: unknown } | undefined>
  >;
}

function checkBounds(value: object, context: z.core.$RefinementCtx): void {
  const { limits, upstreams } = value as Bounded;
  if (typeof upstreams !== "object" || upstreams === null) return;
  const names = Object.keys(upstreams);
  const upstreamsMax = limits?.upstreams;
  if (typeof upstreamsMax === "number" && names.length > upstreamsMax)
    context.addIssue(
      sentence(
        ["upstreams"],
        `${names.length} upstreams are more than limits.upstreams (${upstreamsMax})`,
      ),
    );
  const operationsMax = limits?.operations;
  for (const name of names) {
    const operations = upstreams[name]?.operations;
    const count =
      typeof operations === "object" && operations !== null ? Object.keys(operations).length : 0;
    if (typeof operationsMax === "number" && count > operationsMax)
      context.addIssue(
        sentence(
          ["upstreams", name, "operations"],
          `${count} operations are more than limits.operations (${operationsMax})`,
        ),
      );
  }
}

/** Metrics and orders name an endpoint alone, without its upstream. */
function checkEndpointNames(value: object, context: z.core.$RefinementCtx): void {
  const { upstreams } = value as Bounded;
  if (typeof upstreams !== "object" || upstreams === null) return;
  const owners = new Map<string, string>();
  for (const [upstream, settings] of Object.entries(upstreams)) {
    const endpoints = settings?.endpoints;
    if (!Array.isArray(endpoints)) continue;
    for (const [index, one] of endpoints.entries()) {
      const { name = "", url = "" } = { ...(one as { name?: string; url?: string } | null) };
      const label = name === "" ? url : name;
      const owner = owners.get(label);
      if (owner === undefined) owners.set(label, upstream);
      else if (label !== "") {
        context.addIssue(
          sentence(
            ["upstreams", upstream, "endpoints", index],
            `${JSON.stringify(label)} is an endpoint of ${owner} already; give one of them another name`,
          ),
        );
      }
    }
  }
}

export const configSchema = z
  .strictObject({ gateway, admin, store, logging, loadShedding, limits, upstreams })
  .superRefine(checkBounds, always)
  .superRefine(checkEndpointNames, always)
  .describe("Configuration of Switchgear. Every key is optional but the url of an upstream.");

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** The configuration with all defaults filled in. */
export type SwitchgearConfig = DeepReadonly<z.output<typeof configSchema>>;
/** The configuration as a person writes it. */
export type SwitchgearConfigInput = DeepReadonly<z.input<typeof configSchema>>;
export type UpstreamConfig = SwitchgearConfig["upstreams"][string];
export type OperationConfig = UpstreamConfig["operations"][string];
export type BreakerConfig = UpstreamConfig["breaker"];
export type LimitConfig = UpstreamConfig["limit"];
