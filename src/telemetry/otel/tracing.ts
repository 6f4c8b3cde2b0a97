// `switchgear/otel`: a span for each protected call.
//
// What follows a call belongs to its span: the function runs inside of it, and a transition that the
// call's result causes is an event on it. Without `traceCalls` nothing here is loaded or asked; with it
// and no SDK, OpenTelemetry's own API makes spans of nothing.

import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span,
  type TextMapGetter,
  type Tracer,
} from "@opentelemetry/api";
import type { CallOutcome } from "../../core/outcome.ts";
import type { EventOf, EventType, RefusalReason } from "../../core/events.ts";
import type { CallFacts, CallWatcher, WatchedCall } from "../../pipeline/call/watcher.ts";
import { oneLine } from "../log/escape.ts";
import type { Exemplars } from "../series/exemplars.ts";

/** What is traced: a registry. */
export interface TracingSource {
  on<Type extends EventType>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
  watchCalls(watcher: CallWatcher | undefined): void;
}

export interface TracingOptions {
  /** Default: the tracer `switchgear` of the global provider. */
  readonly tracer?: Tracer | undefined;
  /** Notes of sampled calls for histograms in OpenMetrics. Default: none. */
  readonly exemplars?: Exemplars | undefined;
}

/** What the gateway asks, to carry W3C context from its callers to the upstreams. */
export interface HeaderTracing {
  /** The caller's context, from its request's headers. */
  parentOf(header: (name: string) => string | null | undefined): unknown;
  /** The headers that hand the call's context on. */
  headersOf(call: WatchedCall | undefined): Readonly<Record<string, string>>;
}

const PREFIX = "switchgear.";

/** Makes a span of every call from now on. The answer ends it. */
export function traceCalls(gear: TracingSource, options: TracingOptions = {}): () => void {
  const watcher = new Tracing(options.tracer ?? trace.getTracer("switchgear"), options.exemplars);
  gear.watchCalls(watcher);
  const ends = [
    gear.on("transition", (event) => watcher.transition(event)),
    gear.on("endpoint", (event) => watcher.endpoint(event)),
  ];
  return () => {
    gear.watchCalls(undefined);
    for (const end of ends) end();
  };
}

class Tracing implements CallWatcher {
  readonly #tracer: Tracer;
  readonly #exemplars: Exemplars | undefined;
  /** The call whose result is being told to its breaker. */
  #settling: Span | undefined = undefined;

  constructor(tracer: Tracer, exemplars: Exemplars | undefined) {
    this.#tracer = tracer;
    this.#exemplars = exemplars;
  }

  begin({ upstream, operation, parent }: CallFacts): WatchedCall {
    const within = isContext(parent) ? parent : context.active();
    const attributes = {
      [`${PREFIX}upstream`]: upstream,
      [`${PREFIX}operation`]: operation,
      // Retries are not built: every call is its own first attempt.
      [`${PREFIX}attempt`]: 1,
    };
    const name = `${upstream} ${operation}`;
    const span = this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, within);
    const call = new CallSpan(span, trace.setSpan(within, span), (settle) =>
      this.#settle(span, settle),
    );
    const exemplars = this.#exemplars;
    if (exemplars !== undefined && isSampled(span)) {
      const startMs = performance.now();
      call.note = (outcome) => {
        const { traceId, spanId } = span.spanContext();
        const value = (performance.now() - startMs) / 1000;
        exemplars.note(upstream, operation, outcome, { traceId, spanId, value, at: Date.now() });
      };
    }
    return call;
  }

  transition({ upstream, from, to, cause }: EventOf<"transition">): void {
    this.#settling?.addEvent("breaker transition", { upstream, from, to, cause });
  }

  endpoint({ upstream, endpoint, from, to, cause }: EventOf<"endpoint">): void {
    this.#settling?.addEvent("endpoint transition", { upstream, endpoint, from, to, cause });
  }

  #settle(span: Span, settle: () => void): void {
    const outer = this.#settling;
    this.#settling = span;
    try {
      settle();
    } finally {
      this.#settling = outer;
    }
  }
}

class CallSpan implements WatchedCall {
  readonly context: Context;
  /** Notes it as an example of its kind; undefined where nobody wants one. */
  note: ((outcome: CallOutcome) => void) | undefined = undefined;
  readonly #span: Span;
  readonly #settle: (settle: () => void) => void;

  constructor(span: Span, within: Context, settle: (settle: () => void) => void) {
    this.#span = span;
    this.context = within;
    this.#settle = settle;
  }

  refused(reason: RefusalReason): void {
    try {
      this.#span.setAttribute(`${PREFIX}reason`, reason);
    } finally {
      this.#end("refused", `refused: ${reason}`);
    }
  }

  admitted(endpoint: string | undefined): void {
    if (endpoint !== undefined) this.#span.setAttribute(`${PREFIX}endpoint`, endpoint);
  }

  within<Result>(fn: () => Result): Result {
    return context.with(this.context, fn);
  }

  ended(outcome: CallOutcome, error: unknown, settle: () => void): void {
    try {
      this.note?.(outcome);
      this.#settle(settle);
    } finally {
      this.#end(outcome, typeof error === "string" ? oneLine(error) : undefined);
    }
  }

  #end(outcome: "refused" | CallOutcome, message: string | undefined): void {
    try {
      this.#span.setAttribute(`${PREFIX}outcome`, outcome);
      // A caller who went away has not met an error.
      if (outcome !== "ok" && outcome !== "ignored") {
        const status = { code: SpanStatusCode.ERROR };
        this.#span.setStatus(message === undefined ? status : { ...status, message });
      }
    } finally {
      // A span that is not ended is never exported, whatever it lacks.
      this.#span.end();
    }
  }
}

/** W3C context through the gateway, by whatever propagator the host has set. */
export const headerTracing: HeaderTracing = {
  parentOf(header) {
    try {
      return propagation.extract(ROOT_CONTEXT, header, GETTER);
    } catch {
      // A host's own propagator must not cost the call.
      return ROOT_CONTEXT;
    }
  },
  headersOf(call) {
    const headers: Record<string, string> = {};
    try {
      if (call instanceof CallSpan) propagation.inject(call.context, headers);
    } catch {
      // As above; what it had written goes on.
    }
    return headers;
  },
};

const GETTER: TextMapGetter<(name: string) => string | null | undefined> = {
  keys: () => [],
  get: (header, name) => header(name) ?? undefined,
};

/** What is not sampled leads nowhere. */
function isSampled(span: Span): boolean {
  const own = span.spanContext();
  return isSpanContextValid(own) && (own.traceFlags & TraceFlags.SAMPLED) !== 0;
}

function isContext(value: unknown): value is Context {
  return (
    typeof value === "object" &&
    value !== null &&
    "getValue" in value &&
    typeof value.getValue === "function"
  );
}
