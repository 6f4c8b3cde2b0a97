// The admin interface: metrics, probes, the REST contract of spec A-18, events, the status page.
//
// Reading is open, since nothing that is shown is secret; changing needs the token. There is no CORS,
// no cookie and no form, so a web page elsewhere can neither read nor order anything. `Host` is not
// believed and not used: every link is relative.

import { ServerResponse } from "node:http";
import { Hono, type Context } from "hono";
import { accepts } from "hono/accepts";
import type { Secret } from "../config/secret.ts";
import { ResetDeniedError, StoreError, UnknownUpstreamError } from "../core/errors.ts";
import { isOperatorMode } from "../core/events.ts";
import { HISTORY_LIMIT_MAX } from "../pipeline/ports.ts";
import type { Switchgear } from "../pipeline/registry.ts";
import type { Upstream } from "../pipeline/call/upstream.ts";
import { json, notFound, problem } from "./answers.ts";
import { requireToken } from "./auth.ts";
import { FORCE, HOLD, MODE, REASON, readActor, readOrder, type Fields } from "./body.ts";
import { EventStream, type EventStreamLimits } from "./event-stream.ts";
import { addFleet, reachOf, reachText } from "./fleet.ts";
import { reset, trip, type Done } from "./orders.ts";
import { PAGE_POLICY, statusPage, type Summary } from "./page.ts";
import {
  auditView,
  bookmakerView,
  chainView,
  refusedAudits,
  storeTrouble,
  storeView,
} from "./views.ts";

