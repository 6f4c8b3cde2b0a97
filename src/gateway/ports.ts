// What the gateway is given and what it gives: everything it needs is handed in, so that it knows
// neither breakers nor stores nor logs.

import type { Scheduler } from "../core/clock.ts";
import type { Status429 } from "../core/http-status.ts";
import type { Criticality } from "../core/overload/criticality.ts";
import type { Admission, CallOptions } from "../pipeline/call/admission.ts";
import type { WatchedCall } from "../pipeline/call/watcher.ts";

/** A kind of call known by its path. */
export interface GatewayOperation {
  readonly name: string;
  /** Matches itself and everything below it: `/probe` covers `/probe/1`, never `/probes`. */
  readonly path: string;
  /** Only this method, written in capitals. Default: any. */
  readonly method?: string;
  /** How heavy the operation is, 0–1000. */
  readonly load: number;
  /** As the upstream's, for this operation alone. Default: the upstream's. */
  readonly deadlineMs?: number | undefined;
  readonly idleMs?: number | undefined;
  readonly criticality?: string;
}

/** So that a name that moves is followed within half a minute; a new connection costs a millisecond. */
export const AGE_MS_MAX_DEFAULT = 30_000;

/** How one upstream is connected to. */
export interface GatewayConnection {
  /** Certificates that are trusted instead of the system's, PEM. */
  readonly ca?: string | undefined;
  /** What this side shows of itself to an upstream that asks, PEM, with its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Name that the certificate must have, and that is sent as SNI. Default: the URL's host. */
  readonly serverName?: string | undefined;
  /** Whether HTTP/2 is offered, on Node. Default false. */
  readonly http2?: boolean | undefined;
  /**
   * Milliseconds after which a connection takes no further call, so that a name that moves is followed.
   * Default, where nothing is said of connections: `AGE_MS_MAX_DEFAULT`.
   */
  readonly ageMsMax: number;
}

export interface GatewayUpstream {
  readonly name: string;
  /** Base URL: its origin is the only one ever asked, its path is put before every request's. */
  readonly url: URL;
  /** Several base URLs by name, of which the guard's admission picks one; `url` is then the first. */
  readonly endpoints?: ReadonlyMap<string, URL> | undefined;
  /** From the first byte of the request's head to the last byte of the answer's body. */
  readonly deadlineMs: number;
  /**
   * Makes answers streams: the deadline then ends with their headers, and a pause of more milliseconds
   * than this between two pieces ends them. Default: the deadline covers the body.
   */
  readonly idleMs?: number | undefined;
  /** How a 429 counts: it tells of the caller's quota, seldom of the upstream's health. */
  readonly status429: Status429;
  /** Whether redirects to the upstream's own place lead through the gateway. Default false. */
  readonly rewriteRedirects?: boolean | undefined;
  /** Whether its cookies are bound to its path at the gateway. Default false. */
  readonly rewriteCookies?: boolean | undefined;
  /** How it is connected to. Default: HTTP/1.1, certificates as the system trusts them. */
  readonly connection?: GatewayConnection | undefined;
  readonly operations: readonly GatewayOperation[];
  readonly guard: {
    tryAcquire(options: CallOptions): Admission;
    /** As `tryAcquire`, for calls that may wait a moment for room: a promise only then. Default: none waits. */
    acquire?(options: CallOptions): Admission | Promise<Admission>;
  };
}

/** One answered or abandoned call. It holds no URL: paths and queries carry keys and names. */
export interface AccessEntry {
  /** Null when no configured upstream was named. */
  readonly upstream: string | null;
  readonly operation: string | null;
  readonly method: string;
  /** What the caller was sent; 0 when it left before that. */
  readonly status: number;
  /** `refused`: answered here, and the upstream was not asked. */
  readonly outcome: "ok" | "failed" | "timeout" | "ignored" | "refused";
  /** The `x-switchgear-reason` sent, null for an upstream's own answer. */
  readonly reason: string | null;
  /** To the response's headers; to the end for calls that never had any. */
  readonly latencyMs: number;
  /** To the end of the body. */
  readonly durationMs: number;
  readonly criticality: Criticality | null;
}

export interface GatewayOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** By name: the first segment of the path, compared verbatim. Read once, at the start. */
  readonly upstreams: ReadonlyMap<string, GatewayUpstream>;
  /** Longest request body; a longer one is answered with 413. */
  readonly maxBodyBytes: number;
  /**
   * Memory for the first 64 KiB of bodies that are waited for, of all callers together; a body for which there is none
   * is answered 503. Default 64 MiB.
   */
  readonly bodyRoomBytes?: number | undefined;
  /**
   * What callers may ask for at most with `x-switchgear-criticality`; more counts as this, or as what their operation
   * is configured with where that is more. Default `critical_plus`: callers are believed.
   */
  readonly maxCriticality?: Criticality | undefined;
  /** Methods that are passed on beside the usual ones; CONNECT and TRACE never are. Default: none. */
  readonly methods?: readonly string[] | undefined;
  /** Longest request head, on Node; Bun's limit is its own, about 16 kB. */
  readonly maxHeaderBytes: number;
  /** Dates calls and ends them at their deadlines; in a process, `runtime/system-clock.ts`. */
  readonly scheduler: Scheduler;
  /** Default: the running runtime's own. */
  readonly transport?: "bun" | "node";
  /** Told once per answer. Its errors harm nobody. */
  readonly onAccess?: (entry: AccessEntry) => void;
  /** Told of our own faults, which callers see as a 500 without a word. Its errors harm nobody. */
  readonly onError?: (error: unknown) => void;
  /**
   * Whether an `Authorization` value holds the token of our own admin interface, in whatever spelling.
   * Such a field is not forwarded: a misdirected admin call must not hand its token to a bookmaker.
   */
  readonly holdsAdminToken?: (value: string, name: string) => boolean;
  /** Carries trace context from callers to upstreams. Default: what callers sent passes as it came. */
  readonly tracing?: GatewayTracing | undefined;
  /** Sent as `switchgear/<version>` for callers without a `User-Agent`. */
  readonly version: string;
}

/** Names and texts of trace headers are the tracer's; the gateway only carries them. */
export interface GatewayTracing {
  /** The caller's context, handed to the guard with the call. */
  parentOf(header: (name: string) => string | null | undefined): unknown;
  /** What the upstream is sent in place of the caller's own; names in lower case. */
  headersOf(call: WatchedCall | undefined): Readonly<Record<string, string>>;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** Calls from now on go to these; those under way end where they are. `maxCriticality`: default as before. */
  reload(
    upstreams: GatewayOptions["upstreams"],
    maxCriticality?: GatewayOptions["maxCriticality"],
  ): void;
  /** From now on callers are told to take another connection; all are served as before. */
  windDown(): void;
  /** Takes no new connection, waits for calls in flight, and aborts what is left after `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** Admitted calls that have not been settled. */
  inFlight(): number;
  /** Answers of our own so far, by their `x-switchgear-reason`. */
  answers(): ReadonlyMap<string, number>;
}