export interface AdminOptions {
  readonly gear: Switchgear;
  /** Without one, every change is answered 403. */
  readonly token: Secret | undefined;
  /** What `/metrics` shows. */
  readonly metrics: {
    collect(
      format?: "text" | "openmetrics",
    ): Promise<{ readonly contentType: string; readonly body: string }>;
  };
  readonly version: string;
  readonly isShuttingDown: () => boolean;
  /** Shown on the status page. */
  readonly summary?: Summary | undefined;
  readonly events?: EventStreamLimits | undefined;
  /** Told of errors that were answered with 500. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

const API = "/api/circuit-breakers";

export function createAdminApp(options: AdminOptions): Hono {
  const { gear, metrics } = options;
  const app = new Hono();
  const events = new EventStream(gear, options.events);
  const tell = (error: unknown): void => {
    try {
      options.onError?.(error);
    } catch {
      // The answer matters more than the one who listens.
    }
  };

  app.use(async (context, next) => {
    await next();
    const { headers } = context.res;
    headers.set("x-content-type-options", "nosniff");
    headers.set("cache-control", "no-store");
    headers.set("referrer-policy", "no-referrer");
    headers.set("x-frame-options", "DENY");
    if (!headers.has("content-security-policy")) {
      headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    }
  });
  app.onError((error) => {
    tell(error);
    return problem(500, "internal_error", "Internal error", "The request failed here; see the log");
  });
  app.notFound(() =>
    problem(404, "no_such_route", "Not found", "Nothing is here; / lists what there is"),
  );

  for (const path of ["/metrics", "/api/metrics"]) {
    app.get(path, async (context) => {
      try {
        const format = accepts(context, METRICS_TYPES) === OPEN_METRICS ? "openmetrics" : "text";
        const { contentType, body } = await metrics.collect(format);
        return new Response(body, { headers: { "content-type": contentType, vary: "accept" } });
      } catch (error) {
        tell(error);
        // Never 200: an empty page would read as "nothing is tripped".
        return new Response("# metrics could not be collected\n", {
          status: 500,
          headers: { "content-type": "text/plain; charset=utf-8" },
        });
      }
    });
  }
  app.get("/livez", () => json(200, { status: "alive" }));
  app.get("/readyz", () => readiness(options));
  app.get("/api/events", (context) => events.open(context.req.raw.signal, cutOf(context.env)));
  app.get("/", () => {
    const headers = {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": PAGE_POLICY,
    };
    return new Response(statusPage(gear, options.version, options.summary ?? {}), { headers });
  });

  addReads(app, gear, options.token);
  addFleet(app, gear);
  addOrders(app, gear, options.token);
  return app;
}

const OPEN_METRICS = "application/openmetrics-text";

/** Whoever asks for nothing, such as a person, gets what can be read. */
const METRICS_TYPES: Parameters<typeof accepts>[1] = {
  header: "Accept",
  supports: ["text/plain", OPEN_METRICS],
  default: "text/plain",
};

/** Node's adaptor writes an error to standard error for each stream that fails; closing is silent. */
function cutOf(bindings: unknown): (() => void) | undefined {
  if (typeof bindings !== "object" || bindings === null || !("outgoing" in bindings))
    return undefined;
  const { outgoing } = bindings;
  return outgoing instanceof ServerResponse ? () => void outgoing.destroy() : undefined;
}

/**
 * Ready means: send traffic here. A tripped breaker or a failing disk must not take this process out
 * of service, since it then still does its work, and its replicas would be no better off; the body
 * and the metrics tell of it. Only a process that is about to end is not ready.
 */
function readiness({ gear, isShuttingDown }: AdminOptions): Response {
  const health = gear.storeHealth();
  const { ok, recoveredFrom } = health;
  const store = storeView(health);
  if (isShuttingDown()) {
    return json(503, { status: "stopping", reasons: ["the process is shutting down"], store });
  }
  const reasons = [
    ...(ok ? [] : [`${storeTrouble(health)}; breakers go on from memory`]),
    ...refusedAudits(health),
    ...(recoveredFrom === null
      ? []
      : ["the store was broken at the start and put aside; earlier trips are lost"]),
  ];
  // A broken file that was replaced is history and not a state: only a failing store degrades.
  return json(200, { status: ok ? "ready" : "degraded", reasons, store });
}

function addReads(app: Hono, gear: Switchgear, token: Secret | undefined): void {
  // Before the names: `status` and `history` are reserved, and no upstream is reached under them.
  app.get(`${API}/status`, () => {
    const bookmakers = gear.statuses().map(bookmakerView);
    const trippedCount = bookmakers.filter(({ tripped }) => tripped).length;
    const total = bookmakers.length;
    const systemLoad = { value: gear.systemLoad(), driver: gear.loadDriver() };
    const healthyCount = total - trippedCount;
    return json(200, { bookmakers, total, trippedCount, healthyCount, systemLoad });
  });
  app.get(`${API}/history`, (context) => history(context, gear, undefined));
  app.get(`${API}/:bookmaker/history`, (context) => {
    const name = bookmakerName(context);
    return name === undefined ? notFound() : history(context, gear, name);
  });
  // It reads every audit there is, and calls wait meanwhile: not for everybody.
  app.get(`${API}/:bookmaker/history/verify`, requireToken(token), async (context) => {
    const name = bookmakerName(context);
    return name === undefined ? notFound() : verifyHistory(gear, name);
  });
  app.get(`${API}/:bookmaker`, (context) => {
    const status = find(gear, bookmakerName(context))?.status();
    return status === undefined ? notFound() : json(200, bookmakerView(status));
  });
}

async function history(
  context: Context,
  gear: Switchgear,
  upstream: string | undefined,
): Promise<Response> {
  const given = context.req.query("limit");
  const limit = given === undefined ? undefined : Number(given);
  if (
    limit !== undefined &&
    !(Number.isInteger(limit) && limit >= 1 && limit <= HISTORY_LIMIT_MAX)
  ) {
    return problem(
      400,
      "bad_limit",
      "Limit not understood",
      `limit must be a whole number from 1 to ${HISTORY_LIMIT_MAX}`,
    );
  }
  const entries = await gear.readHistory({
    ...(upstream === undefined ? {} : { upstream }),
    ...(limit === undefined ? {} : { limit }),
  });
  // An upstream that is gone from the configuration may still have a past.
  if (upstream !== undefined && entries.length === 0 && find(gear, upstream) === undefined) {
    return notFound();
  }
  return json(200, { history: entries.map(auditView) });
}

async function verifyHistory(gear: Switchgear, upstream: string): Promise<Response> {
  try {
    const view = chainView(upstream, await gear.verifyHistory(upstream));
    const isKnown = view.rows + view.outside > 0 || find(gear, upstream) !== undefined;
    return isKnown ? json(200, view) : notFound();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const detail = `The audits cannot be read now: ${error.message}`;
    return problem(503, "store_unreadable", "Store not readable", detail);
  }
}

function addOrders(app: Hono, gear: Switchgear, token: Secret | undefined): void {
  const authorised = requireToken(token);

  const order = (
    path: string,
    fields: Fields,
    apply: (given: Order) => Response | Promise<Response>,
  ): void => {
    app.post(`${API}/:bookmaker/${path}`, authorised, async (context) => {
      const request = context.req.raw;
      const actor = readActor(request);
      if (actor instanceof Response) return actor;
      const values = await readOrder(request, fields);
      if (values instanceof Response) return values;
      const name = bookmakerName(context);
      if (name === undefined) return notFound();
      return apply({ name, actor, values, reason: textOf(values.get("reason")) });
    });
  };

  order("trip", { reason: REASON, hold: HOLD }, (given) => {
    const { name, actor, values, reason = "Manual trip via API" } = given;
    // Where names come from traffic, one may be stopped before its first call.
    const upstream = find(gear, name) ?? created(gear, name);
    if (upstream === undefined) return notFound();
    return done(
      gear,
      upstream,
      trip(gear, upstream, { reason, actor, hold: values.get("hold") === true }),
    );
  });

  order("reset", { reason: REASON, force: FORCE }, async (given) => {
    const { name, actor, values, reason = "Manual reset via API" } = given;
    const upstream = find(gear, name);
    if (upstream === undefined) return notFound();
    try {
      return await done(
        gear,
        upstream,
        reset(upstream, { reason, actor, force: values.get("force") === true }),
      );
    } catch (error) {
      if (error instanceof ResetDeniedError) return json(400, { error: error.message });
      throw error;
    }
  });

  order("mode", { mode: MODE, reason: REASON }, ({ name, actor, values, reason }) => {
    const upstream = find(gear, name);
    const mode = values.get("mode");
    if (upstream === undefined || !isOperatorMode(mode)) return notFound();
    const before = upstream.mode;
    upstream.setMode({ mode, actor, reason: reason ?? `Mode ${mode} via API` });
    const changed = mode !== before;
    return done(gear, upstream, { changed, message: `Circuit breaker for ${name} set to ${mode}` });
  });
}

interface Order {
  readonly name: string;
  readonly actor: string;
  readonly values: ReadonlyMap<string, unknown>;
  readonly reason: string | undefined;
}

/** In force here in any case; `persisted` says whether a restart will know of it, `fleet` who else does. */
async function done(
  gear: Switchgear,
  upstream: Upstream,
  { message, changed }: Done,
): Promise<Response> {
  const isUnderWay = changed || !upstream.status().persisted;
  const reach = isUnderWay ? await reachOf(gear, upstream.name) : undefined;
  const { persisted, manual } = upstream.status();
  return json(200, {
    success: true,
    bookmaker: upstream.name,
    message: reach === undefined ? message : `${message}${reachText(reach)}`,
    changed,
    manual,
    persisted,
    fleet: reach ?? null,
  });
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function created(gear: Switchgear, name: string): Upstream | undefined {
  try {
    return gear.upstream(name);
  } catch (error) {
    if (error instanceof UnknownUpstreamError) return undefined;
    throw error;
  }
}

/**
 * Among all of them, since going through them takes over what another process ordered, and finds the
 * one that all upstreams beyond the bound share.
 */
function find(gear: Switchgear, name: string | undefined): Upstream | undefined {
  for (const upstream of gear.eachUpstream()) if (upstream.name === name) return upstream;
  return undefined;
}

/**
 * The name in the path, decoded exactly once and from the path as it was sent: a router that decodes
 * on its way would turn `%252f` into a slash. Undefined when it is no encoded text.
 */
function bookmakerName(context: Context): string | undefined {
  const segment = new URL(context.req.url).pathname.split("/")[3] ?? "";
  try {
    const name = decodeURIComponent(segment);
    return name === "" ? undefined : name;
  } catch {
    return undefined;
  }
}
